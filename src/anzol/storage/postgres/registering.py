"""The face's third group: what people set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from anzol import ids
from anzol.lifecycle import Disabled
from anzol.model import Customer, Delivery, Endpoint, PauseRule, Secret
from anzol.storage.face import UNSET, EndpointChanges, NewEndpoint, Progress, Selection, Unset
from anzol.storage.postgres import clean, recovery, register
from anzol.storage.postgres.calls import Calls

ERASED: Final = 500  # messages erased in one transaction


class Registering(Calls):
    """Customers, endpoints, secrets, rules."""

    async def put_customer(
        self,
        environment: str,
        uid: str,
        *,
        name: str | Unset = UNSET,
        metadata: Mapping[str, str] | Unset = UNSET,
        throttle: int | Unset | None = UNSET,
    ) -> Customer:
        return await self.change(register.put_customer, environment, uid, name, metadata, throttle)

    async def create_endpoint(self, environment: str, endpoint: NewEndpoint) -> Endpoint:
        endpoint_id = ids.new(self.clock.micros())
        return await self.change(register.create_endpoint, environment, endpoint, endpoint_id)

    async def update_endpoint(self, environment: str, endpoint_id: str, changes: EndpointChanges) -> Endpoint:
        return await self.change(register.update_endpoint, environment, endpoint_id, changes)

    async def delete_endpoint(self, environment: str, endpoint_id: str) -> None:
        await self.change(register.delete_endpoint, environment, endpoint_id)

    async def enable_endpoint(self, environment: str, endpoint_id: str) -> Endpoint:
        return await self.change(register.enable_endpoint, environment, endpoint_id)

    async def disable_endpoint(self, environment: str, endpoint_id: str, because: Disabled) -> Endpoint:
        return await self.change(register.disable_endpoint, environment, endpoint_id, because)

    async def secrets(self, environment: str, endpoint_id: str) -> Sequence[Secret]:
        return await self.look(register.secrets_of, environment, endpoint_id)

    async def rotate_secret(
        self, environment: str, endpoint_id: str, secret: str, *, keep_old: timedelta, most: int = 10
    ) -> Sequence[Secret]:
        return await self.change(register.rotate_secret, environment, endpoint_id, secret, keep_old, most)

    async def sync_event_types(
        self, environment: str, event_types: Sequence[tuple[str, str, Mapping[str, object]]]
    ) -> None:
        await self.change(register.sync_event_types, environment, event_types)

    async def add_outbox_source(self, url: str) -> None:
        await self.change(register.add_outbox_source, url)

    async def delete_customer(self, environment: str, uid: str) -> None:
        customer_id = await self.change(register.delete_customer, environment, uid)
        # Page by page: a customer may have millions of messages. What a crash leaves, housekeeping erases.
        while await self.change(clean.erase, customer_id, ERASED):
            pass

    async def pause(
        self, environment: str, *, customer: str | None, event_type: str | None, endpoint_id: str | None, actor: str
    ) -> PauseRule:
        return await self.change(recovery.pause, environment, customer, event_type, endpoint_id, actor)

    async def resume(
        self, environment: str, *, customer: str | None, event_type: str | None, endpoint_id: str | None
    ) -> int:
        return await self.change(recovery.resume, environment, customer, event_type, endpoint_id)

    async def pause_rules(self, environment: str) -> Sequence[PauseRule]:
        return await self.look(recovery.pause_rules, environment)

    async def cancel(self, environment: str, selection: Selection, *, after: str | None, limit: int) -> Progress:
        return await self.change(recovery.cancel, environment, selection, after, limit)

    async def resend(self, environment: str, message_id: str, endpoint_id: str) -> Delivery:
        return await self.change(recovery.resend, environment, message_id, endpoint_id)

    async def recover(self, environment: str, selection: Selection, *, after: str | None, limit: int) -> Progress:
        return await self.change(recovery.recover, environment, selection, after, limit)
