"""Health, as the dialect asks for it. Probes of an orchestrator ask `webhooks.health`."""

# Annotations are real objects here: FastAPI reads them.
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from anzol.api.access import ground_of
from anzol.api.problems import Problem
from anzol.api.routes import Resource
from anzol.errors import StorageError

router = Resource("Health", prefix="/health")


@router.operation("GET", "", may=None, operation_id="v1.health.get", status=204)
async def get_health(request: Request) -> Any:
    """Say whether requests can be answered: the database takes a commit."""
    try:
        await (await ground_of(request).storage()).probe()
    except StorageError:
        raise Problem("unavailable", headers={"retry-after": "1"}) from None
    return Response(status_code=204)


@router.operation("GET", "/ping", may=None, operation_id="v1.health.ping", status=204)
async def ping() -> Any:
    """Say that there is somebody."""
    return Response(status_code=204)
