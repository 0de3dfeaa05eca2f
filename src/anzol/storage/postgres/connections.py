"""Connections to PostgreSQL: how they are opened, lent, and what their errors mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from anzol.errors import AnzolError, SchemaOutdated, StorageBusy, StorageError, StorageUnreachable

if TYPE_CHECKING:
    from asyncpg import Connection

POOLED: Final = "A pooler such as PgBouncer is between: set ANZOL_POOLER=true."
CONNECT: Final = 5.0  # seconds
COMMAND: Final = 60.0  # seconds that a statement may take: a connection that was cut says nothing
UNDO: Final = 5.0  # seconds for a rollback, before the connection is thrown away
# Who stands still in the middle of a transaction (a stopped process, a machine that sleeps) must not hold its locks.
ASLEEP: Final = "20s"
# The server keeps the plan of a prepared statement. One that it made when a table was empty reads the table from end to
# end, and goes on so when a burst has filled it, until autovacuum comes by. So an index wherever there is one, and no
# plan for long.
PLANNER: Final = {"jit": "off", "enable_seqscan": "off"}
KEEP_PLANS: Final = 10.0  # seconds
# Where every statement has one good plan, whatever it is asked with. Otherwise the server plans those with arrays each
# time anew, as it takes ten values for dearer than one: a millisecond of every round.
ONE_PLAN: Final = {"plan_cache_mode": "force_generic_plan"}


@dataclass(frozen=True, slots=True)
class Place:
    """Which database, and how to speak to it.

    Args:
        url: As `asyncpg.connect` takes it; may carry a password.
        schema: Where Anzol's tables are.
        pooler: Between us and the server stands a pooler that lends connections by the transaction.
        patience: Seconds to wait for others' locks.
    """

    url: str
    schema: str
    pooler: bool
    patience: float

    def __repr__(self) -> str:
        return f"Place(schema={self.schema!r}, pooler={self.pooler})"

    @property
    def begin(self) -> str:
        """What opens a transaction; isolation said aloud, since a database may have another default."""
        begin = "begin isolation level read committed"
        if self.pooler:  # where settings of a session would be another's
            limits = {"lock_timeout": f"{round(self.patience * 1000)}ms", "statement_timeout": f"{COMMAND:.0f}s"}
            settings = PLANNER | limits
            begin += "".join(f"; set local {name} = '{value}'" for name, value in settings.items())
        return begin

    @property
    def settings(self) -> dict[str, str]:
        """Settings of a session that is ours alone."""
        known = {"application_name": "anzol"}
        if self.pooler:
            return known
        return {
            **known,
            **PLANNER,
            "lock_timeout": f"{round(self.patience * 1000)}ms",
            "idle_in_transaction_session_timeout": ASLEEP,
            "idle_session_timeout": "0",  # who listens says nothing for days
            "default_transaction_isolation": "read committed",
        }


async def connect(place: Place, *, command_timeout: float | None = COMMAND, one_plan: bool = False) -> Connection:
    """Open a connection; ids come and go as 16 bytes.

    Args:
        command_timeout: Seconds that a statement may take, whatever the role's own settings say; None: any time.
        one_plan: Every statement on it has one plan for all values.

    Raises:
        StorageUnreachable: there is no answer, or the server refuses us.
        StorageError: asyncpg is not installed.
    """
    try:
        import asyncpg
    except ImportError as cause:
        raise StorageError(
            "For PostgreSQL the package asyncpg is needed, and it is not here.", do="Install anzol[postgres]."
        ) from cause
    try:
        connection = await asyncpg.connect(
            place.url,
            timeout=CONNECT,
            command_timeout=command_timeout,
            statement_cache_size=0 if place.pooler else 500,
            server_settings=place.settings | own_settings(place, command_timeout, one_plan),
        )
        await learn_ids(connection)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise unreachable(error) from error
    return connection


def own_settings(place: Place, command_timeout: float | None, one_plan: bool) -> dict[str, str]:
    """Return settings that not all sessions of ours share."""
    if place.pooler:
        return {}
    limit = {"statement_timeout": "0" if command_timeout is None else f"{round(command_timeout * 1000)}ms"}
    return limit | ONE_PLAN if one_plan else limit


async def learn_ids(connection: Connection) -> None:
    """Have ids as 16 bytes: objects for them would take longer to make than all else in a row."""
    await connection.set_type_codec("uuid", schema="pg_catalog", encoder=bytes, decoder=bytes, format="binary")


class Line:
    """A few connections for one purpose, opened when they are needed and kept.

    Args:
        open_one: Opens a connection.
        size: How many there may be.
        keep_plans: Seconds after which the server is to plan anew.
    """

    def __init__(
        self, open_one: Callable[[], Awaitable[Connection]], size: int, *, keep_plans: float = KEEP_PLANS
    ) -> None:
        self._open = open_one
        self._free: list[tuple[Connection, float]] = []  # and until when its plans are kept
        self._turn = asyncio.Semaphore(size)
        self._keep_plans = keep_plans

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[Connection]:
        """Lend a connection; waits while all are lent."""
        async with self._turn:
            connection, planned_until = await self._take()
            try:
                if planned_until < monotonic():
                    await connection.execute("discard plans")
                    planned_until = monotonic() + self._keep_plans
                yield connection
            except BaseException as error:
                if spoiled(error):
                    connection.terminate()
                raise
            finally:
                if not connection.is_closed():
                    self._free.append((connection, planned_until))

    async def _take(self) -> tuple[Connection, float]:
        while self._free:
            connection, planned_until = self._free.pop()
            if not connection.is_closed():
                return connection, planned_until
        return await self._open(), monotonic() + self._keep_plans

    async def close(self) -> None:
        """Close those that are not lent."""
        while self._free:
            await shut(self._free.pop()[0])

    def terminate(self) -> None:
        """Cut those that are not lent."""
        while self._free:
            self._free.pop()[0].terminate()


async def shut(connection: Connection) -> None:
    """Close a connection, at once if it does not answer."""
    try:
        with suppress(Exception):
            await connection.close(timeout=UNDO)
    finally:
        if not connection.is_closed():
            connection.terminate()


@asynccontextmanager
async def transaction(connection: Connection, begin: str) -> AsyncIterator[None]:
    """Open a transaction; commit at the end, roll back at an error."""
    try:
        await connection.execute(begin)
        yield
        await connection.execute("commit")
    except BaseException:
        await undo(connection)
        raise


async def undo(connection: Connection) -> None:
    """Roll back; a connection that cannot is thrown away."""
    if connection.is_closed():
        return
    try:
        async with asyncio.timeout(UNDO):
            await connection.execute("rollback")
    except BaseException as error:
        connection.terminate()
        if isinstance(error, asyncio.CancelledError):
            raise


def spoiled(error: BaseException) -> bool:
    """Say whether a connection is to be used no more, though it looks as if it could be."""
    import asyncpg

    # It began while the server, or the role's default, was read-only; or its last word was heard between two questions.
    return isinstance(error, asyncpg.exceptions.ReadOnlySQLTransactionError | asyncpg.InternalClientError)


def lost(error: BaseException) -> bool:
    """Say whether an error means that the connection is gone: what was asked may have happened or not."""
    import asyncpg

    if isinstance(error, asyncpg.exceptions.QueryCanceledError):  # a kind of intervention that leaves it open
        return False
    gone = (
        OSError,
        TimeoutError,
        StorageUnreachable,
        asyncpg.PostgresConnectionError,
        asyncpg.exceptions.OperatorInterventionError,  # shut down, or terminated by an administrator
        asyncpg.exceptions.CannotConnectNowError,
        asyncpg.exceptions.TooManyConnectionsError,
        asyncpg.exceptions.IdleInTransactionSessionTimeoutError,
        asyncpg.InternalClientError,  # the server has spoken, of its end most likely, when it was not asked
    )
    return isinstance(error, gone) or (
        isinstance(error, asyncpg.InterfaceError) and ("closed" in str(error) or "released" in str(error))
    )


def clashed(error: BaseException) -> bool:
    """Say whether a transaction ran into another one, and may be done again."""
    from asyncpg import exceptions as server

    # The last: somebody has just migrated, and statements that were prepared before are no good any more.
    again = server.DeadlockDetectedError | server.SerializationError | server.InvalidCachedStatementError
    return isinstance(error, again)


def explained(error: BaseException) -> AnzolError:
    """Return what the driver said as an error of Anzol's own."""
    if isinstance(error, AnzolError):
        return error
    said = explanation(error)
    said.__cause__ = error
    return said


