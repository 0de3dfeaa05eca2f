"""The table ``anzol_outbox`` in somebody else's database: its columns, and a message as one row of it.

The table belongs to the host's schema, where every change costs the host a migration; so it has few columns, and what a
message is made of travels in ``head`` as JSON that carries its version. Ids are 32 hexadecimal digits: they sort in the
order of the raw ids under every collation, where base62 would not under one that ignores case.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from anzol.errors import InvalidValue, StorageError
from anzol.storage.anydatabase import AnyDatabase
from anzol.storage.face import NewMessage

if TYPE_CHECKING:
    from sqlalchemy import Connection, MetaData, Table

TABLE: Final = "anzol_outbox"
VERSION: Final = 1
DDL: Final = f"""
create table if not exists {TABLE} (
    id varchar(32) not null,
    head text not null,
    body blob not null,
    refused text,
    primary key (id)
)
"""
MYSQL: Final = {"engine": "InnoDB", "charset": "utf8mb4"}


@dataclass(frozen=True, slots=True)
class Row:
    """One row, as it lies in the caller's database; ``id`` is the message's, in hexadecimal."""

    id: str
    head: str
    body: bytes = field(repr=False)


def pack(message: NewMessage) -> Row:
    """Write a message as a row."""
    head = {
        "version": VERSION,
        "environment": message.environment,
        "customer": message.customer,
        "event_type": message.event_type,
        "method": message.method,
        "content_type": message.content_type,
        "created_at": message.created_at,
        "headers": message.headers,
        "query": message.query,
        "channels": message.channels,
        "tags": message.tags,
        "key": message.key,
        "deliver_at": message.deliver_at,
        "only_endpoint": message.only_endpoint.hex() if message.only_endpoint else None,
    }
    return Row(message.id.hex(), json.dumps(head), message.body)


def unpack(row: Row) -> NewMessage:
    """Read what `pack` wrote.

    Raises:
        InvalidValue: a newer Anzol wrote it, or somebody else did.
    """
    try:
        head = json.loads(row.head)
        if head["version"] != VERSION:
            raise InvalidValue(f"Version {head['version']} of a row is not known.", field="head", do="Update Anzol.")
        return NewMessage(
            id=bytes.fromhex(row.id),
            environment=head["environment"],
            customer=head["customer"],
            event_type=head["event_type"],
            method=head["method"],
            content_type=head["content_type"],
            body=bytes(row.body),
            created_at=head["created_at"],
            headers=tuple((name, value) for name, value in head["headers"]),
            query=head["query"],
            channels=tuple(head["channels"]),
            tags=tuple(head["tags"]),
            key=head["key"],
            deliver_at=head["deliver_at"],
            only_endpoint=bytes.fromhex(head["only_endpoint"]) if head["only_endpoint"] else None,
        )
    except (KeyError, TypeError, ValueError) as cause:
        raise InvalidValue(f"A row cannot be read: {cause!r}.", field="head") from cause


def outbox_table(metadata: MetaData) -> Table:
    """Put ``anzol_outbox`` beside the host's own tables, for its ``create_all`` and its Alembic; return the table.

    Args:
        metadata: The host's, such as ``Base.metadata`` or ``SQLModel.metadata``.
    """
    from sqlalchemy import Column, LargeBinary, String, Table, Text
    from sqlalchemy.dialects import mysql

    if TABLE in metadata.tables:
        return metadata.tables[TABLE]
    # MySQL's BLOB ends at 64 KiB, its TEXT too.
    body = LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
    head = Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
    # A server's own choice may be an engine without transactions, or letters that a customer's id is not written in.
    chosen: Any = {f"{name}_{what}": value for name in ("mysql", "mariadb") for what, value in MYSQL.items()}
    table: Table = Table(
        TABLE,
        metadata,
        Column("id", String(32), primary_key=True),
        Column("head", head, nullable=False),
        Column("body", body, nullable=False),
        Column("refused", Text, comment="Why the relay set this message aside; empty it to have it tried again."),
        **chosen,
    )
    return table


@cache
def own_table() -> Table:
    """Return the table as Anzol's own statements use it."""
    from sqlalchemy import MetaData

    return outbox_table(MetaData())


def create_outbox_table(url: str) -> bool:
    """Make ``anzol_outbox`` in the database at *url*; return False if it was there.

    SQLite files need nothing but Python; anything else needs SQLAlchemy and a driver, synchronous or not.

    Raises:
        StorageError: the database cannot be opened, or does not let the table be made.
    """
    path = sqlite_path(url)
    return create_in_file(path) if path else create_through_sqlalchemy(url)


def create_in_file(path: str) -> bool:
    """Make the table in a SQLite file; return False if it was there."""
    try:
        with closing(sqlite3.connect(path)) as connection, connection:
            there = connection.execute("select 1 from sqlite_master where name = ?", (TABLE,)).fetchone()
            connection.execute(DDL)
            return there is None
    except sqlite3.Error as cause:
        raise StorageError(f"The table {TABLE} cannot be made in {path}: {cause}.") from cause


def create_through_sqlalchemy(url: str) -> bool:
    """Make the table in any database that SQLAlchemy speaks to; return False if it was there."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with closing(AnyDatabase(url)) as database:
            return database.do(create_on)
    except (SQLAlchemyError, ImportError, OSError) as cause:
        raise StorageError(f"The table {TABLE} cannot be made: {cause}.") from cause


def create_on(connection: Connection) -> bool:
    """Make the table on an SQLAlchemy connection; return False if it was there."""
    if has_table(connection):
        return False
    own_table().create(connection)
    return True


def has_table(connection: Connection) -> bool:
    """Say whether the database has the table."""
    from sqlalchemy import inspect

    found: bool = inspect(connection).has_table(TABLE)
    return found


def sqlite_path(url: str) -> str:
    """Return the file of an SQLite URL such as ``sqlite+aiosqlite:///app.db``, or ``""`` for any other URL."""
    scheme, separator, rest = url.partition(":///")
    dialect, _, driver = scheme.partition("+")
    if not separator or dialect != "sqlite" or driver not in ("", "pysqlite", "aiosqlite"):
        return ""
    path = unquote(rest.partition("?")[0])
    return "" if path in ("", ":memory:") or path.startswith("file:") else path
