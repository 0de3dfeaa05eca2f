"""One request, one deadline, one reply. Connections are kept for the next request to the same origin.

A request is put on the wire at most once: whatever happens to it then is the reply, never a second try.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, cast

from anzol.addresses import Target
from anzol.dialler import Dialler, Phases, Proxy, Undialled, micros_since, tls_context, told_of_tls
from anzol.guard import Guard
from anzol.http1 import Response
from anzol.lifecycle import Outcome

IDLE: Final = 4.0  # seconds; common servers close at 5, and a request on a closing connection is lost
MAX_IDLE: Final = 2_000  # kept connections, over all origins
IDLE_SHARE: Final = 4  # at most one in so many of the files that may be open: requests and the host need the rest
MAX_AGE: Final = 120.0  # seconds; a connection in steady use would never see that its name has moved
TICK: Final = 0.05  # seconds; how late a deadline may be noticed
LAST_READ: Final = 64 * 1024

Origin = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Request:
    """What goes on the wire. ``head`` is whole header lines; host and content-length are the sender's own.

    ``deadline`` is in seconds over everything, ``connect_timeout`` for resolving and for connecting, each.
    """

    target: Target
    method: str
    head: bytes = field(repr=False)
    body: bytes = field(repr=False)
    deadline: float = 15.0
    connect_timeout: float = 5.0

    def wire(self) -> bytes:
        """Return the request as it is written."""
        method = self.method.encode("ascii")
        return b"%b%b%bcontent-length: %d\r\n\r\n%b" % (
            method,
            self.target.start,
            self.head,
            len(self.body),
            self.body,
        )


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time went, in microseconds; None: it did not come to that. First byte and total from the start."""

    resolve_us: int | None
    connect_us: int | None
    tls_us: int | None
    first_byte_us: int | None
    total_us: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a request. ``headers`` and ``body`` are as they came, capped, never decoded.

    ``detail`` says in words why it failed, ``note`` what else is to be known: ``body_incomplete``, ``body_cut`` (there
    was more than is stored) or nothing. ``peer`` is the address and port that was spoken to. ``sent`` says whether any
    byte of the request was handed to the wire.
    """

    outcome: Outcome
    status: int | None
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes = field(repr=False)
    detail: str
    note: str
    timing: Timing
    reused: bool
    peer: str
    sent: bool


class Sender:
    """Sends requests, from one event loop. Keeps connections; ``close`` lets go of them."""

    def __init__(self, guard: Guard, *, tls: ssl.SSLContext | None = None, proxy: Proxy | None = None) -> None:
        self._dialler = Dialler(guard, proxy)
        self._tls = tls
        self._idle: dict[Origin, list[Connection]] = {}
        self._idle_count = 0
        self._most_idle: int | None = None
        self._busy: set[Connection] = set()
        self._ticking: asyncio.TimerHandle | None = None

    async def send(self, request: Request) -> Reply:
        """Send *request* once; return what came of it before its deadline. Raises nothing but CancelledError."""
        began = monotonic()
        connection = self._kept(request.target.origin, began)
        if connection is not None:
            return await connection.exchange(request, began, reused=True)
        phases = Phases()
        try:
            connection = await self._opened(request, began, phases)
        except Undialled as error:
            return undialled(error, began, phases)
        return await connection.exchange(request, began, phases)

    @property
    def idle(self) -> int:
        """How many connections are kept for another request."""
        return self._idle_count

    @property
    def busy(self) -> int:
        """How many requests are on the wire."""
        return len(self._busy)

    async def close(self) -> None:
        """Close every connection; requests still under way are cancelled."""
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        for connection in [*self._busy, *(kept for group in self._idle.values() for kept in group)]:
            connection.abandon()
        await self._dialler.close()

    # Connections

    def _kept(self, origin: Origin, now: float) -> Connection | None:
        """Take the youngest idle connection of an origin, if one is young enough."""
        group = self._idle.get(origin)
        while group:
            connection = group.pop()
            self._idle_count -= 1
            if not group:
                del self._idle[origin]
            if now - connection.idle_since < IDLE and connection.alive():
                return connection
            connection.abandon()
        return None

    def keep(self, connection: Connection) -> None:
        """Take a connection back whose response has ended well."""
        self._busy.discard(connection)
        if self._most_idle is None:  # not before: the worker raises the limit of open files when it starts
            self._most_idle = min(MAX_IDLE, open_files() // IDLE_SHARE)
        if self._idle_count >= self._most_idle or connection.idle_since - connection.born > MAX_AGE:
            connection.abandon()
            return
        self._idle.setdefault(connection.origin, []).append(connection)
        self._idle_count += 1

    def watch(self, connection: Connection) -> None:
        """See to it that the connection's deadline is kept."""
        self._busy.add(connection)
        if self._ticking is None:
            self._ticking = asyncio.get_running_loop().call_later(TICK, self._tick)

    def forget(self, connection: Connection) -> None:
        """Let go of a connection that has ended."""
        self._busy.discard(connection)
        group = self._idle.get(connection.origin)
        if group and connection in group:
            group.remove(connection)
            self._idle_count -= 1
            if not group:
                del self._idle[connection.origin]

    def _tick(self) -> None:
        """End what is over its deadline, close what has been idle for too long.

        One timer for all: a timer for each request would cost more than the request's own parsing.
        """
        now = monotonic()
        for connection in [busy for busy in self._busy if busy.deadline <= now]:
            connection.expire()
        for connection in [idle for group in self._idle.values() for idle in group if now - idle.idle_since >= IDLE]:
            connection.abandon()
        self._ticking = None
        if self._busy or self._idle:
            self._ticking = asyncio.get_running_loop().call_later(TICK, self._tick)

    async def _opened(self, request: Request, began: float, phases: Phases) -> Connection:
        left = request.deadline - (monotonic() - began)
        dialled = await self._dialler.dial(request.target, phases, limit=min(request.connect_timeout, left))
        left = request.deadline - (monotonic() - began)
        return await self._speaking(dialled, request.target, phases, left)

    async def _speaking(self, dialled: socket.socket, target: Target, phases: Phases, limit: float) -> Connection:
        """Put the protocol on a connected socket, and TLS under it if the target asks for that."""
        began = monotonic()
        connection = Connection(self, target.origin, peer_of(dialled))
        try:
            async with asyncio.timeout(limit):
                await asyncio.get_running_loop().create_connection(
                    lambda: connection,
                    sock=dialled,
                    ssl=self._context() if target.tls else None,
                    server_hostname=target.host if target.tls else None,
                )
        except TimeoutError as error:
            dialled.close()
            raise Undialled(Outcome.TIMEOUT, "The TLS handshake did not end in time.") from error
        except OSError as error:  # TLS errors are among them
            dialled.close()
            raise Undialled(*told_of_tls(error)) from error
        except BaseException:
            dialled.close()
            raise
        if target.tls:
            phases.tls = micros_since(began)
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = tls_context()
        return self._tls


