"""The API, put together."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from fastapi import APIRouter, FastAPI

from anzol.api import application, health
from anzol.api.access import Credentials
from anzol.api.ground import Ground
from anzol.api.problems import answer_problems

PREFIX: Final = "/api/v1"
RESOURCES: Final = (application, health)
ABOUT: Final = """Publish webhooks and manage who gets them, from any language.

The wire format is the one for which SDKs are published in nine languages: point one at this server's address."""


def make_api(ground: Ground) -> FastAPI:
    """Return the application that answers the API; to be mounted, or served by itself."""
    api = FastAPI(title="Anzol", version=version("anzol"), description=ABOUT, redirect_slashes=False)
    api.state.ground = ground
    api.state.credentials = Credentials(ground)
    answer_problems(api)
    whole = APIRouter(prefix=PREFIX)
    for resource in RESOURCES:
        whole.include_router(resource.router)
    api.include_router(whole)
    return api
