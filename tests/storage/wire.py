"""What stands between a storage and its server in a test, and cuts connections where it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

COMMIT: Final = b"commit\0"


async def nothing() -> None:
    """Between the loss and the next try."""


class Wire:
    """Stands between a storage and its server, and can cut the connection that says a certain thing.

    Args:
        server: Path of the server's socket.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._said: bytes | None = None
        self._passed_on = True
        self._meanwhile: Callable[[], Awaitable[None]] = nothing
        self._patience = asyncio.Event()
        self._passing = 0
        self.down = False
        self.cuts = 0

    def lose(self) -> None:
        """Wait for no answer any more."""
        self._patience.set()

    def cut_at(
        self,
        said: bytes,
        *,
        passed_on: bool = True,
        meanwhile: Callable[[], Awaitable[None]] = nothing,
        after: int = 0,
    ) -> None:
        """Cut the next connection whose client says *said*: once the server has answered, or before it hears it.

        Args:
            after: How often it may be said before.
        """
        self._said, self._passed_on, self._meanwhile = said, passed_on, meanwhile
        self._passing = after

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.down:
            writer.close()
            return
        heard, speak = await asyncio.open_unix_connection(self._server)
        answers = asyncio.ensure_future(copy(heard, writer))
        try:
            with suppress(ConnectionError):
                await self._carry(reader, speak, heard, answers)
        finally:
            answers.cancel()
            writer.transport.abort()
            speak.close()

    def _met(self, data: bytes) -> bool:
        if self._said is None or self._said not in data:
            return False
        self._passing -= 1
        return self._passing < 0

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        speak: asyncio.StreamWriter,
        heard: asyncio.StreamReader,
        answers: asyncio.Future[None],
    ) -> None:
        while data := await reader.read(1 << 20):
            if not self._met(data):
                speak.write(data)
                continue
            self._said = None
            self.cuts += 1
            if self._passed_on:
                answers.cancel()
                await asyncio.wait([answers])
                speak.write(data)
                await asyncio.wait(
                    [asyncio.ensure_future(heard.read(1 << 20)), asyncio.ensure_future(self._patience.wait())],
                    return_when=asyncio.FIRST_COMPLETED,
                )
            else:
                speak.close()  # the server sees it, and ends what was open
            await self._meanwhile()
            return


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 20):
            writer.write(data)
    writer.close()
