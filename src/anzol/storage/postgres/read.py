"""Looking: lists of customers and endpoints in pages, either way, and single things."""

from __future__ import annotations

from typing import Any, Final

from anzol import ids
from anzol.clock import from_micros
from anzol.errors import InvalidValue
from anzol.model import OPERATIONAL, Customer, Endpoint, Match, Page, Status, StoredMessage
from anzol.storage import paging, rows
from anzol.storage.postgres.migrations import newest
from anzol.storage.postgres.queries import in_schema
from anzol.storage.postgres.register import find_customer, find_endpoint, read_id, show_endpoint
from anzol.storage.postgres.search import LAST
from anzol.storage.postgres.texts import refuse_nul
from anzol.storage.postgres.work import Work
from anzol.storage.rows import Row
from anzol.subscription import DISABLED, EVENT_TYPE, MATCHED, Occurrence, Subscription, wants

COUNTED_IN_LISTS: Final = 10_000  # waiting deliveries of each endpoint in a list
COUNTED: Final = 10_000  # rows of each kind that a status counts; if there are more, it estimates
PAGES: Final = 200  # of 8 KB that it looks at to estimate


async def customer_id_of(work: Work, environment: str, uid: str) -> bytes:
    """Return the id of a customer, which may have no row yet."""
    row = await work.one("customer_row", environment=environment, uid=uid)
    return bytes(row[0]) if row is not None else ids.derive(environment, uid)


async def message_key(work: Work, environment: str, message_id: str) -> bytes:
    """Return the id of a message, as it is stored.

    Raises:
        NotFound: there is none in this environment.
    """
    raw = read_id(ids.MESSAGE, message_id, "message")
    what = f"message {message_id!r} in {environment!r}"
    return bytes((await work.the("message_id", what, id=raw, environment=environment))[0])


async def endpoint_key(work: Work, environment: str, endpoint_id: str) -> bytes:
    """Return the id of an endpoint, deleted or not, as it is stored.

    Raises:
        NotFound: there never was one in this environment.
    """
    raw = read_id(ids.ENDPOINT, endpoint_id, "endpoint")
    what = f"endpoint {endpoint_id!r} in {environment!r}"
    return bytes((await work.the("endpoint_id", what, id=raw, environment=environment))[0])


# --- pages


def read_cursor(after: object, parts: int, start: bytes = LAST) -> list[bytes]:
    """Read a page's cursor: ids with dots between them.

    Raises:
        InvalidValue: it is none of ours.
    """
    if after is None:
        return [start] * parts
    shown = after.split(".") if isinstance(after, str) else []
    try:
        if len(shown) == parts:
            return [ids.read("", one) for one in shown]
    except InvalidValue as cause:
        raise no_cursor(after) from cause
    raise no_cursor(after)


def no_cursor(after: object) -> InvalidValue:
    """Return the error for a cursor that is none of ours."""
    do = "Take the `next`, `first` or `last` of a page."
    return InvalidValue(f"{after!r} is not a cursor.", field="after", do=do)


def write_cursor(*places: bytes) -> str:
    """Write what `read_cursor` reads."""
    return ".".join(ids.show("", place) for place in places)


# --- customers and endpoints


async def customer(work: Work, environment: str, uid: str) -> Customer:
    """Return one customer."""
    refuse_nul(customer=uid)
    return rows.customer_of(await find_customer(work, environment, uid))


async def customers(work: Work, environment: str, after: str | None, limit: int, oldest_first: bool) -> Page[Customer]:
    """List customers, but for the one that has the operational endpoints."""
    values: dict[str, Any] = {"environment": environment, "operational": OPERATIONAL, "most": limit + 1}
    values["after"] = paging.read_number(after, oldest_first=oldest_first)
    found = await work.listed("customers", (), oldest_first=oldest_first, **values)
    return paging.page_of(found, limit, rows.customer_of)


async def endpoint(work: Work, environment: str, endpoint_id: str) -> Endpoint:
    """Return one endpoint that is not deleted."""
    return await show_endpoint(work, (await find_endpoint(work, environment, endpoint_id)).id)


async def endpoints(
    work: Work, environment: str, of_customer: str | None, after: str | None, limit: int, oldest_first: bool
) -> Page[Endpoint]:
    """List endpoints that are not deleted; of all customers: but for the operational ones."""
    refuse_nul(customer=of_customer)
    values: dict[str, Any] = {"environment": environment, "most": limit + 1, "bound": COUNTED_IN_LISTS}
    values["after"] = paging.read_number(after, oldest_first=oldest_first)
    if of_customer is None:
        condition, values["operational"] = "c.uid <> :operational", OPERATIONAL
    else:
        condition = "e.customer_id = :customer_id"
        values["customer_id"] = await customer_id_of(work, environment, of_customer)
    found = await work.listed("endpoints", [condition], oldest_first=oldest_first, **values)
    return paging.page_of(found, limit, rows.endpoint_of)


