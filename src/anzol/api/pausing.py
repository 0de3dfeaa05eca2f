"""Stopping: holding back, letting go, calling off. Nothing is lost by holding back."""

# Annotations are real objects here: FastAPI reads them.
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import Field, model_validator

from anzol.api.access import Asking, Caller, Environment, OwnCustomer, find_customer
from anzol.api.application import uid_of
from anzol.api.attempt import EndpointName
from anzol.api.background_task import TaskOut, task_of
from anzol.api.filters import find_endpoint, find_message
from anzol.api.ground import Place
from anzol.api.problems import Problem, fault
from anzol.api.routes import MANAGE, MANAGE_ENDPOINT, READ, READ_ALL, Resource
from anzol.api.shapes import EventTypeName, Moment, Out, Shape, Text
from anzol.lifecycle import State
from anzol.model import Customer, PauseRule
from anzol.storage.books import NewSweep
from anzol.storage.face import Selection
from anzol.sweeps import CANCEL, scope_of

router = Resource("Stopping")

COUNTED: Final = 100_000  # deliveries; what is more is "more"
OWN: Final = "customer:"  # begins the actor of what a customer's token does

Name = Annotated[Text, Field(min_length=1, max_length=256)]


class PartsIn(Shape):
    """What is held back: everything that all the given parts name."""

    app_id: Annotated[Name | None, Field(description="An application's id or uid.")] = None
    endpoint_id: Annotated[Name | None, Field(description="An endpoint's id; or its uid, beside `appId`.")] = None
    event_type: EventTypeName | None = None
    everything: Annotated[bool, Field(description="All there is, instead of a part.")] = False

    @model_validator(mode="after")
    def check(self) -> "PartsIn":
        """Refuse what names nothing: a part that is missing by mistake would hold back everybody's."""
        if self.everything == any(part is not None for part in (self.app_id, self.endpoint_id, self.event_type)):
            raise ValueError("Name an application, an endpoint, an event type, several of them, or everything.")
        return self


class PauseRuleOut(Out):
    """What is held back."""

    id: int
    app_uid: str | None
    endpoint_id: str | None
    event_type: str | None
    created_at: datetime
    actor: str


class PauseRulesOut(Out):
    """All that is held back."""

    data: list[PauseRuleOut]


class ResumedOut(Out):
    """How many rules were taken back."""

    resumed: int


class CancelIn(Shape):
    """What of that which waits is called off: what all the given parts name."""

    endpoint_id: Annotated[Name | None, Field(description="An endpoint's id or uid.")] = None
    msg_id: Annotated[Name | None, Field(description="A message's id or event id.")] = None
    event_types: Annotated[list[EventTypeName] | None, Field(max_length=250)] = None
    channel: Name | None = None
    tag: Name | None = None
    since: Annotated[Moment | None, Field(description="Messages from this time on.")] = None
    until: Annotated[Moment | None, Field(description="Messages from before this time.")] = None


class CancelAllIn(CancelIn):
    """As for one application; ``appId`` narrows it to one."""

    app_id: Annotated[Name | None, Field(description="An application's id or uid.")] = None


class PreviewOut(Out):
    """How many deliveries would be called off; ``more``: they were too many to be counted."""

    count: int
    more: bool


def rule_of(rule: PauseRule) -> PauseRuleOut:
    """Return a rule as it is shown."""
    return PauseRuleOut(
        id=rule.id,
        app_uid=None if rule.customer is None else uid_of(rule.customer),
        endpoint_id=rule.endpoint_id,
        event_type=rule.event_type,
        created_at=rule.created_at,
        actor=rule.actor,
    )


# --- holding back


@router.operation("GET", "/pause", may=READ_ALL, operation_id="v1.pause.list", response_model=PauseRulesOut)
async def list_rules(place: Environment) -> Any:
    """List what is held back."""
    return PauseRulesOut(data=[rule_of(rule) for rule in await place.paused()])


@router.operation("POST", "/pause", may=MANAGE, operation_id="v1.pause.create", status=201, response_model=PauseRuleOut)
async def pause(given: PartsIn, asking: Asking, place: Environment) -> Any:
    """Hold back what the given parts name: what waits already, and what comes."""
    customer, endpoint_id = await named(place, asking, given.app_id, given.endpoint_id)
    rule = await (await place.storage()).pause(
        place.environment,
        customer=None if customer is None else customer.uid,
        event_type=given.event_type,
        endpoint_id=endpoint_id,
        actor=asking.actor,
    )
    return rule_of(rule)


@router.operation("POST", "/resume", may=MANAGE, operation_id="v1.pause.resume", response_model=ResumedOut)
async def resume(given: PartsIn, asking: Asking, place: Environment) -> Any:
    """Take back what was held back with exactly these parts; it is due now."""
    customer, endpoint_id = await named(place, asking, given.app_id, given.endpoint_id)
    resumed = await (await place.storage()).resume(
        place.environment,
        customer=None if customer is None else customer.uid,
        event_type=given.event_type,
        endpoint_id=endpoint_id,
    )
    return ResumedOut(resumed=resumed)


async def named(
    place: Place, caller: Caller, app_id: str | None, endpoint: str | None
) -> tuple[Customer | None, str | None]:
    """Return the application and the endpoint's id that are named; raises NotFound or Problem."""
    storage = await place.storage()
    customer = None if app_id is None else await find_customer(place, caller, app_id)
    if endpoint is None:
        return customer, None
    if customer is None:
        return None, (await storage.endpoint(place.environment, endpoint)).id
    return customer, (await find_endpoint(storage, place.environment, customer, endpoint)).id


