"""The OpenAPI document, made to say exactly what is sent, with the headers, the answers and the schedule.

FastAPI describes a webhook as if it were a request that the application *receives*: the schema of what it accepts, a
422 that it would answer, an ``operationId`` made for paths. Everything under ``paths``, and every schema that it refers
to, stays as FastAPI made it, byte for byte. A webhook whose schema differs gets its own.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from datetime import timedelta
from typing import Any

from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.openapi.utils import get_openapi

from anzol.catalog import EventType
from anzol.declarations import Source, fingerprint, read, webhook_routes
from anzol.operations import Operation, bare, extras, operation, part_key
from anzol.references import added, reached, renamed
from anzol.retry import DEFAULT_SCHEDULE
from anzol.schemas import Schema, sent_schemas

Document = dict[str, Any]
Operations = dict[tuple[str, str], Operation]


def complete(app: FastAPI, *, schedule: Sequence[timedelta] = DEFAULT_SCHEDULE) -> None:
    """Make *app* give the completed document, at its ``openapi_url`` and from ``app.openapi()``.

    May be called again, and has to be after ``app.openapi`` was overridden; the ``openapi_url`` sees to it itself.
    """
    if not isinstance(app.openapi, Completed):
        app.openapi = Completed(app, app.openapi, schedule)  # type: ignore[method-assign]  # FastAPI's own way
    for route in app.router.routes:
        inner = getattr(route, "app", None)
        if getattr(route, "path", None) == app.openapi_url and inner is not None and not isinstance(inner, Served):
            route.app = Served(app, inner, schedule)  # type: ignore[attr-defined]  # a Starlette Route has it


class Completed:
    """Stands in for ``app.openapi``: what it made before, completed, made anew after a webhook was declared."""

    def __init__(self, app: FastAPI, inner: Any, schedule: Sequence[timedelta]) -> None:
        self.app = app
        self.inner = inner
        self.schedule = schedule  # read when the document is made: it may come from settings
        self.made_of: tuple[Any, ...] = ()
        self.made: Document = {}

    def __call__(self) -> Document:
        """Return the completed document; the same object until something changed."""
        routes = fingerprint(self.app.webhooks.routes)
        if self.made_of and self.made_of[0] != routes:
            self.app.openapi_schema = None  # FastAPI's own cache does not notice a new webhook
        document = quietly(self.inner)
        if not self.made_of or self.made_of[0] != routes or self.made_of[1] is not document:
            self.made = completed(document, self.app, schedule=self.schedule)
            self.made_of = (routes, document)
        return self.made


class Served:
    """Stands before the route of ``openapi_url``, so that an override made after start-up is completed too."""

    def __init__(self, app: FastAPI, inner: Any, schedule: Sequence[timedelta]) -> None:
        self.app = app
        self.inner = inner
        self.schedule = schedule

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Complete, then answer."""
        complete(self.app, schedule=self.schedule)
        await self.inner(scope, receive, send)


def quietly(make: Any) -> Document:
    """Make a document without FastAPI's warning of ids that are given anew here: of one route with two methods."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Duplicate Operation ID")
        document: Document = make()
    return document


def webhooks_document(
    source: Source,
    *,
    title: str = "",
    version: str = "",
    description: str = "",
    schedule: Sequence[timedelta] = DEFAULT_SCHEDULE,
    **info: Any,
) -> Document:
    """Return an OpenAPI 3.1 document of the webhooks alone, for those who are to receive them.

    Args:
        source: An application or a router.
        title: Default: the application's, with the word "webhooks".
        info: As for FastAPI's `get_openapi`: ``contact``, ``license_info``, ``terms_of_service``, ``tags`` and so on.
    """
    if isinstance(source, FastAPI):
        title, version = title or f"{source.title} webhooks", version or source.version
        info = {"contact": source.contact, "license_info": source.license_info, "tags": used_tags(source)} | info
    document = skeleton(webhook_routes(source), title or "Webhooks", version or "1", description, **info)
    return completed(document, source, schedule=schedule)


def used_tags(app: FastAPI) -> list[dict[str, Any]] | None:
    """Return what the application says of those tags that webhooks carry."""
    used = {tag for event in read(app) for tag in event.tags}
    return [tag for tag in app.openapi_tags or () if tag.get("name") in used] or None


def skeleton(routes: Sequence[Any], title: str, version: str, description: str = "", **info: Any) -> Document:
    """Return FastAPI's own document of some webhooks and no paths."""
    about = {"title": title, "version": version, "description": description or None, **info}
    return quietly(lambda: get_openapi(routes=[], webhooks=routes, **about))


