"""Copy event types, applications and endpoints with their secrets from one server to another, as often as you like.

    pip install svix
    SOURCE_TOKEN=... TARGET_TOKEN=... python from_svix.py https://api.eu.svix.com http://127.0.0.1:8071 --dry-run

Both servers speak the same dialect. What is there already is brought up to date, nothing is deleted.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from typing import Any

from svix.api import ApplicationListOptions, EndpointListOptions, EventTypeListOptions, Svix, SvixOptions
from svix.exceptions import HttpError
from svix.models import (
    ApplicationIn,
    ApplicationOut,
    EndpointHeadersIn,
    EndpointIn,
    EndpointOut,
    EndpointSecretRotateIn,
    EndpointUpsertIn,
    EventTypeUpsertIn,
)

PAGE = 100
PREFIX = "svix-"  # receivers that look for these headers go on finding them


class NewEndpoint(EndpointIn):
    header_prefix: str  # Anzol's own


class ChangedEndpoint(EndpointUpsertIn):
    header_prefix: str


class Copy:
    """Copies everything; counts, and says what needs a look."""

    def __init__(self, source: Svix, target: Svix, *, dry_run: bool) -> None:
        self.source = source
        self.target = target
        self.dry_run = dry_run
        self.counts = {"event types": 0, "applications": 0, "endpoints": 0}

    def everything(self) -> None:
        for event_type in pages(
            self.source.event_type.list, EventTypeListOptions, include_archived=True, with_content=True
        ):
            self.event_type(event_type)
        for application in pages(self.source.application.list, ApplicationListOptions):
            uid = self.application(application)
            for endpoint in pages(
                lambda page, of=application: self.source.endpoint.list(of.id, page), EndpointListOptions
            ):
                self.endpoint(application, uid, endpoint)

    def event_type(self, known: Any) -> None:
        self.counts["event types"] += 1
        if not self.dry_run:
            self.target.event_type.upsert(known.name, EventTypeUpsertIn(**given(EventTypeUpsertIn, known)))

    def application(self, known: ApplicationOut) -> str:
        """Copy an application; return its uid, which is made of its id if it has none."""
        self.counts["applications"] += 1
        uid = known.uid or f"from-{known.id}"
        if not self.dry_run:
            self.target.application.upsert(uid, ApplicationIn(**given(ApplicationIn, known) | {"uid": uid}))
        return uid

    def endpoint(self, application: ApplicationOut, app: str, known: EndpointOut) -> None:
        self.counts["endpoints"] += 1
        uid = known.uid or f"from-{known.id}"
        secret = self.source.endpoint.get_secret(application.id, known.id).key
        headers = self.source.endpoint.get_headers(application.id, known.id)
        if headers.sensitive:
            print(f"{app}/{uid}: set these headers by hand, their values are not told: {', '.join(headers.sensitive)}")
        if self.dry_run:
            return
        ours = {"uid": uid, "header_prefix": PREFIX}
        if self.there(app, uid):
            self.target.endpoint.upsert(app, uid, ChangedEndpoint(**given(EndpointUpsertIn, known) | ours))
            self.bring_secret(app, uid, secret)
        else:
            self.target.endpoint.create(app, NewEndpoint(**given(EndpointIn, known) | ours | {"secret": secret}))
        self.target.endpoint.set_headers(app, uid, EndpointHeadersIn(headers=headers.headers))

    def there(self, app: str, uid: str) -> bool:
        try:
            self.target.endpoint.get(app, uid)
        except HttpError as error:
            if error.status_code == 404:
                return False
            raise
        return True

    def bring_secret(self, app: str, uid: str, secret: str) -> None:
        """Set a secret that was changed at the source since the last time."""
        if self.target.endpoint.get_secret(app, uid).key != secret:
            self.target.endpoint.rotate_secret(app, uid, EndpointSecretRotateIn(key=secret))


def pages(ask: Callable[[Any], Any], options: Callable[..., Any], **wanted: Any) -> Iterator[Any]:
    """Yield everything of a list."""
    iterator = None
    while True:
        page = ask(options(limit=PAGE, iterator=iterator, **wanted))
        yield from page.data
        if page.done:
            return
        iterator = page.iterator


def given(shape: Any, known: Any) -> dict[str, Any]:
    """Return those of the known fields that the shape has."""
    fields = known.model_dump(exclude_none=True)
    return {name: fields[name] for name in shape.model_fields if name in fields}


def main() -> None:
    parser = argparse.ArgumentParser(description="Copy event types, applications and endpoints with their secrets.")
    parser.add_argument("source", help="the address of the server that has them")
    parser.add_argument("target", help="the address of Anzol's REST API")
    parser.add_argument("--dry-run", action="store_true", help="only read, and say what there is")
    asked = parser.parse_args()
    source = Svix(os.environ["SOURCE_TOKEN"], SvixOptions(server_url=asked.source))
    target = Svix(os.environ["TARGET_TOKEN"], SvixOptions(server_url=asked.target))
    copy = Copy(source, target, dry_run=asked.dry_run)
    copy.everything()
    print("found" if asked.dry_run else "copied", ", ".join(f"{count} {name}" for name, count in copy.counts.items()))


if __name__ == "__main__":
    main()
