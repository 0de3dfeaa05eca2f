"""Applications: the dialect's word for customers."""

# Annotations are real objects here: FastAPI reads them.
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import Field

from anzol.api.access import Environment, OwnCustomer
from anzol.api.ground import Place
from anzol.api.paging import NewestFirst, listed
from anzol.api.problems import Problem
from anzol.api.routes import MANAGE, READ, READ_ALL, Resource
from anzol.api.shapes import Listed, Metadata, Out, Shape, Text, Uid
from anzol.model import UNNAMED, Customer, Page

router = Resource("Application", prefix="/app")

Throttle = Annotated[int, Field(ge=1, le=10_000, description="Deliveries a second at most, over all its endpoints.")]
Name = Annotated[Text, Field(max_length=256)]


class ApplicationIn(Shape):
    """An application to be made, or as it is to be."""

    name: Name
    uid: Annotated[Uid | None, Field(description="Its id in your own system.")] = None
    throttle_rate: Throttle | None = None
    rate_limit: Annotated[Throttle | None, Field(deprecated=True, description="As `throttleRate`.")] = None
    metadata: Metadata = Field(default_factory=dict)

    @property
    def throttle(self) -> int | None:
        return self.throttle_rate or self.rate_limit


class ApplicationPatch(Shape):
    """What to change of an application; what is not given stays."""

    name: Name = ""
    uid: Uid | None = None
    throttle_rate: Throttle | None = None
    rate_limit: Annotated[Throttle | None, Field(deprecated=True)] = None
    metadata: Metadata = Field(default_factory=dict)


class ApplicationOut(Out):
    """An application."""

    id: str
    uid: str | None
    name: str
    throttle_rate: int | None
    metadata: dict[str, str]
    created_at: datetime
    updated_at: datetime


def application_of(customer: Customer) -> ApplicationOut:
    """Return a customer as the dialect shows it."""
    return ApplicationOut(
        id=customer.id,
        uid=uid_of(customer.uid),
        name=customer.name,
        throttle_rate=customer.throttle,
        metadata=dict(customer.metadata),
        created_at=customer.created_at,
        updated_at=customer.updated_at or customer.created_at,
    )


def uid_of(uid: str) -> str | None:
    """Return a uid that somebody gave; None for one that was made up."""
    return None if uid.startswith(UNNAMED) else uid


@router.operation("GET", "", may=READ_ALL, operation_id="v1.application.list", response_model=Listed[ApplicationOut])
async def list_applications(place: Environment, paging: NewestFirst) -> Any:
    """List applications."""
    storage = await place.storage()

    async def read(after: str | None, limit: int, oldest_first: bool) -> Page[Customer]:
        return await storage.customers(place.environment, after=after, limit=limit, oldest_first=oldest_first)

    return await listed(paging, read, application_of)


@router.operation(
    "POST",
    "",
    may=MANAGE,
    operation_id="v1.application.create",
    status=201,
    response_model=ApplicationOut,
)
async def create_application(
    given: ApplicationIn,
    place: Environment,
    response: Response,
    get_if_exists: Annotated[bool, Query(description="Answer with the one that is there, instead of a 409.")] = False,
) -> Any:
    """Make an application."""
    customer, made = await make(place, given)
    if not made and not get_if_exists:
        raise Problem("conflict", f"There is an application with the uid {given.uid!r} already.")
    if not made:
        response.status_code = 200
    return application_of(customer)


async def make(place: Place, given: ApplicationIn) -> tuple[Customer, bool]:
    """Make an application if there is none of its uid; say whether it was made."""
    return await place.customers.create(given.uid, name=given.name, metadata=given.metadata, throttle=given.throttle)


@router.operation("GET", "/{app_id}", may=READ, operation_id="v1.application.get", response_model=ApplicationOut)
async def get_application(customer: OwnCustomer) -> Any:
    """Return an application."""
    return application_of(customer)


@router.operation("DELETE", "/{app_id}", may=MANAGE, operation_id="v1.application.delete", status=204)
async def delete_application(customer: OwnCustomer, place: Environment) -> None:
    """Delete an application: its endpoints go, what waits is cancelled, its messages are erased."""
    await place.customers.delete(customer.uid)
