"""The live log: attempts as they are recorded, as server-sent events."""

# Annotations are real objects here: FastAPI reads them.
import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import Header, Query
from starlette.requests import Request

from anzol.api.access import Caller, Credentials, Environment, OwnCustomer, address_of, caller_of
from anzol.api.application import uid_of
from anzol.api.attempt_shapes import attempt_of, status_of_attempt
from anzol.api.delivery import OfEndpoint
from anzol.api.filters import MessageStatus, Names, Status, find_endpoint, names_in
from anzol.api.ground import Place
from anzol.api.paging import opened, sealed
from anzol.api.problems import Problem, fault
from anzol.api.routes import READ, READ_ALL, Resource
from anzol.api.streams import EventStream, Streams, beginning, event, heartbeat, server_stops, streams_of
from anzol.api.writing import write
from anzol.errors import InvalidValue, StorageError
from anzol.model import OPERATIONAL, Attempt, StoredMessage
from anzol.storage.books import Recorded

router = Resource("Delivery")

PAGE: Final = 50  # attempts read at once
NAP: Final = 0.5  # seconds between two looks
SHARE: Final = 10  # of the time, one in so many may be spent on looking
HEARTBEAT: Final = 15.0  # seconds
CHECK: Final = 2.0  # seconds between two looks at the credential
LASTING: Final = 3600.0  # seconds; who wants more comes again, and loses nothing
LATE: Final = timedelta(seconds=60)  # that an attempt may be recorded after its deadline
LONGEST: Final = 16_384  # characters of an event's id

