"""The face's third group: what people set; with the catalog, and who did what."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from anzol import ids
from anzol.errors import StorageError
from anzol.lifecycle import Disabled
from anzol.model import (
    UNSET,
    AuditEntry,
    Customer,
    Delivery,
    Endpoint,
    EventTypeCard,
    Page,
    PauseRule,
    Secret,
    Unset,
)
from anzol.storage.books import EventTypeChanges
from anzol.storage.face import EndpointChanges, NewEndpoint, Progress, Selection
from anzol.storage.naming import made_up
from anzol.storage.postgres import audit, clean, customers, erase, eventtypes, recovery, register
from anzol.storage.postgres.calls import Act, Calls, P

log = logging.getLogger("anzol.storage")

ERASED: Final = 500  # messages erased in one transaction
WITHDRAWN: Final = 1000  # deliveries of a message that is erased, in one transaction
JUDGED: Final = 2000  # pending rows looked at in one transaction


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
        return await self.change(customers.put_customer, environment, uid, name, metadata, throttle)

    async def create_customer(
        self, environment: str, uid: str | None, *, name: str, metadata: Mapping[str, str], throttle: int | None
    ) -> tuple[Customer, bool]:
        named = self._made_up() if uid is None else uid
        return await self.change(customers.create_customer, environment, named, name, metadata, throttle)

    async def rename_customer(self, environment: str, uid: str, new: str | None) -> Customer:
        named = self._made_up() if new is None else new
        chance = ids.new(self.clock.micros()), ids.new(self.clock.micros())
        return await self.change(customers.rename_customer, environment, uid, named, chance)

    def _made_up(self) -> str:
        return made_up(ids.new(self.clock.micros()))

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

    async def add_outbox_source(self, url: str) -> None:
        await self.change(register.add_outbox_source, url)

    async def delete_customer(self, environment: str, uid: str) -> None:
        customer_id = await self.change(customers.delete_customer, environment, uid)
        await self._page_by_page("Erasing a customer's messages", clean.erase, customer_id, ERASED)

    async def erase_message(self, environment: str, message_id: str) -> None:
        # What waits goes page by page: it may be a hundred thousand deliveries.
        while await self.change(erase.withdraw_page, environment, message_id, WITHDRAWN):
            pass
        await self.change(erase.erase_message, environment, message_id)

    async def erase_attempt(self, environment: str, attempt_id: str) -> None:
        await self.change(erase.erase_attempt, environment, attempt_id)

    async def pause(
        self, environment: str, *, customer: str | None, event_type: str | None, endpoint_id: str | None, actor: str
    ) -> PauseRule:
        rule, judging = await self.change(recovery.pause, environment, customer, event_type, endpoint_id, actor)
        if judging is not None:
            await self._page_by_page("Holding back what waits", recovery.judge, judging, JUDGED)
        return rule

    async def resume(
        self, environment: str, *, customer: str | None, event_type: str | None, endpoint_id: str | None
    ) -> int:
        gone, judging = await self.change(recovery.resume, environment, customer, event_type, endpoint_id)
        if judging is not None:
            await self._page_by_page("Making due what was held back", recovery.judge, judging, JUDGED)
        return gone

    async def _page_by_page(self, what: str, act: Act[P, int], *arguments: P.args, **named: P.kwargs) -> None:
        """Do what was decided and committed, in short transactions, as it may be millions of rows.

        What a crash leaves, or an error, housekeeping does: the decision stands.
        """
        try:
            while await self.change(act, *arguments, **named):
                pass
        except StorageError as error:
            log.warning("%s goes on with housekeeping: %s", what, error)

    async def pause_rules(self, environment: str) -> Sequence[PauseRule]:
        return await self.look(recovery.pause_rules, environment)

    async def cancel(self, environment: str, selection: Selection, *, after: str | None, limit: int) -> Progress:
        return await self.change(audit.cancel, environment, selection, after, limit)

    async def resend(self, environment: str, message_id: str, endpoint_id: str) -> Delivery:
        return await self.change(recovery.resend, environment, message_id, endpoint_id)

    async def recover(self, environment: str, selection: Selection, *, after: str | None, limit: int) -> Progress:
        return await self.change(audit.recover, environment, selection, after, limit)


class Cataloguing(Calls):
    """The stored catalog."""

    async def sync_event_types(
        self, environment: str, event_types: Sequence[tuple[str, str, Mapping[str, object]]]
    ) -> None:
        await self.change(eventtypes.sync, environment, event_types)

    async def create_event_type(self, environment: str, name: str, changes: EventTypeChanges) -> EventTypeCard:
        return await self.change(eventtypes.create, environment, name, changes)

    async def put_event_type(
        self, environment: str, name: str, changes: EventTypeChanges, *, make: bool
    ) -> tuple[EventTypeCard, bool]:
        return await self.change(eventtypes.put, environment, name, changes, make)

    async def delete_event_type(self, environment: str, name: str, *, expunge: bool) -> None:
        await self.change(eventtypes.delete, environment, name, expunge)

    async def event_type(self, environment: str, name: str) -> EventTypeCard:
        return await self.look(eventtypes.get, environment, name)

    async def event_types(
        self,
        environment: str,
        *,
        archived: bool = False,
        after: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> Page[EventTypeCard]:
        return await self.look(eventtypes.event_types, environment, archived, after, limit, oldest_first)


class Auditing(Calls):
    """Who did what."""

    async def audits(
        self,
        environment: str,
        *,
        customer: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        after: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> Page[AuditEntry]:
        named = (customer, actor, action)
        return await self.look(audit.audits, environment, named, after, limit, oldest_first)

    async def note(
        self, environment: str, action: str, object_id: str, *, customer: str | None = None, **detail: object
    ) -> None:
        await self.change(audit.add, environment, action, object_id, customer, detail)
