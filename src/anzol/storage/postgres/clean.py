"""Housekeeping in bounded pieces: what has ended and is old goes, what waits for nobody is cancelled.

One worker does it at a time, beside people who resend, delete and look. A message goes under a lock of its row, after a
look from a newer snapshot that nothing of it is pending: who makes it pending again asks for that row too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from anzol import ids
from anzol.lifecycle import Cause
from anzol.storage.face import Retention
from anzol.storage.keys import REQUESTS_KEPT
from anzol.storage.postgres.customers import forget_customer
from anzol.storage.postgres.lists import EARLIER
from anzol.storage.postgres.recovery import judge_what_is_left, withdraw
from anzol.storage.postgres.register import touch
from anzol.storage.postgres.search import FIRST
from anzol.storage.postgres.work import Work

WINDOW: Final = 4  # messages looked at for each that may go
WINDOWS: Final = 10  # looked at in one piece, if nothing in them may go; the next piece goes on behind them
LAID_OUT: Final = timedelta(hours=1)  # how long the lane of a deleted endpoint stays, longer than any transaction
MICRO: Final = timedelta(microseconds=1)


@dataclass(slots=True)
class Sweep:
    """Where housekeeping is among messages and attempts, from the oldest on; begins anew at the first that is young."""

    message: bytes = FIRST
    attempt: bytes = FIRST


async def clean(work: Work, retention: Retention, limit: int, sweep: Sweep) -> int:
    """Do the first piece there is to do; return how many rows it changed."""
    if not (await work.the("cleaning", "turn"))[0]:
        return 0
    now = await work.time()

    def old(age: timedelta) -> dict[str, int]:
        return {"before": now - age // MICRO, "most": limit}

    async def remove_unwanted() -> int:
        return await remove(work, await work.column("messages_unwanted_old", **old(retention.unsubscribed)), limit)

    steps: tuple[Callable[[], Awaitable[int]], ...] = (
        lambda: judge_what_is_left(work, limit),
        lambda: cancel_for_deleted(work, limit),
        lambda: work.run("lanes_of_deleted_gone", **old(LAID_OUT)),
        lambda: erase_deleted_customers(work, limit),
        lambda: sweep_messages(work, old(retention.messages)["before"], limit, sweep),
        remove_unwanted,
        lambda: sweep_attempts(work, old(retention.attempts), sweep),
        lambda: work.run("audit_old", **old(retention.audit)),
        lambda: work.run("keys_old", **old(retention.keys)),
        lambda: work.run("slots_old", before=now - REQUESTS_KEPT, most=limit),
        lambda: work.run("answers_old", before=now - REQUESTS_KEPT, most=limit),
        lambda: work.run("revocations_old", most=limit),
        lambda: work.run("portal_codes_old", most=limit),
        lambda: work.run("secrets_old", most=limit),
        lambda: work.run("incidents_old", **old(retention.messages)),
        lambda: work.run("sweeps_old", **old(retention.messages)),
        lambda: work.run("endpoints_old", **old(max(retention.messages, retention.attempts))),
    )
    for step in steps:
        changed = await step()
        if changed:
            return changed
    return 0


async def cancel_for_deleted(work: Work, limit: int) -> int:
    """Cancel what waits for deleted endpoints."""
    waiting = await work.column("pending_of_deleted", most=limit)
    await withdraw(work, waiting, Cause.WITHDRAWN)
    return len(waiting)


# --- deleted customers


async def erase_deleted_customers(work: Work, limit: int) -> int:
    """Erase messages of customers that were deleted."""
    changed = 0
    for customer_id in await work.column("customers_to_erase", most=limit):
        changed += await erase(work, customer_id, limit - changed)
        if changed >= limit:
            break
    return changed


async def erase(work: Work, customer_id: bytes, limit: int) -> int:
    """Erase one page of a deleted customer's messages, whatever came of them, and the customer after the last."""
    changed = await work.run("outbox_erased", customer_id=customer_id, most=limit)
    if changed:
        return changed
    messages = await work.column("messages_to_erase", customer_id=customer_id, most=limit)
    if not messages:
        return await forget_customer(work, customer_id)
    locked = await work.column("messages_locked", messages=messages)
    changed = await work.run("pending_of_messages_gone", messages=locked, most=limit)
    return changed or await remove_locked(work, locked, limit)


# --- what is old


async def remove(work: Work, messages: Sequence[bytes], limit: int) -> int:
    """Remove messages with their history, no more than *limit* rows of each kind at once."""
    if not messages:
        return 0
    return await remove_locked(work, await work.column("messages_locked", messages=messages), limit)


async def remove_locked(work: Work, messages: Sequence[bytes], limit: int) -> int:
    """As `remove`, for messages that are locked; those that were made pending before are left."""
    page = await work.column("messages_done", messages=messages, most=limit) if messages else []
    if not page:
        return 0
    for query in ("attempts_of_messages_gone", "deliveries_of_messages_gone"):
        changed = await work.run(query, messages=page, most=limit)
        if changed >= limit:
            return changed
    return await work.run("messages_gone", messages=page)


async def sweep_messages(work: Work, before: int, limit: int, sweep: Sweep) -> int:
    """Expire what is parked for longer than messages are kept; remove messages of which nothing is pending."""
    young = ids.first_at(max(0, before) + EARLIER)
    for _ in range(WINDOWS):
        window = await work.all("messages_from", after=sweep.message, young=young, before=before, most=limit * WINDOW)
        changed = await sweep_window(work, [message for message, is_old in window if is_old], limit)
        if changed:
            return changed
        if len(window) < limit * WINDOW:
            sweep.message = FIRST
            return 0
        sweep.message = window[-1][0]
    return 0


async def sweep_window(work: Work, messages: Sequence[bytes], limit: int) -> int:
    """Expire, or remove, what is to go of these old messages."""
    if not messages:
        return 0
    expired = await work.column("pending_expired", messages=messages, most=limit)
    if expired:
        # On FIFO endpoints, what is behind one that was held back goes on.
        await touch(work, set(await withdraw(work, expired, Cause.EXPIRED)))
        return len(expired)
    return await remove(work, await work.column("messages_done", messages=messages, most=limit), limit)


async def sweep_attempts(work: Work, old: dict[str, int], sweep: Sweep) -> int:
    """Remove the oldest attempts."""
    gone = await work.column("attempts_old", after=sweep.attempt, **old)
    sweep.attempt = max(gone, default=FIRST)
    return len(gone)
