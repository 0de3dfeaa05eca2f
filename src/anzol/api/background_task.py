"""Background tasks: changes to many deliveries and counts, done by workers; begun here, looked at, called off."""

# Annotations are real objects here: FastAPI reads them.
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final

from fastapi import Path, Query
from pydantic import Field

from anzol.api.access import Asking, Caller, Environment, OwnCustomer, find_customer
from anzol.api.application import uid_of
from anzol.api.attempt import EndpointName
from anzol.api.filters import MessageStatus, StatusCodeClass, find_endpoint, states_of
from anzol.api.ground import Place
from anzol.api.paging import NewestFirst, listed
from anzol.api.problems import Problem, fault
from anzol.api.routes import READ, READ_ALL, SEND_AGAIN, Resource
from anzol.api.shapes import EventTypeName, Listed, Moment, Out, Shape, Text
from anzol.errors import NotFound
from anzol.lifecycle import SweepState
from anzol.model import Customer, Page, Sweep
from anzol.storage.books import NewSweep
from anzol.storage.face import Selection
from anzol.sweeps import APP_STATS, BULK_REPLAY, CANCEL, EVENT_TYPE_STATS, RECOVER, REPLAY_MISSING, scope_of

router = Resource("Background Task")


class TaskStatus(StrEnum):
    """How a task stands, in the dialect's words: what was called off has failed."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


class TaskType(StrEnum):
    """What a task does. The last one is Anzol's own, and in a list only if it is asked for: clients know no such."""

    RECOVER = "endpoint.recover"
    REPLAY = "endpoint.replay"
    BULK_REPLAY = "endpoint.bulk-replay"
    APP_STATS = "application.stats"
    EVENT_TYPES = "event-type.aggregate"
    CANCEL = "delivery.cancel"


KINDS: Final[Mapping[TaskType, str]] = {
    TaskType.RECOVER: RECOVER,
    TaskType.REPLAY: REPLAY_MISSING,
    TaskType.BULK_REPLAY: BULK_REPLAY,
    TaskType.APP_STATS: APP_STATS,
    TaskType.EVENT_TYPES: EVENT_TYPE_STATS,
    TaskType.CANCEL: CANCEL,
}
TYPES: Final = {kind: task for task, kind in KINDS.items()}
STATUSES: Final = {
    SweepState.RUNNING: TaskStatus.RUNNING,
    SweepState.FINISHED: TaskStatus.FINISHED,
    SweepState.FAILED: TaskStatus.FAILED,
    SweepState.CANCELLED: TaskStatus.FAILED,
}
State = Annotated[
    str,
    Field(
        description="Anzol's own word: `cancelled` is what was called off.",
        json_schema_extra={"enum": [state.label for state in SweepState]},
    ),
]
TaskName = Annotated[str, Path(max_length=256, description="The task's id.")]


class TaskOut(Out):
    """A task that was begun."""

    id: str
    task: TaskType
    status: TaskStatus
    state: State
    updated_at: datetime


class BackgroundTaskOut(TaskOut):
    """A task, with its progress or its result."""

    data: Annotated[
        dict[str, Any], Field(description="`changed`: deliveries so far; what a count found; `error`: why it failed.")
    ]
    app_uid: Annotated[str | None, Field(description="Of the application that it is about, if of one.")]
    endpoint_id: str | None
    created_at: datetime


class AppStatsOut(TaskOut):
    """A count that was begun; the applications that were not found are not in it."""

    unresolved_app_ids: list[str]


def task_fields(sweep: Sweep) -> dict[str, Any]:
    """Return what every answer about a task has."""
    return {
        "id": sweep.id,
        "task": TYPES[sweep.kind],
        "status": STATUSES[sweep.state],
        "state": sweep.state.label,
        "updated_at": sweep.updated_at,
    }


def task_of(sweep: Sweep) -> TaskOut:
    """Return a task that was begun."""
    return TaskOut(**task_fields(sweep))


