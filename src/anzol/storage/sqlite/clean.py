"""Housekeeping in bounded pieces: what has ended and is old goes, what waits for nobody is cancelled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from anzol.lifecycle import Cause
from anzol.storage.face import Retention
from anzol.storage.keys import REQUESTS_KEPT
from anzol.storage.sqlite.customers import forget_customer
from anzol.storage.sqlite.recovery import withdraw
from anzol.storage.sqlite.register import touch
from anzol.storage.sqlite.work import Work, encode

WINDOW: Final = 4  # messages looked at for each that may go
WINDOWS: Final = 10  # looked at in one piece, if nothing in them may go; the next piece goes on behind them


@dataclass(slots=True)
class Sweep:
    """Where housekeeping is among the messages, from the oldest on; begins anew at the first that is young."""

    message: int = 0


def clean(work: Work, retention: Retention, limit: int, sweep: Sweep) -> int:
    """Do the first piece there is to do; return how many rows it changed."""
    steps: tuple[Callable[[], int], ...] = (
        lambda: cancel_for_deleted(work, limit),
        lambda: erase_deleted_customers(work, limit),
        lambda: sweep_messages(work, before(work, retention.messages), limit, sweep),
        lambda: remove(work, work.gathered("messages_unwanted_old", **old(work, retention.unsubscribed, limit)), limit),
        lambda: work.run("attempts_old", **old(work, retention.attempts, limit)),
        lambda: work.run("audit_old", **old(work, retention.audit, limit)),
        lambda: work.run("keys_old", **old(work, retention.keys, limit)),
        lambda: work.run("slots_old", before=work.now - REQUESTS_KEPT, most=limit),
        lambda: work.run("answers_old", before=work.now - REQUESTS_KEPT, most=limit),
        lambda: work.run("revocations_old", now=work.now, most=limit),
        lambda: work.run("portal_codes_old", now=work.now, most=limit),
        lambda: work.run("secrets_old", now=work.now, most=limit),
        lambda: work.run("incidents_old", **old(work, retention.messages, limit)),
        lambda: work.run("sweeps_old", **old(work, retention.messages, limit)),
        lambda: work.run("endpoints_old", **old(work, max(retention.messages, retention.attempts), limit)),
    )
    for step in steps:
        changed = step()
        if changed:
            return changed
    return 0


def before(work: Work, age: timedelta) -> int:
    """Return the time that is *age* ago."""
    return work.now - age // timedelta(microseconds=1)


def old(work: Work, age: timedelta, most: int) -> dict[str, int]:
    """Return the values of a query for what is older than *age*."""
    return {"before": before(work, age), "most": most}


def cancel_for_deleted(work: Work, limit: int) -> int:
    """Cancel what waits for deleted endpoints; take away their lanes when nothing does."""
    waiting = work.gathered("pending_of_deleted", most=limit)
    withdraw(work, waiting, Cause.WITHDRAWN)
    return len(waiting) or work.run("lanes_of_deleted_gone", most=limit)


def erase_deleted_customers(work: Work, limit: int) -> int:
    """Erase messages of customers that were deleted."""
    changed = 0
    for (customer_id,) in work.all("customers_to_erase", most=limit):
        changed += erase(work, customer_id, limit)
        if changed >= limit:
            break
    return changed


def erase(work: Work, customer_id: bytes, limit: int) -> int:
    """Erase one page of a deleted customer's messages, whatever came of them, and the customer after the last."""
    messages = work.gathered("messages_to_erase", customer_id=customer_id, most=limit)
    if not messages:
        return forget_customer(work, customer_id)
    work.run("pending_of_messages_gone", messages=encode(messages))
    return remove(work, messages, limit)


def remove(work: Work, messages: Sequence[int], limit: int) -> int:
    """Remove messages with their history, no more than *limit* rows of each kind at once."""
    if not messages:
        return 0
    page = encode(list(messages))
    for query in ("attempts_of_messages_gone", "deliveries_of_messages_gone"):
        changed = work.run(query, messages=page, most=limit)
        if changed >= limit:
            return changed
    return work.run("messages_gone", messages=page)


def sweep_messages(work: Work, before: int, limit: int, sweep: Sweep) -> int:
    """Expire what is parked for longer than messages are kept; remove messages of which nothing is pending."""
    for _ in range(WINDOWS):
        window = work.gathered("messages_from", after=sweep.message, before=before, most=limit * WINDOW)
        expired = work.gathered("pending_expired", messages=encode(window), most=limit)
        if expired:
            withdraw(work, [number for number, _ in expired], Cause.EXPIRED)
            # On FIFO endpoints, what is behind one that was held back goes on.
            touch(work, sorted({endpoint for _, endpoint in expired}))
            return len(expired)
        changed = remove(work, work.gathered("messages_done", messages=encode(window), most=limit), limit)
        if changed:
            return changed
        if len(window) < limit * WINDOW:
            sweep.message = 0
            return 0
        sweep.message = window[-1]
    return 0
