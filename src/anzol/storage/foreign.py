"""A message inside the caller's own transaction: one row of ``anzol_outbox`` beside the caller's own tables.

The caller's commit makes the message exist; a rollback, or that of a savepoint, leaves nothing. The relay moves
committed rows over. Nothing here flushes the caller's objects or ends a transaction, nor waits for Anzol's own database
but once: of a database that this process writes to for the first time, storage is told before the send returns.

SQLAlchemy is never imported unless the caller's object is one of its own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from anzol.errors import AnzolError, OutboxMissing, SendError, SessionRefused
from anzol.storage.face import Accept, NewMessage, Storage
from anzol.storage.outboxrows import TABLE, Row, has_table, own_table, pack, unpack

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

log = logging.getLogger("anzol.outbox")

PLACE: Final = "anzol.place"  # in Connection.info: which database this is
CHECKED: Final = "anzol.table"  # in Connection.info: the table was seen
MEMORY: Final = ""  # the place of a database that no other connection can see
INSERT: Final = "insert into main.anzol_outbox (id, head, body) values (?, ?, ?)"
TELLING: Final = 1.0  # seconds that the first send waits at most until storage knows of a database
UNSPOILT: Final = ("sqlite", "mysql", "mariadb")  # where a refused statement leaves the transaction usable


Telling = threading.Thread | None


class Kind(Enum):
    """What a caller may give as ``session=``, by top-level package and class."""

    SESSION = "sqlalchemy.Session"
    SCOPED = "sqlalchemy.scoped_session"
    CONNECTION = "sqlalchemy.Connection"
    SQLITE = "sqlite3.Connection"
    ASYNC_SESSION = "sqlalchemy.AsyncSession"
    ASYNC_SCOPED = "sqlalchemy.async_scoped_session"
    ASYNC_CONNECTION = "sqlalchemy.AsyncConnection"
    AIOSQLITE = "aiosqlite.Connection"


AWAITED: Final = frozenset({Kind.ASYNC_SESSION, Kind.ASYNC_SCOPED, Kind.ASYNC_CONNECTION, Kind.AIOSQLITE})
BY_NAME: Final = {kind.value: kind for kind in Kind}
TAKEN: Final = (
    "Taken are: Session, AsyncSession, their scoped forms, Connection and AsyncConnection of SQLAlchemy "
    "(SQLModel's sessions are these), and connections of sqlite3 and aiosqlite."
)
FACTORIES: Final = frozenset(
    f"sqlalchemy.{name}" for name in ("Engine", "AsyncEngine", "sessionmaker", "async_sessionmaker")
)
POSTGRESQL: Final = ("asyncpg", "psycopg", "psycopg2")


class ForeignOutbox:
    """Writes messages into callers' transactions, and knows into which databases it did.

    Each database is told to storage once, from a short-lived thread, so that workers of other processes find it too.
    The send that began this waits for it: a script may end with its commit, and take the knowledge with it.

    Args:
        storage, storage_sync: Return Anzol's own database, ready; called when it is first needed.
    """

    def __init__(self, storage: Callable[[], Awaitable[Storage]], storage_sync: Callable[[], Accept]) -> None:
        self._storage = storage
        self._storage_sync = storage_sync
        self._lock = threading.Lock()
        self._sources: dict[str, threading.Thread] = {}
        self._listeners: list[Callable[[str], None]] = []

    @property
    def sources(self) -> tuple[str, ...]:
        """URLs of the databases written to by this process; they may carry a password."""
        return tuple(self._sources)

    def write(self, session: object, message: NewMessage) -> None:
        """Write *message* in the transaction of a synchronous session or connection.

        Raises:
            SessionRefused: *session* must be awaited, or is nothing that a message can be written with.
            OutboxMissing: the database has no such table; the transaction goes on as if nothing had been asked.
        """
        kind = kind_of(session)
        if kind in AWAITED:
            raise must_be_awaited(session)
        telling = self._write(kind, session, pack(message))
        if telling is not None:
            telling.join(TELLING)

    async def write_async(self, session: object, message: NewMessage) -> None:
        """Write *message* in the transaction of any session or connection; raises as `write` does."""
        kind, row, given = kind_of(session), pack(message), _any(session)
        match kind:
            case Kind.ASYNC_SESSION:
                telling = await given.run_sync(self._through_session, row)
            case Kind.ASYNC_SCOPED:
                telling = await given().run_sync(self._through_session, row)
            case Kind.ASYNC_CONNECTION:
                telling = await given.run_sync(self._through_connection, row)
            case Kind.AIOSQLITE:
                telling = await self._through_aiosqlite(given, row)
            case _:
                telling = self._write(kind, session, row)
        if telling is not None:
            await asyncio.to_thread(telling.join, TELLING)

    def listen(self, nudge: Callable[[str], None]) -> Callable[[], None]:
        """Call *nudge* with a database's URL when rows of it may be about to be committed; return what ends this."""
        self._listeners.append(nudge)
        return lambda: self._listeners.remove(nudge)

    def close(self) -> None:
        """Wait until storage has been told of every database."""
        with self._lock:
            threads = list(self._sources.values())
        for thread in threads:
            thread.join()

    def _write(self, kind: Kind, session: object, row: Row) -> Telling:
        given = _any(session)
        match kind:
            case Kind.SESSION:
                return self._through_session(given, row)
            case Kind.SCOPED:
                return self._through_session(given(), row)
            case Kind.CONNECTION:
                return self._through_connection(given, row)
            case _:
                return self._through_sqlite(given, row)

    def _through_session(self, session: Session, row: Row) -> Telling:
        return self._through_connection(connection_of(session), row)

    def _through_connection(self, connection: Connection, row: Row) -> Telling:
        insert(connection, row)
        place = place_of(connection)
        if place == MEMORY:
            _watch(connection, self._carry_over)
            return None
        _watch(connection, self._committing)
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


