"""Taking contents away that are stored: what a message says, what an endpoint answered."""

from __future__ import annotations

from anzol import ids
from anzol.lifecycle import Cause, ends
from anzol.storage.postgres.read import message_key
from anzol.storage.postgres.register import read_id, touch
from anzol.storage.postgres.work import Work, note


async def withdraw_page(work: Work, environment: str, message_id: str, limit: int) -> int:
    """Cancel a page of what waits of a message, and what is in flight; return how many."""
    return await withdraw_some(work, await message_key(work, environment, message_id), limit)


async def withdraw_some(work: Work, message: bytes, limit: int | None) -> int:
    """Cancel what waits of a message; who holds some of it is fenced off, and cannot have it due again."""
    values = {"state": int(ends(Cause.WITHDRAWN)), "cause": int(Cause.WITHDRAWN)}
    endpoints = await work.column("pending_of_message_gone", message=message, most=limit, **values)
    await touch(work, set(endpoints))
    return len(endpoints)


async def erase_message(work: Work, environment: str, message_id: str) -> None:
    """Take a message's body away, and what waits of it."""
    message = await message_key(work, environment, message_id)
    await stop_fan_out(work, message)
    await work.one("message_locked", id=message)
    await withdraw_some(work, message, None)
    if await work.run("message_erased", id=message):
        row = await work.the("owner_of_message", "message", id=message)
        await note(work, environment, "message.erased", message_id, bytes(row[0]))


async def stop_fan_out(work: Work, message: bytes) -> None:
    """Have nobody make deliveries of a message any more."""
    while True:
        await work.run("outbox_of_message_gone", message=message)
        # Fan-out, waited for, may have put the message to the tail with a new row.
        if await work.one("outbox_of_message", message=message) is None:
            return


async def erase_attempt(work: Work, environment: str, attempt_id: str) -> None:
    """Take the response's headers and body of an attempt away.

    Raises:
        NotFound: there is none in this environment.
    """
    raw = read_id(ids.ATTEMPT, attempt_id, "attempt")
    row = await work.the("attempt_place", f"attempt {attempt_id!r} in {environment!r}", id=raw, environment=environment)
    await work.run("attempt_erased", id=raw)
    await note(work, environment, "attempt.erased", attempt_id, bytes(row[0]))