LastEventId = Annotated[
    str | None, Header(alias="last-event-id", max_length=LONGEST, description="Goes on behind this event.")
]
WithReply = Annotated[bool, Query(description="With what was answered: headers and body.")]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which attempts somebody wants to see."""

    customer: str | None = None
    endpoint_id: str | None = None
    status: MessageStatus | None = None
    event_types: tuple[str, ...] = ()
    with_content: bool = False

    def fits(self, attempt: Attempt, message: StoredMessage | None) -> bool:
        """Say whether an attempt is one of them; operational endpoints' are nobody's."""
        if self.endpoint_id not in (None, attempt.endpoint_id):
            return False
        if self.status not in (None, status_of_attempt(attempt)):
            return False
        if message is None:
            return not self.event_types
        return message.customer != OPERATIONAL and (not self.event_types or message.event_type in self.event_types)


@router.operation(
    "GET",
    "/app/{app_id}/delivery/live",
    may=READ,
    operation_id="v1.delivery.live",
    response_class=EventStream,
)
async def live(
    request: Request,
    customer: OwnCustomer,
    place: Environment,
    last_event_id: LastEventId = None,
    endpoint_id: OfEndpoint = None,
    status: Status = None,
    event_types: Names = None,
    with_content: WithReply = False,
) -> Any:
    """Follow an application's attempts as they are recorded.

    Each event is an `attempt`; its data is that of a list of attempts, with `eventType` and `appUid`. Who comes again
    with the `Last-Event-ID` of an event gets what was recorded behind it, nothing twice.
    """
    chosen = None
    if endpoint_id is not None:
        chosen = (await find_endpoint(await place.storage(), place.environment, customer, endpoint_id)).id
    wanted = Wanted(customer.uid, chosen, status, names_in(event_types), with_content)
    return await streamed(request, place, wanted, last_event_id)


@router.operation(
    "GET", "/delivery/live", may=READ_ALL, operation_id="v1.delivery.live-all", response_class=EventStream
)
async def live_everywhere(
    request: Request,
    place: Environment,
    last_event_id: LastEventId = None,
    status: Status = None,
    event_types: Names = None,
    with_content: WithReply = False,
) -> Any:
    """Follow the attempts of all applications as they are recorded."""
    wanted = Wanted(None, None, status, names_in(event_types), with_content)
    return await streamed(request, place, wanted, last_event_id)


async def streamed(request: Request, place: Place, wanted: Wanted, last_event_id: str | None) -> EventStream:
    """Begin a stream; what is wrong with the request is said before."""
    caller, streams = await caller_of(request), streams_of(request)
    log = Log(place, wanted, still_allowed(request, caller), streams, streams.ends)
    first = await log.begun(last_event_id)
    streams.enter(caller.credential)
    return EventStream(log.events(first), streams, caller.credential)


def still_allowed(request: Request, caller: Caller) -> Callable[[], Any]:
    """Return what finds out whether the credential is still good."""
    credentials: Credentials = request.app.state.credentials
    authorization, address = request.headers.get("authorization"), address_of(request)

    async def check() -> bool:
        try:
            now = await credentials.caller(authorization, address)
        except Problem as problem:
            return problem.code != "authentication_failed"
        return now.customer == caller.customer and now.scopes >= caller.scopes

    return check


@dataclass(frozen=True, slots=True)
class Log:
    """What one stream shows, until something ends it."""

    place: Place
    wanted: Wanted
    allowed: Callable[[], Any]
    streams: Streams
    ends: int

    async def begun(self, last_event_id: str | None) -> str:
        """Return the mark from which on to read; raises Problem where what was given is none."""
        given = None if not last_event_id else opened(last_event_id)
        try:
            return (await self._read(given, 1)).mark if given is None else await self._known(given)
        except InvalidValue:
            raise fault("last-event-id", "It is not the id of an event.", place="header") from None

    async def _known(self, mark: str) -> str:
        """Return a mark that storage takes."""
        await self._read(mark, 1)
        return mark

    async def events(self, mark: str) -> AsyncIterator[bytes]:
        """Yield events, and signs of life between them."""
        began = spoken = checked = time.monotonic()
        yield beginning(told(mark))
        while time.monotonic() - began < LASTING and self.ends == self.streams.ends and not server_stops():
            looked = time.monotonic()
            try:
                page = await self._read(mark, PAGE)
                written = await self._written(page)
            except StorageError:
                return  # who comes again goes on where this ended
            mark = page.mark
            now = time.monotonic()
            if written or now - spoken >= HEARTBEAT:
                yield written + (b"" if written else heartbeat(told(mark)))
                spoken = now
            if now - checked >= CHECK:
                if not await self.allowed():
                    return
                checked = now
            if not page.more:
                await asyncio.sleep(max(NAP, SHARE * (now - looked)))

    async def _read(self, mark: str | None, limit: int) -> Recorded:
        storage = await self.place.storage()
        reach = self.place.ground.settings().delivery_timeout + LATE
        return await storage.recorded(
            self.place.environment, customer=self.wanted.customer, mark=mark, reach=reach, limit=limit
        )

    async def _written(self, page: Recorded) -> bytes:
        """Return a page as events."""
        if not page.items:
            return b""
        storage, environment = await self.place.storage(), self.place.environment
        attempts = [attempt for attempt, _ in page.items]
        messages = await storage.messages_of(environment, [one.message_id for one in attempts])
        endpoints = await storage.endpoints_of(environment, [one.endpoint_id for one in attempts])
        written = b""
        for attempt, mark in page.items:
            message = messages.get(attempt.message_id)
            if self.wanted.fits(attempt, message):
                shown = attempt_of(attempt, endpoints.get(attempt.endpoint_id), with_content=self.wanted.with_content)
                written += event("attempt", told(mark), write({**shown, **whose(message)}))
        return written


def whose(message: StoredMessage | None) -> dict[str, str | None]:
    """Return what a message adds to its attempt."""
    if message is None:
        return {"eventType": None, "appUid": None}
    return {"eventType": message.event_type, "appUid": uid_of(message.customer)}


def told(mark: str) -> str:
    """Return a mark as an event's id."""
    return sealed(mark) or ""