# --- messages


async def message(work: Work, environment: str, message_id: str) -> StoredMessage:
    """Return one message with its body."""
    raw = read_id(ids.MESSAGE, message_id, "message")
    what = f"message {message_id!r} in {environment!r}"
    return rows.message_of(await work.the("message", what, id=raw, environment=environment))


# --- why nobody got it, and how the whole is doing


async def matches(work: Work, environment: str, message_id: str) -> tuple[Match, ...]:
    """Say for every endpoint of the message's customer whether it was to get the message."""
    raw = read_id(ids.MESSAGE, message_id, "message")
    what = f"message {message_id!r} in {environment!r}"
    row = await work.the("occurrence", what, id=raw, environment=environment)
    event_type, created_at, channels, only, customer_id, waiting = row
    occurrence = Occurrence(event_type, created_at, tuple(channels), only)
    now = await work.time()
    found = await work.all("subscriptions", customer_id=customer_id, message=raw)
    return tuple(match_of(one, occurrence, waiting, now) for one in found)


def match_of(row: Row, occurrence: Occurrence, waiting: bool, now: int) -> Match:
    """Judge one endpoint: what was, where that is known; else by the rule."""
    raw, url, event_types, channels, disabled, deleted_at, created_at, enabled_at, has_delivery = row
    subscription = Subscription(
        raw, tuple(event_types), tuple(channels), disabled is None, deleted_at is not None, created_at
    )
    reason = MATCHED if has_delivery else wants(subscription, occurrence, now)
    if reason == MATCHED and not has_delivery and not waiting:
        # It would match today: it was disabled then, or was subscribed to something else.
        reason = DISABLED if enabled_at > occurrence.created_at else EVENT_TYPE
    return Match(ids.show(ids.ENDPOINT, raw), url, reason)


async def status(work: Work, environment: str) -> Status:
    """Return how the whole is doing. What waits is counted if it is not much, else it is estimated."""
    waiting, oldest_waiting = await count_waiting(work, environment)
    pending, due, parked = await count_pending(work, environment)
    (in_flight,) = await work.the("status_in_flight", "status", environment=environment)
    (oldest_due,) = await work.the("status_oldest", "status", environment=environment, bound=COUNTED // 2)
    failing, disabled = await work.the("status_endpoints", "status", environment=environment)
    oldest = min((at for at in (oldest_due, oldest_waiting) if at is not None), default=None)
    return Status(
        accepted_waiting=waiting,
        pending=max(pending, due + parked, in_flight),
        due=due,
        parked=parked,
        in_flight=in_flight,
        oldest_due=None if oldest is None else from_micros(oldest),
        failing_endpoints=failing,
        disabled_endpoints=disabled,
        workers=tuple([rows.worker_of(row) for row in await work.all("workers")]),
        schema_version=newest(),
    )


async def count_waiting(work: Work, environment: str) -> tuple[int, int | None]:
    """Return how many messages wait for fan-out, and since when the first one does."""
    seen, mine, oldest = await work.the("status_outbox", "status", environment=environment, bound=COUNTED)
    if seen == COUNTED:
        percent = await percent_of(work, "accepted")
        _, mine = await work.the("status_outbox_sampled", "status", environment=environment, percent=percent)
        mine = round(mine * 100 / percent)
    return mine, oldest


async def count_pending(work: Work, environment: str) -> tuple[int, int, int]:
    """Return how many deliveries are pending, due, and parked."""
    seen, *counts = await work.the("status_pending", "status", environment=environment, bound=COUNTED)
    if seen == COUNTED:
        percent = await percent_of(work, "pending")
        _, *counts = await work.the("status_pending_sampled", "status", environment=environment, percent=percent)
        counts = [round(count * 100 / percent) for count in counts]
    pending, due, parked = counts
    return pending, due, parked


async def percent_of(work: Work, table: str) -> float:
    """Return how much of a table is a sample of a bounded size."""
    (pages,) = await work.the("table_pages", "table", relation=in_schema(f"anzol.{table}", work.schema))
    return min(100.0, 100.0 * PAGES / max(1, int(pages)))
