"""The serving process of `anzol dev`: the user's app with the test inbox beside it, and a line for each attempt."""

from __future__ import annotations

import json
import logging
import sys
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from anzol.cli.lines import AttemptLines
from anzol.cli.plan import INBOX, INBOX_UID, Plan
from anzol.cli.screen import Screen, show_error
from anzol.errors import AnzolError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from anzol.app import Webhooks
    from anzol.inbox import Arrivals

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]


def made() -> DevApp:
    """Import the user's app and put the inbox beside it; called once in each serving process."""
    from anzol.app import Webhooks
    from anzol.cli.discovery import load
    from anzol.inbox import Arrivals, Inbox

    plan = Plan.handed_over()
    app = load(plan.found)
    webhooks = Webhooks.of(app)
    if plan.send is not None:
        webhooks.core.find(plan.send, None)  # told before anything is started, if there is none
    serve_own_docs(app)
    arrivals = Arrivals(Path(plan.folder).name)
    restore(arrivals, Path(plan.folder))
    inbox = Inbox(arrivals, Keys(webhooks, plan).live, suggested=plan.inbox_for or "demo")
    return DevApp(plan, app, webhooks, inbox, arrivals)


def serve_own_docs(app: FastAPI) -> None:
    """Serve /docs and /redoc from assets of our own, as with ``Webhooks(app, docs=True)``."""
    from anzol.docspages import serve_docs

    serve_docs(app)


class DevApp:
    """The ASGI app that is served: the inbox under its own path, all else is the user's."""

    def __init__(self, plan: Plan, app: FastAPI, webhooks: Webhooks, inbox: Any, arrivals: Arrivals) -> None:
        self.failed: AnzolError | None = None
        self._plan = plan
        self._app = app
        self._webhooks = webhooks
        self._inbox = inbox
        self._arrivals = arrivals

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] == "http" and (scope["path"] == INBOX or scope["path"].startswith(f"{INBOX}/")):
            path = scope["path"] if scope["path"] != INBOX else f"{INBOX}/"
            await self._inbox({**scope, "path": path, "root_path": INBOX}, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _live(self, scope: Event, receive: Receive, send: Send) -> None:
        """Run the app's lifespan; an error of Anzol's own in it is told without a traceback."""

        async def tell(message: Event) -> None:
            error = sys.exc_info()[1]
            if message["type"] == "lifespan.startup.complete":
                await self._begin()
            elif message["type"].endswith(".failed") and isinstance(error, AnzolError):
                self.failed = error
                show_error(error, as_json=self._plan.as_json)
                message = {**message, "message": ""}
            await send(message)

        await self._app(scope, receive, tell)

    async def _begin(self) -> None:
        """Make the inbox's endpoint; at the first start of this run say where everything is, and send the example."""
        first = begun(Path(self._plan.folder))
        if self._plan.inbox_for is not None:
            await point(self._webhooks, self._plan.inbox_for, self._plan.receiving(self._plan.inbox_for))
        if not first:
            Screen(as_json=self._plan.as_json).line({"reloaded": True}, "Reloaded.")
            return
        announce(self._plan, self._app, self._webhooks)
        if self._plan.send is not None and self._plan.inbox_for is not None:
            await self._webhooks.send_example(self._plan.send, customer=self._plan.inbox_for)

    def end(self) -> None:
        """Let streams end, and keep what arrived for the process after this one."""
        self._arrivals.close()
        keep(self._arrivals, Path(self._plan.folder))


class Keys:
    """Which secrets sign what is delivered to the inbox: those of the endpoints that have its URL."""

    def __init__(self, webhooks: Webhooks, plan: Plan) -> None:
        self._webhooks = webhooks
        self._plan = plan

    async def live(self, name: str) -> Sequence[str]:
        """Return every secret that signs now for ``to/<name>``."""
        path = urlsplit(self._plan.receiving(name)).path
        endpoints = [one async for one in self._webhooks.endpoints.all() if urlsplit(one.url).path == path]
        return [secret.value for one in endpoints for secret in await self._webhooks.endpoints.secrets(one.id)]


async def point(webhooks: Webhooks, customer: str, url: str) -> None:
    """Make the customer's inbox endpoint, or bring the one of an earlier run up to date."""
    known = [one async for one in webhooks.endpoints.all(customer) if one.uid == INBOX_UID]
    if not known:
        await webhooks.endpoints.create(customer, url=url, uid=INBOX_UID, description="The test inbox of anzol dev")
        return
    if known[0].url != url:
        await webhooks.endpoints.update(known[0].id, url=url)
    if not known[0].enabled:
        await webhooks.endpoints.enable(known[0].id)


# --- what is printed


def announce(plan: Plan, app: FastAPI, webhooks: Webhooks) -> None:
    """Print where everything is."""
    links = {
        "app": plan.address,
        **({"docs": f"{plan.address}{app.root_path}{app.docs_url}"} if app.docs_url and app.openapi_url else {}),
        "inbox": plan.inbox,
        "deliver to": plan.receiving(plan.inbox_for or "demo"),
    }
    facts = {"webhooks": list(webhooks.catalog.names), "database": str(webhooks.settings.place)}
    lines = [
        f"{called(plan, app)} is running. Ctrl-C stops it.",
        *(f"  {name:<11}{link}" for name, link in links.items()),
        f"  {'webhooks':<11}{', '.join(facts['webhooks']) or 'none is declared'}",
        f"  {'database':<11}{facts['database']}",
    ]
    if not webhooks.settings.worker:
        lines.append("  No worker runs in this process (ANZOL_WORKER=off): start `anzol worker`.")
    data = {"links": {name.replace(" ", "_"): link for name, link in links.items()}, **facts}
    Screen(as_json=plan.as_json).line(data, "\n".join(lines))


def attempt_lines() -> logging.Handler:
    """Return the handler that prints attempts, as the logging configuration asks for it."""
    return AttemptLines(as_json=Plan.handed_over().as_json)


class NotOurOwn(logging.Filter):
    """Keeps the inbox's own requests out of the list of the app's requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        arguments = record.args
        path = arguments[2] if isinstance(arguments, tuple) and len(arguments) > 2 else ""
        return not (isinstance(path, str) and path.startswith(INBOX))


def called(plan: Plan, app: FastAPI) -> str:
    """Return the app's place as ``module:variable``, as `fastapi run` says it."""
    module = sys.modules[plan.module]
    name = plan.name or next((name for name in ("app", "api", *vars(module)) if getattr(module, name, None) is app), "")
    return f"{plan.module}:{name}"


def begun(folder: Path) -> bool:
    """Say whether this is the first start of this run, and note that it was."""
    marker = folder / "started"
    first = not marker.exists()
    marker.touch()
    return first


# --- the inbox over a reload


def keep(arrivals: Arrivals, folder: Path) -> None:
    """Write what arrived into this run's own folder."""
    shown = reversed(arrivals.since(0))
    kept = [{**asdict(arrival), "body": b64encode(arrival.body).decode()} for arrival in shown]
    (folder / "arrivals.json").write_text(json.dumps(kept))


def restore(arrivals: Arrivals, folder: Path) -> None:
    """Read back what `keep` wrote."""
    from anzol.inbox.arrivals import Arrival, Verdict

    path = folder / "arrivals.json"
    if not path.exists():
        return
    for one in json.loads(path.read_text()):
        headers = tuple((name, value) for name, value in one["headers"])
        verdict = Verdict(**one["verdict"])
        arrivals.add(Arrival(**{**one, "headers": headers, "verdict": verdict, "body": b64decode(one["body"])}))
