"""The headers that an endpoint gets with every delivery."""

# Annotations are real objects here: FastAPI reads them.
from typing import Annotated, Any

from pydantic import Field

from anzol.api.endpoint import EndpointId, Keeping
from anzol.api.endpoint_shapes import Headers
from anzol.api.keeping import Keeper, is_sensitive
from anzol.api.routes import MANAGE_ENDPOINT, READ, Resource
from anzol.api.shapes import Out, Shape

router = Resource("Endpoint", prefix="/app/{app_id}/endpoint/{endpoint_id}/headers")


class HeadersIn(Shape):
    """All headers."""

    headers: Headers


class HeadersPatch(Shape):
    """Headers to be set beside those that are there, and names of those to be taken away."""

    headers: Headers | None = None
    delete_headers: Annotated[list[str] | None, Field(max_length=50)] = None


class HeadersOut(Out):
    """Headers. Those whose names look like a password's are in ``sensitive`` by name; their values are not shown."""

    headers: dict[str, str]
    sensitive: list[str]


async def headers_shown(keeper: Keeper, endpoint_id: str) -> HeadersOut:
    """Return an endpoint's headers as they are shown."""
    pairs = await keeper.headers(await keeper.find(endpoint_id))
    return HeadersOut(
        headers={name: value for name, value in pairs if not is_sensitive(name)},
        sensitive=[name for name, _ in pairs if is_sensitive(name)],
    )


@router.operation("GET", "", may=READ, operation_id="v1.endpoint.get-headers", response_model=HeadersOut)
async def get_headers(endpoint_id: EndpointId, keeper: Keeping) -> Any:
    """Return an endpoint's headers."""
    return await headers_shown(keeper, endpoint_id)


@router.operation("PUT", "", may=MANAGE_ENDPOINT, operation_id="v1.endpoint.update-headers", status=204)
async def put_headers(endpoint_id: EndpointId, given: HeadersIn, keeper: Keeping) -> None:
    """Set an endpoint's headers; those that are not given go."""
    await keeper.set_headers(endpoint_id, given.headers)


@router.operation("PATCH", "", may=MANAGE_ENDPOINT, operation_id="v1.endpoint.patch-headers", status=204)
async def patch_headers(endpoint_id: EndpointId, given: HeadersPatch, keeper: Keeping) -> None:
    """Take headers of an endpoint away, then set some; the others stay."""
    await keeper.change_headers(endpoint_id, given.headers or {}, given.delete_headers or ())
