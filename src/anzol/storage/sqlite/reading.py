"""The face's fourth group: looking, each from one snapshot; and counting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from anzol.lifecycle import Outcome
from anzol.model import Attempt, Customer, Delivery, Endpoint, Match, Page, Status, StoredMessage, Tally
from anzol.storage.face import Selection
from anzol.storage.sqlite import find, lists, read, tally
from anzol.storage.sqlite.calls import Calls


class Reading(Calls):
    """Lists in pages, either way, single things, and how many there are."""

    async def customer(self, environment: str, uid: str) -> Customer:
        return await self.look(read.customer, environment, uid)

    async def find_customer(self, environment: str, name: str) -> Customer:
        return await self.look(find.customer, environment, name)

    async def customers(
        self, environment: str, *, after: str | None = None, limit: int = 50, oldest_first: bool = False
    ) -> Page[Customer]:
        return await self.look(lists.customers, environment, lists.Span(after, limit, oldest_first))

    async def endpoint(self, environment: str, endpoint_id: str) -> Endpoint:
        return await self.look(read.endpoint, environment, endpoint_id)

    async def find_endpoint(self, environment: str, customer: str, name: str) -> Endpoint:
        return await self.look(find.endpoint, environment, customer, name)

    async def endpoint_headers(self, environment: str, endpoint_id: str) -> Sequence[tuple[str, str]]:
        return await self.look(find.endpoint_headers, environment, endpoint_id)

    async def endpoints(
        self,
        environment: str,
        *,
        customer: str | None = None,
        after: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> Page[Endpoint]:
        return await self.look(lists.endpoints, environment, customer, lists.Span(after, limit, oldest_first))

    async def message(self, environment: str, message_id: str) -> StoredMessage:
        return await self.look(read.message, environment, message_id)

    async def find_message(self, environment: str, customer: str, name: str) -> StoredMessage:
        return await self.look(find.message, environment, customer, name)

    async def messages_of(self, environment: str, message_ids: Sequence[str]) -> Mapping[str, StoredMessage]:
        return await self.look(find.messages, environment, message_ids)

    async def messages(
        self,
        environment: str,
        selection: Selection,
        *,
        after: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> Page[StoredMessage]:
        return await self.look(lists.messages, environment, selection, lists.Span(after, limit, oldest_first))

    async def deliveries(
        self,
        environment: str,
        selection: Selection,
        *,
        after: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> Page[Delivery]:
        return await self.look(lists.deliveries, environment, selection, lists.Span(after, limit, oldest_first))

    async def attempt(self, environment: str, attempt_id: str) -> Attempt:
        return await self.look(find.attempt, environment, attempt_id)

    async def attempts(
        self,
        environment: str,
        selection: Selection,
        *,
        outcomes: Sequence[Outcome] = (),
        started_since: datetime | None = None,
        started_until: datetime | None = None,
        after: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> Page[Attempt]:
        which = lists.Which(selection, tuple(outcomes), started_since, started_until)
        return await self.look(lists.attempts, environment, which, lists.Span(after, limit, oldest_first))

    async def matches(self, environment: str, message_id: str) -> Sequence[Match]:
        return await self.look(read.matches, environment, message_id)

    async def status(self, environment: str) -> Status:
        return await self.look(read.status, environment)

    async def tally(
        self,
        environment: str,
        *,
        customer: str | None = None,
        endpoint_id: str | None = None,
        since: datetime,
        until: datetime,
    ) -> Tally:
        selection = Selection(customer=customer, endpoint_id=endpoint_id)
        return await self.look(tally.deliveries, environment, selection, since, until)

    async def tally_attempts(self, environment: str, endpoint_id: str, *, since: datetime, until: datetime) -> Tally:
        return await self.look(tally.attempts, environment, endpoint_id, since, until)
