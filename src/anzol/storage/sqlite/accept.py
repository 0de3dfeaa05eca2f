"""Taking messages in: a message row and an outbox row each, nothing else but its key."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import islice
from typing import Final

from anzol import ids
from anzol.storage.face import Accepted, NewMessage
from anzol.storage.keys import (
    NOBODY,
    REQUESTS_KEPT,
    Answer,
    answer_asked,
    answer_used,
    content_of,
    digest_of,
    slot_of,
)
from anzol.storage.sqlite.work import Work, encode

NOTHING: Final = "[]"

Used = dict[str, tuple[bytes, bytes]]  # slots: the message that took it first, and the digest of its request


def accept_together(work: Work, sends: Sequence[Sequence[NewMessage]]) -> list[list[Answer]]:
    """Store the messages of several callers at once; answer each caller."""
    answers = iter(accept(work, [message for messages in sends for message in messages]))
    return [list(islice(answers, len(messages))) for messages in sends]


def accept(work: Work, messages: Sequence[NewMessage]) -> list[Answer]:
    """Store messages; of those that were stored before, or have a used key or request, say so."""
    # Ids are fresh but for what the relay hands over twice, slots of requests but for those that are made again: so it
    # is tried without looking first.
    work.connection.execute("savepoint accepting")
    try:
        both = [message for message in messages if message.key is not None and message.request is not None]
        answers = accept_new(work, messages, {}, slots_used(work, both))
    except sqlite3.IntegrityError:
        work.connection.execute("rollback to accepting")
        work.forget_numbers()
        answers = accept_new(work, messages, stored_already(work, messages), slots_used(work, messages))
    work.connection.execute("release accepting")
    return answers


def stored_already(work: Work, messages: Sequence[NewMessage]) -> dict[bytes, Accepted]:
    """Return those of the messages that are there: each is a duplicate of itself."""
    found = work.gathered_for("messages_stored", [(message.id,) for message in messages])
    return {bytes.fromhex(shown): Accepted(bytes.fromhex(shown), duplicate=True) for shown in found}


def slots_used(work: Work, messages: Sequence[NewMessage]) -> Used:
    """Return which slots of the messages' requests are taken, and by what; free those that are remembered no longer."""
    slots = encode([slot_of(message) for message in messages if message.request is not None])
    if slots == NOTHING:
        return {}
    work.run("slots_passed", slots=slots, before=work.now - REQUESTS_KEPT)
    found = work.gathered("slots_used", slots=slots)
    return {slot: (bytes.fromhex(first), bytes.fromhex(digest)) for slot, first, digest in found}


def accept_new(work: Work, messages: Sequence[NewMessage], known: dict[bytes, Accepted], used: Used) -> list[Answer]:
    """Insert what is neither known nor a duplicate by its request or its key."""
    customers = customer_ids(work, messages)
    answers: dict[int, Answer] = {}
    seen = dict(known)
    for index, message in enumerate(messages):
        if message.id in seen:
            answers[index] = seen[message.id]
        elif known or len(messages) > 1:
            seen[message.id] = Accepted(message.id, duplicate=True)
    claimed = [
        index
        for index, message in enumerate(messages)
        if (message.key is not None or message.request is not None) and index not in answers
    ]
    if claimed:
        claim(work, messages, claimed, customers, answers, used)
    fresh = [message for index, message in enumerate(messages) if index not in answers]
    insert(work, fresh, customers)
    return [answers.get(index) or Accepted(message.id) for index, message in enumerate(messages)]


def customer_ids(work: Work, messages: Sequence[NewMessage]) -> dict[tuple[str, str], bytes]:
    """Return the ids of the messages' customers: those of their rows, or those that their rows will have."""
    wanted: dict[str, set[str]] = {}
    for message in messages:
        wanted.setdefault(message.environment, set()).add(message.customer)
    found: dict[tuple[str, str], bytes] = {}
    for environment, uids in wanted.items():
        rows = work.gathered("customer_ids", environment=work.environment(environment), uids=encode(list(uids)))
        known = {uid: bytes.fromhex(shown) for uid, shown in rows}
        for uid in uids:
            found[environment, uid] = known.get(uid) or ids.derive(environment, uid)
    return found


def claim(
    work: Work,
    messages: Sequence[NewMessage],
    claimed: Sequence[int],
    customers: dict[tuple[str, str], bytes],
    answers: dict[int, Answer],
    used: Used,
) -> None:
    """Store slots and keys that are new; answer those messages whose slot, or else key, is not."""
    keys = Keys(work, messages, claimed, customers)
    slots: list[tuple[bytes, str, bytes, bytes, int]] = []
    for index in claimed:
        message, request = messages[index], messages[index].request
        if request is not None and (slot := slot_of(message)) in used:
            answers[index] = answer_asked(message, *used[slot])
            continue
        answer = keys.claim(index) if message.key is not None else None
        if answer is not None:
            answers[index] = answer
        if request is not None and not isinstance(answer, Exception):
            first = message.id if answer is None else answer.id
            used[slot] = (first, request.digest)
            slots.append((NOBODY, slot, first, request.digest, work.now))
    work.insert("key_new", [*sorted(slots), *keys.rows])


class Keys:
    """The keys of messages: those that were used, and the rows of those that are new."""

    def __init__(
        self,
        work: Work,
        messages: Sequence[NewMessage],
        claimed: Sequence[int],
        customers: dict[tuple[str, str], bytes],
    ) -> None:
        self._messages = messages
        self._places = {
            index: (customers[messages[index].environment, messages[index].customer], messages[index].key)
            for index in claimed
            if messages[index].key is not None
        }
        found = work.gathered_for("keys_used", [(index, *place) for index, place in self._places.items()])
        self._used = {
            self._places[index]: (bytes.fromhex(first), bytes.fromhex(digest)) for index, first, digest in found
        }
        self.rows: list[tuple[object, ...]] = []

    def claim(self, index: int) -> Answer | None:
        """Take the key of a message; answer it if the key is not new."""
        message, place = self._messages[index], self._places[index]
        digest = digest_of(message)
        if place in self._used:
            return answer_used(message, *self._used[place], digest)
        self._used[place] = (message.id, digest)
        self.rows.append((*place, message.id, digest, message.created_at))
        return None


def insert(work: Work, messages: Sequence[NewMessage], customers: dict[tuple[str, str], bytes]) -> None:
    """Insert messages and their outbox rows, numbered here so that nothing need be read back."""
    if not messages:
        return
    first, place = work.number("anzol_message", len(messages)), work.number("anzol_accepted", len(messages))
    rows, outbox = [], []
    for offset, message in enumerate(messages):
        customer_id = customers[message.environment, message.customer]
        rows.append(message_row(first + offset, message, work.environment(message.environment), customer_id))
        outbox.append((place + offset, first + offset, customer_id))
        work.fresh[first + offset] = content_of(message)
    work.insert("message_new", rows)
    work.insert("outbox_new", outbox)


def message_row(seq: int, message: NewMessage, environment: int, customer_id: bytes) -> tuple[object, ...]:
    """Return the row of a message, in the order of ``message_new``."""
    return (
        seq,
        message.id,
        environment,
        customer_id,
        message.customer,
        message.event_type,
        message.method,
        message.content_type,
        encode(message.headers) if message.headers else NOTHING,
        message.query,
        encode(message.channels) if message.channels else NOTHING,
        encode(message.tags) if message.tags else NOTHING,
        message.key,
        message.deliver_at,
        message.only_endpoint,
        message.created_at,
        message.body,
    )
