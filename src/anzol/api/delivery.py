"""Deliveries: one message to one endpoint each; and why an endpoint was to have a message, or was not."""

# Annotations are real objects here: FastAPI reads them.
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field

from anzol.api.access import Asking, Environment, OwnCustomer, find_customer
from anzol.api.application import uid_of
from anzol.api.attempt import Told, deliveries, same
from anzol.api.attempt_shapes import DeliveryOut, delivery_of
from anzol.api.filters import (
    AnsweredWith,
    MessageStatus,
    Narrowed,
    Narrowing,
    Status,
    StatusCodeClass,
    find_endpoint,
    find_message,
    states_of,
)
from anzol.api.ground import Place
from anzol.api.message import MessageName, page_written
from anzol.api.paging import NewestFirst, Paging, listed
from anzol.api.routes import READ, READ_ALL, Resource
from anzol.api.shapes import Listed, Out, Text
from anzol.model import OPERATIONAL, Customer, Page
from anzol.storage.face import Selection

router = Resource("Delivery")

OfEndpoint = Annotated[Text | None, Query(max_length=256, description="Only those to this endpoint.")]
OfMessage = Annotated[Text | None, Query(max_length=256, description="Only those of this message.")]
OfCustomer = Annotated[Text | None, Query(max_length=256, description="Only this application's: its id or uid.")]


class MatchOut(Out):
    """Whether an endpoint was to get a message, and if not why."""

    endpoint_id: str
    url: str
    matched: bool
    reason: Annotated[
        str,
        Field(
            json_schema_extra={
                "enum": [
                    "matched",
                    "event_type",
                    "channel",
                    "disabled",
                    "deleted",
                    "created_later",
                    "other_endpoint",
                ]
            }
        ),
    ]


class MatchesOut(Out):
    """For every endpoint of the application whether it was to get a message."""

    data: list[MatchOut]


@router.operation(
    "GET",
    "/app/{app_id}/delivery",
    may=READ,
    operation_id="v1.delivery.list",
    response_model=Listed[DeliveryOut],
)
async def list_deliveries(
    customer: OwnCustomer,
    place: Environment,
    paging: NewestFirst,
    narrowed: Narrowed,
    status: Status = None,
    status_code_class: AnsweredWith = None,
    endpoint_id: OfEndpoint = None,
    msg_id: OfMessage = None,
) -> Any:
    """List an application's deliveries, pending and ended, newest first; the times are those of the messages."""
    selection = await chosen(place, customer, narrowed, status, status_code_class, endpoint_id, msg_id)
    return await deliveries_written(place, paging, selection, status)


@router.operation(
    "GET", "/delivery", may=READ_ALL, operation_id="v1.delivery.list-all", response_model=Listed[DeliveryOut]
)
async def list_all_deliveries(
    asking: Asking,
    place: Environment,
    paging: NewestFirst,
    narrowed: Narrowed,
    status: Status = None,
    status_code_class: AnsweredWith = None,
    app_id: OfCustomer = None,
) -> Any:
    """List deliveries of all applications, newest first; the times are those of the messages."""
    customer = None if app_id is None else await find_customer(place, asking, app_id)
    selection = await chosen(place, customer, narrowed, status, status_code_class, None, None)
    return await deliveries_written(place, paging, selection, status)


async def chosen(
    place: Place,
    customer: Customer | None,
    narrowed: Narrowing,
    status: MessageStatus | None,
    answered: StatusCodeClass | None,
    endpoint: str | None,
    message: str | None,
) -> Selection:
    """Return which deliveries are meant; raises NotFound."""
    storage = await place.storage()
    endpoint_id = message_id = None
    if customer is not None and endpoint is not None:
        endpoint_id = (await find_endpoint(storage, place.environment, customer, endpoint)).id
    if customer is not None and message is not None:
        message_id = (await find_message(storage, place.environment, customer, message)).id
    return narrowed.selection(
        customer=None if customer is None else customer.uid,
        endpoint_id=endpoint_id,
        message_id=message_id,
        states=states_of(status),
        status_class=None if answered is None else answered.figure,
    )


async def deliveries_written(place: Place, paging: Paging, selection: Selection, status: MessageStatus | None) -> Any:
    """Answer with a page of deliveries; those of operational endpoints are nobody's."""

    async def read(after: str | None, limit: int, oldest_first: bool) -> Page[Told]:
        page = await deliveries(place, selection, status, after, limit, oldest_first)
        told = [delivery_of(one, uid_of(one.customer)) for one in page.items if one.customer != OPERATIONAL]
        return Page(tuple(told), page.next, page.first, page.last)

    return page_written(await listed(paging, read, same))


@router.operation(
    "GET", "/app/{app_id}/msg/{msg_id}/match", may=READ, operation_id="v1.delivery.match", response_model=MatchesOut
)
async def match(msg_id: MessageName, customer: OwnCustomer, place: Environment) -> Any:
    """Say for every endpoint of the application whether it was to get a message, and if not why."""
    storage = await place.storage()
    message = await find_message(storage, place.environment, customer, msg_id)
    found = await storage.matches(place.environment, message.id)
    return MatchesOut(
        data=[
            MatchOut(endpoint_id=one.endpoint_id, url=one.url, matched=one.reason == "matched", reason=one.reason)
            for one in found
        ]
    )
