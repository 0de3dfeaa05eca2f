"""Operational webhook endpoints: they are told what happens to applications' endpoints and messages."""

# Annotations are real objects here: FastAPI reads them.
from typing import Annotated, Any, Final

from fastapi import Depends, Response

from anzol.announcements import EVENT_TYPES
from anzol.api.access import Asking, Environment
from anzol.api.endpoint import EndpointId, endpoints_listed
from anzol.api.endpoint_headers import HeadersIn, HeadersOut, HeadersPatch, headers_shown
from anzol.api.endpoint_secret import SecretIn, SecretOut
from anzol.api.endpoint_shapes import EndpointFields, EndpointIn, EndpointOut, EndpointPatch, EndpointPut, endpoint_of
from anzol.api.keeping import Keeper
from anzol.api.paging import NewestFirst
from anzol.api.problems import fault
from anzol.api.routes import ACCESS, MANAGE, READ_ALL, Resource
from anzol.api.shapes import Listed
from anzol.model import OPERATIONAL

router = Resource("Operational webhook endpoint", prefix="/operational-webhook/endpoint")
NAMES: Final = tuple(EVENT_TYPES.values())
ID: Final = "v1.operational-webhook.endpoint"


def keeper_of(place: Environment, caller: Asking) -> Keeper:
    """Return what the caller can do with the environment's operational endpoints."""
    return Keeper(place, caller, OPERATIONAL, names=NAMES)


Keeping = Annotated[Keeper, Depends(keeper_of)]


def without_channels(given: EndpointFields) -> None:
    """Refuse channels: what is told here is on none."""
    if given.channels:
        raise fault("channels", "Operational messages are on no channel; leave it out.")


@router.operation("GET", "", may=READ_ALL, operation_id=f"{ID}.list", response_model=Listed[EndpointOut])
async def list_endpoints(place: Environment, paging: NewestFirst) -> Any:
    """List operational endpoints."""
    return await endpoints_listed(place, OPERATIONAL, paging)


@router.operation("POST", "", may=MANAGE, operation_id=f"{ID}.create", status=201, response_model=EndpointOut)
async def create_endpoint(given: EndpointIn, keeper: Keeping) -> Any:
    """Register an operational endpoint."""
    without_channels(given)
    return endpoint_of(await keeper.create(given))


@router.operation("GET", "/{endpoint_id}", may=READ_ALL, operation_id=f"{ID}.get", response_model=EndpointOut)
async def get_endpoint(endpoint_id: EndpointId, keeper: Keeping) -> Any:
    """Return an operational endpoint."""
    return endpoint_of(await keeper.find(endpoint_id))


@router.operation(
    "PUT",
    "/{endpoint_id}",
    may=MANAGE,
    operation_id=f"{ID}.update",
    or_status=201,
    response_model=EndpointOut,
    problems=("conflict",),
)
async def put_endpoint(endpoint_id: EndpointId, given: EndpointPut, keeper: Keeping, response: Response) -> Any:
    """Register an operational endpoint under the uid in the path, or set all of the one that is there."""
    without_channels(given)
    endpoint, made = await keeper.put(endpoint_id, given)
    if made:
        response.status_code = 201
    return endpoint_of(endpoint)


@router.operation(
    "PATCH",
    "/{endpoint_id}",
    may=MANAGE,
    operation_id=f"{ID}.patch",
    response_model=EndpointOut,
    problems=("conflict",),
)
async def patch_endpoint(endpoint_id: EndpointId, given: EndpointPatch, keeper: Keeping) -> Any:
    """Change what is given of an operational endpoint."""
    without_channels(given)
    return endpoint_of(await keeper.patch(endpoint_id, given))


@router.operation("DELETE", "/{endpoint_id}", may=MANAGE, operation_id=f"{ID}.delete", status=204)
async def delete_endpoint(endpoint_id: EndpointId, keeper: Keeping) -> None:
    """Delete an operational endpoint."""
    await keeper.delete(endpoint_id)


@router.operation(
    "GET", "/{endpoint_id}/headers", may=READ_ALL, operation_id=f"{ID}.get-headers", response_model=HeadersOut
)
async def get_headers(endpoint_id: EndpointId, keeper: Keeping) -> Any:
    """Return an operational endpoint's headers."""
    return await headers_shown(keeper, endpoint_id)


@router.operation("PUT", "/{endpoint_id}/headers", may=MANAGE, operation_id=f"{ID}.update-headers", status=204)
async def put_headers(endpoint_id: EndpointId, given: HeadersIn, keeper: Keeping) -> None:
    """Set an operational endpoint's headers; those that are not given go."""
    await keeper.set_headers(endpoint_id, given.headers)


@router.operation("PATCH", "/{endpoint_id}/headers", may=MANAGE, operation_id=f"{ID}.patch-headers", status=204)
async def patch_headers(endpoint_id: EndpointId, given: HeadersPatch, keeper: Keeping) -> None:
    """Take headers of an operational endpoint away, then set some; the others stay."""
    await keeper.change_headers(endpoint_id, given.headers or {}, given.delete_headers or ())


@router.operation("GET", "/{endpoint_id}/secret", may=ACCESS, operation_id=f"{ID}.get-secret", response_model=SecretOut)
async def get_secret(endpoint_id: EndpointId, keeper: Keeping) -> Any:
    """Return an operational endpoint's current secret."""
    return SecretOut(key=await keeper.secret(endpoint_id))


@router.operation(
    "POST", "/{endpoint_id}/secret/rotate", may=ACCESS, operation_id=f"{ID}.rotate-secret", response_model=SecretOut
)
async def rotate_secret(endpoint_id: EndpointId, given: SecretIn, keeper: Keeping) -> Any:
    """Give an operational endpoint another secret; for a while its messages are signed with both."""
    return SecretOut(key=await keeper.rotate(endpoint_id, given.key, given.keep_old))
