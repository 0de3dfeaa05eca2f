"""Single things by what somebody calls them: an id, or the name that the developer's own system has for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from anzol import ids
from anzol.errors import InvalidValue, NotFound
from anzol.model import OPERATIONAL, Attempt, Customer, Endpoint, StoredMessage
from anzol.storage import rows
from anzol.storage.postgres import read
from anzol.storage.postgres.register import find_endpoint, read_id, show_endpoint
from anzol.storage.postgres.search import FIRST
from anzol.storage.postgres.texts import refuse_nul
from anzol.storage.postgres.work import Work


def id_in(prefix: str, name: str) -> bytes | None:
    """Return the id that a name is; None: it is none."""
    try:
        return ids.read(prefix, name)
    except InvalidValue:
        return None


async def customer(work: Work, environment: str, name: str) -> Customer:
    """Return a customer by its id or its uid, but not the one that has the operational endpoints."""
    refuse_nul(customer=name)
    raw = id_in(ids.CUSTOMER, name)
    row = None if raw is None else await work.one("customer_by_id", environment=environment, id=raw)
    row = row or await work.one("customer", environment=environment, uid=name)
    if row is None or row[1] == OPERATIONAL:
        raise NotFound(f"There is no customer {name!r} in {environment!r}.")
    return rows.customer_of(row)


async def endpoint(work: Work, environment: str, customer: str, name: str) -> Endpoint:
    """Return an endpoint of a customer by its id or its uid."""
    refuse_nul(customer=customer, endpoint=name)
    owner = await work.one("customer_row", environment=environment, uid=customer)
    raw = None if owner is None else await endpoint_id(work, environment, bytes(owner[0]), name)
    if raw is None:
        raise NotFound(f"The customer {customer!r} in {environment!r} has no endpoint {name!r}.")
    return await show_endpoint(work, raw)


async def endpoint_id(work: Work, environment: str, customer_id: bytes, name: str) -> bytes | None:
    """Return the id of an endpoint that is not deleted."""
    raw = id_in(ids.ENDPOINT, name)
    place = None if raw is None else await work.one("endpoint_place", environment=environment, id=raw)
    if place is not None and place[1] == customer_id:
        return bytes(place[0])
    row = await work.one("endpoint_uid", customer_id=customer_id, uid=name, but=FIRST)
    return None if row is None else bytes(row[0])


async def endpoint_headers(work: Work, environment: str, endpoint_id: str) -> tuple[tuple[str, str], ...]:
    """Return an endpoint's custom headers, opened."""
    place = await find_endpoint(work, environment, endpoint_id)
    (sealed,) = await work.the("endpoint_headers", f"endpoint {endpoint_id!r} in {environment!r}", id=place.id)
    return rows.open_headers(work.vault, sealed, environment, place.customer_id, place.id)


async def message(work: Work, environment: str, customer: str, name: str) -> StoredMessage:
    """Return a message of a customer by its id or its key."""
    refuse_nul(customer=customer, message=name)
    customer_id = await read.customer_id_of(work, environment, customer)
    raw, row = id_in(ids.MESSAGE, name), None
    if raw is not None:
        row = await work.one("message_of_customer", environment=environment, customer_id=customer_id, id=raw)
    row = row or await work.one("message_by_key", customer_id=customer_id, key=name)
    what = f"message {name!r} of the customer {customer!r} in {environment!r}"
    if row is None:
        raise NotFound(f"There is no {what}.")
    return rows.message_of(await work.the("message", what, id=row[0], environment=environment))


async def messages(work: Work, environment: str, message_ids: Sequence[str]) -> Mapping[str, StoredMessage]:
    """Return those of some messages that are there, by id."""
    known = [raw for raw in (id_in(ids.MESSAGE, shown) for shown in message_ids) if raw is not None]
    listed = await work.listed(
        "messages", ["m.environment = :environment"], messages=list(dict.fromkeys(known)), environment=environment
    )
    return {one.id: one for one in map(rows.message_of, listed)}


async def attempt(work: Work, environment: str, attempt_id: str) -> Attempt:
    """Return one attempt."""
    raw = read_id(ids.ATTEMPT, attempt_id, "attempt")
    what = f"attempt {attempt_id!r} in {environment!r}"
    return rows.attempt_of(await work.the("attempt", what, id=raw, environment=environment))
