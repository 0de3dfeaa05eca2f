"""What was sent, and what became of it: messages, their deliveries, their attempts. Lists are newest first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from anzol.errors import NotFound
from anzol.lifecycle import Outcome, State
from anzol.model import Attempt, Delivery, Match, Page, StoredMessage
from anzol.outbox import CustomerId, Webhook, customer_id
from anzol.registry.records import Records, check_limit, check_members, check_time, every
from anzol.storage.face import Selection


def selected(
    records: Records,
    customer: CustomerId | None = None,
    *,
    endpoint: str | None = None,
    message: str | None = None,
    event_type: Webhook | None = None,
    states: Iterable[State] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    tag: str | None = None,
) -> Selection:
    """Return what all the given parts name, once each is judged."""
    return Selection(
        customer=None if customer is None else customer_id(customer),
        endpoint_id=endpoint,
        message_id=message,
        event_types=() if event_type is None else (records.event_type(event_type),),
        states=check_members(states, State, "states"),
        since=check_time(since, "since"),
        until=check_time(until, "until"),
        tag=tag,
    )


@dataclass(frozen=True, slots=True)
class Messages:
    """What was sent; ``webhooks.messages``."""

    records: Records

    async def get(self, message_id: str) -> StoredMessage:
        """Return one with its body; raises NotFound."""
        storage = await self.records.storage()
        return await storage.message(self.records.environment, message_id)

    async def list(
        self,
        customer: CustomerId | None = None,
        *,
        event_type: Webhook | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        tag: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page[StoredMessage]:
        """Return a page of what all the given parts name; ``since`` inclusive, ``until`` exclusive."""
        wanted = selected(self.records, customer, event_type=event_type, since=since, until=until, tag=tag)
        storage = await self.records.storage()
        return await storage.messages(self.records.environment, wanted, after=after, limit=check_limit(limit))

    def all(
        self,
        customer: CustomerId | None = None,
        *,
        event_type: Webhook | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        tag: str | None = None,
    ) -> AsyncIterator[StoredMessage]:
        """Yield every message that all the given parts name."""
        return every(
            lambda after: self.list(
                customer, event_type=event_type, since=since, until=until, tag=tag, after=after, limit=250
            )
        )

    async def matches(self, message_id: str) -> Sequence[Match]:
        """Say for every endpoint of the customer whether it was to get the message, and if not why."""
        storage = await self.records.storage()
        return await storage.matches(self.records.environment, message_id)


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Messages on their way to endpoints, and where each has ended; ``webhooks.deliveries``."""

    records: Records

    async def get(self, message_id: str, endpoint_id: str) -> Delivery:
        """Return the delivery of one message to one endpoint; raises NotFound."""
        found = await self.list(message=message_id, endpoint=endpoint_id, limit=1)
        if not found.items:
            raise NotFound(f"Message {message_id} has no delivery to endpoint {endpoint_id}.")
        return found.items[0]

    async def list(
        self,
        customer: CustomerId | None = None,
        *,
        endpoint: str | None = None,
        message: str | None = None,
        event_type: Webhook | None = None,
        states: Iterable[State] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        tag: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page[Delivery]:
        """Return a page of what all the given parts name; times are those of the messages."""
        wanted = selected(
            self.records,
            customer,
            endpoint=endpoint,
            message=message,
            event_type=event_type,
            states=states,
            since=since,
            until=until,
            tag=tag,
        )
        storage = await self.records.storage()
        return await storage.deliveries(self.records.environment, wanted, after=after, limit=check_limit(limit))

    def all(
        self,
        customer: CustomerId | None = None,
        *,
        endpoint: str | None = None,
        message: str | None = None,
        event_type: Webhook | None = None,
        states: Iterable[State] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        tag: str | None = None,
    ) -> AsyncIterator[Delivery]:
        """Yield every delivery that all the given parts name."""
        chosen = check_members(states, State, "states")
        return every(
            lambda after: self.list(
                customer,
                endpoint=endpoint,
                message=message,
                event_type=event_type,
                states=chosen,
                since=since,
                until=until,
                tag=tag,
                after=after,
                limit=250,
            )
        )


@dataclass(frozen=True, slots=True)
class Attempts:
    """Every HTTP request that was made, with its reply; ``webhooks.attempts``."""

    records: Records

    async def get(self, message_id: str, attempt_id: str) -> Attempt:
        """Return one attempt of a message; raises NotFound."""
        async for attempt in self.all(message=message_id):
            if attempt.id == attempt_id:
                return attempt
        raise NotFound(f"Message {message_id} has no attempt {attempt_id}.")

    async def list(
        self,
        customer: CustomerId | None = None,
        *,
        endpoint: str | None = None,
        message: str | None = None,
        event_type: Webhook | None = None,
        outcomes: Iterable[Outcome] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        tag: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page[Attempt]:
        """Return a page of what all the given parts name; times are those of the messages."""
        wanted = selected(
            self.records,
            customer,
            endpoint=endpoint,
            message=message,
            event_type=event_type,
            since=since,
            until=until,
            tag=tag,
        )
        came = check_members(outcomes, Outcome, "outcomes")
        storage = await self.records.storage()
        return await storage.attempts(
            self.records.environment, wanted, outcomes=came, after=after, limit=check_limit(limit)
        )

    def all(
        self,
        customer: CustomerId | None = None,
        *,
        endpoint: str | None = None,
        message: str | None = None,
        event_type: Webhook | None = None,
        outcomes: Iterable[Outcome] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        tag: str | None = None,
    ) -> AsyncIterator[Attempt]:
        """Yield every attempt that all the given parts name."""
        chosen = check_members(outcomes, Outcome, "outcomes")
        return every(
            lambda after: self.list(
                customer,
                endpoint=endpoint,
                message=message,
                event_type=event_type,
                outcomes=chosen,
                since=since,
                until=until,
                tag=tag,
                after=after,
                limit=250,
            )
        )