def kind_of(session: object) -> Kind:
    """Say what *session* is.

    Raises:
        SessionRefused: nothing that a message can be written with.
    """
    names = [f"{base.__module__.partition('.')[0]}.{base.__qualname__}" for base in type(session).__mro__]
    for name in names:
        if name in BY_NAME:
            return BY_NAME[name]
    shown = f"session= was given {type(session).__module__}.{type(session).__qualname__}"
    if FACTORIES.intersection(names):
        raise SessionRefused(f"{shown}, which has no transaction.", do=f"Open one, and give that. {TAKEN}")
    if any(name.startswith(POSTGRESQL) for name in names):
        raise SessionRefused(f"{shown}: this comes with PostgreSQL support.", do=TAKEN)
    raise SessionRefused(f"{shown}, which Anzol cannot write with.", do=TAKEN)


def connection_of(session: Session) -> Connection:
    """Return the connection of a session's transaction, in the database where the outbox is.

    Raises:
        SessionRefused: the session has several databases.
    """
    from sqlalchemy.exc import UnboundExecutionError

    # Not session.execute: that runs the host's do_orm_execute handlers, and with an ORM statement would flush.
    try:
        return session.connection(bind_arguments={"clause": own_table().insert()})
    except UnboundExecutionError as cause:
        raise SessionRefused(
            "This session has several databases, and none of them is known to hold anzol_outbox.",
            do="Give the connection itself: session=session.connection(bind_arguments={'mapper': YourModel}).",
        ) from cause


def must_be_awaited(session: object) -> SessionRefused:
    """Return the error for `send_sync` with an asynchronous session."""
    return SessionRefused(
        f"send_sync was given {type(session).__qualname__}, whose calls must be awaited.",
        do="Write `await webhooks.to(..., session=session).send(...)`, or give a synchronous session.",
    )


