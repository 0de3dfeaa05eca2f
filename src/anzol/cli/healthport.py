"""`anzol worker --health-port`: two answers over HTTP/1.1, one request a connection, for whoever probes.

A client that is slow, silent or endless costs a connection for a few seconds, and there are only so many.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

from anzol.cli.screen import Screen
from anzol.errors import InvalidValue, PortTaken

PATIENCE: Final = 5.0  # seconds for a request to arrive, and for its answer to be taken
LONGEST: Final = 8192  # bytes of a request's head
MOST: Final = 64  # connections at once
SCOPES: Final = ("process", "system")

Answer = tuple[int, dict[str, Any]]
Ask = Callable[[dict[str, str]], Awaitable[Answer]]  # given the query


class HealthPort:
    """Answers GET and HEAD on the paths it is given.

    Args:
        listener: Listens already; it is closed at the end.
        paths: Who answers for which path.
    """

    def __init__(self, listener: socket.socket, paths: dict[str, Ask]) -> None:
        self._listener = listener
        self._paths = paths
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, sock=self._listener, limit=LONGEST)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._serving) < MOST:
            self._serving.add(task)
            # Cancelled only by __aexit__, which the stream would report as an error.
            with suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError, asyncio.CancelledError):
                await self._converse(reader, writer)
            self._serving.discard(task)
        writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.partition(b"\r\n")[0].decode("ascii").split(" ", 2)
        status, body = await self._answer(method, target)
        writer.write(response(status, body, with_body=method != "HEAD"))
        writer.write_eof()
        async with asyncio.timeout(PATIENCE):
            await writer.drain()
            await reader.read()  # until the client has it and closes: an abort might overtake the answer

    async def _answer(self, method: str, target: str) -> Answer:
        parts = urlsplit(target)
        ask = self._paths.get(parts.path)
        if ask is None:
            return 404, {"detail": f"There is {' and '.join(self._paths)}."}
        if method not in ("GET", "HEAD"):
            return 405, {"detail": "GET or HEAD."}
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if query.get("scope", SCOPES[0]) not in SCOPES:
            return 422, {"detail": f"scope is {' or '.join(SCOPES)}."}
        return await ask(query)


def response(status: int, body: dict[str, Any], *, with_body: bool) -> bytes:
    """Write a response that ends its connection."""
    content = json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(content)}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + (content if with_body else b"")


def listening(host: str, port: int, *, option: str = "health-") -> socket.socket:
    """Return a socket that listens; *option* begins the names of the options that said where.

    Raises:
        InvalidValue: the host is no address of this machine.
        PortTaken: another program has the port.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    try:
        return socket.create_server((host, port), family=family, dualstack_ipv6=both)
    except OSError as cause:
        if cause.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise InvalidValue(
                f"--{option}host {host!r} is no address of this machine.",
                field=f"{option}host",
                do="0.0.0.0 is all of them.",
            ) from cause
        what = f"Port {port} of {host} cannot be listened on: {os.strerror(cause.errno)}."
        raise PortTaken(what, do=f"Choose another: --{option}port.") from cause


def show_port(listener: socket.socket) -> None:
    """Say where health is asked."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    Screen(as_json=False).progress(f"Health: http://{shown}:{port}/live and /ready.")
