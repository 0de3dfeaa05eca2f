"""Words for tests of what is looked at: endpoints, messages, deliveries that are really made, pages both ways."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from anzol import ids
from anzol.model import Endpoint
from anzol.storage.face import NewEndpoint, NewMessage, Storage
from tests.api.conftest import ENVIRONMENT, Service
from tests.contract import conftest as contract

SECRET = "whsec_" + "a" * 32


@dataclass(slots=True)
class Scene:
    """A service, and a client of its environment."""

    service: Service
    client: httpx.AsyncClient

    async def storage(self) -> Storage:
        return await self.service.webhooks.core.storage()

    @property
    def now(self) -> int:
        return self.service.webhooks.core.clock.micros()

    async def endpoint(self, url: str = "http://127.0.0.1:9/in", customer: str = "acme", **fields: Any) -> Endpoint:
        storage = await self.storage()
        return await storage.create_endpoint(ENVIRONMENT, NewEndpoint(customer, url, SECRET, **fields))

    async def send(
        self, body: Any = None, customer: str = "acme", event_type: str = "invoice.paid", **more: Any
    ) -> str:
        """Store a message; return its id. *body*: bytes as they are, or what becomes JSON."""
        known: dict[str, Any] = {"method": "POST", "content_type": "application/json", "created_at": self.now}
        raw = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        message = NewMessage(ids.new(self.now), ENVIRONMENT, customer, event_type, body=raw, **(known | more))
        return ids.show(ids.MESSAGE, (await (await self.storage()).accept(message)).id)

    async def send_many(self, count: int, customer: str = "acme") -> list[str]:
        """Store messages; return their ids, oldest first."""
        storage = await self.storage()
        made = [
            NewMessage(
                ids.new(self.now), ENVIRONMENT, customer, "invoice.paid", "POST", "application/json", b"{}", self.now
            )
            for _ in range(count)
        ]
        await storage.accept_many(made)
        return [ids.show(ids.MESSAGE, message.id) for message in made]

    async def deliver(self) -> None:
        """Have a worker do what is due."""
        async with self.service.webhooks.worker() as worker:
            await worker.drain_once()
            await worker.close()

    async def deliver_many(self) -> None:
        """Have everything that waits answered, however many: no receiver is asked."""
        storage = await self.storage()
        words: Any = contract.Scene(storage, self.service.webhooks.core.clock)  # type: ignore[arg-type]  # moves no time
        worker = await words.worker()
        while claims := (await worker.round(room=1000)).claims:
            await worker.settle(claims)
        await storage.resign(worker.me)

    async def get(self, path: str, client: httpx.AsyncClient | None = None, **query: Any) -> Any:
        """Ask, and return what is answered with 200."""
        answer = await (client or self.client).get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        """Ask, and return what is answered with *status*."""
        answer = await self.client.post(path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def pages(self, path: str, size: int, **query: Any) -> list[list[Any]]:
        """Return every page forwards; see that going back from the last one gives the same pages."""
        forwards = await self._walk(path, "iterator", None, limit=size, **query)
        end = await self.get(path, limit=size, iterator=forwards[-1]["iterator"], **query)
        assert (end["data"], end["done"]) == ([], True)
        backwards = await self._walk(path, "prevIterator", f"-{forwards[-1]['iterator']}", limit=size, **query)
        whole = [item for page in forwards for item in page["data"]]
        assert [item for page in reversed(backwards) for item in page["data"]] == whole[:-1]
        return [page["data"] for page in forwards]

    async def _walk(self, path: str, link: str, start: str | None, **query: Any) -> list[Any]:
        pages, iterator = [], start
        while True:
            given = query if iterator is None else {**query, "iterator": iterator}
            pages.append(await self.get(path, **given))
            iterator = pages[-1][link]
            if pages[-1]["done"] or iterator is None:
                return pages


@asynccontextmanager
async def scene_of(service: Service) -> AsyncIterator[Scene]:
    """Give words for a service that has two customers."""
    for customer in ("acme", "other"):
        await service.webhooks.customers.put(customer)
    async with service.client() as client:
        yield Scene(service, client)


def ids_of(pages: Sequence[Sequence[Any]], name: str = "id") -> list[str]:
    """Return the ids of everything on pages."""
    return [item[name] for page in pages for item in page]
