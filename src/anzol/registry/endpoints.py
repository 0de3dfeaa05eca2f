"""Endpoints: where a customer's messages go. Every value is judged here before it is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from anzol.headers import check_headers, check_name, check_prefix
from anzol.lifecycle import Disabled
from anzol.model import UNSET, Endpoint, Page, Secret, Unset
from anzol.outbox import CustomerId, Webhook, check_labels, customer_id
from anzol.registry.records import Records, check_limit, every
from anzol.registry.values import (
    check_flag,
    check_kept,
    check_metadata,
    check_schedule,
    check_secret,
    check_text,
    check_throttle,
    check_uid,
)
from anzol.storage.face import EndpointChanges, NewEndpoint


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The endpoints of this environment; ``webhooks.endpoints``."""

    records: Records

    async def create(
        self,
        customer: CustomerId,
        *,
        url: str,
        event_types: Iterable[Webhook] = (),
        channels: Iterable[str] = (),
        headers: Mapping[str, str] | None = None,
        description: str = "",
        throttle: int | None = None,
        fifo: bool = False,
        contact: str | None = None,
        schedule: Iterable[timedelta] | None = None,
        secret: str | None = None,
        metadata: Mapping[str, str] | None = None,
        uid: str | None = None,
        header_prefix: str | None = None,
        enabled: bool = True,
    ) -> Endpoint:
        """Register an endpoint.

        Args:
            event_types: Names or declared functions; none: all of them.
            channels: Only messages on one of these channels; none: all messages.
            headers: Sent with every delivery; their values are kept encrypted and never shown again.
            throttle: Deliveries a second at most.
            fifo: One after the other, in the order of sending.
            contact: Whom to tell when it fails, such as an address; handed to handlers of `Webhooks.on`.
            schedule: Delays before each attempt, the first included, instead of the settings' own.
            secret: ``whsec_...`` or ``whsk_...``, to move here from another sender; made when none is given.
            uid: Its id in your own system, unique for the customer.
            header_prefix: Send copies of the three signed headers under this prefix, such as ``svix-``.

        Raises:
            AddressRefused: the URL is none, or leads where webhooks do not go.
            InvalidHeader: a header may not be set.
            InvalidValue: another value does not fit; ``field`` names it.
            Conflict: the customer has another endpoint with this ``uid``.
        """
        prefix = None if header_prefix is None else check_prefix(header_prefix)
        wanted = NewEndpoint(
            customer=customer_id(customer),
            url=check_text(url, "url", 2048),
            secret=check_secret(secret, self.records.random(32)),
            uid=None if uid is None else check_uid(uid),
            description=check_text(description, "description", 4096),
            event_types=self.records.event_types(event_types),
            channels=check_labels(channels, "channels"),
            headers=check_headers(headers or {}, prefix=prefix),
            throttle=check_throttle(throttle),
            fifo=check_flag(fifo, "fifo"),
            contact=None if contact is None else check_text(contact, "contact", 256),
            header_prefix=prefix,
            schedule=check_schedule(schedule),
            metadata=check_metadata(metadata or {}),
            enabled=check_flag(enabled, "enabled"),
        )
        await self.records.check_target(url)
        storage = await self.records.storage()
        return await storage.create_endpoint(self.records.environment, wanted)

    async def get(self, endpoint_id: str) -> Endpoint:
        """Return one; raises NotFound."""
        storage = await self.records.storage()
        return await storage.endpoint(self.records.environment, endpoint_id)

    async def list(
        self, customer: CustomerId | None = None, *, after: str | None = None, limit: int = 50
    ) -> Page[Endpoint]:
        """Return a page, newest first, of one customer or of all; ``after`` is the ``next`` of the page before."""
        uid = None if customer is None else customer_id(customer)
        storage = await self.records.storage()
        return await storage.endpoints(self.records.environment, customer=uid, after=after, limit=check_limit(limit))

    def all(self, customer: CustomerId | None = None) -> AsyncIterator[Endpoint]:
        """Yield every endpoint, newest first, of one customer or of all."""
        return every(lambda after: self.list(customer, after=after, limit=250))

    async def update(
        self,
        endpoint_id: str,
        *,
        url: str | Unset = UNSET,
        event_types: Iterable[Webhook] | Unset = UNSET,
        channels: Iterable[str] | Unset = UNSET,
        headers: Mapping[str, str] | Unset = UNSET,
        description: str | Unset = UNSET,
        throttle: int | Unset | None = UNSET,
        fifo: bool | Unset = UNSET,
        contact: str | Unset | None = UNSET,
        schedule: Iterable[timedelta] | Unset | None = UNSET,
        metadata: Mapping[str, str] | Unset = UNSET,
        uid: str | Unset | None = UNSET,
        header_prefix: str | Unset | None = UNSET,
    ) -> Endpoint:
        """Change what is given, as in `create`; None takes a value away, what is not given stays.

        What waits already goes to the new URL, with the new headers, from its next attempt on.
        """
        prefix = header_prefix if isinstance(header_prefix, Unset | None) else check_prefix(header_prefix)
        sent_under = await self._sent_under(endpoint_id, prefix, headers)
        changes = EndpointChanges(
            url=url if isinstance(url, Unset) else check_text(url, "url", 2048),
            uid=uid if isinstance(uid, Unset | None) else check_uid(uid),
            description=unless(description, lambda text: check_text(text, "description", 4096)),
            event_types=unless(event_types, self.records.event_types),
            channels=unless(channels, lambda labels: check_labels(labels, "channels")),
            headers=unless(headers, lambda pairs: check_headers(pairs, prefix=sent_under)),
            throttle=unless(throttle, check_throttle),
            fifo=unless(fifo, lambda flag: check_flag(flag, "fifo")),
            contact=contact if isinstance(contact, Unset | None) else check_text(contact, "contact", 256),
            header_prefix=prefix,
            schedule=unless(schedule, check_schedule),
            metadata=unless(metadata, check_metadata),
        )
        if not isinstance(url, Unset):
            await self.records.check_target(url)
        storage = await self.records.storage()
        return await storage.update_endpoint(self.records.environment, endpoint_id, changes)

    async def _sent_under(
        self, endpoint_id: str, prefix: str | Unset | None, headers: Mapping[str, str] | Unset
    ) -> str | None:
        """Return the prefix that is to hold; refuse one under which a header that is set would stand twice."""
        if not isinstance(prefix, Unset) and (prefix is None or not isinstance(headers, Unset)):
            return prefix
        if isinstance(prefix, Unset) and isinstance(headers, Unset):
            return None
        there = await self.get(endpoint_id)
        if isinstance(prefix, Unset):
            return there.header_prefix
        for name in there.headers:
            check_name(name, prefix)
        return prefix

    async def delete(self, endpoint_id: str) -> None:
        """Delete one; what waits for it is cancelled, what was delivered stays in the history; raises NotFound."""
        storage = await self.records.storage()
        await storage.delete_endpoint(self.records.environment, endpoint_id)

    async def enable(self, endpoint_id: str) -> Endpoint:
        """Let it have messages again, those that waited included, and forget that it failed; raises NotFound."""
        storage = await self.records.storage()
        return await storage.enable_endpoint(self.records.environment, endpoint_id)

    async def disable(self, endpoint_id: str, because: Disabled = Disabled.BY_OPERATOR) -> Endpoint:
        """Park it: it gets no new messages, and what waits stays; raises NotFound."""
        storage = await self.records.storage()
        return await storage.disable_endpoint(self.records.environment, endpoint_id, because)

    async def secret(self, endpoint_id: str) -> str:
        """Return the current signing secret, to show to the customer; raises NotFound."""
        return (await self.secrets(endpoint_id))[0].value

    async def secrets(self, endpoint_id: str) -> Sequence[Secret]:
        """Return every secret that still signs, the current one first; raises NotFound."""
        storage = await self.records.storage()
        return await storage.secrets(self.records.environment, endpoint_id)

    async def rotate_secret(
        self, endpoint_id: str, *, secret: str | None = None, keep_old: timedelta = timedelta(hours=24)
    ) -> Sequence[Secret]:
        """Make *secret* (or a new one) the current one; return all that sign now, the current one first.

        Args:
            keep_old: How long the old ones go on signing beside it, 0 to 7 days.

        Raises:
            Conflict: ten secrets are live already.
        """
        fresh = check_secret(secret, self.records.random(32))
        kept = check_kept(keep_old)
        storage = await self.records.storage()
        return await storage.rotate_secret(self.records.environment, endpoint_id, fresh, keep_old=kept)


def unless(value: Any, check: Any) -> Any:
    """Return the checked value, or `UNSET` as it is."""
    return value if isinstance(value, Unset) else check(value)
