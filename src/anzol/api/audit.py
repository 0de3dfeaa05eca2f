"""The audit log: who did what to which object, and when."""

# Annotations are real objects here: FastAPI reads them.
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Query

from anzol.api.access import Asking, Environment, OwnCustomer, find_customer
from anzol.api.application import uid_of
from anzol.api.ground import Place
from anzol.api.paging import NewestFirst, Paging, listed
from anzol.api.routes import READ, READ_ALL, Resource
from anzol.api.shapes import Listed, Out, Text
from anzol.model import AuditEntry, Page

router = Resource("Audit")

OWN: Final = "customer:"
OPERATOR: Final = "operator"

Action = Annotated[
    Text | None, Query(max_length=256, description="Only entries of this action, such as `endpoint.updated`.")
]


class AuditOut(Out):
    """Who did what."""

    id: str
    timestamp: datetime
    actor: str
    action: str
    object_id: str
    app_uid: str | None
    detail: dict[str, Any]


def audit_of(entry: AuditEntry, *, for_customer: bool) -> AuditOut:
    """Return an entry; a customer is not told which operator it was."""
    hidden = for_customer and not entry.actor.startswith(OWN)
    return AuditOut(
        id=entry.id,
        timestamp=entry.at,
        actor=OPERATOR if hidden else entry.actor,
        action=entry.action,
        object_id=entry.object_id,
        app_uid=None if entry.customer is None else uid_of(entry.customer),
        detail=dict(entry.detail),
    )


@router.operation("GET", "/audit", may=READ_ALL, operation_id="v1.audit.list", response_model=Listed[AuditOut])
async def list_entries(
    asking: Asking,
    place: Environment,
    paging: NewestFirst,
    app_id: Annotated[
        Text | None, Query(max_length=256, description="Only what an application has to do with.")
    ] = None,
    actor: Annotated[Text | None, Query(max_length=300, description="Only what this one did.")] = None,
    action: Action = None,
) -> Any:
    """List who did what, newest first."""
    customer = None if app_id is None else (await find_customer(place, asking, app_id)).uid
    return await entries(place, paging, customer, actor, action, for_customer=False)


@router.operation(
    "GET", "/app/{app_id}/audit", may=READ, operation_id="v1.audit.list-of-app", response_model=Listed[AuditOut]
)
async def list_entries_of_application(
    customer: OwnCustomer, asking: Asking, place: Environment, paging: NewestFirst, action: Action = None
) -> Any:
    """List who did what to an application and its endpoints, newest first."""
    return await entries(place, paging, customer.uid, None, action, for_customer=asking.customer is not None)


async def entries(
    place: Place, paging: Paging, customer: str | None, actor: str | None, action: str | None, *, for_customer: bool
) -> Any:
    """Return a page of entries."""
    storage = await place.storage()

    async def read(after: str | None, limit: int, oldest_first: bool) -> Page[AuditEntry]:
        return await storage.audits(
            place.environment,
            customer=customer,
            actor=actor,
            action=action,
            after=after,
            limit=limit,
            oldest_first=oldest_first,
        )

    return await listed(paging, read, lambda entry: audit_of(entry, for_customer=for_customer))