def explanation(error: Any) -> StorageError:
    """Say in our words what happened."""
    import asyncpg
    from asyncpg import exceptions as server

    if lost(error):
        return unreachable(error)
    if isinstance(error, server.LockNotAvailableError):
        return StorageBusy(
            "Another transaction held what is needed for longer than the wait allowed; nothing was stored.",
            do="Look for a long transaction in pg_stat_activity.",
        )
    if isinstance(error, server.UndefinedTableError | server.InvalidSchemaNameError | server.UndefinedColumnError):
        return SchemaOutdated("The database has not the schema that this Anzol needs.", do="Run `anzol migrate`.")
    if isinstance(error, server.InsufficientPrivilegeError):
        return StorageError(
            f"The database does not allow it: {error}.",
            do="As the schema's owner: `anzol migrate --grant ROLE`; `anzol migrate --sql --grant ROLE` prints it.",
        )
    if isinstance(error, server.ReadOnlySQLTransactionError):
        return StorageError(
            "The database is read-only; nothing was stored.",
            do="Name the primary server in ANZOL_DATABASE_URL, or look at default_transaction_read_only.",
        )
    if isinstance(error, server.QueryCanceledError):
        return StorageError(
            f"The server has ended a statement that was not done: {error}.",
            do="Look in pg_stat_activity for what keeps the server busy.",
        )
    if isinstance(error, server.InsufficientResourcesError):
        return StorageError(f"The server has run out of something: {error}.", do="Look at its disk and its log.")
    if isinstance(error, server.InvalidSQLStatementNameError | server.DuplicatePreparedStatementError):
        return StorageError(f"A prepared statement is not where it was made: {error}.", do=POOLED)
    if isinstance(error, asyncpg.PostgresError):
        return StorageError(f"The database could not do it: {error}.")
    return StorageError(f"The database could not do it: {type(error).__name__}: {error}.")


def unreachable(error: BaseException) -> StorageUnreachable:
    """Say that there is no database to be had; what the driver says never holds the password."""
    said = str(error) or type(error).__name__
    return StorageUnreachable(
        f"The PostgreSQL database does not answer, or does not let us in: {said}.",
        do=POOLED if "startup parameter" in said else "Look whether it runs, and whether ANZOL_DATABASE_URL is right.",
    )
