"""Messages: looking at them, and erasing what they say. Making them is `anzol.api.publish`'s."""

# Annotations are real objects here: FastAPI reads them.
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

from fastapi import Path
from pydantic import Field

from anzol import ids
from anzol.api.access import Environment, OwnCustomer
from anzol.api.filters import Narrowed, WithContent, find_message
from anzol.api.message_shapes import MessageOut, message_of
from anzol.api.paging import NewestFirst, listed
from anzol.api.problems import fault
from anzol.api.routes import MANAGE, PUBLISH, READ, Resource
from anzol.api.shapes import EventTypeName, Listed, Out, Shape, Text
from anzol.api.writing import written
from anzol.clock import to_micros
from anzol.errors import NotFound
from anzol.model import Customer, Endpoint, Page, StoredMessage
from anzol.storage.face import Storage
from anzol.subscription import MATCHED, Occurrence, Subscription, wants

router = Resource("Message", prefix="/app/{app_id}/msg")
MOST: Final = 100  # messages erased by one request
MOST_BYTES: Final = 16 * 1024 * 1024  # of bodies on one page, about
FEW: Final = 50  # messages read before it is known how large they are

MessageName = Annotated[str, Path(max_length=256, description="The message's id or event id.")]


class PrecheckIn(Shape):
    """What a message would be."""

    event_type: EventTypeName
    channels: Annotated[list[Text] | None, Field(max_length=10)] = None


class PrecheckOut(Out):
    """Whether anybody would get it."""

    active: bool


class Expunged(StrEnum):
    """What became of a message that was to be erased."""

    EXPUNGED = "expunged"
    NOT_FOUND = "not-found"


class BulkExpungeIn(Shape):
    """Which messages are to be erased: ids or event ids."""

    ids: Annotated[list[Annotated[Text, Field(min_length=1, max_length=256)]] | None, Field(max_length=MOST)] = None


class BulkExpungeOut(Out):
    """What became of each, by the name that was given."""

    results: dict[str, Expunged]


def page_written(page: Listed[Any]) -> Any:
    """Return a page of what is `Written` in part."""
    return written(
        {
            "data": page.data,
            "iterator": page.iterator,
            "prevIterator": page.prev_iterator,
            "done": page.done,
        }
    )


@router.operation("GET", "", may=READ, operation_id="v1.message.list", response_model=Listed[MessageOut])
async def list_messages(
    customer: OwnCustomer,
    place: Environment,
    paging: NewestFirst,
    narrowed: Narrowed,
    with_content: WithContent = True,
) -> Any:
    """List messages, newest first; the times are those of their acceptance.

    A page whose bodies have more than 16 MiB ends there, and has a next one.
    """
    storage = await place.storage()
    selection = narrowed.selection(customer=customer.uid)

    async def read(after: str | None, limit: int, oldest_first: bool) -> Page[StoredMessage]:
        async def some(place_after: str | None, most: int) -> Page[StoredMessage]:
            return await storage.messages(
                place.environment, selection, after=place_after, limit=most, oldest_first=oldest_first
            )

        return await within_bounds(some, after, limit)

    def show(message: StoredMessage) -> Mapping[str, object]:
        return message_of(message, with_content=with_content)

    return page_written(await listed(paging, read, show))


async def within_bounds(
    read: Callable[[str | None, int], Awaitable[Page[StoredMessage]]], after: str | None, limit: int
) -> Page[StoredMessage]:
    """Read a page, or as much of it as has bodies of `MOST_BYTES`, about: many large ones would fill the memory."""
    found: list[StoredMessage] = []
    first = last = None
    size, most = 0, min(limit, FEW)
    while True:
        page = await read(after, most)
        found += page.items
        size += sum(len(message.body or b"") for message in page.items)
        first, last, after = first or page.first, page.last or last, page.next
        left = limit - len(found)
        if after is None or not page.items or left <= 0 or size >= MOST_BYTES:
            return Page(tuple(found), after, first, last)
        most = max(1, min(left, (MOST_BYTES - size) * len(found) // max(1, size)))


@router.operation("GET", "/{msg_id}", may=READ, operation_id="v1.message.get", response_model=MessageOut)
async def get_message(
    msg_id: MessageName, customer: OwnCustomer, place: Environment, with_content: WithContent = True
) -> Any:
    """Return a message, by its id or its event id."""
    message = await find_message(await place.storage(), place.environment, customer, msg_id)
    return written(message_of(message, with_content=with_content))


@router.operation("DELETE", "/{msg_id}/content", may=MANAGE, operation_id="v1.message.expunge-content", status=204)
async def expunge_content(msg_id: MessageName, customer: OwnCustomer, place: Environment) -> None:
    """Erase what a message says: what waits of it is cancelled, and it cannot be resent."""
    storage = await place.storage()
    message = await find_message(storage, place.environment, customer, msg_id)
    await storage.erase_message(place.environment, message.id)


@router.operation(
    "POST", "/bulk-expunge", may=MANAGE, operation_id="v1.message.bulk-expunge", response_model=BulkExpungeOut
)
async def bulk_expunge(given: BulkExpungeIn, customer: OwnCustomer, place: Environment) -> Any:
    """Erase what up to 100 messages say; each is a change of its own."""
    if not given.ids:
        raise fault("ids", "Name at least one message.")
    storage = await place.storage()
    results = {name: await expunge(storage, place.environment, customer, name) for name in dict.fromkeys(given.ids)}
    return BulkExpungeOut(results=results)


async def expunge(storage: Storage, environment: str, customer: Customer, name: str) -> Expunged:
    """Erase what one message says; say whether there was one."""
    try:
        message = await find_message(storage, environment, customer, name)
        await storage.erase_message(environment, message.id)
    except NotFound:
        return Expunged.NOT_FOUND
    return Expunged.EXPUNGED


@router.operation(
    "POST", "/precheck/active", may=PUBLISH, operation_id="v1.message.precheck", response_model=PrecheckOut
)
async def precheck(given: PrecheckIn, customer: OwnCustomer, place: Environment) -> Any:
    """Say whether an endpoint would get such a message now. Sending one that nobody gets does no harm."""
    storage = await place.storage()
    now = place.ground.clock.micros()
    occurrence = Occurrence(given.event_type, now, tuple(given.channels or ()))
    after: str | None = None
    while True:
        page = await storage.endpoints(place.environment, customer=customer.uid, after=after, limit=250)
        if any(wants(subscription_of(endpoint), occurrence, now) == MATCHED for endpoint in page.items):
            return PrecheckOut(active=True)
        if page.next is None:
            return PrecheckOut(active=False)
        after = page.next


def subscription_of(endpoint: Endpoint) -> Subscription:
    """Return what an endpoint wants, as the rule reads it."""
    return Subscription(
        ids.read(ids.ENDPOINT, endpoint.id),
        endpoint.event_types,
        endpoint.channels,
        enabled=endpoint.enabled,
        created_at=to_micros(endpoint.created_at),
    )
