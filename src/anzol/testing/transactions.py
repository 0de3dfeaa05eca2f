"""What waits in a host's transaction: for tests that roll back at their end, and so never send."""

from __future__ import annotations

import inspect
from typing import Any, Final

from anzol.storage.beside import plain_cursor, waiting_rows
from anzol.storage.callers import Kind, caller_of_async
from anzol.storage.face import NewMessage
from anzol.storage.outboxrows import Row, unpack
from anzol.storage.postgres.phrases import Phrase

WAITING: Final = "select id, head, body from main.anzol_outbox where refused is null order by id"
WAITING_ON_POSTGRES: Final = Phrase(WAITING.replace("main.", ""))


async def written_in(session: Any) -> list[NewMessage]:
    """Return the messages that wait in the database of *session*, as its transaction sees it, oldest first.

    Raises:
        SessionRefused: *session* is nothing that a message can be written with.
    """
    return [unpack(row) for row in await rows_of(session)]


async def rows_of(session: Any) -> list[Row]:
    """Return the rows that a session or connection of any kind sees."""
    caller = await caller_of_async(session)
    if caller.kind is Kind.SQLITE:
        return [Row(*found) for found in plain_cursor(session).execute(WAITING)]
    if caller.kind is Kind.AIOSQLITE:
        return [Row(*found) for found in await session.execute_fetchall(WAITING)]
    if caller.run_sync is not None:
        rows: list[Row] = await caller.run_sync(lambda _: waiting_rows(caller.given))
        return rows
    hand = None if caller.alchemy else caller.hand()
    if hand is None:
        return waiting_rows(caller.given)
    asked = hand.ask(WAITING_ON_POSTGRES, {})
    return [Row(*found) for found in (await asked if inspect.isawaitable(asked) else asked)]
