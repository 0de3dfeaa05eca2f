"""The face's fourth group: looking, each from one snapshot."""

from __future__ import annotations

from collections.abc import Sequence

from anzol.lifecycle import Outcome
from anzol.model import Attempt, Customer, Delivery, Endpoint, Match, Page, Status, StoredMessage
from anzol.storage.face import Selection
from anzol.storage.postgres import lists, read
from anzol.storage.postgres.calls import Calls


class Reading(Calls):
    """Lists in pages, newest first, and single things."""

    async def customer(self, environment: str, uid: str) -> Customer:
        return await self.look(read.customer, environment, uid)

    async def customers(self, environment: str, *, after: str | None = None, limit: int = 50) -> Page[Customer]:
        return await self.look(read.customers, environment, after, limit)

    async def endpoint(self, environment: str, endpoint_id: str) -> Endpoint:
        return await self.look(read.endpoint, environment, endpoint_id)

    async def endpoints(
        self, environment: str, *, customer: str | None = None, after: str | None = None, limit: int = 50
    ) -> Page[Endpoint]:
        return await self.look(read.endpoints, environment, customer, after, limit)

    async def message(self, environment: str, message_id: str) -> StoredMessage:
        return await self.look(read.message, environment, message_id)

    async def messages(
        self, environment: str, selection: Selection, *, after: str | None = None, limit: int = 50
    ) -> Page[StoredMessage]:
        return await self.look(lists.messages, environment, selection, after, limit)

    async def deliveries(
        self, environment: str, selection: Selection, *, after: str | None = None, limit: int = 50
    ) -> Page[Delivery]:
        return await self.look(lists.deliveries, environment, selection, after, limit)

    async def attempts(
        self,
        environment: str,
        selection: Selection,
        *,
        outcomes: Sequence[Outcome] = (),
        after: str | None = None,
        limit: int = 50,
    ) -> Page[Attempt]:
        return await self.look(lists.attempts, environment, selection, outcomes, after, limit)

    async def matches(self, environment: str, message_id: str) -> Sequence[Match]:
        return await self.look(read.matches, environment, message_id)

    async def status(self, environment: str) -> Status:
        return await self.look(read.status, environment)
