"""The transactions of one round: each is committed before the next begins, and sees what came before it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from anzol.storage.postgres.connections import Place, transaction
from anzol.storage.postgres.work import Work

if TYPE_CHECKING:
    from asyncpg import Record


class Steps:
    """One connection, used step by step.

    Args:
        committed: Is called when a transaction has been committed that may have made work for others.
    """

    __slots__ = ("_committed", "_place", "work")

    def __init__(self, work: Work, place: Place, committed: Callable[[Work], None]) -> None:
        self.work = work
        self._place = place
        self._committed = committed

    async def all(self, name: str, **values: Any) -> list[Record]:
        """Run one statement by itself; return its rows."""
        if not self._place.pooler:
            return await self.work.all(name, **values)
        async with self.together():  # the statement's parts might else go to different servers
            return await self.work.all(name, **values)

    async def one(self, name: str, **values: Any) -> Record:
        """As `all`, for a query that has one row."""
        (row,) = await self.all(name, **values)
        return row

    @asynccontextmanager
    async def together(self, first: str = "") -> AsyncIterator[Work]:
        """Open a transaction for several statements; *first* is one without values, and goes with the opening."""
        begin = f"{self._place.begin}; {first}" if first else self._place.begin
        async with transaction(self.work.connection, begin):
            yield self.work
        if self.work.holders or self.work.nudging:
            self._committed(self.work)
            self.work.holders, self.work.nudging = set(), False