def insert(connection: Connection, row: Row) -> None:
    """Insert *row*, without spoiling the transaction where the table is missing."""
    from sqlalchemy.exc import DBAPIError

    if connection.dialect.name not in UNSPOILT:
        require_table(connection)
    values = {"id": row.id, "head": row.head, "body": row.body}
    try:
        # A host that translates schemas per request would hide the row from the relay.
        connection.execute(own_table().insert(), values, execution_options={"schema_translate_map": {}})
    except DBAPIError as cause:
        if connection.dialect.name not in UNSPOILT or has_table(connection):
            raise
        raise missing(shown_place(connection)) from cause


def require_table(connection: Connection) -> None:
    """Look for the table, once per connection, where a failed INSERT would abort the caller's transaction."""
    if CHECKED not in connection.info:
        if not has_table(connection):
            raise missing(shown_place(connection))
        connection.info[CHECKED] = True


def place_of(connection: Connection) -> str:
    """Return the URL under which another process finds this database, or `MEMORY`; asked once per connection."""
    if PLACE not in connection.info:
        connection.info[PLACE] = look_up_place(connection)
    place: str = connection.info[PLACE]
    return place


def look_up_place(connection: Connection) -> str:
    """Ask SQLite for its file, whatever the URL or a ``creator`` said; elsewhere take the engine's URL."""
    if (connection.dialect.name, connection.dialect.driver) in (("sqlite", "pysqlite"), ("sqlite", "aiosqlite")):
        return sqlite_place(connection.exec_driver_sql("pragma database_list").fetchall())
    return connection.engine.url.render_as_string(hide_password=False)


def sqlite_place(databases: Any) -> str:
    """Return the URL of ``main`` from the rows of ``pragma database_list``; `MEMORY` if it has no file."""
    for _, name, file in databases:
        if name in ("main", b"main") and file:
            return f"sqlite:///{quote(os.fsdecode(file))}"
    return MEMORY


def shown_place(connection: Connection) -> str:
    """Return the database's URL for an error message: without its password."""
    return connection.engine.url.render_as_string(hide_password=True)


def plain_cursor(connection: sqlite3.Connection) -> sqlite3.Cursor:
    """Return a cursor that gives tuples, whatever row factory the caller set."""
    cursor = connection.cursor()
    cursor.row_factory = None
    return cursor


def refuse_memory(place: str) -> None:
    """Refuse a driver's connection to an in-memory database: nobody else sees it, and its commit is not announced."""
    if place == MEMORY:
        raise SessionRefused(
            "session= was given a connection to an in-memory SQLite database, which no worker can see.",
            do="Use a file, or an SQLAlchemy session on it, whose commit Anzol can follow.",
        )


def explain(cause: sqlite3.OperationalError, place: str) -> None:
    """Raise `OutboxMissing` if the table is what was missing."""
    if "no such table" in str(cause):
        raise missing(place) from cause


def missing(shown: str) -> OutboxMissing:
    """Return the error for a database without the table, with both ways out."""
    return OutboxMissing(
        f"The database {shown} has no table {TABLE}.",
        do=f"Make it with `anzol migrate --outbox {shown}`, or declare it beside your models with "
        "`anzol.outbox_table(metadata)`, before create_all or for Alembic.",
    )


def waiting_rows(connection: Connection) -> list[Row]:
    """Return the rows that this transaction sees and nobody has refused, in the messages' order."""
    table = own_table()
    query = table.select().where(table.c.refused.is_(None)).order_by(table.c.id)
    return [Row(row.id, row.head, row.body) for row in connection.execute(query)]


def commit_now(connection: Connection) -> bool:
    """Commit, inside the event that precedes it; False if that failed, as the commit proper will then say."""
    dialect = connection.dialect
    try:
        dialect.do_commit(connection.connection)
    except dialect.loaded_dbapi.Error:
        return False
    return True


def _watch(connection: Connection, listener: Callable[[Connection], None]) -> None:
    # On the connection, not its engine: it ends with the transaction's connection, and leaves the host's engine alone.
    from sqlalchemy import event

    if not event.contains(connection, "commit", listener):
        event.listen(connection, "commit", listener)


def _any(session: object) -> Any:
    return session
