"""A customer's own: taking all of it away with one, and erasing it."""

# Annotations are real objects here: FastAPI reads them.
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from starlette.responses import StreamingResponse

from anzol.api.access import Environment, OwnCustomer
from anzol.api.application import application_of, uid_of
from anzol.api.attempt_shapes import attempt_of, delivery_of
from anzol.api.message_shapes import message_of
from anzol.api.routes import MANAGE, READ, Resource
from anzol.api.shapes import Out
from anzol.api.writing import write
from anzol.model import Customer, Endpoint, Page, StoredMessage
from anzol.registry.records import every
from anzol.storage.face import Selection, Storage

router = Resource("Application", prefix="/app")
T = TypeVar("T")
FEW: Final = 20  # messages at a time: each may have a body of a megabyte and more
MANY: Final = 250
REMAINS: Final = (
    "Entries of the audit log, as long as that is kept: who did what, with ids and uids.",
    "What its endpoints were called (URL, description), without secrets and headers, until retention ends.",
    "Deliveries that were in flight, until they have ended.",
    "Backups of the database, and what receivers were sent.",
)


class ErasureOut(Out):
    """What was erased, and what is left all the same."""

    app_id: str
    remains: list[str]


class Lines(StreamingResponse):
    """A stream of JSON, a line each."""

    media_type = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Export:
    """All that there is of a customer, line by line, in an order of its own; no secret is in it."""

    storage: Storage
    environment: str
    customer: Customer

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield JSON, a line each; the last one says that the export is whole."""
        counts: dict[str, int] = {}
        async for kind, fields in self.things():
            counts[kind] = counts.get(kind, 0) + 1
            yield write({"type": kind, **fields}) + b"\n"
        yield write({"type": "end", "counts": counts}) + b"\n"

    async def things(self) -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
        """Yield what there is, with the name of its kind."""
        yield "application", application_of(self.customer).model_dump()
        async for endpoint in self._endpoints():
            yield "endpoint", endpoint_fields(endpoint)
        async for message in self._all(self.storage.messages, FEW):
            yield "message", message_fields(message)
        async for delivery in self._all(self.storage.deliveries, MANY):
            yield "delivery", delivery_of(delivery, uid_of(delivery.customer))
        async for attempt in self._all(self.storage.attempts, MANY):
            yield "attempt", attempt_of(attempt, None, with_content=True)

    def _endpoints(self) -> AsyncIterator[Endpoint]:
        uid = self.customer.uid
        return every(lambda after: self.storage.endpoints(self.environment, customer=uid, after=after, limit=MANY))

    def _all(self, read: Callable[..., Awaitable[Page[T]]], limit: int) -> AsyncIterator[T]:
        selection = Selection(customer=self.customer.uid)
        return every(lambda after: read(self.environment, selection, after=after, limit=limit))


def endpoint_fields(endpoint: Endpoint) -> dict[str, object]:
    """Return an endpoint without what is secret: of headers the names."""
    return {
        "id": endpoint.id,
        "uid": endpoint.uid,
        "url": endpoint.url,
        "description": endpoint.description,
        "eventTypes": list(endpoint.event_types),
        "channels": list(endpoint.channels),
        "headers": list(endpoint.headers),
        "throttleRate": endpoint.throttle,
        "fifo": endpoint.fifo,
        "contact": endpoint.contact,
        "metadata": endpoint.metadata,
        "disabled": not endpoint.enabled,
        "createdAt": endpoint.created_at,
        "updatedAt": endpoint.updated_at,
    }


def message_fields(message: StoredMessage) -> dict[str, object]:
    """Return a message with everything that was sent with it."""
    return {
        **message_of(message, with_content=True),
        "method": message.method,
        "headers": [list(pair) for pair in message.headers],
        "query": message.query,
    }


@router.operation(
    "GET",
    "/{app_id}/export",
    may=READ,
    operation_id="v1.application.export",
    response_class=Lines,
)
async def export(customer: OwnCustomer, place: Environment) -> Any:
    """Return all that there is of an application: a JSON object a line, ``type`` says of what.

    Application, endpoints (without secrets), messages with what they say, deliveries, attempts. The last line has the
    type ``end``, and how many there were of each; an export without it is cut.
    """
    whole = Export(await place.storage(), place.environment, customer)
    headers = {"content-disposition": f'attachment; filename="{customer.id}.ndjson"'}
    return Lines(whole.lines(), headers=headers)


@router.operation("POST", "/{app_id}/erase", may=MANAGE, operation_id="v1.application.erase", response_model=ErasureOut)
async def erase(customer: OwnCustomer, place: Environment) -> Any:
    """Erase an application with everything that is its own; the answer says what remains all the same."""
    await place.customers.delete(customer.uid)
    return ErasureOut(app_id=customer.id, remains=list(REMAINS))
