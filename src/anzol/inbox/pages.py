"""The inbox as an ASGI app: where deliveries arrive, and the page that shows them."""

from __future__ import annotations

import asyncio
import html
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from importlib.resources import files
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from anzol.clock import Clock, SystemClock
from anzol.errors import VerificationError
from anzol.inbox.arrivals import SHOWN, Arrival, Arrivals, Verdict
from anzol.inbox.words import words_for
from anzol.receiver.verify import verify

Secrets = Callable[[str], Awaitable[Sequence[str]]]

NAME: Final = re.compile(r"[A-Za-z0-9_.~-]{1,64}", re.ASCII)
LIMIT: Final = 64 * 1024 * 1024  # bytes; no sender of ours sends more
BEAT: Final = 15.0  # seconds between signs of life on a quiet stream
HERE: Final = frozenset({"127.0.0.1", "localhost", "::1"})
METHODS: Final = ["POST", "PUT", "PATCH", "DELETE"]
GUARDS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
ASSETS: Final = {"inbox.css": "text/css", "inbox.js": "text/javascript", "inbox.svg": "image/svg+xml"}


class Inbox:
    """An ASGI app. Whatever is sent to ``to/<name>`` below it is kept and shown.

    Args:
        arrivals: The list that it fills.
        secrets: Returns the live secrets of all endpoints whose URL is ``to/<name>`` below this app.
        suggested: The name that the page shows a URL for.
    """

    def __init__(
        self, arrivals: Arrivals, secrets: Secrets, *, suggested: str = "demo", clock: Clock | None = None
    ) -> None:
        self.arrivals = arrivals
        self._secrets = secrets
        self._suggested = suggested
        self._clock = clock or SystemClock()
        self._app = Starlette(
            routes=[
                Route("/to/{name}", self.receive, methods=METHODS),
                Route("/", self.page),
                Route("/events", self.events),
                Route("/arrivals", self.listing),
                Route("/arrivals", self.clear, methods=["DELETE"]),
                Route("/{asset}", self.asset),
            ]
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    # --- arriving

    async def receive(self, request: Request) -> Response:
        """Keep a request and answer 204, or what ``?answer=`` asks for."""
        name = request.path_params["name"]
        answer = read_answer(request.query_params.get("answer", "204"))
        if not NAME.fullmatch(name) or answer is None:
            return PlainTextResponse("A name of letters, digits, _ . ~ -; an answer from 200 to 599.", 400)
        body = await whole(request)
        if body is None:
            return PlainTextResponse("The inbox takes 64 MiB at most.", 413)
        headers = tuple((key.decode("latin-1"), value.decode("latin-1")) for key, value in request.headers.raw)
        verdict = await self._judge(name, body, headers)
        self.arrivals.add(
            Arrival(
                at=self._clock.micros(),
                inbox=name,
                method=request.method,
                query=request.url.query,
                headers=headers,
                body=body[:SHOWN],
                size=len(body),
                verdict=verdict,
                answered=answer,
            )
        )
        return Response(status_code=answer)

    async def _judge(self, name: str, body: bytes, headers: tuple[tuple[str, str], ...]) -> Verdict:
        secrets = await self._secrets(name)
        if not secrets:
            return Verdict(False, "no_endpoint")
        try:
            verify(body, headers, secrets, now=self._clock.micros() / 1e6)
        except VerificationError as error:
            return Verdict(False, error.reason, error.what)
        return Verdict(True)

    # --- showing

    async def page(self, request: Request) -> Response:
        """Show the page, in the reader's language."""
        if (refused := from_elsewhere(request)) is not None:
            return refused
        words = words_for(request.headers.get("accept-language", ""))
        address = f"{str(request.base_url).rstrip('/')}/to/{self._suggested}"
        values = {
            **words,
            "address_value": address,
            "base": request.scope.get("root_path", ""),
            "words": json.dumps(words),
        }
        text = asset("inbox.html").decode()
        text = re.sub(r"\{\{(\w+)\}\}", lambda found: html.escape(str(values[found[1]])), text)
        return Response(text, media_type="text/html", headers=GUARDS)

    async def asset(self, request: Request) -> Response:
        """Serve the page's own script and style."""
        name = request.path_params["asset"]
        if name not in ASSETS:
            return PlainTextResponse("Not found.", 404)
        return Response(asset(name), media_type=ASSETS[name], headers=GUARDS)

    async def listing(self, request: Request) -> Response:
        """Return what came after a number, for a page that was just opened or cannot stream."""
        if (refused := from_elsewhere(request)) is not None:
            return refused
        same = request.query_params.get("boot") == self.arrivals.boot
        after = request.query_params.get("after", "0")
        shown = self.arrivals.since(int(after) if same and after.isascii() and after.isdigit() else 0)
        return JSONResponse(
            {
                "boot": self.arrivals.boot,
                "latest": self.arrivals.latest,
                "empty": self.arrivals.empty,
                "arrivals": [as_json(arrival) for arrival in shown],
            },
            headers=GUARDS,
        )

    async def clear(self, request: Request) -> Response:
        """Forget all. A page of another origin cannot: browsers ask leave before a DELETE, and none is given."""
        if (refused := from_elsewhere(request)) is not None:
            return refused
        self.arrivals.clear()
        return Response(status_code=204, headers=GUARDS)

    async def events(self, request: Request) -> Response:
        """Stream what arrives from now on, as server-sent events."""
        if (refused := from_elsewhere(request)) is not None:
            return refused
        return StreamingResponse(self._stream(), media_type="text/event-stream", headers=GUARDS)

    async def _stream(self) -> AsyncIterator[str]:
        seen = self.arrivals.latest
        yield event("hello", {"boot": self.arrivals.boot, "latest": seen})
        while not self.arrivals.closed:
            changed = self.arrivals.changed
            fresh = self.arrivals.since(seen)
            for arrival in reversed(fresh):
                yield event("arrival", as_json(arrival))
            seen = self.arrivals.latest
            if self.arrivals.empty:
                yield event("cleared", {})
            if not await happened(changed, BEAT):
                yield ": still here\n\n"


def asset(name: str) -> bytes:
    """Read one of the page's files."""
    return files("anzol.inbox").joinpath("assets", name).read_bytes()


def read_answer(text: str) -> int | None:
    """Return the status that a request asks to be answered with, or None if there is no such."""
    fits = len(text) == 3 and text.isascii() and text.isdigit() and 200 <= int(text) <= 599
    return int(text) if fits else None


async def whole(request: Request) -> bytes | None:
    """Return the body, or None when it is longer than the inbox takes or its sender went away."""
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > LIMIT:
                return None
    except ClientDisconnect:
        return None
    return bytes(body)


def from_elsewhere(request: Request) -> Response | None:
    """Refuse a page that reaches this machine under a name of its own (DNS rebinding): what arrived is private."""
    if request.url.hostname in HERE:
        return None
    return PlainTextResponse("The inbox is shown on 127.0.0.1 and localhost only.", 421, headers=GUARDS)


async def happened(event: asyncio.Event, within: float) -> bool:
    """Say whether the event was set within so many seconds."""
    try:
        await asyncio.wait_for(event.wait(), within)
    except TimeoutError:
        return False
    return True


def event(kind: str, data: dict[str, Any]) -> str:
    """Write one server-sent event; JSON has no line ends of its own."""
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


def as_json(arrival: Arrival) -> dict[str, Any]:
    """Return an arrival as the page's script reads it, who puts it into text nodes and never into markup."""
    return {
        "number": arrival.number,
        "at": arrival.at // 1000,
        "inbox": arrival.inbox,
        "method": arrival.method,
        "query": arrival.query,
        "headers": arrival.headers,
        "body": arrival.body.decode("utf-8", "replace"),
        "size": arrival.size,
        "shown": len(arrival.body),
        "event": arrival.event_type,
        "message": arrival.message_id,
        "time": arrival.time,
        "verified": arrival.verdict.verified,
        "reason": arrival.verdict.reason,
        "detail": arrival.verdict.detail,
        "answered": arrival.answered,
    }
