"""Applications: the dialect's word for customers."""

# Annotations are real objects here: FastAPI reads them.
import re
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Path, Query, Response
from pydantic import AfterValidator, Field

from anzol import ids
from anzol.api.access import Asking, Environment, OwnCustomer, find_customer
from anzol.api.ground import Place
from anzol.api.paging import NewestFirst, listed
from anzol.api.problems import Problem, fault
from anzol.api.routes import MANAGE, READ, READ_ALL, Resource
from anzol.api.shapes import UID, Listed, Metadata, OldThrottle, Out, Text, Throttled, Uid
from anzol.model import UNNAMED, UNSET, Customer, Page

router = Resource("Application", prefix="/app")
PREFIX: Final = ids.CUSTOMER


def no_id(uid: str) -> str:
    """Refuse a uid that could be taken for an application's id."""
    if uid.startswith(PREFIX):
        raise ValueError(f"a uid does not begin with {PREFIX}")
    return uid


Name = Annotated[Text, Field(max_length=256)]
OwnUid = Annotated[Uid, AfterValidator(no_id), Field(description="Its id in your own system.")]


class ApplicationIn(Throttled):
    """An application to be made, or as it is to be."""

    name: Name
    uid: OwnUid | None = None
    metadata: Metadata | None = None


class ApplicationPatch(Throttled):
    """What to change of an application; what is not given stays, null takes a value away."""

    name: Name = ""
    uid: OwnUid | None = None
    metadata: Metadata | None = None


class ApplicationOut(Out):
    """An application."""

    id: str
    uid: str | None
    name: str
    throttle_rate: int | None
    rate_limit: OldThrottle
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
        rate_limit=customer.throttle,
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
    or_status=200,
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
        raise taken(given.uid)
    if not made:
        response.status_code = 200
    return application_of(customer)


async def make(place: Place, given: ApplicationIn) -> tuple[Customer, bool]:
    """Make an application if there is none of its uid; say whether it was made."""
    metadata = given.metadata or {}
    return await place.customers.create(given.uid, name=given.name, metadata=metadata, throttle=given.throttle)


@router.operation("GET", "/{app_id}", may=READ, operation_id="v1.application.get", response_model=ApplicationOut)
async def get_application(customer: OwnCustomer) -> Any:
    """Return an application."""
    return application_of(customer)


@router.operation(
    "PUT",
    "/{app_id}",
    may=MANAGE,
    operation_id="v1.application.update",
    or_status=201,
    response_model=ApplicationOut,
    problems=("conflict",),
    description="Make an application under the uid in the path, or set all of the one that is there. "
    "Another `uid` in the body is its new one; without any it keeps the one that it has.",
)
async def put_application(
    app_id: Annotated[str, Path(description="The application's id or uid.", max_length=300)],
    given: ApplicationIn,
    place: Environment,
    caller: Asking,
    response: Response,
) -> Any:
    """Make or set an application."""
    try:
        customer = await find_customer(place, caller, app_id)
    except Problem:
        customer = await make_named(place, app_id, given)
        response.status_code = 201
        return application_of(customer)
    customer = await renamed(place, customer, given)
    return application_of(
        await place.customers.put(customer.uid, name=given.name, metadata=given.metadata or {}, throttle=given.throttle)
    )


async def make_named(place: Place, app_id: str, given: ApplicationIn) -> Customer:
    """Make the application that a path names, under the uid of the body if that has one.

    Raises:
        Problem: the path names no uid, or another application has the one in the body.
    """
    if app_id.startswith(PREFIX):
        raise Problem("not_found", f"There is no application {app_id!r}.")
    if not re.fullmatch(UID, app_id, re.ASCII):
        raise fault("app_id", "A uid has 1 to 256 letters, digits, dots, hyphens and underscores.", place="path")
    customer, made = await make(place, given.model_copy(update={"uid": given.uid or app_id}))
    if not made:
        raise taken(given.uid)
    return customer


async def renamed(place: Place, customer: Customer, given: ApplicationIn | ApplicationPatch) -> Customer:
    """Give an application the uid that is asked for, if one is."""
    if "uid" not in given.model_fields_set or given.uid == uid_of(customer.uid):
        return customer
    return await place.customers.rename(customer.uid, given.uid)


def taken(uid: str | None) -> Problem:
    """Return the problem of a uid that another application has."""
    return Problem("conflict", f"There is an application with the uid {uid!r} already.")


@router.operation(
    "PATCH",
    "/{app_id}",
    may=MANAGE,
    operation_id="v1.application.patch",
    response_model=ApplicationOut,
    problems=("conflict",),
)
async def patch_application(given: ApplicationPatch, customer: OwnCustomer, place: Environment) -> Any:
    """Change what is given of an application."""
    customer = await renamed(place, customer, given)
    changed = await place.customers.put(
        customer.uid,
        name=given.name if "name" in given.model_fields_set else UNSET,
        metadata=(given.metadata or {}) if "metadata" in given.model_fields_set else UNSET,
        throttle=given.new_throttle,
    )
    return application_of(changed)


@router.operation("DELETE", "/{app_id}", may=MANAGE, operation_id="v1.application.delete", status=204)
async def delete_application(customer: OwnCustomer, place: Environment) -> None:
    """Delete an application: its endpoints go, what waits is cancelled, its messages are erased."""
    await place.customers.delete(customer.uid)
