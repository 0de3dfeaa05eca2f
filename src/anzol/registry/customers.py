"""Customers: whoever registers endpoints. One exists from its first message or endpoint on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

from anzol.model import UNSET, Customer, Page, Unset
from anzol.outbox import CustomerId, customer_id
from anzol.registry.records import Records, check_limit, every
from anzol.registry.values import check_metadata, check_text, check_throttle


@dataclass(slots=True)
class Turnover:
    """How often a customer was renamed or deleted by this process: who remembers names sees whether they still hold."""

    count: int = 0


TURNOVER: Final = Turnover()


@dataclass(frozen=True, slots=True)
class Customers:
    """The customers of this environment; ``webhooks.customers``."""

    records: Records

    async def put(
        self,
        customer: CustomerId,
        *,
        name: str | Unset = UNSET,
        metadata: Mapping[str, str] | Unset = UNSET,
        throttle: int | Unset | None = UNSET,
    ) -> Customer:
        """Make the customer if it is not there, and set what is given. Sending does not need this.

        Args:
            name: What operators see beside the id; up to 256 characters.
            metadata: Up to 50 pairs of your own.
            throttle: Deliveries a second at most, over all of its endpoints and all workers; None: no limit.
        """
        uid = customer_id(customer)
        storage = await self.records.storage()
        return await storage.put_customer(
            self.records.environment,
            uid,
            name=name if isinstance(name, Unset) else check_text(name, "name", 256),
            metadata=metadata if isinstance(metadata, Unset) else check_metadata(metadata),
            throttle=throttle if isinstance(throttle, Unset) else check_throttle(throttle),
        )

    async def create(
        self,
        customer: CustomerId | None,
        *,
        name: str = "",
        metadata: Mapping[str, str] | None = None,
        throttle: int | None = None,
    ) -> tuple[Customer, bool]:
        """Make a customer if it is not there, else leave it as it is; say whether it was made.

        Args:
            customer: None: it has no id in your own system.
        """
        uid = None if customer is None else customer_id(customer)
        storage = await self.records.storage()
        return await storage.create_customer(
            self.records.environment,
            uid,
            name=check_text(name, "name", 256),
            metadata=check_metadata(metadata or {}),
            throttle=check_throttle(throttle),
        )

    async def rename(self, customer: CustomerId, new: CustomerId | None) -> Customer:
        """Give a customer another id of your own system; everything that it has stays its own.

        Raises:
            NotFound: there is none.
            Conflict: another customer has the new id.
        """
        uid = None if new is None else customer_id(new)
        storage = await self.records.storage()
        renamed = await storage.rename_customer(self.records.environment, customer_id(customer), uid)
        TURNOVER.count += 1
        return renamed

    async def get(self, customer: CustomerId) -> Customer:
        """Return one; raises NotFound before its first endpoint or message."""
        storage = await self.records.storage()
        return await storage.customer(self.records.environment, customer_id(customer))

    async def list(self, *, after: str | None = None, limit: int = 50) -> Page[Customer]:
        """Return a page, newest first; ``after`` is the ``next`` of the page before."""
        storage = await self.records.storage()
        return await storage.customers(self.records.environment, after=after, limit=check_limit(limit))

    def all(self) -> AsyncIterator[Customer]:
        """Yield every customer, newest first."""
        return every(lambda after: self.list(after=after, limit=250))

    async def delete(self, customer: CustomerId) -> None:
        """Delete a customer: its endpoints go, what waits is cancelled, its messages are erased; raises NotFound."""
        storage = await self.records.storage()
        await storage.delete_customer(self.records.environment, customer_id(customer))
        TURNOVER.count += 1
