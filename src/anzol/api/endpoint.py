"""Endpoints of an application."""

# Annotations are real objects here: FastAPI reads them.
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import Depends, Path, Query, Response

from anzol.api.access import Asking, Environment, OwnCustomer
from anzol.api.endpoint_shapes import EndpointIn, EndpointOut, EndpointPatch, EndpointPut, endpoint_of
from anzol.api.ground import Place
from anzol.api.keeping import Keeper
from anzol.api.paging import NewestFirst, listed
from anzol.api.problems import fault
from anzol.api.routes import MANAGE_ENDPOINT, READ, Resource
from anzol.api.shapes import Listed, Moment, Out
from anzol.clock import from_micros
from anzol.model import Endpoint, Page

router = Resource("Endpoint", prefix="/app/{app_id}/endpoint")
SPAN: Final = timedelta(days=28)


def keeper_of(customer: OwnCustomer, place: Environment, caller: Asking) -> Keeper:
    """Return what the caller can do with the application's endpoints."""
    return Keeper(place, caller, customer.uid)


Keeping = Annotated[Keeper, Depends(keeper_of)]
EndpointId = Annotated[str, Path(description="The endpoint's id or uid.", max_length=300)]


@router.operation("GET", "", may=READ, operation_id="v1.endpoint.list", response_model=Listed[EndpointOut])
async def list_endpoints(customer: OwnCustomer, place: Environment, paging: NewestFirst) -> Any:
    """List an application's endpoints."""
    return await endpoints_listed(place, customer.uid, paging)


async def endpoints_listed(place: Place, customer: str, paging: NewestFirst) -> Listed[EndpointOut]:
    """Return one page of a customer's endpoints."""
    storage = await place.storage()

    async def read(after: str | None, limit: int, oldest_first: bool) -> Page[Endpoint]:
        return await storage.endpoints(
            place.environment, customer=customer, after=after, limit=limit, oldest_first=oldest_first
        )

    return await listed(paging, read, endpoint_of)


@router.operation(
    "POST", "", may=MANAGE_ENDPOINT, operation_id="v1.endpoint.create", status=201, response_model=EndpointOut
)
async def create_endpoint(given: EndpointIn, keeper: Keeping) -> Any:
    """Register an endpoint."""
    return endpoint_of(await keeper.create(given))


@router.operation("GET", "/{endpoint_id}", may=READ, operation_id="v1.endpoint.get", response_model=EndpointOut)
async def get_endpoint(endpoint_id: EndpointId, keeper: Keeping) -> Any:
    """Return an endpoint."""
    return endpoint_of(await keeper.find(endpoint_id))


@router.operation(
    "PUT",
    "/{endpoint_id}",
    may=MANAGE_ENDPOINT,
    operation_id="v1.endpoint.update",
    or_status=201,
    response_model=EndpointOut,
    problems=("conflict",),
    description="Register an endpoint under the uid in the path, or set all of the one that is there. Its secret, its "
    "headers, whether it is disabled, its uid, and Anzol's own `fifo`, `contact`, `schedule` and `headerPrefix` stay "
    "as they are unless they are given; everything else that is not given is as for a new one.",
)
async def put_endpoint(endpoint_id: EndpointId, given: EndpointPut, keeper: Keeping, response: Response) -> Any:
    """Register or set an endpoint."""
    endpoint, made = await keeper.put(endpoint_id, given)
    if made:
        response.status_code = 201
    return endpoint_of(endpoint)


@router.operation(
    "PATCH",
    "/{endpoint_id}",
    may=MANAGE_ENDPOINT,
    operation_id="v1.endpoint.patch",
    response_model=EndpointOut,
    problems=("conflict",),
)
async def patch_endpoint(endpoint_id: EndpointId, given: EndpointPatch, keeper: Keeping) -> Any:
    """Change what is given of an endpoint."""
    return endpoint_of(await keeper.patch(endpoint_id, given))


@router.operation("DELETE", "/{endpoint_id}", may=MANAGE_ENDPOINT, operation_id="v1.endpoint.delete", status=204)
async def delete_endpoint(endpoint_id: EndpointId, keeper: Keeping) -> None:
    """Delete an endpoint: what waits for it is cancelled, what was delivered stays in the history."""
    await keeper.delete(endpoint_id)


# --- how it does


class EndpointStats(Out):
    """How many messages stand how."""

    success: int
    pending: int
    sending: int
    fail: int
    canceled: int


class AttemptStats(Out):
    """How many attempts came out how; none is ever cancelled."""

    success: int
    fail: int
    canceled: int


Since = Annotated[Moment | None, Query(description="From then on; 28 days before `until` unless given.")]
Until = Annotated[Moment | None, Query(description="Up to then; now unless given.")]


def span(place: Environment, since: Since = None, until: Until = None) -> tuple[datetime, datetime]:
    """Return the times that are asked for.

    Raises:
        Problem: the first one is not before the other.
    """
    end = until or from_micros(place.ground.clock.micros())
    begin = since or end - SPAN
    if begin >= end:
        raise fault("since", "It has to be before `until`.", place="query")
    return begin, end


Span = Annotated[tuple[datetime, datetime], Depends(span)]


@router.operation(
    "GET", "/{endpoint_id}/stats", may=READ, operation_id="v1.endpoint.get-stats", response_model=EndpointStats
)
async def get_stats(endpoint_id: EndpointId, keeper: Keeping, place: Environment, asked: Span) -> Any:
    """Count what was sent to an endpoint, by how it stands; the times are those of the messages."""
    endpoint = await keeper.find(endpoint_id)
    storage = await place.storage()
    tally = await storage.tally(place.environment, endpoint_id=endpoint.id, since=asked[0], until=asked[1])
    return EndpointStats(
        success=tally.success,
        pending=tally.pending,
        sending=tally.sending,
        fail=tally.fail,
        canceled=tally.cancelled,
    )


@router.operation(
    "GET",
    "/{endpoint_id}/attempt-stats",
    may=READ,
    operation_id="v1.endpoint.get-attempt-stats",
    response_model=AttemptStats,
)
async def get_attempt_stats(endpoint_id: EndpointId, keeper: Keeping, place: Environment, asked: Span) -> Any:
    """Count the requests that were made to an endpoint."""
    endpoint = await keeper.find(endpoint_id)
    storage = await place.storage()
    tally = await storage.tally_attempts(place.environment, endpoint.id, since=asked[0], until=asked[1])
    return AttemptStats(success=tally.success, fail=tally.fail, canceled=tally.cancelled)
