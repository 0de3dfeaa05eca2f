"""The published Python SDK, unmodified, blocking and asynchronous, as one: what a test says, it says to both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from svix import models
from svix.api import Svix, SvixAsync, SvixOptions

PATIENCE = 20.0  # seconds
POLL = 0.02
Value = TypeVar("Value")


class Blocking:
    """A part of the blocking client whose calls are awaited, though they block; the server is in another thread."""

    def __init__(self, part: Any) -> None:
        self._part = part

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if not callable(found):
            return Blocking(found)

        async def call(*given: Any) -> Any:
            return found(*given)

        return call


@dataclass(slots=True)
class Sdk:
    """A client that speaks for the environment, and others made like it. ``name`` is what is a test's own is called."""

    way: str
    address: str
    token: str
    name: str
    opened: list[Svix | SvixAsync] = field(default_factory=list)

    @property
    def client(self) -> SvixAsync:
        return self.speaking(self.token)

    def speaking(self, token: str) -> SvixAsync:
        """Give a client that has this token."""
        options = SvixOptions(server_url=self.address)
        if self.way == "async":
            client = SvixAsync(token, options)
            self.opened.append(client)
            return client
        blocking = Svix(token, options)
        self.opened.append(blocking)
        return cast("SvixAsync", Blocking(blocking))

    async def close(self) -> None:
        """Close the connections; the SDK has no word for it."""
        for client in self.opened:
            if isinstance(client, SvixAsync):
                await client._httpx_client.aclose()
            else:
                client._httpx_client.close()


@asynccontextmanager
async def sdk_of(way: str, address: str, token: str, name: str) -> AsyncIterator[Sdk]:
    """Give an SDK, ``sync`` or ``async``."""
    sdk = Sdk(way, address, token, name)
    try:
        yield sdk
    finally:
        await sdk.close()


async def until(ask: Callable[[], Awaitable[Value]], holds: Callable[[Value], bool]) -> Value:
    """Ask again until the answer holds; return it."""
    async with asyncio.timeout(PATIENCE):
        while not holds(answer := await ask()):
            await asyncio.sleep(POLL)
    return answer


async def application(sdk: Sdk) -> tuple[SvixAsync, str]:
    """Make the test's own application; return a client, and its uid."""
    client = sdk.client
    await client.application.create(models.ApplicationIn(name="A", uid=sdk.name))
    return client, sdk.name


async def endpoint(client: SvixAsync, app: str, url: str, **fields: Any) -> models.EndpointOut:
    return await client.endpoint.create(app, models.EndpointIn(url=url, **fields))


def said(n: int = 1, event_type: str = "invoice.paid", **fields: Any) -> models.MessageIn:
    return models.MessageIn(event_type=event_type, payload={"n": n}, **fields)
