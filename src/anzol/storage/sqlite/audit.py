"""Who did what: one row for each act of people, in the act's own transaction."""

from __future__ import annotations

from anzol import ids
from anzol.model import AuditEntry, Page
from anzol.storage import paging, rows
from anzol.storage.auditing import narrowest, told_of, write_detail
from anzol.storage.face import Progress, Selection
from anzol.storage.sqlite import recovery
from anzol.storage.sqlite.read import customer_id_of, environment_number
from anzol.storage.sqlite.work import Work, note


def audits(
    work: Work,
    environment: str,
    named: tuple[str | None, str | None, str | None],
    after: str | None,
    limit: int,
    oldest_first: bool,
) -> Page[AuditEntry]:
    """List entries. *named*: the customer, the actor and the action that they are of; None: any."""
    customer, actor, action = named
    values: dict[str, object] = {"environment": environment_number(work, environment), "most": limit + 1}
    values["after"] = paging.read_number(after, oldest_first=oldest_first)
    conditions = []
    if customer is not None:
        conditions.append("a.customer_id = :customer_id")
        values["customer_id"] = customer_id_of(work, environment, customer)
    if actor is not None:
        conditions.append("a.actor = :actor")
        values["actor"] = actor
    if action is not None:
        conditions.append("a.action = :action")
        values["action"] = action
    found = work.listed("audits", conditions, oldest_first=oldest_first, **values)
    return paging.page_of(found, limit, rows.audit_of)


def add(
    work: Work, environment: str, action: str, object_id: str, customer: str | None, detail: dict[str, object]
) -> None:
    """Add an entry of something that changes no row of its own."""
    customer_id = None if customer is None else customer_id_of(work, environment, customer)
    note(work, environment, action, object_id, customer_id, write_detail(detail))


def cancel(work: Work, environment: str, selection: Selection, after: str | None, limit: int) -> Progress:
    """Cancel one page of pending deliveries; the first one is written down."""
    progress = recovery.cancel(work, environment, selection, after, limit)
    if after is None:
        note_many(work, environment, "deliveries.cancelled", selection)
    return progress


def recover(work: Work, environment: str, selection: Selection, after: str | None, limit: int) -> Progress:
    """Resend one page of deliveries that have ended; the first one is written down."""
    progress = recovery.recover(work, environment, selection, after, limit)
    if after is None:
        note_many(work, environment, "deliveries.recovered", selection)
    return progress


def note_many(work: Work, environment: str, action: str, selection: Selection) -> None:
    """Write down an act upon many deliveries."""
    object_id = narrowest(environment, selection.message_id, selection.endpoint_id, selection.customer)
    note(work, environment, action, object_id, owner(work, environment, selection), write_detail(told_of(selection)))


def owner(work: Work, environment: str, selection: Selection) -> bytes | None:
    """Return the customer whose deliveries are selected, if they are one's."""
    if selection.customer is not None:
        return customer_id_of(work, environment, selection.customer)
    if selection.endpoint_id is not None:
        row = work.one("owner_of_endpoint", id=ids.read(ids.ENDPOINT, selection.endpoint_id))
    elif selection.message_id is not None:
        row = work.one("owner_of_message", id=ids.read(ids.MESSAGE, selection.message_id))
    else:
        row = None
    return None if row is None else bytes(row[0])
