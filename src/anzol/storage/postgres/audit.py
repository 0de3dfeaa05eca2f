"""Who did what: one row for each act of people, in the act's own transaction."""

from __future__ import annotations

from typing import Any

from anzol import ids
from anzol.model import AuditEntry, Page
from anzol.storage import paging, rows
from anzol.storage.auditing import narrowest, told_of, write_detail
from anzol.storage.face import Progress, Selection
from anzol.storage.postgres import recovery
from anzol.storage.postgres.read import customer_id_of
from anzol.storage.postgres.texts import refuse_nul
from anzol.storage.postgres.work import Work, note


async def audits(
    work: Work,
    environment: str,
    named: tuple[str | None, str | None, str | None],
    after: str | None,
    limit: int,
    oldest_first: bool,
) -> Page[AuditEntry]:
    """List entries. *named*: the customer, the actor and the action that they are of; None: any."""
    customer, actor, action = named
    refuse_nul(customer=customer, actor=actor, action=action)
    values: dict[str, Any] = {"environment": environment, "most": limit + 1}
    values["after"] = paging.read_number(after, oldest_first=oldest_first)
    conditions = []
    if customer is not None:
        conditions.append("a.customer_id = :customer_id")
        values["customer_id"] = await customer_id_of(work, environment, customer)
    if actor is not None:
        conditions.append("a.actor = :actor")
        values["actor"] = actor
    if action is not None:
        conditions.append("a.action = :action")
        values["action"] = action
    found = await work.listed("audits", conditions, oldest_first=oldest_first, **values)
    return paging.page_of(found, limit, rows.audit_of)


async def add(
    work: Work, environment: str, action: str, object_id: str, customer: str | None, detail: dict[str, object]
) -> None:
    """Add an entry of something that changes no row of its own."""
    refuse_nul(action=action, object_id=object_id, customer=customer)
    customer_id = None if customer is None else await customer_id_of(work, environment, customer)
    await note(work, environment, action, object_id, customer_id, write_detail(detail))


async def cancel(work: Work, environment: str, selection: Selection, after: str | None, limit: int) -> Progress:
    """Cancel one page of pending deliveries; the first one is written down."""
    progress = await recovery.cancel(work, environment, selection, after, limit)
    if after is None:
        await note_many(work, environment, "deliveries.cancelled", selection)
    return progress


async def recover(work: Work, environment: str, selection: Selection, after: str | None, limit: int) -> Progress:
    """Resend one page of deliveries that have ended; the first one is written down."""
    progress = await recovery.recover(work, environment, selection, after, limit)
    if after is None:
        await note_many(work, environment, "deliveries.recovered", selection)
    return progress


async def note_many(work: Work, environment: str, action: str, selection: Selection) -> None:
    """Write down an act upon many deliveries."""
    object_id = narrowest(environment, selection.message_id, selection.endpoint_id, selection.customer)
    customer_id = await owner(work, environment, selection)
    await note(work, environment, action, object_id, customer_id, write_detail(told_of(selection)))


async def owner(work: Work, environment: str, selection: Selection) -> bytes | None:
    """Return the customer whose deliveries are selected, if they are one's."""
    if selection.customer is not None:
        return await customer_id_of(work, environment, selection.customer)
    if selection.endpoint_id is not None:
        row = await work.one("owner_of_endpoint", id=ids.read(ids.ENDPOINT, selection.endpoint_id))
    elif selection.message_id is not None:
        row = await work.one("owner_of_message", id=ids.read(ids.MESSAGE, selection.message_id))
    else:
        row = None
    return None if row is None else bytes(row[0])
