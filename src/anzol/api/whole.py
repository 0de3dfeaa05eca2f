"""The API, put together."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

import fastapi
from fastapi import APIRouter, FastAPI
from starlette.datastructures import State

from anzol.api import (
    api_token,
    application,
    attempt,
    audit,
    authentication,
    background_task,
    console,
    delivery,
    endpoint,
    endpoint_headers,
    endpoint_secret,
    erasing,
    event_type,
    event_type_import,
    health,
    hot,
    live,
    message,
    operational,
    pausing,
    probe,
    send_example,
)
from anzol.api.access import Credentials
from anzol.api.gate import Api
from anzol.api.ground import Ground
from anzol.api.hot import Hot
from anzol.api.problems import answer_problems
from anzol.api.routes import PREFIX
from anzol.api.validation import Validator
from anzol.docspages import serve_docs
from anzol.errors import AppError

RESOURCES: Final = (
    application,
    endpoint,
    endpoint_headers,
    endpoint_secret,
    send_example,
    event_type,
    event_type_import,
    hot,
    operational,
    authentication,
    api_token,
    attempt,
    audit,
    background_task,
    console,
    delivery,
    erasing,
    live,
    message,
    pausing,
    probe,
    health,
)
OLDEST: Final = (0, 118)  # the FastAPI that the API's tests were run on last, of those that they pass on
ABOUT: Final = """Publish webhooks and manage who gets them, from any language.

The wire format is the one for which SDKs are published in nine languages: point one at this server's address."""


def make_api(ground: Ground) -> FastAPI:
    """Return the application that answers the API; to be mounted, or served by itself."""
    return standing(built(), ground)


def built() -> Api:
    """Return the application with all its operations, standing on nothing yet.

    Raises:
        AppError: this FastAPI is older than the API works with.
    """
    check_fastapi(fastapi.__version__)
    api = Api(title="Anzol", version=version("anzol"), description=ABOUT, redirect_slashes=False)
    answer_problems(api)
    whole = APIRouter(prefix=PREFIX)
    for resource in RESOURCES:
        whole.include_router(resource.router)
    api.include_router(whole)
    serve_docs(api)
    return api


def check_fastapi(there: str) -> None:
    """Refuse a FastAPI that cannot serve the API; the declarations work with older ones."""
    if tuple(int(part) for part in there.split(".")[:2]) < OLDEST:
        wanted = ".".join(str(part) for part in OLDEST)
        raise AppError(
            f"The REST API needs FastAPI {wanted} or newer; this one is {there}.", do="pip install --upgrade fastapi"
        )


def standing(api: Api, ground: Ground) -> Api:
    """Have an application stand on a ground, with nothing remembered of one before."""
    api.state = State()
    api.state.ground = ground
    api.state.credentials = credentials = Credentials(ground)
    api.state.validator = validator = Validator(ground)
    api.state.hot = Hot(ground, credentials, validator)
    return api
