"""What operators look at: how the whole is doing, and endpoints of all applications."""

# Annotations are real objects here: FastAPI reads them.
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Query
from pydantic import Field

from anzol.api.access import Environment
from anzol.api.application import uid_of
from anzol.api.paging import NewestFirst, listed
from anzol.api.routes import READ_ALL, Resource
from anzol.api.shapes import Listed, Out
from anzol.model import Endpoint, Page, Status, WorkerCard

router = Resource("Console")

LOOKED_INTO: Final = 20  # pages for one page of what fits


class WorkerOut(Out):
    """A live worker."""

    id: int
    host: str
    pid: int
    version: str
    started_at: datetime
    expires_at: Annotated[datetime, Field(description="When its lease ends, unless it is renewed.")]
    lanes: Annotated[int, Field(description="Endpoints that it delivers to now.")]
    in_flight: int


class StatusOut(Out):
    """How the whole is doing; large numbers are estimates."""

    accepted_waiting: Annotated[int, Field(description="Messages that are not deliveries yet.")]
    pending: int
    due: int
    parked: Annotated[int, Field(description="Pending deliveries of endpoints that are disabled or paused.")]
    in_flight: int
    oldest_due: datetime | None
    failing_endpoints: int
    disabled_endpoints: int
    workers: list[WorkerOut]
    schema_version: int


class OverviewOut(Out):
    """An endpoint of any application, and how it does."""

    id: str
    uid: str | None
    app_uid: str | None
    url: str
    description: str
    disabled: bool
    disabled_because: Annotated[str | None, Field(description="`by_customer`, `by_operator`, `gone` or `failing`.")]
    paused: bool
    failures: Annotated[int, Field(description="Attempts in a row that failed.")]
    failing_since: datetime | None
    circuit_open_until: datetime | None
    waiting: Annotated[int, Field(description="Pending deliveries.")]
    created_at: datetime
    updated_at: datetime


def worker_of(card: WorkerCard) -> WorkerOut:
    """Return a worker as it is shown."""
    return WorkerOut(**{name: getattr(card, name) for name in WorkerOut.model_fields})


def status_of(status: Status) -> StatusOut:
    """Return how the whole is doing."""
    plain = {name: getattr(status, name) for name in StatusOut.model_fields if name != "workers"}
    return StatusOut(**plain, workers=[worker_of(card) for card in status.workers])


def overview_of(endpoint: Endpoint) -> OverviewOut:
    """Return an endpoint and how it does."""
    because = endpoint.disabled_because
    return OverviewOut(
        id=endpoint.id,
        uid=endpoint.uid,
        app_uid=uid_of(endpoint.customer),
        url=endpoint.url,
        description=endpoint.description,
        disabled=not endpoint.enabled,
        disabled_because=None if because is None else because.name.lower(),
        paused=endpoint.paused,
        failures=endpoint.health.failures,
        failing_since=endpoint.health.failing_since,
        circuit_open_until=endpoint.health.circuit_open_until,
        waiting=endpoint.health.waiting,
        created_at=endpoint.created_at,
        updated_at=endpoint.updated_at,
    )


@router.operation("GET", "/status", may=READ_ALL, operation_id="v1.status.get", response_model=StatusOut)
async def get_status(place: Environment) -> Any:
    """Say how the whole is doing: what waits, what fails, who works."""
    return status_of(await (await place.storage()).status(place.environment))


@router.operation(
    "GET", "/endpoint", may=READ_ALL, operation_id="v1.endpoint.list-all", response_model=Listed[OverviewOut]
)
async def list_all_endpoints(
    place: Environment,
    paging: NewestFirst,
    failing: Annotated[bool | None, Query(description="Only those whose last attempt failed, or did not.")] = None,
    disabled: Annotated[bool | None, Query(description="Only those that are disabled, or are not.")] = None,
) -> Any:
    """List endpoints of all applications, newest first; with a filter a page may be short though more follow."""
    storage = await place.storage()

    def fits(endpoint: Endpoint) -> bool:
        return failing in (None, endpoint.health.failures > 0) and disabled in (None, not endpoint.enabled)

    async def read(after: str | None, limit: int, oldest_first: bool) -> Page[Endpoint]:
        return await storage.endpoints(place.environment, after=after, limit=limit, oldest_first=oldest_first)

    async def look(after: str | None, limit: int, oldest_first: bool) -> Page[Endpoint]:
        return await sifted(lambda place, most: read(place, most, oldest_first), fits, after, limit)

    plain = failing is None and disabled is None
    return await listed(paging, read if plain else look, overview_of)


async def sifted(
    read: Callable[[str | None, int], Awaitable[Page[Endpoint]]],
    fits: Callable[[Endpoint], bool],
    after: str | None,
    limit: int,
) -> Page[Endpoint]:
    """Return a page of what fits, having looked into some pages at most."""
    found: list[Endpoint] = []
    first = last = None
    for _ in range(LOOKED_INTO):
        page = await read(after, limit - len(found))
        found += [endpoint for endpoint in page.items if fits(endpoint)]
        first, last, after = first or page.first, page.last or last, page.next
        if after is None or len(found) == limit:
            break
    return Page(tuple(found), after, first, last)
