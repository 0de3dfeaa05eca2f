"""Wake-ups between processes, by LISTEN and NOTIFY. They may be lost; polling is the floor.

A NOTIFY takes a lock of the whole database at its commit: so it is a transaction of its own, never part of a caller's,
and a process says no more than one in some milliseconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from anzol.errors import StorageError
from anzol.storage.postgres.connections import explained, shut
from anzol.storage.postgres.home import Home, Homes

if TYPE_CHECKING:
    from asyncpg import Connection

log = logging.getLogger("anzol.storage")

PAUSE: Final = 0.010  # seconds between two notifications of one process
AGAIN: Final = (0.1, 10.0)  # seconds until listening is tried again: first, longest
EVERYBODY: Final = ""
NOTIFY: Final = "select pg_notify($1, $2)"


def channel(schema: str) -> str:
    """Return the name under which the workers of a schema listen; PostgreSQL takes 63 bytes."""
    return f"anzol.{schema}"[:63]


class Nudger:
    """Tells workers of other processes that there is work: at once, then at most once in a while."""

    def __init__(self, homes: Homes) -> None:
        self._homes = homes
        self._channel = channel(homes.place.schema)
        self._wanted: set[str] = set()
        self._busy = False

    def tell(self, home: Home, workers: Iterable[int] = ()) -> None:
        """Wake these workers, or without any all that listen. On the home's loop."""
        if self._homes.place.pooler:
            return
        self._wanted.update(map(str, workers) if workers else (EVERYBODY,))
        if not self._busy:
            self._busy = True
            _ = home.start(self._say)

    async def _say(self, home: Home) -> None:
        try:
            while self._wanted:
                whom = EVERYBODY if EVERYBODY in self._wanted else ",".join(sorted(self._wanted))
                self._wanted.clear()
                async with home.statements("other") as connection:
                    await connection.execute(NOTIFY, self._channel, whom)
                await asyncio.sleep(PAUSE)
        except Exception as error:  # noqa: BLE001 a wake-up may be lost
            log.debug("A wake-up was lost: %s", error)
        finally:
            self._busy = False


class Listener:
    """Hears wake-ups on a connection of its own, and opens another when that is lost.

    Args:
        heard: Is called with the numbers of the workers that are meant; none: all.
    """

    def __init__(self, home: Home, heard: Callable[[frozenset[int]], None]) -> None:
        self._home = home
        self._heard = heard
        self._listening = home.loop.create_task(self._listen())

    def stop(self) -> asyncio.Task[None]:
        """Hear no more; return what ends when the connection is closed. On the home's loop."""
        self._listening.cancel()
        return self._listening

    async def _listen(self) -> None:
        wait = AGAIN[0]
        while True:
            try:
                connection = await self._home.connect()
            except StorageError as error:
                log.warning("Wake-ups are not heard, work is found by polling: %s", error)
                await asyncio.sleep(wait)
                wait = min(AGAIN[1], wait * 2)
                continue
            wait = AGAIN[0]
            await self._hear(connection)
            await asyncio.sleep(wait)

    async def _hear(self, connection: Connection) -> None:
        """Listen until the connection is lost."""
        gone = asyncio.Event()
        connection.add_termination_listener(lambda _: gone.set())
        try:
            await connection.add_listener(channel(self._home.place.schema), self._said)
            self._heard(frozenset())  # something may have happened while nobody listened
            await gone.wait()
        except Exception as error:  # noqa: BLE001 whatever it was, another connection is opened
            log.debug("A connection for wake-ups was lost: %s", explained(error))
        finally:
            await shut(connection)

    def _said(self, *said: Any) -> None:
        numbers = str(said[-1])  # connection, process, channel, what was said
        self._heard(frozenset(int(number) for number in numbers.split(",") if number.isdigit()))
