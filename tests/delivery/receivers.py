"""Receivers on loopback, well and badly behaved: plain sockets, counted where they are accepted.

A behaviour is a coroutine that is given the `Receiver` and one connection's reader and writer. `BEHAVIOURS` names
those that are one response of fixed bytes or one plain habit. ``python -m tests.delivery.receivers NAME [PEM]`` runs one in
a process of its own and prints its port, for tests that measure only their own side.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import re
import socket
import ssl
import struct
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Self

import trustme

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
PAUSE = 0.02  # between two bytes of a slow receiver
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
Behaviour = Callable[["Receiver", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Receiver:
    """A server on loopback; `connections` and `requests` are what it saw."""

    def __init__(self, behave: Behaviour, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self.arrived = asyncio.Event()  # set by every request that was read
        self._behave = behave
        self._tls = tls
        self._host = host
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, 0, ssl=self._tls, limit=2**24, backlog=1024)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}/webhooks"

    async def request(self, reader: asyncio.StreamReader) -> bytes:
        """Read one request whole, head and body."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        body = await reader.readexactly(int(length[1])) if length else b""
        self.saw(head + body)
        return head + body

    def saw(self, request: bytes) -> None:
        self.requests.append(request)
        self.arrived.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        # Cancelled only by __aexit__; asyncio would report it as an error of the stream.
        with suppress(OSError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
            await self._behave(self, reader, writer)
        self._serving.discard(task)
        writer.transport.abort()


# Well behaved


async def answers(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """200 to every request, on one connection."""
    while True:
        await receiver.request(reader)
        writer.write(OK)


def answering(*responses: bytes) -> Behaviour:
    """These responses, one for each request, then the last one for ever; the connection stays open."""

    async def behave(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await receiver.request(reader)
            writer.write(responses[min(len(receiver.requests), len(responses)) - 1])

    return behave


def saying(response: bytes, *, then: str = "close") -> Behaviour:
    """Read one request, write these bytes, then ``close``, ``reset`` or ``stay``."""

    async def behave(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.request(reader)
        writer.write(response)
        await writer.drain()
        if then == "stay":
            await reader.read()
        elif then == "reset":
            await asyncio.sleep(PAUSE)  # so that what was written arrives before the reset
            reset(writer)
        else:
            writer.close()

    return behave


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


# Silent, slow


async def never_answers(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await receiver.request(reader)
    await reader.read()


async def never_reads(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes the connection and no byte of it."""
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a write transport by its annotation only
    receiver.saw(b"")
    await asyncio.Event().wait()


async def reads_slowly(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes a request byte by byte."""
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a write transport by its annotation only
    receiver.saw(b"")
    raw = writer.get_extra_info("socket")
    while True:
        with suppress(BlockingIOError):
            os.read(raw.fileno(), 1)
        await asyncio.sleep(PAUSE)


async def closes_unread(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def resets_unread(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def resets(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await receiver.request(reader)
    reset(writer)


def slowly(response: bytes, *, at_once: bytes = b"") -> Behaviour:
    """Write *at_once*, then *response* for ever, byte by byte."""

    async def behave(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.request(reader)
        writer.write(at_once)
        while True:
            for byte in response:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(PAUSE)

    return behave


def endlessly(start: bytes, again: bytes) -> Behaviour:
    """Write *start*, then *again* for ever, as fast as it is taken."""

    async def behave(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.request(reader)
        writer.write(start)
        block = again * max(1, 8192 // len(again))
        while not writer.is_closing():
            writer.write(block)
            await writer.drain()
            await asyncio.sleep(0)

    return behave


def early(response: bytes, *, then: str) -> Behaviour:
    """Answer after the request's head, with its body unread."""

    async def behave(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        receiver.saw(await reader.readuntil(b"\r\n\r\n"))
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a write transport by its annotation only
        writer.write(response)
        await writer.drain()
        if then == "stay":
            await asyncio.Event().wait()

    return behave


def bomb(encoding: str, size: int = 64 * 1024 * 1024) -> bytes:
    """A response of a few KB that says it is *size* zeros, compressed."""
    if encoding == "gzip":
        packer = zlib.compressobj(9, wbits=31)
        packed = packer.compress(bytes(size)) + packer.flush()
    else:  # never opened, so any bytes will do
        packed = b"\x28\xb5\x2f\xfd" + bytes(60_000)
    return HEAD + f"content-encoding: {encoding}\r\ncontent-length: {len(packed)}\r\n\r\n".encode() + packed


MANY_HEADERS = b"".join(b"x-%d: y\r\n" % number for number in range(10_000))
BEHAVIOURS: dict[str, Behaviour] = {
    "never answers": never_answers,
    "never reads": never_reads,
    "reads slowly": reads_slowly,
    "resets": resets,
    "resets unread": resets_unread,
    "closes unread": closes_unread,
    "closes without a byte": saying(b""),
    "closes within the head": saying(HEAD + b"content-le"),
    "slow head": slowly(b"x-slow: y\r\n", at_once=HEAD),
    "slow status line": slowly(b"HTTP/1.1 200 OOOOOOOOOOOOOOOOOOOOOOOOOO"),
    "slow body": slowly(b"a", at_once=HEAD + b"content-length: 100000\r\n\r\n"),
    "slow chunks": slowly(b"1\r\na\r\n", at_once=CHUNKED),
    "endless body": endlessly(HEAD + b"\r\n", b"body"),
    "endless body of a length": endlessly(HEAD + b"content-length: 99999999999\r\n\r\n", b"body"),
    "endless chunks": endlessly(CHUNKED, b"4\r\nbody\r\n"),
    "endless tiny chunks": endlessly(CHUNKED, b'1;ext="' + b"x" * 100 + b'"\r\na\r\n'),
    "endless trailers": endlessly(CHUNKED + b"2\r\nok\r\n0\r\n", b"x-trailer: y\r\n"),
    "endless head": endlessly(HEAD, b"x-head: y\r\n"),
    "endless header": endlessly(HEAD + b"x-head: ", b"y"),
    "endless status line": endlessly(b"HTTP/1.1 200 O", b"O"),
    "endless 100": endlessly(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "endless 102": endlessly(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    "endless 103": endlessly(b"", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"),
    "slow 100": slowly(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "101": saying(
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n", then="stay"
    ),
    "101 without upgrade": saying(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + OK, then="stay"),
    "reset in the body": saying(HEAD + b"content-length: 100\r\n\r\nhalf", then="reset"),
    "close in the body": saying(HEAD + b"content-length: 100\r\n\r\nhalf"),
    "close in a chunk": saying(CHUNKED + b"64\r\nhalf"),
    "reset in an unframed body": saying(HEAD + b"\r\nhalf", then="reset"),
    "giant chunk": saying(CHUNKED + b"FFFFFFFFFFFFFFFFFF\r\nhalf", then="stay"),
    "giant chunk that fits 64 bits": saying(CHUNKED + b"FFFFFFFFFFFFFFFF\r\nhalf"),
    "bad chunk": saying(CHUNKED + b"zz\r\nhalf\r\n0\r\n\r\n", then="stay"),
    "chunk longer than said": saying(CHUNKED + b"2\r\nhalf\r\n0\r\n\r\n", then="stay"),
    "length with chunked": saying(
        HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", then="stay"
    ),
    "chunked with length": saying(
        HEAD + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n", then="stay"
    ),
    "two lengths": saying(HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\nabc", then="stay"),
    "negative length": saying(HEAD + b"content-length: -2\r\n\r\nab", then="stay"),
    "NUL in a header": saying(HEAD + b"x-a: a\0b\r\ncontent-length: 0\r\n\r\n", then="stay"),
    "NUL in a header's name": saying(HEAD + b"x-\0a: b\r\ncontent-length: 0\r\n\r\n", then="stay"),
    "10,000 headers": saying(HEAD + MANY_HEADERS + b"content-length: 0\r\n\r\n", then="stay"),
    "a header of 100 KB": saying(HEAD + b"x-a: " + b"a" * 100_000 + b"\r\ncontent-length: 0\r\n\r\n", then="stay"),
    "HTTP/0.9": saying(b"<html>hello</html>", then="stay"),
    "HTTP/0.9 by name": saying(b"HTTP/0.9 200 OK\r\ncontent-length: 0\r\n\r\n", then="stay"),
    "HTTP/2": saying(b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n", then="stay"),
    "HTTP/2 frames": saying(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18), then="stay"),
    "status 000": saying(b"HTTP/1.1 000 Nothing\r\ncontent-length: 0\r\n\r\n", then="stay"),
    "status 999": saying(b"HTTP/1.1 999 Denied\r\ncontent-length: 0\r\n\r\n", then="stay"),
    "bare line feeds": saying(b"HTTP/1.1 200 OK\ncontent-length: 0\n\n", then="stay"),
    "a folded header": saying(HEAD + b"x-a: b\r\n c\r\ncontent-length: 0\r\n\r\n", then="stay"),
    "gzip as transfer coding": saying(HEAD + b"transfer-encoding: gzip\r\n\r\nabc", then="stay"),
    "a response too many": saying(OK + OK, then="stay"),
    "bytes after the response": saying(OK + b"and more", then="stay"),
    "gzip bomb": saying(bomb("gzip"), then="stay"),
    "br bomb": saying(bomb("br"), then="stay"),
    "zstd bomb": saying(bomb("zstd"), then="stay"),
    "early 200": early(OK, then="stay"),
    "early 413, open": early(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig", then="stay"),
    "early 413, closed": early(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig", then="close"),
    "no bytes fit for text": saying(
        HEAD + b"connection: close\r\ncontent-length: 22\r\n\r\n\0\xed\xa0\x80\xff\xfe<script>alert(1)"
    ),
}


# Below HTTP


@asynccontextmanager
async def black_hole() -> AsyncIterator[int]:
    """A port on which the kernel drops every SYN: a listener whose queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting: list[socket.socket] = []
        try:
            while len(waiting) < 16:
                filler = socket.socket()
                waiting.append(filler)
                filler.setblocking(False)
                async with asyncio.timeout(0.2):
                    await asyncio.get_running_loop().sock_connect(filler, ("127.0.0.1", port))
            raise AssertionError("the queue of the listener does not fill up")
        except TimeoutError:
            yield port
        finally:
            for filler in waiting:
                filler.close()


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that is bound, so that nobody else takes it, and not listened on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextmanager
def canary(host: str = "127.0.0.1") -> Iterator[Canary]:
    """A listener that must never be reached."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        listener.bind((host, 0))
        listener.listen(128)
        listener.setblocking(False)
        yield Canary(listener)


class Canary:
    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.port: int = listener.getsockname()[1]

    def touched(self) -> int:
        """Accept what has come, and return how many that were: counted at the socket."""
        count = 0
        while True:
            try:
                self._listener.accept()[0].close()
            except BlockingIOError:
                return count
            count += 1


# TLS


class Certificates:
    """Server contexts of the tests' own authority."""

    def __init__(self, authority: trustme.CA, folder: Path) -> None:
        self._authority = authority
        self.bundle = folder / "authority.pem"
        authority.cert_pem.write_to_path(str(self.bundle))

    def pem(self, *names: str) -> Path:
        """A file with a key and its certificate, for a receiver in another process."""
        path = self.bundle.with_name("server.pem")
        self._authority.issue_cert(*names).private_key_and_cert_chain_pem.write_to_path(str(path))
        return path

    def server(self, *names: str, days: int | None = None) -> ssl.SSLContext:
        """A context for *names*; *days* from now until it expires, negative for the past."""
        ends = None if days is None else datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
        starts = None if ends is None else ends - datetime.timedelta(days=30)
        certificate = self._authority.issue_cert(*names, not_before=starts, not_after=ends)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return context


def main() -> None:
    """Run one behaviour, behind TLS if a certificate is given too, until standard input ends."""
    tls = None
    if sys.argv[2:]:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(sys.argv[2])

    async def serve() -> None:
        async with Receiver(BEHAVIOURS[sys.argv[1]], tls=tls) as receiver:
            print(receiver.port, flush=True)
            await asyncio.to_thread(sys.stdin.read)

    asyncio.run(serve())


if __name__ == "__main__":
    main()