class Connection(asyncio.Protocol):
    """One connection: carries one exchange at a time."""

    def __init__(self, sender: Sender, origin: Origin, peer: str) -> None:
        self.origin = origin
        self.born = monotonic()
        self.idle_since = 0.0
        self.deadline = 0.0
        self._sender = sender
        self._peer = peer
        self._response = Response()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Reply] | None = None
        self._began = 0.0
        self._first_byte: int | None = None
        self._phases: Phases | None = None
        self._reused = False

    def alive(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(
        self, request: Request, began: float, phases: Phases | None = None, *, reused: bool = False
    ) -> Reply:
        """Write *request* and return what comes of it."""
        self._began = began
        self._phases = phases
        self._reused = reused
        if self._transport is None:
            return self._reply(Outcome.CONNECTION_CLOSED, "The connection was closed before the request.", sent=False)
        self._first_byte = None
        self.deadline = began + request.deadline
        self._waiter = asyncio.get_running_loop().create_future()
        self._response.begin()
        self._sender.watch(self)
        self._transport.write(request.wire())
        try:
            return await self._waiter
        except asyncio.CancelledError:
            self.abandon()
            raise

    def expire(self) -> None:
        """End the exchange: its deadline has passed."""
        if self._response.silent:
            self._fail(Outcome.TIMEOUT, "No answer came in time.")
        else:
            self._fail(Outcome.TIMEOUT, "The answer did not end in time.")

    def abandon(self) -> None:
        """Close at once; an exchange under way is cancelled."""
        self._sender.forget(self)
        if self._waiter is not None:
            self._waiter.cancel()
            self._waiter = None
        if self._transport is not None:
            # Not close(): it waits for what is unwritten, and under TLS for the other side's farewell.
            self._transport.abort()
            self._transport = None
        self._response.close()

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not of that class

    def data_received(self, data: bytes) -> None:
        if self._waiter is None:  # bytes that nobody asked for
            self.abandon()
            return
        if self._first_byte is None:
            self._first_byte = micros_since(self._began)
        if self._response.feed(data):
            self._finish()

    def eof_received(self) -> None:
        if self._waiter is None:
            self.abandon()
        elif self._response.end():
            self._finish()
        else:
            self._fail(*self._closed())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiter is not None:
            self._rescue()
        if self._waiter is not None:
            if self._response.end(broken=exc is not None):
                self._finish()
            elif isinstance(exc, ssl.SSLError) and not isinstance(exc, ssl.SSLEOFError):
                self._fail(*told_of_tls(exc))
            else:
                self._fail(*self._closed())
        self.abandon()

    def _rescue(self) -> None:
        """Read what the peer said before it reset the connection, such as an early 413.

        A failed write ends the transport at once, with the answer still unread in the socket.
        """
        assert self._transport is not None
        raw = self._transport.get_extra_info("socket")
        if raw is None or self._transport.get_extra_info("ssl_object") is not None:
            return
        try:
            data = os.read(raw.fileno(), LAST_READ)
        except OSError:
            return
        if data:
            self.data_received(data)

    def _closed(self) -> tuple[Outcome, str]:
        when = "before it answered" if self._response.silent else "within the head of its answer"
        return Outcome.CONNECTION_CLOSED, f"The receiver closed the connection {when}."

    # The end of an exchange.

    def _finish(self) -> None:
        response = self._response
        if response.fault:
            self._fail(Outcome.BAD_RESPONSE, f"The answer is not proper HTTP: {response.fault}.")
            return
        outcome = Outcome.OK if 200 <= response.status < 300 else Outcome.HTTP_STATUS
        reply = self._reply(outcome, "" if outcome is Outcome.OK else f"The receiver answered {response.status}.")
        self._resolve(reply, keep=response.reusable)

    def _fail(self, outcome: Outcome, detail: str) -> None:
        self._resolve(self._reply(outcome, detail), keep=False)

    def _resolve(self, reply: Reply, *, keep: bool) -> None:
        waiter, self._waiter = self._waiter, None
        assert waiter is not None
        assert self._transport is not None
        # An answer that came before our request was read whole leaves the rest of it in the way of the next one.
        if keep and not self._transport.is_closing() and not self._transport.get_write_buffer_size():
            self.idle_since = monotonic()
            self._sender.keep(self)
        else:
            self.abandon()
        if not waiter.done():
            waiter.set_result(reply)

    def _reply(self, outcome: Outcome, detail: str, *, sent: bool = True) -> Reply:
        response = self._response
        phases = self._phases or Phases()
        return Reply(
            outcome,
            response.status or None,
            tuple(response.headers) if response.status else (),
            response.body,
            detail,
            "body_cut" if response.cut else "body_incomplete" if response.incomplete else "",
            Timing(phases.resolve, phases.connect, phases.tls, self._first_byte, micros_since(self._began)),
            self._reused,
            self._peer,
            sent,
        )


def open_files() -> int:
    """Return how many files this process may have open; a large number where there is no such limit."""
    try:
        import resource
    except ImportError:  # Windows
        return sys.maxsize
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


def undialled(error: Undialled, began: float, phases: Phases) -> Reply:
    """Return the reply of a request that came to no connection."""
    timing = Timing(phases.resolve, phases.connect, phases.tls, None, micros_since(began))
    return Reply(error.outcome, None, (), b"", error.detail, "", timing, False, "", sent=False)


def peer_of(dialled: socket.socket) -> str:
    """Return the address and port at the other end of a socket, as text."""
    host, port = dialled.getpeername()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
