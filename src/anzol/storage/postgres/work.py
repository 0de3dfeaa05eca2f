"""One connection's hands: queries by name, the time, the vault."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from anzol.actors import CODE
from anzol.circuit import CircuitRules
from anzol.errors import NotFound
from anzol.storage.postgres.queries import Query, query
from anzol.storage.vault import Vault

if TYPE_CHECKING:
    from asyncpg import Connection, Record

FARTHEST: Final = CircuitRules().farthest  # microseconds


class Work:
    """What an operation may use; made anew for each.

    Args:
        now: Microseconds, where the storage has a clock of its own; None: the database's time, in each statement.

    ``nudging`` says that its commit makes work for workers, ``holders`` which workers it made work for in lanes of
    theirs. ``actor`` is who does what is being done.
    """

    __slots__ = ("actor", "connection", "holders", "now", "nudging", "schema", "vault")

    def __init__(self, connection: Connection, schema: str, now: int | None, vault: Vault) -> None:
        self.connection = connection
        self.schema = schema
        self.now = now
        self.vault = vault
        self.actor = CODE
        self.nudging = False
        self.holders: set[int] = set()

    async def run(self, name: str, /, **values: Any) -> int:
        """Do a change; return how many rows it touched."""
        statement, arguments = self._ready(name, (), values)
        # "UPDATE 3": the last word of what the server says is the number of rows.
        return int((await self.connection.execute(statement.text, *arguments)).rpartition(" ")[2])

    async def one(self, name: str, /, **values: Any) -> Record | None:
        """Return the first row, or None."""
        statement, arguments = self._ready(name, (), values)
        return await self.connection.fetchrow(statement.text, *arguments)

    async def the(self, name: str, what: str, /, **values: Any) -> Record:
        """Return the first row.

        Raises:
            NotFound: there is none; *what* says of what.
        """
        row = await self.one(name, **values)
        if row is None:
            raise NotFound(f"There is no {what}.")
        return row

    async def all(self, name: str, /, **values: Any) -> list[Record]:
        """Return every row."""
        return await self.listed(name, (), **values)

    async def listed(
        self, name: str, conditions: Sequence[str], /, *, oldest_first: bool = False, **values: Any
    ) -> list[Record]:
        """As `all`, with more conditions where the query says ``-- conditions``: never made from what users give.

        Args:
            oldest_first: The query's lines that say ``-- either way`` are turned round.
        """
        statement, arguments = self._ready(name, tuple(conditions), values, oldest_first=oldest_first)
        rows: list[Record] = await self.connection.fetch(statement.text, *arguments)
        return rows

    async def column(self, name: str, /, **values: Any) -> list[Any]:
        """Return the first value of every row."""
        return [row[0] for row in await self.all(name, **values)]

    async def time(self) -> int:
        """Return the time, asking the database for it if it is the database's."""
        return self.now if self.now is not None else int((await self.the("time", "time"))[0])

    def _ready(
        self, name: str, conditions: tuple[str, ...], values: dict[str, Any], *, oldest_first: bool = False
    ) -> tuple[Query, list[Any]]:
        timed = self.now is not None
        statement = query(name, self.schema, timed, conditions, oldest_first=oldest_first)
        return statement, statement.arguments({"now": self.now, **values} if timed else values)


async def note(
    work: Work, environment: str, action: str, object_id: str, customer_id: bytes | None = None, detail: str = "{}"
) -> None:
    """Write down who does what, for `anzol.storage.books.Audit`; *detail* is JSON without secrets."""
    await work.run(
        "audit_new",
        environment=environment,
        actor=work.actor,
        action=action,
        object=object_id,
        customer_id=customer_id,
        detail=detail,
    )
