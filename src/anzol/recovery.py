"""Mending: one delivery again, many again, holding back, letting go, calling off."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Final

from anzol.actors import actor as acting_now
from anzol.errors import InvalidValue
from anzol.lifecycle import State
from anzol.model import Delivery, PauseRule
from anzol.outbox import CustomerId, Webhook, customer_id
from anzol.registry.history import Deliveries, selected
from anzol.registry.records import Records, check_members
from anzol.storage.face import Progress

PAGE: Final = 500  # deliveries changed in one transaction


class Recovery(ABC):
    """What operators do when something went wrong, at the receivers' or at ours; `Webhooks` is one."""

    @property
    @abstractmethod
    def records(self) -> Records:
        """What the registry and this stand on."""

    async def resend(self, message_id: str, endpoint_id: str) -> Delivery:
        """Deliver one message to one endpoint again, now, whatever became of it before.

        Raises:
            NotFound: no such message, or no such endpoint of its customer.
            Conflict: the message's body was erased, or the endpoint is deleted.
        """
        storage = await self.records.storage()
        return await storage.resend(self.records.environment, message_id, endpoint_id)

    async def recover(
        self,
        *,
        since: datetime,
        until: datetime | None = None,
        endpoint: str | None = None,
        customer: CustomerId | None = None,
        event_type: Webhook | None = None,
        states: Iterable[State] = (State.EXHAUSTED,),
    ) -> int:
        """Resend what an endpoint or a customer did not get; return how many deliveries.

        Args:
            since, until: When the messages were sent.
            states: Which deliveries: those that were given up, unless others are named.

        Raises:
            InvalidValue: neither endpoint nor customer is named, or a time has no zone.
        """
        if endpoint is None and customer is None:
            raise InvalidValue("Recovering needs an endpoint or a customer.", field="endpoint")
        if since is None:  # a missing time would quietly mean everything that was ever sent
            raise InvalidValue("Recovering needs a time from which on.", field="since", do="Use since=datetime(...).")
        chosen = selected(
            self.records,
            customer,
            endpoint=endpoint,
            event_type=event_type,
            states=check_ended(states),
            since=since,
            until=until,
        )
        storage = await self.records.storage()
        return await in_pages(lambda after: storage.recover(self.records.environment, chosen, after=after, limit=PAGE))

    async def pause(
        self,
        *,
        customer: CustomerId | None = None,
        event_type: Webhook | None = None,
        endpoint: str | None = None,
        everything: bool = False,
        actor: str | None = None,
    ) -> PauseRule:
        """Hold back what all the given parts name, what waits already and what comes; nothing is lost.

        Args:
            everything: Hold back all there is, instead of naming a part.
            actor: Who did it, to be shown with the rule; else whoever is acting: ``code``, or who called the API.

        Raises:
            InvalidValue: no part is named, nor everything; or both.
        """
        if everything == any(part is not None for part in (customer, event_type, endpoint)):
            # An account.id that is None would quietly hold back everybody's.
            raise InvalidValue(
                "A pause names a customer, an event type, an endpoint, several of them, or everything.",
                field="everything",
                do="Use pause(customer=...), or pause(everything=True) to hold back all.",
            )
        storage = await self.records.storage()
        return await storage.pause(
            self.records.environment,
            customer=None if customer is None else customer_id(customer),
            event_type=None if event_type is None else self.records.event_type(event_type),
            endpoint_id=endpoint,
            actor=acting_now() if actor is None else actor,
        )

    async def resume(
        self,
        *,
        customer: CustomerId | None = None,
        event_type: Webhook | None = None,
        endpoint: str | None = None,
    ) -> int:
        """Take back what `pause` was told with the same parts; return how many rules there were."""
        storage = await self.records.storage()
        return await storage.resume(
            self.records.environment,
            customer=None if customer is None else customer_id(customer),
            event_type=None if event_type is None else self.records.event_type(event_type),
            endpoint_id=endpoint,
        )

    async def paused(self) -> tuple[PauseRule, ...]:
        """Return what is held back at present."""
        storage = await self.records.storage()
        return tuple(await storage.pause_rules(self.records.environment))

    async def cancel(
        self,
        customer: CustomerId | None = None,
        *,
        endpoint: str | None = None,
        message: str | None = None,
        event_type: Webhook | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        tag: str | None = None,
        preview: bool = False,
    ) -> int:
        """Call off what still waits and all the given parts name; return how many deliveries.

        What is in flight is not called off. At least one part must be given.

        Args:
            preview: Only count.
        """
        chosen = selected(
            self.records,
            customer,
            endpoint=endpoint,
            message=message,
            event_type=event_type,
            states=(State.PENDING,),
            since=since,
            until=until,
            tag=tag,
        )
        if (customer, endpoint, message, event_type, since, until, tag) == (None,) * 7:
            raise InvalidValue("Cancelling everything must be said by a part.", do="Name a customer, or since=.")
        if preview:
            waiting = Deliveries(self.records).all(
                customer,
                endpoint=endpoint,
                message=message,
                event_type=event_type,
                states=chosen.states,
                since=since,
                until=until,
                tag=tag,
            )
            return sum([1 async for delivery in waiting if not delivery.in_flight])
        storage = await self.records.storage()
        return await in_pages(lambda after: storage.cancel(self.records.environment, chosen, after=after, limit=PAGE))


def check_ended(states: Iterable[State]) -> tuple[State, ...]:
    """Return the states once all are ends: what is pending is on its way already."""
    chosen = check_members(states, State, "states")
    if not chosen or State.PENDING in chosen:
        raise InvalidValue("Recovered is what has ended: delivered, exhausted or cancelled.", field="states")
    return chosen


async def in_pages(page: Callable[[str | None], Awaitable[Progress]]) -> int:
    """Do all pages, each in a transaction of its own; return how many were changed."""
    changed, after = 0, None
    while True:
        progress = await page(after)
        changed += progress.changed
        if progress.next is None:
            return changed
        after = progress.next
