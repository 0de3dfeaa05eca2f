"""Streams of server-sent events: how many there may be, how each is written, and what ends it.

By hand: the format is three lines, and what a library would add (a hand on the server's signals) is not wanted in
somebody else's process.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from anzol.api.problems import Problem

MOST: Final = 100  # streams in a process
MOST_OF_ONE: Final = 5  # with one credential
PATIENCE: Final = 30.0  # seconds that a reader may not take what is sent
HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}


@dataclass(slots=True)
class Streams:
    """The streams of one process. ``ends`` is counted up to end all that there are."""

    open: Counter[bytes] = field(default_factory=Counter)
    ends: int = 0

    def enter(self, credential: bytes) -> None:
        """Count one more.

        Raises:
            Problem: there are too many, of this credential or in all.
        """
        if self.open[credential] >= MOST_OF_ONE:
            raise Problem(
                "rate_limited",
                f"{MOST_OF_ONE} live logs are open with this credential already.",
                headers={"retry-after": "5"},
            )
        if self.open.total() >= MOST:
            raise Problem("unavailable", "Too many live logs are open here.", headers={"retry-after": "5"})
        self.open[credential] += 1

    def leave(self, credential: bytes) -> None:
        """Count one less."""
        self.open[credential] -= 1
        if not self.open[credential]:
            del self.open[credential]

    def stop(self) -> None:
        """End all that there are, within a second: the server stops."""
        self.ends += 1


def streams_of(request: Request) -> Streams:
    """Return the streams of the application that is asked."""
    state = request.app.state
    if not hasattr(state, "streams"):
        state.streams = Streams()
    found: Streams = state.streams
    return found


def server_stops() -> bool:
    """Say whether the server that runs this process waits for its requests to end.

    Servers tell applications when all requests have ended, which a stream would keep from happening. Uvicorn has its
    own method where signals go, and notes there what it was told.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        server = getattr(signal.getsignal(number), "__self__", None)
        if getattr(server, "should_exit", False) is True:
            return True
    return False


def event(name: str, mark: str, data: bytes) -> bytes:
    """Write one event; *data* is JSON in one line."""
    return b"event: %b\nid: %b\ndata: %b\n\n" % (name.encode(), mark.encode(), data)


def beginning(mark: str) -> bytes:
    """Write what comes first: how soon to come again, and from where on."""
    return b"retry: 2000\nid: %b\n\n" % mark.encode()


def heartbeat(mark: str) -> bytes:
    """Write a sign of life, with the place that has been reached."""
    return b": still here\nid: %b\n\n" % mark.encode()


class EventStream(StreamingResponse):
    """Answers with events, and gives its place back when it has ended, however that was."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], streams: Streams, credential: bytes) -> None:
        super().__init__(events, headers=HEADERS)
        self._streams = streams
        self._credential = credential

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.leave(self._credential)

    async def stream_response(self, send: Send) -> None:
        """Send what there is; who does not read it for long is left."""

        async def patiently(message: Message) -> None:
            async with asyncio.timeout(PATIENCE):
                await send(message)

        try:
            await super().stream_response(patiently)
        except TimeoutError:
            return