def completed(document: Document, source: Source, *, schedule: Sequence[timedelta] = DEFAULT_SCHEDULE) -> Document:
    """Return a copy of *document* that says exactly what is sent. Operations that already do are left alone."""
    events = [event for event in read(source) if event.documented]
    document = deepcopy(document)
    given = document.pop(key := section(document), None) or document.pop("webhooks", {})
    finished = {(name, method) for name, method, operation in flat(given) if is_finished(operation)}
    waiting = [event for event in events if (event.name, event.method) not in finished]
    if waiting:
        given = Completion(document, given, source, schedule).complete(waiting, events)
    return document | ({key: given} if given else {})


def section(document: Mapping[str, Any]) -> str:
    """Return the key of the webhooks: OpenAPI 3.0 knows none, tools that read them there read ``x-webhooks``."""
    return "x-webhooks" if str(document.get("openapi", "")).startswith("3.0") else "webhooks"


def flat(webhooks: Mapping[str, Any]) -> list[tuple[str, str, Operation]]:
    """Return every operation with its name and its method in capitals."""
    return [
        (name, method.upper(), operation)
        for name, item in webhooks.items()
        for method, operation in item.items()
        if isinstance(operation, dict)
    ]


def is_finished(operation: Operation) -> bool:
    """Say whether the operation came from here: it has the header that every webhook carries."""
    parameters = operation.get("parameters", ())
    return any(parameter.get("name") == "webhook-signature" for parameter in parameters)


