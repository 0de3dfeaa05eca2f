"""What waits in a host's transaction: for tests that roll back at their end, and so never send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from anzol.storage.beside import plain_cursor, waiting_rows
from anzol.storage.callers import Kind, connection_of, kind_of
from anzol.storage.face import NewMessage
from anzol.storage.outboxrows import Row, unpack

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

WAITING: Final = "select id, head, body from main.anzol_outbox where refused is null order by id"


async def written_in(session: Any) -> list[NewMessage]:
    """Return the messages that wait in the database of *session*, as its transaction sees it, oldest first.

    Raises:
        SessionRefused: *session* is nothing that a message can be written with.
    """
    return [unpack(row) for row in await rows_of(session)]


async def rows_of(session: Any) -> list[Row]:
    """Return the rows that a session or connection of any kind sees."""
    kind = kind_of(session)
    if kind in (Kind.SCOPED, Kind.ASYNC_SCOPED):
        return await rows_of(session())
    if kind is Kind.SESSION:
        return of_session(session)
    if kind is Kind.CONNECTION:
        return waiting_rows(session)
    if kind is Kind.SQLITE:
        return [Row(*found) for found in plain_cursor(session).execute(WAITING)]
    if kind is Kind.AIOSQLITE:
        return [Row(*found) for found in await session.execute_fetchall(WAITING)]
    rows: list[Row] = await session.run_sync(of_session if kind is Kind.ASYNC_SESSION else waiting_rows)
    return rows


def of_session(session: Session) -> list[Row]:
    """Return the rows that an ORM session's transaction sees."""
    return waiting_rows(connection_of(session))
