"""Asking a caller's connection: one statement at a time, whatever driver holds it, in whatever transaction is open.

Nothing here begins, ends or commits; drivers that begin a transaction with the first statement do as they do for their
owner.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote, urlencode
from weakref import WeakKeyDictionary

from anzol.errors import SessionRefused
from anzol.storage.postgres.phrases import Phrase, Values, clause, named, numbered

if TYPE_CHECKING:
    from sqlalchemy import Connection

Rows = list[tuple[Any, ...]]
Notes = MutableMapping[Any, Any]

NO_OPTIONS: Final[dict[str, Any]] = {"stream_results": False, "yield_per": None}  # the host's would read in portions

_notes: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()


class Hand(Protocol):
    """A connection to PostgreSQL that is asked without awaiting.

    ``notes`` live as long as the connection to the server does, ``place`` is its database's URL, None if not known.
    """

    @property
    def notes(self) -> Notes: ...

    def ask(self, phrase: Phrase, values: Values) -> Rows: ...

    def place(self) -> str | None: ...


class AsyncHand(Protocol):
    """A connection to PostgreSQL that is awaited; else as `Hand`."""

    @property
    def notes(self) -> Notes: ...

    async def ask(self, phrase: Phrase, values: Values) -> Rows: ...

    def place(self) -> str | None: ...


class AlchemyHand:
    """SQLAlchemy's connection, with any of its drivers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def notes(self) -> Notes:
        return self._connection.info

    def ask(self, phrase: Phrase, values: Values) -> Rows:
        result = self._connection.execute(clause(phrase), values, execution_options=NO_OPTIONS)
        return [tuple(row) for row in result] if result.returns_rows else []

    def place(self) -> str | None:
        return self._connection.engine.url.render_as_string(hide_password=False)


class AwaitedAlchemyHand:
    """SQLAlchemy's connection below an asynchronous session or connection.

    Args:
        run_sync: The session's or connection's own way of running synchronous code on its loop.
    """

    def __init__(self, connection: Connection, run_sync: Callable[..., Awaitable[Any]]) -> None:
        self._hand = AlchemyHand(connection)
        self._run_sync = run_sync

    @property
    def notes(self) -> Notes:
        return self._hand.notes

    async def ask(self, phrase: Phrase, values: Values) -> Rows:
        rows: Rows = await self._run_sync(lambda _: self._hand.ask(phrase, values))
        return rows

    def place(self) -> str | None:
        return self._hand.place()


class AsyncpgHand:
    """A connection of asyncpg, or what its pool lends."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._lasting = getattr(connection, "_con", connection)  # a pool lends a new proxy each time
        if self._lasting is None:
            raise SessionRefused(
                "session= was given a connection that went back to its pool.",
                do="Send within `async with pool.acquire() as connection`.",
            )

    @property
    def notes(self) -> Notes:
        return _notes.setdefault(self._lasting, {})

    async def ask(self, phrase: Phrase, values: Values) -> Rows:
        from asyncpg import Record

        arguments = [values[name] for name in phrase.names]
        rows = await self._connection.fetch(numbered(phrase), *arguments, record_class=Record)
        return [tuple(row) for row in rows]

    def place(self) -> str | None:
        """Return the URL that the connection was opened by; its password may have been a function's."""
        known, address = self._lasting._params, self._lasting._addr
        if known.password is not None and not isinstance(known.password, str):
            return None
        host, port = address if isinstance(address, tuple) else address.split("/.s.PGSQL.")
        safety = {} if known.sslmode is None else {"ssl": known.sslmode.name.replace("_", "-")}
        return written("asyncpg", known.user, known.password, host, port, known.database, safety)


class PsycopgHand:
    """A connection of psycopg."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @property
    def notes(self) -> Notes:
        return _notes.setdefault(self._connection, {})

    def ask(self, phrase: Phrase, values: Values) -> Rows:
        from psycopg import Cursor
        from psycopg.rows import tuple_row

        # Not connection.cursor(): the owner may have chosen classes that write statements or rows in another way.
        with Cursor(self._connection, row_factory=tuple_row) as cursor:
            cursor.execute(named(phrase).encode(), values)
            return cursor.fetchall() if cursor.description else []

    def place(self) -> str | None:
        return psycopg_place(self._connection.info)


class AsyncPsycopgHand:
    """A connection of psycopg that is awaited."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @property
    def notes(self) -> Notes:
        return _notes.setdefault(self._connection, {})

    async def ask(self, phrase: Phrase, values: Values) -> Rows:
        from psycopg import AsyncCursor
        from psycopg.rows import tuple_row

        async with AsyncCursor(self._connection, row_factory=tuple_row) as cursor:
            await cursor.execute(named(phrase).encode(), values)
            return await cursor.fetchall() if cursor.description else []

    def place(self) -> str | None:
        return psycopg_place(self._connection.info)


def psycopg_place(info: Any) -> str:
    """Return the URL by which libpq opened a connection; it knows the password, wherever that came from."""
    given = info.get_parameters()
    safety = {name: given[name] for name in ("sslmode", "sslrootcert", "sslcert", "sslkey") if name in given}
    return written("psycopg", info.user, info.password, info.host, info.port, info.dbname, safety)


def written(
    driver: str, user: str, password: str | None, host: str, port: object, database: str, more: dict[str, str]
) -> str:
    """Write a URL as SQLAlchemy reads it; a host may be the folder of a Unix socket."""
    who = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    if host.startswith("/"):
        where, more = "", {"host": host, "port": str(port)} | more
    else:
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    query = f"?{urlencode(more, safe='/')}" if more else ""
    return f"postgresql+{driver}://{who}@{where}/{quote(database, safe='')}{query}"