class Completion:
    """One document being completed: its schemas, and the operations in them. Changes ``document`` in place."""

    def __init__(
        self, document: Document, given: dict[str, Any], source: Source, schedule: Sequence[timedelta]
    ) -> None:
        self.document = document
        self.given = given
        self.source = source
        self.schedule = schedule
        self.components: dict[str, Any] = document.get("components", {})
        self.schemas: dict[str, Schema] = self.components.get("schemas", {})

    def complete(self, waiting: Sequence[EventType], events: Sequence[EventType]) -> dict[str, Any]:
        """Return the document's webhooks with those of *waiting* completed, in the order of declaration."""
        parts, definitions = describe(waiting)
        operations = self.declared(waiting)
        self.forget([event for event in waiting if parts.get(part_key(event, "body"))])
        names = added(self.schemas, definitions)
        described = {key: renamed(schema, names) for key, schema in parts.items()}
        ids = self.operation_ids(waiting, events)
        for event in waiting:
            key = (event.name, event.method)
            made = operation(event, operations[key], described, self.schemas, self.schedule)
            self.given.setdefault(event.name, {})[event.method.lower()] = made | {"operationId": ids[key]}
        self.settle()
        return ordered(self.given, events)

    def declared(self, waiting: Sequence[EventType]) -> Operations:
        """Return FastAPI's operation of each event type: the document's own, else one made now.

        An overridden ``app.openapi`` often leaves the webhooks out; what it says of them counts when it does not.
        """
        present = {(name, method): operation for name, method, operation in flat(self.given)}
        missing = [event for event in waiting if (event.name, event.method) not in present]
        if not missing:
            return {key: bare(operation) for key, operation in present.items()}
        made = skeleton(webhook_routes(self.source), "", "")
        fresh = {(name, method): bare(operation) for name, method, operation in flat(made.get("webhooks", {}))}
        lacking = {(event.name, event.method): fresh[event.name, event.method] for event in missing}
        parts = made.get("components", {})
        schemas = parts.get("schemas", {})
        names = added(self.schemas, {name: schemas[name] for name in reached(list(lacking.values()), schemas)})
        if "securitySchemes" in parts:
            self.components["securitySchemes"] = parts["securitySchemes"] | self.components.get("securitySchemes", {})
        return {key: bare(operation) for key, operation in present.items()} | {
            key: renamed(operation, names) for key, operation in lacking.items()
        }

    def forget(self, described: Sequence[EventType]) -> None:
        """Remove the schemas that only FastAPI's own description of these event types referred to."""
        old = [self.given.get(event.name, {}).pop(event.method.lower(), {}) for event in described]
        rest = [self.document | {"components": self.components | {"schemas": {}}}, self.given]
        kept = [
            {**bare(operation), "requestBody": {}, "parameters": extras(event, bare(operation))}
            for event, operation in zip(described, old, strict=True)
        ]
        for name in reached(old, self.schemas) - reached([rest, kept], self.schemas):
            del self.schemas[name]

    def operation_ids(self, waiting: Sequence[EventType], events: Sequence[EventType]) -> dict[tuple[str, str], str]:
        """Return a readable id for each event type: its name, as a word; with the method where there are several."""
        taken = set(all_operation_ids(self.document)) | set(all_operation_ids(self.given))
        shared = Counter(word(event) for event in events)
        ids: dict[tuple[str, str], str] = {}
        for event in waiting:
            method = f"_{event.method.lower()}" if shared[word(event)] > 1 else ""
            ids[event.name, event.method] = chosen = unused(word(event) + method, taken)
            taken.add(chosen)
        return ids

    def settle(self) -> None:
        """Put the schemas back, sorted as FastAPI sorts them; leave out what is empty."""
        if self.schemas:
            self.components["schemas"] = dict(sorted(self.schemas.items()))
        else:
            self.components.pop("schemas", None)
        if self.components:
            self.document["components"] = self.components
        else:
            self.document.pop("components", None)


def ordered(webhooks: dict[str, Any], events: Iterable[EventType]) -> dict[str, Any]:
    """Return the webhooks in the order of declaration; those that the document alone knows come last."""
    names = {event.name: webhooks[event.name] for event in events if event.name in webhooks}
    return names | {name: item for name, item in webhooks.items() if item}


def all_operation_ids(part: Any) -> Iterable[str]:
    """Yield every ``operationId`` in a part of the document."""
    if isinstance(part, dict):
        if isinstance(part.get("operationId"), str):
            yield part["operationId"]
        for value in part.values():
            yield from all_operation_ids(value)


def word(event: EventType) -> str:
    """Return the declared operation's id, or the event's name as a word that generators can make identifiers of."""
    return event.operation_id or re.sub(r"\W+", "_", event.name, flags=re.ASCII).strip("_") or "webhook"


def unused(word: str, taken: set[str]) -> str:
    """Return *word* as an id that is not taken."""
    candidates = [word, f"{word}_webhook", *(f"{word}_webhook_{number}" for number in range(2, len(taken) + 3))]
    return next(candidate for candidate in candidates if candidate not in taken)


def describe(events: Sequence[EventType]) -> tuple[dict[str, Schema], dict[str, Schema]]:
    """Return the schema of every body and parameter by its key, and the definitions that they share."""
    adapters = [(part_key(event, "body"), event.body.adapter) for event in events if event.body]
    for event in events:
        adapters += [(part_key(event, part.name), part.adapter) for part in (*event.headers, *event.query)]
    schemas, definitions = sent_schemas(adapters)
    encoded: tuple[dict[str, Schema], dict[str, Schema]] = jsonable_encoder((schemas, definitions))
    return encoded[0], encoded[1]
