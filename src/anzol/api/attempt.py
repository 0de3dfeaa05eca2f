"""Attempts: every request that was made, with its reply; and making one more."""

# Annotations are real objects here: FastAPI reads them.
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import Path, Query, Response

from anzol.api.access import Environment, OwnCustomer
from anzol.api.attempt_shapes import (
    AttemptOut,
    EndpointMessageOut,
    MessageEndpointOut,
    attempt_of,
    endpoint_message_of,
    message_endpoint_of,
)
from anzol.api.filters import (
    AnsweredWith,
    Expanded,
    MessageStatus,
    Narrowed,
    Narrowing,
    Status,
    WithContent,
    find_attempt,
    find_endpoint,
    find_message,
    states_of,
    status_of,
)
from anzol.api.ground import Place
from anzol.api.message import MessageName, page_written
from anzol.api.paging import NewestFirst, OldestFirst, Paging, listed
from anzol.api.routes import MANAGE, READ, SEND_AGAIN, Resource
from anzol.api.shapes import Listed, Text
from anzol.api.writing import written
from anzol.lifecycle import Outcome
from anzol.model import Attempt, Delivery, Endpoint, Page, StoredMessage
from anzol.storage.face import Selection, Storage

router = Resource("Message Attempt", prefix="/app/{app_id}")

FAILED: Final = tuple(outcome for outcome in Outcome if outcome is not Outcome.OK)
OUTCOMES: Final[Mapping[MessageStatus | None, tuple[Outcome, ...]]] = {
    None: (),
    MessageStatus.SUCCESS: (Outcome.OK,),
    MessageStatus.FAIL: FAILED,
}  # of other statuses there is no attempt: one is stored when it has ended
EndpointName = Annotated[str, Path(max_length=256, description="The endpoint's id or uid.")]
AttemptName = Annotated[str, Path(max_length=256, description="The attempt's id.")]
Told = dict[str, object]


# --- attempts


@router.operation(
    "GET",
    "/attempt/endpoint/{endpoint_id}",
    may=READ,
    operation_id="v1.message-attempt.list-by-endpoint",
    response_model=Listed[AttemptOut],
)
async def list_by_endpoint(
    endpoint_id: EndpointName,
    customer: OwnCustomer,
    place: Environment,
    paging: NewestFirst,
    narrowed: Narrowed,
    status: Status = None,
    status_code_class: AnsweredWith = None,
    with_content: WithContent = True,
    with_msg: Annotated[bool, Query(description="With the message, but for its payload.")] = False,
) -> Any:
    """List an endpoint's attempts, newest first; the times are those at which they began."""
    storage = await place.storage()
    endpoint = await find_endpoint(storage, place.environment, customer, endpoint_id)
    selection = narrowed.selection(
        timed=False,
        customer=customer.uid,
        endpoint_id=endpoint.id,
        status_class=None if status_code_class is None else status_code_class.figure,
    )

    async def tell(page: Page[Attempt]) -> list[Told]:
        messages: Mapping[str, StoredMessage] = {}
        if with_msg:
            messages = await storage.messages_of(place.environment, [attempt.message_id for attempt in page.items])
        return [
            attempt_of(one, endpoint, with_content=with_content, message=messages.get(one.message_id))
            for one in page.items
        ]

    return await attempts_written(place, paging, narrowed, selection, status, tell)


@router.operation(
    "GET",
    "/attempt/msg/{msg_id}",
    may=READ,
    operation_id="v1.message-attempt.list-by-msg",
    response_model=Listed[AttemptOut],
)
async def list_by_msg(
    msg_id: MessageName,
    customer: OwnCustomer,
    place: Environment,
    paging: NewestFirst,
    narrowed: Narrowed,
    status: Status = None,
    status_code_class: AnsweredWith = None,
    endpoint_id: Annotated[Text | None, Query(max_length=256, description="Only those to this endpoint.")] = None,
    with_content: WithContent = True,
) -> Any:
    """List a message's attempts, newest first; the times are those at which they began."""
    storage = await place.storage()
    message = await find_message(storage, place.environment, customer, msg_id)
    chosen = None
    if endpoint_id is not None:
        chosen = (await find_endpoint(storage, place.environment, customer, endpoint_id)).id
    selection = narrowed.selection(
        timed=False,
        message_id=message.id,
        endpoint_id=chosen,
        status_class=None if status_code_class is None else status_code_class.figure,
    )

    async def tell(page: Page[Attempt]) -> list[Told]:
        endpoints = await endpoints_of(storage, place.environment, [one.endpoint_id for one in page.items])
        return [attempt_of(one, endpoints.get(one.endpoint_id), with_content=with_content) for one in page.items]

    return await attempts_written(place, paging, narrowed, selection, status, tell)


async def attempts_written(
    place: Place,
    paging: Paging,
    narrowed: Narrowing,
    selection: Selection,
    status: MessageStatus | None,
    tell: Callable[[Page[Attempt]], Any],
) -> Response:
    """Answer with a page of attempts; *tell* makes of a page what is shown."""
    storage = await place.storage()

    async def read(after: str | None, limit: int, oldest_first: bool) -> Page[Told]:
        if status not in OUTCOMES:
            return Page(())
        page = await storage.attempts(
            place.environment,
            selection,
            outcomes=OUTCOMES[status],
            started_since=narrowed.after,
            started_until=narrowed.before,
            after=after,
            limit=limit,
            oldest_first=oldest_first,
        )
        return Page(tuple(await tell(page)), page.next, page.first, page.last)

    response: Response = page_written(await listed(paging, read, same))
    return response