def background_task_of(sweep: Sweep) -> BackgroundTaskOut:
    """Return a task with its progress."""
    result = sweep.result if sweep.state is SweepState.FINISHED else {}  # before that it is a place of work
    data: dict[str, Any] = {**result, "changed": sweep.changed}
    if sweep.error:
        data["error"] = sweep.error
    return BackgroundTaskOut(
        **task_fields(sweep),
        data=data,
        app_uid=None if sweep.customer is None else uid_of(sweep.customer),
        endpoint_id=sweep.endpoint_id,
        created_at=sweep.created_at,
    )


# --- looking, calling off


@router.operation(
    "GET",
    "/background-task",
    may=READ,
    operation_id="v1.background-task.list",
    response_model=Listed[BackgroundTaskOut],
)
async def list_tasks(
    asking: Asking,
    place: Environment,
    paging: NewestFirst,
    status: Annotated[TaskStatus | None, Query(description="Only those that stand so.")] = None,
    task: Annotated[TaskType | None, Query(description="Only those that do this.")] = None,
) -> Any:
    """List tasks, newest first; a customer's token sees its own."""
    storage = await place.storage()
    kind = None if task is None else KINDS[task]
    exact = {TaskStatus.RUNNING: SweepState.RUNNING, TaskStatus.FINISHED: SweepState.FINISHED}
    state = None if status is None else exact.get(status)

    async def read(after: str | None, limit: int, oldest_first: bool) -> Page[Sweep]:
        page = await storage.sweeps(
            place.environment,
            customer=asking.customer,
            state=state,
            kind=kind,
            after=after,
            limit=limit,
            oldest_first=oldest_first,
        )
        return replace(page, items=tuple(one for one in page.items if is_shown(one, status, task)))

    return await listed(paging, read, background_task_of)


def is_shown(sweep: Sweep, status: TaskStatus | None, task: TaskType | None) -> bool:
    """Say whether a task is in a list that asks for *status* and *task*."""
    if task is None and sweep.kind == CANCEL:
        return False
    return status in (None, STATUSES[sweep.state])


@router.operation(
    "GET",
    "/background-task/{task_id}",
    may=READ,
    operation_id="v1.background-task.get",
    response_model=BackgroundTaskOut,
)
async def get_task(task_id: TaskName, asking: Asking, place: Environment) -> Any:
    """Return a task, with its progress or its result."""
    return background_task_of(await find_sweep(place, asking, task_id))


@router.operation(
    "POST",
    "/background-task/{task_id}/cancel",
    may=SEND_AGAIN,
    operation_id="v1.background-task.cancel",
    response_model=BackgroundTaskOut,
)
async def cancel_task(task_id: TaskName, asking: Asking, place: Environment) -> Any:
    """Call a task off: what it did stays done. One that has ended stays as it is."""
    sweep = await find_sweep(place, asking, task_id)
    storage = await place.storage()
    return background_task_of(await storage.call_off_sweep(place.environment, sweep.id))


async def find_sweep(place: Place, caller: Caller, task_id: str) -> Sweep:
    """Return a task, if it is there and the caller's.

    Raises:
        NotFound: it is not.
    """
    missing = NotFound(f"There is no task {task_id!r}.")
    try:
        sweep = await (await place.storage()).sweep(place.environment, task_id)
    except NotFound:
        raise missing from None  # in the words that are said of another's
    if caller.customer is not None and sweep.customer != caller.customer:
        raise missing
    return sweep


# --- beginning


class SpanIn(Shape):
    """From when until when the messages were sent; ``until`` is now, if it is not given."""

    since: Moment
    until: Moment | None = None


class BulkReplayIn(SpanIn):
    """Which deliveries are made again."""

    event_types: Annotated[list[EventTypeName] | None, Field(max_length=250)] = None
    channel: Annotated[Text | None, Field(min_length=1, max_length=256)] = None
    tag: Annotated[Text | None, Field(min_length=1, max_length=256)] = None
    status: MessageStatus | None = None
    status_code_class: StatusCodeClass | None = None


async def begin(
    place: Place, kind: str, selection: Selection, customer: Customer | None = None, endpoint: str | None = None
) -> Sweep:
    """Begin a sweep; raises NotFound if there is no such endpoint."""
    storage = await place.storage()
    endpoint_id = None
    if customer is not None and endpoint is not None:
        endpoint_id = (await find_endpoint(storage, place.environment, customer, endpoint)).id
    uid = None if customer is None else customer.uid
    return await storage.begin_sweep(place.environment, NewSweep(kind, scope_of(selection), uid, endpoint_id))


