"""A message inside the caller's own transaction: in Anzol's tables, or in ``anzol_outbox`` beside the caller's own.

The caller's commit makes the message exist; a rollback, or that of a savepoint, leaves nothing. On Anzol's own
PostgreSQL database it goes straight into Anzol's tables (`anzol.storage.postgres.direct`); from anywhere else the relay
moves committed rows over. Nothing here flushes the caller's objects or ends a transaction, nor waits for Anzol's own
database but once: of one that this process writes to for the first time, storage is told before the send returns.

SQLAlchemy is never imported unless the caller's object is one of its own.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from anzol.errors import AnzolError, SendError
from anzol.storage.beside import (
    MEMORY,
    PLACE,
    commit_now,
    explain,
    insert,
    place_of,
    plain_cursor,
    put,
    refuse_memory,
    sqlite_place,
    waiting_rows,
    watch,
)
from anzol.storage.callers import Caller, Kind, caller_of, caller_of_async
from anzol.storage.face import Accept, Accepted, NewMessage, Storage
from anzol.storage.outboxrows import Row, own_table, pack, unpack
from anzol.storage.postgres.direct import Direct, run, run_async
from anzol.storage.postgres.guests import refusing

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger("anzol.outbox")

INSERT: Final = "insert into main.anzol_outbox (id, head, body) values (?, ?, ?)"
TELLING: Final = 1.0  # seconds that the first send waits at most until storage knows of a database

PLACELESS: Final = (
    "A message was written to anzol_outbox through a connection whose password comes from a function: workers cannot "
    "open that database by themselves. Tell them how: `anzol migrate --outbox URL --register`, with a lasting password."
)

Telling = threading.Thread | None


class ForeignOutbox:
    """Writes messages into callers' transactions, and knows into which databases it did.

    Each database is told to storage once, from a short-lived thread, so that workers of other processes find it too.
    The send that began this waits for it: a script may end with its commit, and take the knowledge with it.

    Args:
        storage, storage_sync: Return Anzol's own database, ready; called when it is first needed.
        opened: Returns it, ready or not; without it no caller is taken to be on Anzol's own.
    """

    def __init__(
        self,
        storage: Callable[[], Awaitable[Storage]],
        storage_sync: Callable[[], Accept],
        opened: Callable[[], object] = lambda: None,
    ) -> None:
        self._storage = storage
        self._storage_sync = storage_sync
        self._direct = Direct(opened, storage, storage_sync)
        self._lock = threading.Lock()
        self._sources: dict[str, threading.Thread] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._placeless = False  # it was said that a database's URL is not known

    @property
    def sources(self) -> tuple[str, ...]:
        """URLs of the databases written to by this process; they may carry a password."""
        return tuple(self._sources)

    def write(self, session: object, message: NewMessage) -> Accepted:
        """Write *message* in the transaction of a synchronous session or connection.

        What is written beside the caller's tables is never answered as a duplicate: the relay finds that out.

        Raises:
            KeyConflict: the key was used before, with another body.
            SessionRefused: *session* must be awaited, or is nothing that a message can be written with.
            OutboxMissing: the database has no such table; the transaction goes on as if nothing had been asked.
        """
        caller = caller_of(session)
        hand = caller.sync_hand()
        if hand is not None and (accepted := self._direct.write(hand, message)):
            self._announce(caller)
            return accepted
        telling = self._write(caller, pack(message))
        if telling is not None:
            telling.join(TELLING)
        return Accepted(message.id)

    async def write_async(self, session: object, message: NewMessage) -> Accepted:
        """Write *message* in the transaction of any session or connection; as `write`."""
        caller = await caller_of_async(session)
        hand = caller.hand()
        if hand is not None and (accepted := await self._direct.write_async(hand, message)):
            self._announce(caller)
            return accepted
        telling = await self._write_async(caller, pack(message))
        if telling is not None:
            await asyncio.to_thread(telling.join, TELLING)
        return Accepted(message.id)

    def listen(self, nudge: Callable[[str], None]) -> Callable[[], None]:
        """Call *nudge* with a database's URL when rows of it may be about to be committed; return what ends this."""
        self._listeners.append(nudge)
        return lambda: self._listeners.remove(nudge)

    def close(self) -> None:
        """Wait until storage has been told of every database."""
        self._direct.close()
        with self._lock:
            threads = list(self._sources.values())
        for thread in threads:
            thread.join()

    def _announce(self, caller: Caller) -> None:
        """Wake workers when a message that lies in Anzol's tables is committed, or else soon."""
        if caller.alchemy:
            watch(caller.given, self._committing_directly)
        else:
            self._direct.announce()

    def _committing_directly(self, _: Connection) -> None:
        self._direct.announce()

    def _write(self, caller: Caller, row: Row) -> Telling:
        if caller.kind is Kind.SQLITE:
            return self._through_sqlite(caller.given, row)
        hand = None if caller.alchemy else caller.sync_hand()
        if hand is None:
            return self._through_connection(caller.given, row)
        run(refusing(put(hand, row)), hand)
        return self._noted(hand.place())

    async def _write_async(self, caller: Caller, row: Row) -> Telling:
        if caller.kind is Kind.AIOSQLITE:
            return await self._through_aiosqlite(caller.given, row)
        if caller.run_sync is not None:
            telling: Telling = await caller.run_sync(lambda _: self._through_connection(caller.given, row))
            return telling
        hand = None if caller.alchemy else caller.hand()
        if hand is None:
            return self._write(caller, row)
        await run_async(refusing(put(hand, row)), hand)
        return self._noted(hand.place())

    def _noted(self, place: str | None) -> Telling:
        """Have the relay look soon, in a database that a driver's own connection has written to."""
        if place is not None:
            self._nudge(place)
            return self._remember(place)
        if not self._placeless:
            self._placeless = True
            log.error(PLACELESS)
        return None

    def _through_connection(self, connection: Connection, row: Row) -> Telling:
        insert(connection, row)
        place = place_of(connection)
        if place == MEMORY:
            watch(connection, self._carry_over)
            return None
        watch(connection, self._committing)
        return self._remember(place)

    def _through_sqlite(self, connection: sqlite3.Connection, row: Row) -> Telling:
        place = sqlite_place(plain_cursor(connection).execute("pragma database_list").fetchall())
        refuse_memory(place)
        try:
            connection.execute(INSERT, (row.id, row.head, row.body))
        except sqlite3.OperationalError as cause:
            explain(cause, place)
            raise
        self._nudge(place)
        return self._remember(place)

    async def _through_aiosqlite(self, connection: Any, row: Row) -> Telling:
        place = sqlite_place([tuple(each) for each in await connection.execute_fetchall("pragma database_list")])
        refuse_memory(place)
        try:
            await connection.execute(INSERT, (row.id, row.head, row.body))
        except sqlite3.OperationalError as cause:
            explain(cause, place)
            raise
        self._nudge(place)
        return self._remember(place)

    def _committing(self, connection: Connection) -> None:
        # Core says "commit" before it commits: whoever is nudged looks several times.
        self._nudge(connection.info[PLACE])

    def _nudge(self, place: str) -> None:
        for listener in list(self._listeners):
            listener(place)

    def _carry_over(self, connection: Connection) -> None:
        """Take along the rows of an in-memory SQLite database at its commit: no relay could ever see them."""
        rows = waiting_rows(connection)
        if rows and commit_now(connection):
            for row in rows:
                self._accept_at_once(connection, row)

    def _accept_at_once(self, connection: Connection, row: Row) -> None:
        table = own_table()
        this = table.c.id == row.id
        try:
            self._storage_sync().accept_sync(unpack(row))
        except SendError as refusal:
            log.error("message %s of the caller's transaction is refused and set aside: %s", row.id, refusal)
            connection.execute(table.update().where(this).values(refused=str(refusal)))
        except AnzolError as fault:
            log.error(
                "message %s is committed but could not be taken in; the next commit tries again: %s", row.id, fault
            )
        else:
            connection.execute(table.delete().where(this))

    def _remember(self, place: str) -> Telling:
        """Begin to tell storage of a database that is new to this process; return the thread that does."""
        if place in self._sources:
            return None
        teller = threading.Thread(target=self._tell_storage, args=(place,), name="anzol-outbox-source")
        with self._lock:
            if self._sources.setdefault(place, teller) is not teller:
                return None
            teller.start()
            return teller

    def _tell_storage(self, place: str) -> None:
        told = False
        try:
            asyncio.run(self._add_source(place))
            told = True
        except AnzolError as fault:
            log.error("workers of other processes do not know of an outbox yet; the next send tells them: %s", fault)
        finally:
            if not told:
                self._sources.pop(place, None)

    async def _add_source(self, place: str) -> None:
        storage = await self._storage()
        if place not in await storage.outbox_sources():
            await storage.add_outbox_source(place)
