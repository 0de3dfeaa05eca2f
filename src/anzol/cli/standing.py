"""Serving for `anzol serve`: what it says when it stands, and how its errors are told."""

from __future__ import annotations

import json
import shlex
import socket
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anzol.api.handing import environment_token
from anzol.app import Webhooks
from anzol.cli.exits import Exit, code_of
from anzol.cli.screen import Screen, show_error
from anzol.errors import AnzolError
from anzol.storage.places import SqlitePlace

YEAR: Final = timedelta(days=365)


def standing_log(*, colours: bool) -> dict[str, Any]:
    """Return the logging of the server: what went wrong, on stderr; no line for each request or attempt."""
    plain = {"()": "uvicorn.logging.DefaultFormatter", "fmt": "%(levelprefix)s %(message)s", "use_colors": colours}
    on_stderr = {"class": "logging.StreamHandler", "formatter": "plain", "stream": "ext://sys.stderr"}
    logger = {"handlers": ["plain"], "level": "WARNING", "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": plain},
        "handlers": {"plain": on_stderr},
        "loggers": {"uvicorn": logger, "anzol": logger},
    }


class Told:
    """The served application; an error of Anzol's own at its start is told without a traceback."""

    def __init__(self, app: ASGIApp, *, as_json: bool) -> None:
        self.failed: AnzolError | None = None
        self._app = app
        self._as_json = as_json

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        async def tell(message: Message) -> None:
            error = sys.exc_info()[1]
            if message["type"].endswith(".failed") and isinstance(error, AnzolError):
                self.failed = error
                show_error(error, as_json=self._as_json)
                message = {**message, "message": ""}
            await send(message)

        await self._app(scope, receive, tell)


class StandingServer(uvicorn.Server):
    """Says where it is once it is there: on a database that it has just made, also how to get in."""

    def __init__(
        self, config: uvicorn.Config, told: Told, webhooks: Webhooks, listener: socket.socket, *, as_json: bool
    ) -> None:
        super().__init__(config)
        self._told = told
        self._webhooks = webhooks
        self._address = address_of(listener)
        self._as_json = as_json
        self._new = is_new(webhooks)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:
            failed = self._told.failed
            raise SystemExit(Exit.FAILED if failed is None else code_of(failed)) from None
        if not self.should_exit:
            self._greet()

    def _greet(self) -> None:
        token = environment_token(self._webhooks.core.ground, lasting=YEAR) if self._new else None
        screen = Screen(as_json=self._as_json)
        screen.line(
            {"address": self._address, "database": str(self._webhooks.settings.place), "token": token},
            greeting(self._webhooks, self._address, token),
        )


def is_new(webhooks: Webhooks) -> bool:
    """Say whether the database is one that this start makes."""
    place = webhooks.settings.place
    return isinstance(place, SqlitePlace) and not Path(place.path).exists()


def address_of(listener: socket.socket) -> str:
    """Return the address to call; that of all of them is called by the machine's own."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 what it listens on is not what is called
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def greeting(webhooks: Webhooks, address: str, token: str | None) -> str:
    """Return what people read when it stands."""
    settings = webhooks.settings
    lines = [
        f"Anzol serves {address}/api/v1 and its documentation, {address}/docs. Ctrl-C stops it.",
        f"The database is {settings.place}, the environment {settings.environment!r}.",
    ]
    if not settings.worker:
        lines.append("It does not deliver (ANZOL_WORKER=off): run `anzol worker` beside it.")
    if token is None:
        lines.append("`anzol token` prints a token.")
        return "\n".join(lines)
    return "\n".join(
        [*lines, "", "The database is new. A token, good for a year:", "", token, "", *first_call(address, token)]
    )


def first_call(address: str, token: str) -> list[str]:
    """Return a call that works as it is."""
    bearer = shlex.quote(f"Authorization: Bearer {token}")
    body = shlex.quote(json.dumps({"name": "Acme", "uid": "acme"}))
    call = f"curl {address}/api/v1/app -H {bearer} -H 'Content-Type: application/json' -d {body}"
    return ["A first call:", "", call, ""]
