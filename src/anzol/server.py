"""The standalone server: the REST API with its documentation, a worker, health and metrics, in one process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from anzol.observability import Metrics

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from anzol.app import Webhooks

METRICS: Final = "/metrics"


class Standalone:
    """What is served: the API at its own paths, and beside it what operators ask for.

    Args:
        webhooks: Whose catalog, settings and handlers; its worker runs while the server does.
    """

    def __init__(self, webhooks: Webhooks) -> None:
        self.webhooks = webhooks
        self.api = webhooks.api
        self.beside = make_beside(webhooks)
        self._own = {"/", METRICS, *(route.path for route in webhooks.health.routes if isinstance(route, Route))}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Not by mounting: every layer between is paid for by each message.
        own = scope["type"] != "http" or scope["path"] in self._own
        await (self.beside if own else self.api)(scope, receive, send)


def make_beside(webhooks: Webhooks) -> FastAPI:
    """Return the application that has the lifespan, health and metrics."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with webhooks.running():
            yield

    beside = FastAPI(openapi_url=None, lifespan=lifespan)
    beside.include_router(webhooks.health)
    metrics = Metrics(webhooks.status)

    async def show_metrics(_: Request) -> Response:
        if not metrics.there:
            detail = 'Metrics need the package prometheus-client: pip install "anzol[metrics]".'
            return JSONResponse({"code": "not_found", "detail": detail}, 404)
        text, media_type = await metrics.text()
        return Response(text, media_type=media_type, headers={"cache-control": "no-store"})

    async def to_docs(request: Request) -> Response:
        return RedirectResponse(f"{request.scope.get('root_path', '')}/docs", 307)

    beside.add_route(METRICS, show_metrics, methods=["GET"])
    beside.add_route("/", to_docs, methods=["GET"])
    return beside


def make_standalone(source: Any = None, settings: Any = None) -> Standalone:
    """Return a server for an ASGI server to run: ``uvicorn --factory anzol.server:make_standalone``."""
    from fastapi import APIRouter

    from anzol.app import Webhooks

    return Standalone(Webhooks(source or APIRouter(), settings))
