"""Single things by what somebody calls them: an id, or the name that the developer's own system has for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from anzol import ids
from anzol.errors import InvalidValue, NotFound
from anzol.model import OPERATIONAL, Attempt, Customer, Endpoint, StoredMessage
from anzol.storage import rows
from anzol.storage.sqlite.read import customer_id_of, environment_number
from anzol.storage.sqlite.register import find_endpoint, read_id, show_endpoint
from anzol.storage.sqlite.work import Work, encode


def id_in(prefix: str, name: str) -> bytes | None:
    """Return the id that a name is; None: it is none."""
    try:
        return ids.read(prefix, name)
    except InvalidValue:
        return None


def customer(work: Work, environment: str, name: str) -> Customer:
    """Return a customer by its id or its uid, but not the one that has the operational endpoints."""
    raw = id_in(ids.CUSTOMER, name)
    row = None if raw is None else work.one("customer_by_id", environment=environment_number(work, environment), id=raw)
    row = row or work.one("customer", environment=environment, uid=name)
    if row is None or row[1] == OPERATIONAL:
        raise NotFound(f"There is no customer {name!r} in {environment!r}.")
    return rows.customer_of(row)


def endpoint(work: Work, environment: str, customer: str, name: str) -> Endpoint:
    """Return an endpoint of a customer by its id or its uid."""
    owner = work.one("customer_row", environment=environment_number(work, environment), uid=customer)
    seq = None if owner is None else endpoint_seq(work, environment, bytes(owner[0]), name)
    if seq is None:
        raise NotFound(f"The customer {customer!r} in {environment!r} has no endpoint {name!r}.")
    return show_endpoint(work, seq)


def endpoint_seq(work: Work, environment: str, customer_id: bytes, name: str) -> int | None:
    """Return the number of an endpoint that is not deleted."""
    raw = id_in(ids.ENDPOINT, name)
    place = None if raw is None else work.one("endpoint_place", environment=environment, id=raw)
    if place is not None and place[2] == customer_id:
        return int(place[0])
    row = work.one("endpoint_uid", customer_id=customer_id, uid=name, but=0)
    place = None if row is None else work.one("endpoint_place", environment=environment, id=row[0])
    return None if place is None else int(place[0])


def endpoint_headers(work: Work, environment: str, endpoint_id: str) -> tuple[tuple[str, str], ...]:
    """Return an endpoint's custom headers, opened."""
    place = find_endpoint(work, environment, endpoint_id)
    (sealed,) = work.the("endpoint_headers", f"endpoint {endpoint_id!r} in {environment!r}", seq=place.seq)
    return rows.open_headers(work.vault, sealed, *place.parts)


def message(work: Work, environment: str, customer: str, name: str) -> StoredMessage:
    """Return a message of a customer by its id or its key."""
    number = environment_number(work, environment)
    customer_id = customer_id_of(work, environment, customer)
    raw, row = id_in(ids.MESSAGE, name), None
    if raw is not None:
        row = work.one("message_of_customer", environment=number, customer_id=customer_id, id=raw)
    row = row or work.one("message_by_key", environment=number, customer_id=customer_id, key=name)
    what = f"message {name!r} of the customer {customer!r} in {environment!r}"
    if row is None:
        raise NotFound(f"There is no {what}.")
    return rows.message_of(work.the("message", what, seq=row[0]))


def messages(work: Work, environment: str, message_ids: Sequence[str]) -> Mapping[str, StoredMessage]:
    """Return those of some messages that are there, by id."""
    number = environment_number(work, environment)
    known = [raw for raw in (id_in(ids.MESSAGE, shown) for shown in dict.fromkeys(message_ids)) if raw is not None]
    found = [work.one("message_seq", id=raw, environment=number) for raw in known]
    listed = work.all("messages_given", messages=encode([row[0] for row in found if row is not None]))
    return {one.id: one for one in (rows.message_of(row[:-1]) for row in listed)}


def attempt(work: Work, environment: str, attempt_id: str) -> Attempt:
    """Return one attempt."""
    raw = read_id(ids.ATTEMPT, attempt_id, "attempt")
    what = f"attempt {attempt_id!r} in {environment!r}"
    return rows.attempt_of(work.the("attempt", what, id=raw, environment=environment_number(work, environment)))
