"""What a caller may give as ``session=``: told by name, so that no driver is imported that the caller has not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from anzol.errors import SessionRefused
from anzol.storage.hands import (
    AlchemyHand,
    AsyncHand,
    AsyncpgHand,
    AsyncPsycopgHand,
    AwaitedAlchemyHand,
    Hand,
    PsycopgHand,
)
from anzol.storage.outboxrows import own_table

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session


class Kind(Enum):
    """What a caller may give as ``session=``, by top-level package and class."""

    SESSION = "sqlalchemy.Session"
    SCOPED = "sqlalchemy.scoped_session"
    CONNECTION = "sqlalchemy.Connection"
    SQLITE = "sqlite3.Connection"
    PSYCOPG = "psycopg.Connection"
    ASYNC_SESSION = "sqlalchemy.AsyncSession"
    ASYNC_SCOPED = "sqlalchemy.async_scoped_session"
    ASYNC_CONNECTION = "sqlalchemy.AsyncConnection"
    AIOSQLITE = "aiosqlite.Connection"
    ASYNCPG = "asyncpg.Connection"
    ASYNCPG_POOL = "asyncpg.PoolConnectionProxy"
    ASYNC_PSYCOPG = "psycopg.AsyncConnection"


AWAITED: Final = frozenset(
    {
        *(Kind.ASYNC_SESSION, Kind.ASYNC_SCOPED, Kind.ASYNC_CONNECTION, Kind.AIOSQLITE),
        *(Kind.ASYNCPG, Kind.ASYNCPG_POOL, Kind.ASYNC_PSYCOPG),
    }
)
ALCHEMY: Final = frozenset(
    {
        *(Kind.SESSION, Kind.SCOPED, Kind.CONNECTION),
        *(Kind.ASYNC_SESSION, Kind.ASYNC_SCOPED, Kind.ASYNC_CONNECTION),
    }
)
BY_NAME: Final = {kind.value: kind for kind in Kind}
TAKEN: Final = (
    "Taken are: Session, AsyncSession, their scoped forms, Connection and AsyncConnection of SQLAlchemy "
    "(SQLModel's sessions are these), and connections of asyncpg, psycopg, sqlite3 and aiosqlite."
)
FACTORIES: Final = {
    "sqlalchemy.Engine",
    "sqlalchemy.AsyncEngine",
    "sqlalchemy.sessionmaker",
    "sqlalchemy.async_sessionmaker",
    "asyncpg.Pool",
    "psycopg_pool.ConnectionPool",
    "psycopg_pool.AsyncConnectionPool",
}


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
    raise SessionRefused(f"{shown}, which Anzol cannot write with.", do=TAKEN)


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller's transaction: its kind, and what holds it.

    Args:
        given: A connection of a driver's, or SQLAlchemy's synchronous one, also of an asynchronous session.
        run_sync: Runs what is called with that synchronous one; None where it may be called as it is.
    """

    kind: Kind
    given: Any
    run_sync: Callable[..., Awaitable[Any]] | None = None

    @property
    def alchemy(self) -> bool:
        """Say whether this is SQLAlchemy's connection."""
        return self.kind in ALCHEMY

    def hand(self) -> Hand | AsyncHand | None:
        """Return what asks its connection, if that leads to PostgreSQL."""
        match self.kind:
            case Kind.ASYNCPG | Kind.ASYNCPG_POOL:
                return AsyncpgHand(self.given)
            case Kind.ASYNC_PSYCOPG:
                return AsyncPsycopgHand(self.given)
        if self.run_sync is None:
            return self.sync_hand()
        return AwaitedAlchemyHand(self.given, self.run_sync) if is_postgres(self.given) else None

    def sync_hand(self) -> Hand | None:
        """As `hand`, of one that need not be awaited."""
        if self.kind is Kind.PSYCOPG:
            return PsycopgHand(self.given)
        return AlchemyHand(self.given) if self.alchemy and is_postgres(self.given) else None


def caller_of(session: object) -> Caller:
    """Return what a synchronous session or connection stands for.

    Raises:
        SessionRefused: it must be awaited, or nothing can be written with it.
    """
    kind = kind_of(session)
    if kind in AWAITED:
        raise must_be_awaited(session)
    return held(kind, session)


async def caller_of_async(session: object) -> Caller:
    """Return what any session or connection stands for; raises SessionRefused."""
    kind, given = kind_of(session), untyped(session)
    match kind:
        case Kind.ASYNC_SESSION:
            return Caller(kind, await given.run_sync(connection_of), given.run_sync)
        case Kind.ASYNC_SCOPED:
            return await caller_of_async(given())
        case Kind.ASYNC_CONNECTION:
            return Caller(kind, given.sync_connection or await given.run_sync(itself), given.run_sync)
    return held(kind, given)


def held(kind: Kind, session: object) -> Caller:
    """Return what a session or connection stands for that is not SQLAlchemy's asynchronous one."""
    given = untyped(session)
    match kind:
        case Kind.SESSION:
            return Caller(kind, connection_of(given))
        case Kind.SCOPED:
            return Caller(kind, connection_of(given()))
    return Caller(kind, given)


def is_postgres(connection: Connection) -> bool:
    """Say whether SQLAlchemy's connection leads to PostgreSQL."""
    return connection.dialect.name == "postgresql"


def itself(connection: Connection) -> Connection:
    """Return the synchronous connection that an asynchronous one stands on; raises SQLAlchemy's error without one."""
    return connection


def untyped(session: object) -> Any:
    """Return *session*, whose kind is known by now."""
    return session


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
