"""One row of ``anzol_outbox`` in the caller's transaction: writing it, and saying which database that was."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from anzol.errors import OutboxMissing, PayloadTooLarge, SessionRefused
from anzol.storage.hands import AsyncHand, Hand
from anzol.storage.outboxrows import TABLE, Row, has_table, own_table
from anzol.storage.postgres.guests import Ask, Flow
from anzol.storage.postgres.phrases import Phrase

if TYPE_CHECKING:
    from sqlalchemy import Connection

PLACE: Final = "anzol.place"  # in Connection.info: which database this is
CHECKED: Final = "anzol.table"  # in a connection's notes: the table was seen
MEMORY: Final = ""  # the place of a database that no other connection can see
UNSPOILT: Final = ("sqlite", "mysql", "mariadb")  # where a refused statement leaves the transaction usable
MYSQLS: Final = ("mysql", "mariadb")
PACKET: Final = "anzol.packet"  # in Connection.info: bytes that a statement may have
SURELY_FITS: Final = 250_000  # bytes of a body, which no server's limit stands in the way of
ESCAPED: Final = (b"\0", b"\n", b"\r", b"\x1a", b"\\", b"'", b'"')
THERE: Final = Phrase(
    "select coalesce(has_table_privilege(to_regclass('anzol_outbox'), 'insert'), false), current_database()"
)
WRITE: Final = Phrase(
    "insert into anzol_outbox (id, head, body) values ((:id)::text, (:head)::text, (:body)::bytea)",
    (("id", "text"), ("head", "text"), ("body", "bytea")),
)


def insert(connection: Connection, row: Row) -> None:
    """Insert *row*, without spoiling the transaction where the table is missing."""
    from sqlalchemy.exc import DBAPIError

    if connection.dialect.name not in UNSPOILT:
        require_table(connection)
    elif connection.dialect.name in MYSQLS and len(row.body) > SURELY_FITS:
        require_room(connection, row)
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


def require_room(connection: Connection, row: Row) -> None:
    """Refuse a row that is over the server's limit for a statement: it would close the connection.

    Raises:
        PayloadTooLarge: it is; the transaction goes on.
    """
    if PACKET not in connection.info:
        connection.info[PACKET] = connection.exec_driver_sql("select @@max_allowed_packet").scalar_one()
    limit = int(connection.info[PACKET])
    # As drivers write it: in quotes, with a backslash before some bytes.
    size = len(row.body) + sum(map(row.body.count, ESCAPED)) + 2 * len(row.head) + 1024
    if size > limit:
        raise PayloadTooLarge(
            f"A message of {size} bytes, as written for {connection.dialect.name}, does not fit into its statements.",
            size=size,
            limit=limit,
            do="Raise max_allowed_packet on the server, or send less.",
        )


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


def watch(connection: Connection, listener: Callable[[Connection], None]) -> None:
    """Have *listener* called at this connection's commits."""
    # On the connection, not its engine: it ends with the transaction's connection, and leaves the host's engine alone.
    from sqlalchemy import event

    if not event.contains(connection, "commit", listener):
        event.listen(connection, "commit", listener)


def put(hand: Hand | AsyncHand, row: Row) -> Flow[None]:
    """Insert *row* by a driver's own connection to PostgreSQL.

    Raises:
        OutboxMissing: the table is not there, or not for this user; nothing was spoilt.
    """
    if CHECKED not in hand.notes:
        ((there, database),) = yield Ask(THERE, {})
        if not there:
            raise missing(f"postgresql:///{quote(database)}")
        hand.notes[CHECKED] = True
    yield Ask(WRITE, {"id": row.id, "head": row.head, "body": row.body})