def same(told: Told) -> Told:
    """Return what is made already."""
    return told


async def endpoints_of(storage: Storage, environment: str, ids: list[str]) -> Mapping[str, Endpoint]:
    """Return endpoints by id, each asked for once."""
    return await storage.endpoints_of(environment, list(dict.fromkeys(ids)))


@router.operation(
    "GET",
    "/msg/{msg_id}/attempt/{attempt_id}",
    may=READ,
    operation_id="v1.message-attempt.get",
    response_model=AttemptOut,
)
async def get_attempt(msg_id: MessageName, attempt_id: AttemptName, customer: OwnCustomer, place: Environment) -> Any:
    """Return an attempt, with the reply."""
    storage = await place.storage()
    message = await find_message(storage, place.environment, customer, msg_id)
    attempt = await find_attempt(storage, place.environment, message, attempt_id)
    endpoints = await endpoints_of(storage, place.environment, [attempt.endpoint_id])
    return written(attempt_of(attempt, endpoints.get(attempt.endpoint_id), with_content=True))


@router.operation(
    "DELETE",
    "/msg/{msg_id}/attempt/{attempt_id}/content",
    may=MANAGE,
    operation_id="v1.message-attempt.expunge-content",
    status=204,
)
async def expunge_content(
    msg_id: MessageName, attempt_id: AttemptName, customer: OwnCustomer, place: Environment
) -> None:
    """Erase what an attempt was answered: headers and body."""
    storage = await place.storage()
    message = await find_message(storage, place.environment, customer, msg_id)
    attempt = await find_attempt(storage, place.environment, message, attempt_id)
    await storage.erase_attempt(place.environment, attempt.id)


@router.operation(
    "POST",
    "/msg/{msg_id}/endpoint/{endpoint_id}/resend",
    may=SEND_AGAIN,
    operation_id="v1.message-attempt.resend",
    status=202,
)
async def resend(msg_id: MessageName, endpoint_id: EndpointName, customer: OwnCustomer, place: Environment) -> Any:
    """Deliver a message to an endpoint again, now, whatever became of it before."""
    storage = await place.storage()
    message = await find_message(storage, place.environment, customer, msg_id)
    endpoint = await find_endpoint(storage, place.environment, customer, endpoint_id)
    await place.resend(message.id, endpoint.id)
    return written({}, 202)


# --- deliveries, as the dialect asks for them


@router.operation(
    "GET",
    "/endpoint/{endpoint_id}/msg",
    may=READ,
    operation_id="v1.message-attempt.list-attempted-messages",
    response_model=Listed[EndpointMessageOut],
)
async def list_attempted_messages(
    endpoint_id: EndpointName,
    customer: OwnCustomer,
    place: Environment,
    paging: NewestFirst,
    narrowed: Narrowed,
    status: Status = None,
    with_content: WithContent = True,
    expanded_statuses: Expanded = True,
) -> Any:
    """List the messages for an endpoint, newest first, and how the delivery of each stands."""
    storage = await place.storage()
    endpoint = await find_endpoint(storage, place.environment, customer, endpoint_id)
    selection = narrowed.selection(customer=customer.uid, endpoint_id=endpoint.id, states=states_of(status))

    async def read(after: str | None, limit: int, oldest_first: bool) -> Page[Told]:
        page = await deliveries(place, selection, status, after, limit, oldest_first)
        messages = await storage.messages_of(place.environment, [delivery.message_id for delivery in page.items])
        told = [
            endpoint_message_of(one, messages, with_content=with_content, expanded=expanded_statuses)
            for one in page.items
        ]
        return Page(tuple(told), page.next, page.first, page.last)

    return page_written(await listed(paging, read, same))


async def deliveries(
    place: Place, selection: Selection, status: MessageStatus | None, after: str | None, limit: int, oldest_first: bool
) -> Page[Delivery]:
    """Read a page of deliveries; of those pending only what waits, or only what is in flight, as *status* asks."""
    storage = await place.storage()
    page = await storage.deliveries(place.environment, selection, after=after, limit=limit, oldest_first=oldest_first)
    if status is None:
        return page
    return replace(page, items=tuple(one for one in page.items if status_of(one) is status))


@router.operation(
    "GET",
    "/msg/{msg_id}/endpoint",
    may=READ,
    operation_id="v1.message-attempt.list-attempted-destinations",
    response_model=Listed[MessageEndpointOut],
)
async def list_attempted_endpoints(
    msg_id: MessageName, customer: OwnCustomer, place: Environment, paging: OldestFirst
) -> Any:
    """List the endpoints that a message went, or is to go, to, and how the delivery to each stands."""
    storage = await place.storage()
    message = await find_message(storage, place.environment, customer, msg_id)
    selection = Selection(message_id=message.id)

    async def read(after: str | None, limit: int, oldest_first: bool) -> Page[Told]:
        page = await deliveries(place, selection, None, after, limit, oldest_first)
        endpoints = await endpoints_of(storage, place.environment, [one.endpoint_id for one in page.items])
        told = [
            message_endpoint_of(one, endpoints[one.endpoint_id]) for one in page.items if one.endpoint_id in endpoints
        ]
        return Page(tuple(told), page.next, page.first, page.last)

    return page_written(await listed(paging, read, same))
