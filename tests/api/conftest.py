"""The REST API as its callers have it: in the process, for most tests; and served on loopback, for the SDKs."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from copy import copy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from anzol import Webhooks
from anzol.api.gate import Api
from anzol.api.tokens import Capability, Token, mint, organization_of
from anzol.api.whole import built, standing
from anzol.settings import Settings
from tests.postgres import Server

KEY = "k" * 43
ENVIRONMENT = "production"
FAR = 1 << 33  # seconds: long after this


@dataclass(slots=True)
class Service:
    """One API and its database; every test has its own."""

    webhooks: Webhooks
    app: FastAPI = field(default_factory=FastAPI)

    @property
    def secret(self) -> bytes:
        return self.webhooks.settings.jwt_secrets[0]

    def token(self, environment: str = ENVIRONMENT, *, secret: bytes | None = None, **claims: Any) -> str:
        """Return a token of an environment."""
        given = {"customer_id": None, "issued_at": 1, "expires_at": FAR} | claims
        return mint(Token(organization_of(environment), **given), secret or self.secret)

    def customer_token(self, app_id: str, *capabilities: Capability, **claims: Any) -> str:
        """Return a token of one customer, with all capabilities unless some are named."""
        chosen = {"capabilities": frozenset(capabilities)} if capabilities else {}
        return self.token(customer_id=app_id, **chosen, **claims)

    @asynccontextmanager
    async def client(self, token: str | None = "") -> AsyncIterator[httpx.AsyncClient]:
        """Give a client; with the environment's token unless another one is given, or None."""
        bearer = {} if token is None else {"authorization": f"Bearer {token or self.token()}"}
        transport = httpx.ASGITransport(self.webhooks.api, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api/api/v1", headers=bearer) as client:
            yield client


def make(url: str, **settings: Any) -> Service:
    """Make an API on a database, without anything declared in code."""
    app = FastAPI()
    chosen = {"environment": ENVIRONMENT, "allow_networks": "127.0.0.0/8,::1/128", "ports": "1-65535"} | settings
    webhooks = Webhooks(app, Settings(database_url=url, secret_key=KEY, **chosen))
    webhooks.__dict__["api"] = stood_on(webhooks)
    return Service(webhooks, app)


@cache
def whole() -> Api:
    """All operations, put together once: that takes longer than most tests."""
    return built()


def stood_on(webhooks: Webhooks) -> Api:
    """Return an API of this application's own, with the operations of all."""
    api = copy(whole())
    for kept in ("door", "limits"):
        api.__dict__.pop(kept, None)
    return standing(api, webhooks.core.ground)


# What stands on how an engine behaves at all is run on both; that both keep the same promises is for `tests/contract`.
BOTH = frozenset({"background_task", "idempotency", "live", "publish"})


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the engines of a module's tests."""
    given = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "url" in metafunc.fixturenames and "url" not in given:
        name = metafunc.module.__name__.rpartition("test_")[2]
        engines = ["sqlite", "postgres"] if name in BOTH else ["sqlite"]
        metafunc.parametrize("url", engines, indirect=True)


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database of this test's own, ready to be used."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/anzol.db"
    server: Server = request.getfixturevalue("postgres")
    uri: str = request.getfixturevalue("postgres_database")
    assert server
    from anzol.storage.opening import migrate
    from anzol.storage.places import place_of

    asyncio.run(migrate(place_of(uri)))  # type: ignore[arg-type]  # PostgreSQL's
    return uri


@pytest.fixture
def service(url: str) -> Iterator[Service]:
    """An API on each engine; nothing delivers."""
    service = make(url, worker=False)
    yield service
    service.webhooks.wait(service.webhooks.close())


@contextmanager
def served(service: Service) -> Iterator[str]:
    """Serve an API on loopback, with the worker that its settings say; give its address."""
    service.app.mount("", service.webhooks.api)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(service.app, log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            thread.join(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, str]]:
    """One server for a whole file, on SQLite, that delivers; each failure is for good."""
    service = make(f"sqlite:///{tmp_path_factory.mktemp('served')}/anzol.db", retry_schedule="0")
    with served(service) as address:
        yield service, address
    service.webhooks.wait(service.webhooks.close())


@pytest.fixture(params=["sync", "async"])
async def sdk(request: pytest.FixtureRequest, serving: tuple[Service, str]) -> AsyncIterator[Any]:
    """The published Python SDK, as `tests.api.sdk.Sdk`, with a name that is this test's own."""
    from tests.api.sdk import sdk_of

    service, address = serving
    async with sdk_of(request.param, address, service.token(), f"s{uuid4().hex}") as sdk:
        yield sdk