@router.operation(
    "POST",
    "/app/{app_id}/endpoint/{endpoint_id}/pause",
    may=MANAGE_ENDPOINT,
    operation_id="v1.endpoint.pause",
    status=201,
    response_model=PauseRuleOut,
)
async def pause_endpoint(endpoint_id: EndpointName, customer: OwnCustomer, asking: Asking, place: Environment) -> Any:
    """Hold back what is for an endpoint; messages are kept for it meanwhile."""
    storage = await place.storage()
    endpoint = await find_endpoint(storage, place.environment, customer, endpoint_id)
    return rule_of(await place.pause(endpoint=endpoint.id, actor=asking.actor))


@router.operation(
    "POST",
    "/app/{app_id}/endpoint/{endpoint_id}/resume",
    may=MANAGE_ENDPOINT,
    operation_id="v1.endpoint.resume",
    response_model=ResumedOut,
)
async def resume_endpoint(endpoint_id: EndpointName, customer: OwnCustomer, asking: Asking, place: Environment) -> Any:
    """Let an endpoint have what was held back for it; a customer cannot take back what an operator holds back."""
    storage = await place.storage()
    endpoint = await find_endpoint(storage, place.environment, customer, endpoint_id)
    if asking.customer is not None and any(is_operators(rule, endpoint.id) for rule in await place.paused()):
        raise Problem("conflict", "This endpoint is held back by an operator.")
    return ResumedOut(resumed=await place.resume(endpoint=endpoint.id))


def is_operators(rule: PauseRule, endpoint_id: str) -> bool:
    """Say whether a rule holds back just this endpoint, and was not made by its customer."""
    just_this = (rule.customer, rule.event_type, rule.endpoint_id) == (None, None, endpoint_id)
    return just_this and not rule.actor.startswith(OWN)


# --- calling off


@router.operation(
    "POST", "/cancel", may=MANAGE, operation_id="v1.delivery.cancel-all", status=202, response_model=TaskOut
)
async def cancel_everywhere(given: CancelAllIn, asking: Asking, place: Environment) -> Any:
    """Call off what waits and all the given parts name, as a task. At least one part is needed."""
    return await cancelled(place, await chosen(place, given, await named_customer(place, asking, given)))


@router.operation(
    "POST",
    "/cancel/preview",
    may=READ_ALL,
    operation_id="v1.delivery.preview-cancel-all",
    response_model=PreviewOut,
)
async def preview_everywhere(given: CancelAllIn, asking: Asking, place: Environment) -> Any:
    """Count what would be called off; nothing is changed."""
    return await count_waiting(place, await chosen(place, given, await named_customer(place, asking, given)))


@router.operation(
    "POST",
    "/app/{app_id}/cancel",
    may=MANAGE_ENDPOINT,
    operation_id="v1.delivery.cancel",
    status=202,
    response_model=TaskOut,
)
async def cancel(given: CancelIn, customer: OwnCustomer, place: Environment) -> Any:
    """Call off what waits for an application's endpoints, as a task; what is in flight is not called off."""
    return await cancelled(place, await chosen(place, given, customer))


@router.operation(
    "POST",
    "/app/{app_id}/cancel/preview",
    may=READ,
    operation_id="v1.delivery.preview-cancel",
    response_model=PreviewOut,
)
async def preview(given: CancelIn, customer: OwnCustomer, place: Environment) -> Any:
    """Count what would be called off for an application's endpoints; nothing is changed."""
    return await count_waiting(place, await chosen(place, given, customer))


async def named_customer(place: Place, caller: Caller, given: CancelAllIn) -> Customer | None:
    """Return the application that is named, if one is; raises Problem."""
    return None if given.app_id is None else await find_customer(place, caller, given.app_id)


async def cancelled(place: Place, selection: Selection) -> TaskOut:
    """Begin to call off."""
    new = NewSweep(CANCEL, scope_of(without_states(selection)), selection.customer, selection.endpoint_id)
    return task_of(await (await place.storage()).begin_sweep(place.environment, new))


async def chosen(place: Place, given: CancelIn, customer: Customer | None) -> Selection:
    """Return what is meant; raises NotFound or Problem."""
    storage = await place.storage()
    endpoint_id = message_id = None
    if given.endpoint_id is not None:
        if customer is None:
            endpoint_id = (await storage.endpoint(place.environment, given.endpoint_id)).id
        else:
            endpoint_id = (await find_endpoint(storage, place.environment, customer, given.endpoint_id)).id
    if given.msg_id is not None:
        if customer is None:
            message_id = (await storage.message(place.environment, given.msg_id)).id
        else:
            message_id = (await find_message(storage, place.environment, customer, given.msg_id)).id
    selection = Selection(
        customer=None if customer is None else customer.uid,
        endpoint_id=endpoint_id,
        message_id=message_id,
        event_types=tuple(given.event_types or ()),
        since=given.since,
        until=given.until,
        tag=given.tag,
        channel=given.channel,
        states=(State.PENDING,),
    )
    if selection == Selection(states=(State.PENDING,)):
        raise fault("", "Calling off everything must be said by a part: name one, or `since`.")
    return selection


def without_states(selection: Selection) -> Selection:
    """Return a selection as a sweep takes it that calls off: what is pending is meant anyway."""
    return replace(selection, states=())


async def count_waiting(place: Place, selection: Selection) -> PreviewOut:
    """Count deliveries that wait and are not in flight, up to a number."""
    storage = await place.storage()
    count, after = 0, None
    while count < COUNTED:
        page = await storage.deliveries(place.environment, selection, after=after, limit=250)
        count += sum(not delivery.in_flight for delivery in page.items)
        if page.next is None:
            return PreviewOut(count=count, more=False)
        after = page.next
    return PreviewOut(count=count, more=True)
