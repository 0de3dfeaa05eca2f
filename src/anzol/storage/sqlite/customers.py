"""Customers: made, changed, renamed and deleted.

A customer's id is derived from its first uid and stays. Who sends to a uid without a row has the customer with the
derived id: so a uid that was given up gets a row of its own at once, deleted, with another id; and it stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anzol import ids
from anzol.errors import NotFound
from anzol.model import OPERATIONAL, Customer, Unset
from anzol.storage.auditing import write_detail
from anzol.storage.naming import changes_of, is_made_up, lasting, made_up, refuse_taken_uid
from anzol.storage.rows import customer_of
from anzol.storage.sqlite.register import bury, find_customer, made_customer, touch
from anzol.storage.sqlite.work import Work, encode, note


def put_customer(
    work: Work,
    environment: str,
    uid: str,
    name: str | Unset,
    metadata: Mapping[str, str] | Unset,
    throttle: int | Unset | None,
) -> Customer:
    """Make a customer if it is not there, and set what is given."""
    customer_id, made = made_customer(work, environment, uid)
    former = customer_of(find_customer(work, environment, uid))
    changes = changes_of(former, name, metadata, throttle)
    change(work, customer_id, former, changes)
    if made:
        note(work, environment, "customer.created", former.id, customer_id)
    elif changes:
        detail = write_detail({"changed": list(changes)})
        note(work, environment, "customer.updated", former.id, customer_id, detail)
    return customer_of(find_customer(work, environment, uid))


def create_customer(
    work: Work, environment: str, uid: str, name: str, metadata: Mapping[str, str], throttle: int | None
) -> tuple[Customer, bool]:
    """Make a customer if it is not there, else leave it alone; say whether it was made."""
    customer_id, made = made_customer(work, environment, uid)
    if made:
        former = customer_of(find_customer(work, environment, uid))
        change(work, customer_id, former, changes_of(former, name, metadata, throttle))
        note(work, environment, "customer.created", former.id, customer_id)
    return customer_of(find_customer(work, environment, uid)), made


def change(work: Work, customer_id: bytes, former: Customer, changes: Mapping[str, Any]) -> None:
    """Set what differs; a new throttle touches its lanes."""
    if not changes:
        return
    values = {"name": former.name, "metadata": former.metadata, "throttle": former.throttle, **changes}
    values["metadata"] = encode(dict(values["metadata"]))
    work.run("customer_changed", id=customer_id, now=work.now, **values)
    if "throttle" in changes:
        touch_lanes(work, customer_id)


def touch_lanes(work: Work, customer_id: bytes) -> None:
    """Have the holders of a customer's lanes look again."""
    touch(work, [endpoint for (endpoint,) in work.all("customer_endpoints", customer_id=customer_id)])


def rename_customer(work: Work, environment: str, uid: str, new: str, chance: tuple[bytes, bytes]) -> Customer:
    """Give a customer another uid. *chance*: two fresh ids.

    Raises:
        NotFound: there is none.
        Conflict: another one has the new uid.
    """
    if uid == OPERATIONAL:
        raise NotFound(f"There is no customer {uid!r} in {environment!r}.")
    customer = customer_of(find_customer(work, environment, uid))
    if new == uid:
        return customer
    customer_id = ids.read(ids.CUSTOMER, customer.id)
    free_uid(work, environment, new, made_up(chance[0]))
    work.run("customer_renamed", id=customer_id, uid=new, now=work.now)
    if not is_made_up(uid):
        number = work.environment(environment)
        work.run("customer_left", id=chance[1], environment=number, uid=uid, now=work.now)
    touch_lanes(work, customer_id)
    note(work, environment, "customer.renamed", customer.id, customer_id, write_detail({"from": uid, "to": new}))
    return customer_of(find_customer(work, environment, new))


def free_uid(work: Work, environment: str, uid: str, other: str) -> None:
    """Take a uid from a deleted customer, which has *other* then.

    Raises:
        Conflict: it is in use, or a message waits that will have it in use.
    """
    row = work.one("customer_row", environment=work.environment(environment), uid=uid)
    customer_id, deleted_at = (ids.derive(environment, uid), None) if row is None else row
    if (row is not None and deleted_at is None) or work.one("customer_waits", id=customer_id):
        raise refuse_taken_uid(uid)
    if row is not None:
        work.run("customer_renamed", id=customer_id, uid=other, now=work.now)


def delete_customer(work: Work, environment: str, uid: str) -> bytes:
    """Take a customer away: nothing is sent any more, its messages are to be erased; return its id."""
    customer_id = bytes(find_customer(work, environment, uid)[0])
    for (endpoint,) in work.all("customer_endpoints", customer_id=customer_id):
        bury(work, endpoint)
    for query in ("customer_outbox_gone", "customer_keys_gone", "customer_rules_gone"):
        work.run(query, customer_id=customer_id)
    work.run("customer_deleted", id=customer_id, now=work.now)
    note(work, environment, "customer.deleted", ids.show(ids.CUSTOMER, customer_id), customer_id)
    return customer_id


def forget_customer(work: Work, customer_id: bytes) -> int:
    """Remove a deleted customer whose messages are erased; one whose row must stay is done with."""
    row = work.one("customer_named", id=customer_id)
    if row is None:
        return 0
    stays = lasting(row[0], row[1], customer_id)
    gone = 0 if stays else work.run("customer_gone", id=customer_id)
    return gone + work.run("customer_erased", id=customer_id, lasting=stays)
