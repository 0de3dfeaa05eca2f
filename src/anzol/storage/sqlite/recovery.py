"""Holding back, taking back, sending again: pause, resume, cancel, resend, recover."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from anzol import ids
from anzol.clock import to_micros
from anzol.errors import Conflict, NotFound
from anzol.lifecycle import Cause, State, ends
from anzol.model import Delivery, PauseRule
from anzol.storage.auditing import narrowest, write_detail
from anzol.storage.face import Progress, Selection
from anzol.storage.rows import rule_of
from anzol.storage.sqlite.read import delivery, endpoint_seq, filter_of, message_seq, read_cursor
from anzol.storage.sqlite.register import find_endpoint, make_customer, touch
from anzol.storage.sqlite.work import Work, encode, note

SCANNED: Final = 10  # rows looked at for each that a page may change
EARLIER: Final = 3_600_000_000  # microseconds by which a message's id may be older than its acceptance


class Parts:
    """What a pause rule names, as numbers."""

    __slots__ = ("customer_id", "endpoint", "environment", "event_type")

    def __init__(
        self, work: Work, environment: str, customer: str | None, event_type: str | None, endpoint_id: str | None
    ) -> None:
        self.environment = work.environment(environment)
        self.customer_id = None if customer is None else make_customer(work, environment, customer)
        self.endpoint = None if endpoint_id is None else find_endpoint(work, environment, endpoint_id).seq
        self.event_type = event_type

    def values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def pause(
    work: Work, environment: str, customer: str | None, event_type: str | None, endpoint_id: str | None, actor: str
) -> PauseRule:
    """Hold back: whole lanes by a flag of theirs, an event type by a flag of its pending rows."""
    parts = Parts(work, environment, customer, event_type, endpoint_id)
    number = work.number("anzol_pause_rule")
    work.run("pause_rule_new", id=number, actor=actor, now=work.now, **parts.values())
    if event_type is not None:
        work.run("pending_pause", **parts.values())
    apply_to_lanes(work, parts)
    note_rule(work, environment, "deliveries.paused", parts, (customer, endpoint_id))
    return rule_of(work.the("pause_rule", "rule", id=number))


def note_rule(work: Work, environment: str, action: str, parts: Parts, named: tuple[str | None, str | None]) -> None:
    """Write down who holds back, or no longer. *named*: the customer and the endpoint."""
    customer, endpoint_id = named
    owner = parts.customer_id
    if owner is None and endpoint_id is not None:
        owner = work.the("owner_of_endpoint", "endpoint", id=ids.read(ids.ENDPOINT, endpoint_id))[0]
    detail = write_detail({"customer": customer, "event_type": parts.event_type, "endpoint": endpoint_id})
    note(work, environment, action, narrowest(environment, endpoint_id, customer), owner, detail)


def resume(work: Work, environment: str, customer: str | None, event_type: str | None, endpoint_id: str | None) -> int:
    """Take back rules; what no other rule holds back is due."""
    if customer is not None and not work.one("customer", environment=environment, uid=customer):
        return 0
    parts = Parts(work, environment, customer, event_type, endpoint_id)
    gone = work.run("pause_rules_gone", **parts.values())
    if gone and event_type is not None:
        work.run("pending_resume", **parts.values())
    if gone:
        apply_to_lanes(work, parts)
        note_rule(work, environment, "deliveries.resumed", parts, (customer, endpoint_id))
    return gone


def apply_to_lanes(work: Work, parts: Parts) -> None:
    """Park or free the lanes in scope by the rules as they are now, and have them looked at."""
    scope = work.gathered(
        "lanes_in_scope", environment=parts.environment, customer_id=parts.customer_id, endpoint=parts.endpoint
    )
    work.run("lanes_pause", scope=encode(scope))
    touch(work, scope)


def pause_rules(work: Work, environment: str) -> tuple[PauseRule, ...]:
    """Return the rules in force, the oldest first."""
    return tuple(rule_of(row) for row in work.all("pause_rules", environment=environment))


def cancel(work: Work, environment: str, selection: Selection, after: str | None, limit: int) -> Progress:
    """Cancel one page of pending deliveries."""
    if selection.states and State.PENDING not in selection.states:
        return Progress(0, None)
    (place,) = read_cursor(after, 1, start=0)
    found = filter_of(work, environment, selection)
    values = {"after": place, "scanned": limit * SCANNED, **found.values}
    rows = work.listed("pending_page", found.of_delivery, **values)
    scanned = {row[0] for row in rows}
    chosen = work.listed("pending_selected", found.all, page=encode(sorted(scanned)), most=limit, **found.values)
    withdraw(work, [number for number, _ in chosen], Cause.WITHDRAWN)
    touch(work, sorted({endpoint for _, endpoint in chosen}))
    if len(chosen) == limit:
        return Progress(len(chosen), str(chosen[-1][0]))
    return Progress(len(chosen), str(max(scanned)) if len(scanned) == limit * SCANNED else None)


def withdraw(work: Work, pending: Sequence[int], cause: Cause) -> None:
    """Move pending deliveries to the history without an attempt."""
    if pending:
        values = {"state": int(ends(cause)), "cause": int(cause), "now": work.now}
        work.run("pending_to_history", pending=encode(list(pending)), **values)
        work.run("pending_done", claims=encode(list(pending)))


def resend(work: Work, environment: str, message_id: str, endpoint_id: str) -> Delivery:
    """Make one delivery due now."""
    message, endpoint = message_seq(work, environment, message_id), endpoint_seq(work, environment, endpoint_id)
    row = work.one("resendable", message=message, endpoint=endpoint)
    if row is None:
        raise NotFound(f"The message {message_id} is not for the customer of {endpoint_id}.")
    erased, deleted, attempts = row
    if erased:
        raise Conflict(f"The body of {message_id} was erased.", do="Send a new message.")
    if deleted:
        raise Conflict(f"The endpoint {endpoint_id} is deleted.")
    if work.one("pending_of", message=message, endpoint=endpoint) is None:
        put_back(work, [(message, endpoint, attempts)])
        work.run("outbox_resent", message=message)
    else:
        work.run("pending_hurry", message=message, endpoint=endpoint, now=work.now)
    touch(work, [endpoint])
    note_resent(work, environment, message_id, endpoint_id)
    return delivery(work, message, endpoint)


def note_resent(work: Work, environment: str, message_id: str, endpoint_id: str) -> None:
    """Write down who sends a message again."""
    row = work.the("owner_of_endpoint", "endpoint", id=ids.read(ids.ENDPOINT, endpoint_id))
    note(work, environment, "delivery.resent", message_id, bytes(row[0]), write_detail({"endpoint": endpoint_id}))


def put_back(work: Work, ended: Sequence[Sequence[int]]) -> None:
    """Make ended deliveries pending and due: the count of attempts goes on, the schedule begins anew."""
    if not ended:
        return
    first = work.number("anzol_pending", len(ended))
    rows = [
        (first + offset, endpoint, message, work.now, attempts, 1)
        for offset, (message, endpoint, attempts) in enumerate(ended)
    ]
    work.run("deliveries_gone", ended=encode([(message, endpoint) for message, endpoint, _ in ended]))
    work.insert("pending_resend", rows)
    numbers = encode([row[0] for row in rows])
    work.run("pending_judge", pending=numbers)
    work.run("messages_wanted", messages=encode(sorted({message for message, _, _ in ended})))


def recover(work: Work, environment: str, selection: Selection, after: str | None, limit: int) -> Progress:
    """Resend one page of deliveries that have ended, in the messages' order."""
    states = [int(state) for state in selection.states if state is not State.PENDING]
    if selection.states and not states:
        return Progress(0, None)
    message, endpoint = read_cursor(after, 2, start=0)
    if after is None and selection.since is not None:
        message = first_since(work, to_micros(selection.since))
    found = filter_of(work, environment, selection)
    values = {"after": message, "after_endpoint": endpoint, "scanned": limit * SCANNED, **found.values}
    scanned = work.listed("ended_page", found.of_delivery, **values)
    within = [f"x.state in ({', '.join(map(str, states))})"] if states else []
    page = encode(scanned)
    chosen = work.listed("ended_selected", found.all + within, page=page, most=limit, **found.values)
    put_back(work, chosen)
    touch(work, sorted({row[1] for row in chosen}))
    if len(chosen) == limit:
        return Progress(limit, f"{chosen[-1][0]}.{chosen[-1][1]}")
    more = len(scanned) == limit * SCANNED
    return Progress(len(chosen), f"{scanned[-1][0]}.{scanned[-1][1]}" if more else None)


def first_since(work: Work, since: int) -> int:
    """Return a number that no message accepted since then lies below: where recovering begins."""
    row = work.one("message_since", first=ids.first_at(max(0, since - EARLIER)))
    return 0 if row is None else max(0, int(row[0]) - 10_000)
