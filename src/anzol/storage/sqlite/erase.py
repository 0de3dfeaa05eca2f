"""Taking contents away that are stored: what a message says, what an endpoint answered."""

from __future__ import annotations

from anzol import ids
from anzol.lifecycle import Cause
from anzol.storage.sqlite.read import environment_number, message_seq
from anzol.storage.sqlite.recovery import withdraw
from anzol.storage.sqlite.register import read_id, touch
from anzol.storage.sqlite.work import Work, note

EVERYTHING = -1  # as a limit of SQLite's


def withdraw_page(work: Work, environment: str, message_id: str, limit: int) -> int:
    """Cancel a page of what waits of a message, and what is in flight; return how many."""
    message = message_seq(work, environment, message_id)
    return withdraw_all(work, message, limit)


def withdraw_all(work: Work, message: int, limit: int) -> int:
    """Cancel what waits of a message; who holds some of it is fenced off, and cannot have it due again."""
    waiting = work.all("pending_of_message", message=message, most=limit)
    withdraw(work, [number for number, _ in waiting], Cause.WITHDRAWN)
    touch(work, sorted({endpoint for _, endpoint in waiting}))
    return len(waiting)


def erase_message(work: Work, environment: str, message_id: str) -> int:
    """Take a message's body away, and what waits of it; return its number."""
    message = message_seq(work, environment, message_id)
    work.run("outbox_of_message_gone", message=message)
    withdraw_all(work, message, EVERYTHING)
    if work.run("message_erased", seq=message):
        row = work.the("owner_of_message", "message", id=ids.read(ids.MESSAGE, message_id))
        note(work, environment, "message.erased", message_id, bytes(row[0]))
    work.fresh.pop(message, None)
    work.recent.pop(message, None)
    return message


def erase_attempt(work: Work, environment: str, attempt_id: str) -> None:
    """Take the response's headers and body of an attempt away.

    Raises:
        NotFound: there is none in this environment.
    """
    raw = read_id(ids.ATTEMPT, attempt_id, "attempt")
    what = f"attempt {attempt_id!r} in {environment!r}"
    row = work.the("attempt_place", what, id=raw, environment=environment_number(work, environment))
    work.run("attempt_erased", id=raw)
    note(work, environment, "attempt.erased", attempt_id, bytes(row[0]))