@router.operation(
    "POST",
    "/app/{app_id}/endpoint/{endpoint_id}/recover",
    may=SEND_AGAIN,
    operation_id="v1.endpoint.recover",
    status=202,
    response_model=TaskOut,
)
async def recover(endpoint_id: EndpointName, given: SpanIn, customer: OwnCustomer, place: Environment) -> Any:
    """Deliver again what the endpoint did not get: deliveries that were given up."""
    return task_of(await begin(place, RECOVER, Selection(since=given.since, until=given.until), customer, endpoint_id))


@router.operation(
    "POST",
    "/app/{app_id}/endpoint/{endpoint_id}/replay-missing",
    may=SEND_AGAIN,
    operation_id="v1.endpoint.replay-missing",
    status=202,
    response_model=TaskOut,
)
async def replay_missing(endpoint_id: EndpointName, given: SpanIn, customer: OwnCustomer, place: Environment) -> Any:
    """Deliver messages that the endpoint wants and never had: from before it was made, or while it was disabled."""
    selection = Selection(since=given.since, until=given.until)
    return task_of(await begin(place, REPLAY_MISSING, selection, customer, endpoint_id))


@router.operation(
    "POST",
    "/app/{app_id}/endpoint/{endpoint_id}/bulk-replay",
    may=SEND_AGAIN,
    operation_id="v1.endpoint.bulk-replay",
    status=202,
    response_model=TaskOut,
)
async def bulk_replay(endpoint_id: EndpointName, given: BulkReplayIn, customer: OwnCustomer, place: Environment) -> Any:
    """Deliver again whatever has ended and fits."""
    if given.status in (MessageStatus.PENDING, MessageStatus.SENDING):
        raise fault("status", "What is pending is on its way already.")
    selection = Selection(
        since=given.since,
        until=given.until,
        event_types=tuple(given.event_types or ()),
        states=states_of(given.status),
        channel=given.channel,
        tag=given.tag,
        status_class=None if given.status_code_class is None else given.status_code_class.figure,
    )
    return task_of(await begin(place, BULK_REPLAY, selection, customer, endpoint_id))


# --- counting


class AppStatsIn(Shape):
    """Of which time, and of which applications; none named: of all."""

    since: Moment
    until: Moment
    app_ids: Annotated[list[Annotated[Text, Field(min_length=1, max_length=256)]] | None, Field(max_length=250)] = None


@router.operation(
    "POST",
    "/stats/usage/app",
    may=READ_ALL,
    operation_id="v1.statistics.aggregate-app-stats",
    status=202,
    response_model=AppStatsOut,
)
async def aggregate_app_stats(given: AppStatsIn, asking: Asking, place: Environment) -> Any:
    """Count messages and deliveries of applications; the result is in the task's ``data``."""
    found, unresolved = await resolved(place, asking, given.app_ids or [])
    if given.app_ids and not found:
        raise fault("appIds", "None of these applications is there.")
    scope = scope_of(Selection(since=given.since, until=given.until), found)
    sweep = await (await place.storage()).begin_sweep(place.environment, NewSweep(APP_STATS, scope))
    return AppStatsOut(**task_fields(sweep), unresolved_app_ids=unresolved)


async def resolved(place: Place, caller: Caller, names: list[str]) -> tuple[list[str], list[str]]:
    """Return the uids of applications, and the names of those that are not there."""
    found, unresolved = [], []
    for name in dict.fromkeys(names):
        try:
            found.append((await find_customer(place, caller, name)).uid)
        except Problem:
            unresolved.append(name)
    return found, unresolved


@router.operation(
    "PUT",
    "/stats/usage/event-types",
    may=READ_ALL,
    operation_id="v1.statistics.aggregate-event-types",
    status=202,
    response_model=TaskOut,
)
async def aggregate_event_types(place: Environment) -> Any:
    """Find out which event types each application's endpoints are subscribed to, and how many messages each had."""
    sweep = await (await place.storage()).begin_sweep(place.environment, NewSweep(EVENT_TYPE_STATS, {}))
    return task_of(sweep)
