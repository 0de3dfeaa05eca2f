"""Customers: made, changed, renamed and deleted.

A customer's id is derived from its first uid and stays. Who sends to a uid without a row has the customer with the
derived id: so a uid that was given up gets a row of its own at once, deleted, with another id; and it stays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from anzol import ids
from anzol.errors import NotFound
from anzol.model import OPERATIONAL, Customer, Unset
from anzol.storage.auditing import write_detail
from anzol.storage.naming import changes_of, is_made_up, lasting, made_up, refuse_taken_uid
from anzol.storage.postgres.register import bury, find_customer, lock_lanes, look, made_customer
from anzol.storage.postgres.texts import refuse_nul
from anzol.storage.postgres.work import Work, note
from anzol.storage.rows import customer_of


async def put_customer(
    work: Work,
    environment: str,
    uid: str,
    name: str | Unset,
    metadata: Mapping[str, str] | Unset,
    throttle: int | Unset | None,
) -> Customer:
    """Make a customer if it is not there, and set what is given."""
    refuse_nul(customer=uid, name="" if isinstance(name, Unset) else name)
    customer_id, made = await made_customer(work, environment, uid)
    former = customer_of(await find_customer(work, environment, uid))
    changes = changes_of(former, name, metadata, throttle)
    await change(work, customer_id, changes)
    if made:
        await note(work, environment, "customer.created", former.id, customer_id)
    elif changes:
        detail = write_detail({"changed": list(changes)})
        await note(work, environment, "customer.updated", former.id, customer_id, detail)
    return customer_of(await find_customer(work, environment, uid))


async def create_customer(
    work: Work, environment: str, uid: str, name: str, metadata: Mapping[str, str], throttle: int | None
) -> tuple[Customer, bool]:
    """Make a customer if it is not there, else leave it alone; say whether it was made."""
    refuse_nul(customer=uid, name=name)
    customer_id, made = await made_customer(work, environment, uid)
    if made:
        former = customer_of(await find_customer(work, environment, uid))
        await change(work, customer_id, changes_of(former, name, metadata, throttle))
        await note(work, environment, "customer.created", former.id, customer_id)
    return customer_of(await find_customer(work, environment, uid)), made


async def change(work: Work, customer_id: bytes, changes: Mapping[str, Any]) -> None:
    """Set what differs; the holders of its lanes look again if its throttle does."""
    if not changes:
        return
    lanes = await its_lanes(work, customer_id) if "throttle" in changes else []
    values: dict[str, Any] = {"name": None, "metadata": None, "throttle": None, **changes}
    if values["metadata"] is not None:
        values["metadata"] = json.dumps(dict(values["metadata"]))
    await work.run("customer_changed", id=customer_id, given=list(changes), **values)
    await look(work, lanes)


async def its_lanes(work: Work, customer_id: bytes) -> list[bytes]:
    """Lock a customer's lanes, before its row."""
    return await lock_lanes(work, await work.column("customer_endpoints", customer_id=customer_id))


async def rename_customer(work: Work, environment: str, uid: str, new: str, chance: tuple[bytes, bytes]) -> Customer:
    """Give a customer another uid. *chance*: two fresh ids.

    Raises:
        NotFound: there is none.
        Conflict: another one has the new uid.
    """
    refuse_nul(customer=uid, uid=new)
    there_is_none = f"customer {uid!r} in {environment!r}"
    if uid == OPERATIONAL:
        raise NotFound(f"There is no {there_is_none}.")
    customer = customer_of(await find_customer(work, environment, uid))
    if new == uid:
        return customer
    customer_id = ids.read(ids.CUSTOMER, customer.id)
    lanes = await its_lanes(work, customer_id)
    await work.the("customer_renaming", there_is_none, id=customer_id, uid=uid)
    await take_uid(work, environment, new, made_up(chance[0]), chance[1])
    await work.run("customer_renamed", id=customer_id, uid=new)
    await leave_uid(work, environment, uid, chance[1])
    await look(work, lanes)
    await note(work, environment, "customer.renamed", customer.id, customer_id, write_detail({"from": uid, "to": new}))
    return customer_of(await find_customer(work, environment, new))


async def take_uid(work: Work, environment: str, uid: str, other: str, fresh: bytes) -> None:
    """Take a uid that nobody uses, so that nobody else can before this transaction has ended.

    A deleted customer that had it has *other* then. Where there is none, a row is made to hold the uid meanwhile, under
    the id *fresh*, which nobody has seen.

    Raises:
        Conflict: it is in use, or a message waits that will have it in use.
    """
    while True:
        holding = await work.one("customer_left", id=fresh, environment=environment, uid=uid)
        row = await work.one("customer_taken", environment=environment, uid=uid)
        if row is not None:
            break
        # Somebody else had it, and it has just been taken from him: look again.
    customer_id = ids.derive(environment, uid) if holding is not None else row[0]
    if row[1] is None or await work.one("customer_waits", id=customer_id):
        raise refuse_taken_uid(uid)
    if holding is not None:
        await work.run("customer_dropped", id=fresh)
    else:
        await work.run("customer_renamed", id=row[0], uid=other)


async def leave_uid(work: Work, environment: str, uid: str, fresh: bytes) -> None:
    """Leave a row for a uid that was given up: who uses it from now on is another customer."""
    if not is_made_up(uid):
        await work.one("customer_left", id=fresh, environment=environment, uid=uid)


async def delete_customer(work: Work, environment: str, uid: str) -> bytes:
    """Take a customer away: nothing is sent any more, its messages are to be erased; return its id."""
    refuse_nul(customer=uid)
    customer_id = bytes((await find_customer(work, environment, uid))[0])
    await work.run("customer_outbox_gone", customer_id=customer_id)
    await bury(work, await work.column("customer_endpoints", customer_id=customer_id))
    # Locked from here on: no endpoint of it is made beside us.
    await work.the("customer_locked", f"customer {uid!r} in {environment!r}", id=customer_id)
    await bury(work, await work.column("customer_endpoints", customer_id=customer_id))  # made since then
    for query in ("customer_keys_gone", "customer_rules_gone", "customer_deleted"):
        await work.run(query, customer_id=customer_id)
    await note(work, environment, "customer.deleted", ids.show(ids.CUSTOMER, customer_id), customer_id)
    return customer_id


async def forget_customer(work: Work, customer_id: bytes) -> int:
    """Remove a deleted customer whose messages are erased; one whose row must stay is done with."""
    row = await work.one("customer_named", id=customer_id)
    if row is None:
        return 0
    stays = lasting(row[0], row[1], customer_id)
    gone = 0 if stays else await work.run("customer_gone", customer_id=customer_id)
    return gone + await work.run("customer_erased", customer_id=customer_id, lasting=stays)
