"""Taking messages in: a message row and an outbox row each, nothing else but its key, in one statement for many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from anzol import ids
from anzol.errors import InvalidValue, StorageBusy
from anzol.storage.face import Accepted, NewMessage
from anzol.storage.keys import REQUESTS_KEPT, SLOT, Answer, answer_asked, answer_used, digest_of, slot_of
from anzol.storage.postgres.work import Work
from anzol.storage.rows import write_list

TRIES: Final = 3  # of a key whose first message is removed while we ask for it


async def accept(work: Work, messages: Sequence[NewMessage], *, fresh: bool) -> list[Answer]:
    """Store messages; of those that were stored before, or have a used key, say so.

    Args:
        fresh: They were made just now: the database says when, and no other machine's clock.
    """
    answers: dict[int, Answer] = {}
    waiting = dict(enumerate(messages))
    for _ in range(TRIES):
        rows = await work.all("accept", **columns(list(waiting.values()), fresh and work.now is None))
        stored = {row[0]: row[1] for row in rows}
        for index, message in list(waiting.items()):
            if message.id in stored:
                # The same id a second time is a duplicate of the first.
                answers[index] = Accepted(message.id, at=stored.pop(message.id))
                del waiting[index]
        if waiting:
            answer_known(waiting, await first_uses(work, waiting.values()), answers)
        if not waiting:
            break
    return [answers.get(index) or Accepted(message.id, duplicate=True) for index, message in enumerate(messages)]


async def first_uses(work: Work, messages: Any) -> dict[bytes, tuple[bytes, bytes]]:
    """Return of messages with a key, by their ids, which message used it first, and its digest."""
    keyed = [message for message in messages if message.key is not None]
    if not keyed:
        return {}
    rows = await work.all("keys_used", **places(keyed), keys=[message.key for message in keyed])
    return {row[0]: (row[1], row[2]) for row in rows}


def answer_known(
    waiting: dict[int, NewMessage], used: dict[bytes, tuple[bytes, bytes]], answers: dict[int, Answer]
) -> None:
    """Answer those that were not stored: a duplicate of itself, or of who had its key first."""
    for index, message in list(waiting.items()):
        if message.key is None:
            answers[index] = Accepted(message.id, duplicate=True)
        elif message.id in used:
            answers[index] = answer_used(message, *used[message.id], digest_of(message))
        else:
            continue  # its key is free again: another try
        del waiting[index]


# --- with requests


async def accept_asked(
    work: Work, messages: Sequence[NewMessage], *, fresh: bool, patience: str | None = None
) -> list[Answer]:
    """As `accept`, for messages that came with a request: whose slot is looked at first.

    If one of them has a key too it must be in a transaction: a slot that was taken may be given back.

    Args:
        patience: How long to wait for others, as PostgreSQL's ``lock_timeout``; None: as it is set.
    """
    answers: dict[int, Answer] = {}
    waiting = dict(enumerate(messages))
    for _ in range(TRIES):
        given = list(waiting.values())
        values = columns(given, fresh and work.now is None) | requests(given)
        stored = {row[0]: row[1] for row in await work.all("accept_asked", **values, patience=patience)}
        for index, message in list(waiting.items()):
            if stored.get(message.id) is not None:
                # The same id a second time is a duplicate of the first.
                answers[index] = Accepted(message.id, at=stored.pop(message.id))
                del waiting[index]
        if waiting:
            await answer_twice_keyed(work, waiting, {id_ for id_, at in stored.items() if at is None}, answers)
            await answer_twice_asked(work, waiting, answers)
        if not waiting:
            return [answers[index] for index in range(len(messages))]
    raise StorageBusy("A key is taken and freed by others all the time; nothing was stored.", do="Send it again.")


def requests(messages: Sequence[NewMessage]) -> dict[str, Any]:
    """Return the values that are of the requests alone."""
    asked = [message.request for message in messages if message.request is not None]
    return {"slots": [SLOT + request.slot for request in asked], "requests": [request.digest for request in asked]}


async def answer_twice_keyed(
    work: Work, waiting: dict[int, NewMessage], taken: set[bytes], answers: dict[int, Answer]
) -> None:
    """Answer those that have their slot, but not their key; the slot is the first message's then, or free again."""
    keyed = {index: message for index, message in waiting.items() if message.id in taken}
    if not keyed:
        return
    answer_known(keyed, await first_uses(work, keyed.values()), answers)
    moved, freed = [], []
    for index in [index for index in waiting if waiting[index].id in taken]:
        message, answer = waiting[index], answers.get(index)
        if isinstance(answer, Accepted):
            moved.append((slot_of(message), answer.id))
        else:  # refused, or its key is free again: another try
            freed.append(slot_of(message))
        if answer is not None:
            del waiting[index]
    if moved:
        slots, firsts = zip(*moved, strict=True)
        await work.run("slots_moved", slots=slots, firsts=firsts)
    if freed:
        await work.run("slots_freed", slots=freed)


async def answer_twice_asked(work: Work, waiting: dict[int, NewMessage], answers: dict[int, Answer]) -> None:
    """Answer those whose slot was used; free the slots that are remembered no longer, for another try."""
    slots = [slot_of(message) for message in waiting.values()]
    rows = await work.all("slots_used", slots=slots, kept=REQUESTS_KEPT) if slots else []
    used = {row[0]: (row[1], row[2]) for row in rows}
    for index, message in list(waiting.items()):
        if slot_of(message) in used:
            answers[index] = answer_asked(message, *used[slot_of(message)])
            del waiting[index]
    if waiting:
        passed = [slot_of(message) for message in waiting.values()]
        await work.run("slots_passed", slots=passed, kept=REQUESTS_KEPT)


# --- what a statement is given


def places(messages: Sequence[NewMessage]) -> dict[str, Any]:
    """Return what tells whose messages these are."""
    return {
        "ids": [message.id for message in messages],
        "environments": [message.environment for message in messages],
        "customers": [message.customer for message in messages],
        "derived": [ids.derive(message.environment, message.customer) for message in messages],
    }


def columns(messages: Sequence[NewMessage], by_database: bool) -> dict[str, Any]:
    """Return the values of the statement that stores messages."""
    return places(messages) | {
        "event_types": [message.event_type for message in messages],
        "methods": [message.method for message in messages],
        "content_types": [message.content_type for message in messages],
        "headers": [write_list(message.headers) for message in messages],
        "queries": [message.query for message in messages],
        "channels": [write_list(message.channels) for message in messages],
        "tags": [write_list(message.tags) for message in messages],
        "keys": [message.key for message in messages],
        "digests": [None if message.key is None else digest_of(message) for message in messages],
        "delays": [message.deliver_at for message in messages],
        "only": [message.only_endpoint for message in messages],
        "times": [None if by_database else message.created_at for message in messages],
        "bodies": [message.body for message in messages],
    }


def refuse_nul(message: NewMessage) -> None:
    """Refuse U+0000 where PostgreSQL has text, which cannot hold it.

    Raises:
        InvalidValue: it is in the customer's id, the key, a channel or a tag.
    """
    parts = {
        "customer": (message.customer,),
        "key": (message.key or "",),
        "channel": message.channels,
        "tag": message.tags,
    }
    for name, texts in parts.items():
        if any("\0" in text for text in texts):
            raise InvalidValue(
                f"The {name} holds the character U+0000.", do="PostgreSQL cannot store it; leave it out."
            )
