"""A receiver on loopback that verifies what arrives, and answers, fails, stalls or hangs up on command."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from anzol.clock import Clock, SystemClock
from anzol.errors import VerificationError
from anzol.receiver import verify

PATIENCE: Final = 10.0  # seconds
POLL: Final = 0.02  # seconds; how late the server notices that it is to end


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived. ``path`` has the query with it.

    ``verified`` says that the signature is right; ``problem`` why it is not, or that there was no secret to check with.
    """

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    verified: bool = False
    problem: str = ""

    def header(self, name: str) -> str | None:
        """Return the first header of this name, in whatever case, or None."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def event_type(self) -> str:
        """The ``webhook-event`` header."""
        return self.header("webhook-event") or ""

    @property
    def message_id(self) -> str:
        """The ``webhook-id`` header."""
        return self.header("webhook-id") or ""

    def json(self) -> Any:
        """Return the body, parsed."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with; ``stall`` is nothing until released, ``hang_up`` a closed connection."""

    status: int = 204
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    stall: bool = False
    hang_up: bool = False


class FakeReceiver:
    """An HTTP server on an ephemeral port of 127.0.0.1, in threads of its own; listening once it is made.

    Answers 204 until told otherwise. Close it, or use it as a context manager.

    ``endpoint_id`` is that of the endpoint that leads here, where a bench made both.

    Args:
        secrets: The endpoint's; without any, nothing counts as verified.
        clock: Of the one who signs, where that is a test's own.
    """

    def __init__(self, secrets: str | Sequence[str] = (), *, clock: Clock | None = None) -> None:
        self.secrets: list[str] = [secrets] if isinstance(secrets, str) else list(secrets)
        self.endpoint_id = ""
        self._clock = clock or SystemClock()
        self._requests: list[Received] = []
        self._standing = Answer()
        self._next: deque[Answer] = deque()
        self._changed = threading.Condition()
        self._released = threading.Event()
        self._server = Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL,), name="anzol-fake-receiver")
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/webhooks"

    @property
    def requests(self) -> list[Received]:
        """What has arrived, in that order."""
        with self._changed:
            return list(self._requests)

    def answer(
        self,
        status: int,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        retry_after: str | int | None = None,
        times: int | None = None,
    ) -> None:
        """Answer so from now on, or the next *times* requests.

        Args:
            retry_after: Seconds, or an HTTP date, for the header of that name.
        """
        given = tuple((headers or {}).items())
        asked = () if retry_after is None else (("Retry-After", str(retry_after)),)
        self._plan(Answer(status, given + asked, body), times)

    def stall(self, *, times: int | None = None) -> None:
        """Take requests and do not answer them, until `release`."""
        self._released.clear()
        self._plan(Answer(stall=True), times)

    def hang_up(self, *, times: int | None = None) -> None:
        """Close the connection instead of answering."""
        self._plan(Answer(hang_up=True), times)

    def release(self) -> None:
        """Answer 204 what is stalled, and what comes."""
        self._plan(Answer(), None)
        self._released.set()

    def wait_for(self, count: int, *, timeout: float = PATIENCE) -> list[Received]:
        """Block until *count* requests have arrived since the beginning; return all.

        Raises:
            TimeoutError: fewer did within *timeout* seconds of real time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._requests) >= count, timeout):
                raise TimeoutError(f"{len(self._requests)} of {count} requests arrived within {timeout:g} seconds")
            return list(self._requests)

    async def arrived(self, count: int, *, timeout: float = PATIENCE) -> list[Received]:  # noqa: ASYNC109 - one real wait
        """As `wait_for`, without blocking the loop."""
        return await asyncio.to_thread(self.wait_for, count, timeout=timeout)

    def close(self) -> None:
        """Stop listening, cut what is open, end the threads."""
        self._released.set()
        self._server.shutdown()
        self._server.cut()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def take(self, request: Received) -> Answer:
        """Note a request; return what to answer it with, once that is to be answered. On a thread of the server's."""
        checked = self._checked(request)
        with self._changed:
            self._requests.append(checked)
            answer = self._next.popleft() if self._next else self._standing
            self._changed.notify_all()
        if answer.stall:
            self._released.wait()
        return answer

    def _checked(self, request: Received) -> Received:
        if not self.secrets:
            return replace(request, problem="no secret to verify with")
        try:
            verify(request.body, request.headers, self.secrets, now=self._clock.micros() / 1e6)
        except VerificationError as error:
            return replace(request, problem=str(error))
        return replace(request, verified=True)

    def _plan(self, answer: Answer, times: int | None) -> None:
        with self._changed:
            if times is None:
                self._next.clear()
                self._standing = answer
            else:
                self._next.extend([answer] * times)


class Server(ThreadingHTTPServer):
    """The listening socket, and the connections made to it."""

    daemon_threads = False  # so that server_close waits for them

    def __init__(self, receiver: FakeReceiver) -> None:
        self.receiver = receiver
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a sender that gave up."""

    def cut(self) -> None:
        """End every connection that is still open."""
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # its other end was faster


class Handler(BaseHTTPRequestHandler):
    """One connection's requests."""

    protocol_version = "HTTP/1.1"
    server: Server

    def handle_one(self) -> None:
        """Read a request, have it noted, write the answer."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        answer = self.server.receiver.take(Received(self.command, self.path, tuple(self.headers.items()), body))
        if answer.hang_up or answer.stall:
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    # The names by which the server of the standard library calls it.
    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET = handle_one  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """Keep stderr for the test."""
