"""The endpoints of one customer in one caller's hands: found, made, set, switched, with their headers and secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from anzol import ids
from anzol.actors import acting
from anzol.api.access import Caller
from anzol.api.endpoint_shapes import EndpointIn, EndpointPatch, EndpointPut
from anzol.api.ground import Place
from anzol.api.problems import Problem, fault
from anzol.api.shapes import UID
from anzol.errors import InvalidValue, NotFound
from anzol.lifecycle import Disabled
from anzol.model import Endpoint
from anzol.registry import Endpoints
from anzol.signing import PRIVATE, SYMMETRIC

MOST_OWN: Final = 500  # endpoints that a customer may have by registering them itself
MOST: Final = 250
# A header of such a name holds what opens doors: its value is shown to nobody.
SENSITIVE: Final = re.compile(r"auth|cookie|credential|jwt|key|passw|pin\b|secret|session|signature|token", re.ASCII)


@dataclass(frozen=True, slots=True)
class Keeper:
    """What a caller does with the endpoints of ``customer`` (a uid).

    ``names``: the event types that can be subscribed to; None: the declared and the stored ones, and any where none is
    declared.
    """

    place: Place
    caller: Caller
    customer: str
    names: tuple[str, ...] | None = None

    async def find(self, name: str) -> Endpoint:
        """Return an endpoint by id or uid.

        Raises:
            Problem: ``not_found``.
        """
        try:
            return await (await self.place.storage()).find_endpoint(self.place.environment, self.customer, name)
        except NotFound:
            raise missing(name) from None

    async def create(self, given: EndpointIn, uid: str | None = None) -> Endpoint:
        """Register an endpoint, under *uid* unless another one is given."""
        await self._check_room()
        endpoints = await self._endpoints(given.wanted)
        made = await endpoints.create(
            self.customer,
            url=given.url,
            uid=given.uid or uid,
            secret=prefixed(given.secret),
            headers=given.headers or {},
            enabled=not given.disabled,
            **given.values(),
        )
        return await self._disabled(made) if given.disabled and made.disabled_because != self._because else made

    async def put(self, name: str, given: EndpointPut) -> tuple[Endpoint, bool]:
        """Set all of an endpoint, or register it under the uid in the path; say whether it was registered."""
        try:
            endpoint = await self.find(name)
        except Problem:
            check_new_uid(name)
            return await self.create(EndpointIn.model_validate(given.model_dump(exclude_unset=True)), uid=name), True
        await self._check_switch(endpoint, given.disabled)
        endpoints = await self._endpoints(given.wanted)
        return await self._switched(await endpoints.update(endpoint.id, **given.changes()), given.disabled), False

    async def patch(self, name: str, given: EndpointPatch) -> Endpoint:
        """Change what is given of an endpoint."""
        endpoint = await self.find(name)
        await self._check_switch(endpoint, given.disabled)
        changes = given.changes()
        if changes:
            endpoint = await (await self._endpoints(given.wanted)).update(endpoint.id, **changes)
        return await self._switched(endpoint, given.disabled)

    async def delete(self, name: str) -> None:
        """Delete an endpoint."""
        await self.place.endpoints.delete((await self.find(name)).id)

    async def headers(self, endpoint: Endpoint) -> Sequence[tuple[str, str]]:
        """Return an endpoint's headers with their values."""
        return await (await self.place.storage()).endpoint_headers(self.place.environment, endpoint.id)

    async def set_headers(self, name: str, headers: Mapping[str, str]) -> None:
        """Set an endpoint's headers; those that are not given go."""
        await self.place.endpoints.update((await self.find(name)).id, headers=headers)

    async def change_headers(self, name: str, headers: Mapping[str, str], without: Iterable[str]) -> None:
        """Take headers of an endpoint away, then set some; the others stay."""
        endpoint = await self.find(name)
        gone = {name.lower() for name in (*without, *headers)}
        kept = {name: value for name, value in await self.headers(endpoint) if name not in gone}
        await self.place.endpoints.update(endpoint.id, headers={**kept, **headers})

    async def secret(self, name: str) -> str:
        """Return the current signing secret; that it was looked at is noted."""
        endpoint = await self.find(name)
        secret = await self.place.endpoints.secret(endpoint.id)
        storage = await self.place.storage()
        with acting(self.caller.actor):  # a GET, which else is nobody's act
            await storage.note(self.place.environment, "endpoint.secret.shown", endpoint.id, customer=self.customer)
        return secret

    async def rotate(self, name: str, key: str | None, keep_old: timedelta) -> str:
        """Make a secret the current one; return it."""
        endpoint = await self.find(name)
        try:
            secrets = await self.place.endpoints.rotate_secret(endpoint.id, secret=prefixed(key), keep_old=keep_old)
        except InvalidValue as error:
            raise fault("key", str(error)) from error
        return secrets[0].value

    @property
    def _because(self) -> Disabled:
        return Disabled.BY_OPERATOR if self.caller.customer is None else Disabled.BY_CUSTOMER

    async def _disabled(self, endpoint: Endpoint) -> Endpoint:
        return await self.place.endpoints.disable(endpoint.id, self._because)

    async def _switched(self, endpoint: Endpoint, disabled: bool | None) -> Endpoint:
        """Enable or disable, if it is not so already; None: leave it."""
        if disabled is None or disabled is not endpoint.enabled:
            return endpoint
        return await (self._disabled(endpoint) if disabled else self.place.endpoints.enable(endpoint.id))

    async def _check_switch(self, endpoint: Endpoint, disabled: bool | None) -> None:
        """Refuse to let a customer enable what the operator has disabled."""
        if disabled is False and self.caller.customer and endpoint.disabled_because is Disabled.BY_OPERATOR:
            raise Problem("insufficient_access", "The endpoint was disabled by the operator, who alone can enable it.")

    async def _check_room(self) -> None:
        """Refuse a customer who has many endpoints already; the sender itself may register any number."""
        if self.caller.customer is None:
            return
        storage, after, count = await self.place.storage(), None, 0
        while True:
            page = await storage.endpoints(self.place.environment, customer=self.customer, after=after, limit=MOST)
            count, after = count + len(page.items), page.next
            if count >= MOST_OWN:
                raise Problem("conflict", f"There are {MOST_OWN} endpoints already; delete one that is not needed.")
            if after is None:
                return

    async def _endpoints(self, wanted: Sequence[str]) -> Endpoints:
        """Return what registers endpoints for the event types that can be subscribed to."""
        records = self.place.records
        known = records.names() if self.names is None else self.names
        stored = [name for name in wanted if name not in known and await self._stored(name)] if known else []
        names = (*known, *stored)
        return Endpoints(replace(records, names=lambda: names))

    async def _stored(self, name: str) -> bool:
        """Say whether the event type is in the stored catalog."""
        if self.names is not None:
            return False
        try:
            await (await self.place.storage()).event_type(self.place.environment, name)
        except NotFound:
            return False
        return True


def missing(name: str) -> Problem:
    """Return the problem of an endpoint that is not there."""
    return Problem("not_found", f"There is no endpoint {name!r}.")


def check_new_uid(name: str) -> None:
    """Refuse what a path names if it cannot be the uid of a new endpoint.

    Raises:
        Problem: it is an id, or no uid.
    """
    if name.startswith(ids.ENDPOINT):
        raise missing(name)
    if not re.fullmatch(UID, name, re.ASCII) or len(name) > 256:
        reason = "A uid has 1 to 256 letters, digits, dots, hyphens and underscores."
        raise fault("endpoint_id", reason, place="path")


def prefixed(secret: str | None) -> str | None:
    """Return a secret that is given as bare base64 as it is written elsewhere."""
    if secret is None or secret.startswith((SYMMETRIC, PRIVATE)):
        return secret
    return SYMMETRIC + secret


def is_sensitive(header: str) -> bool:
    """Say whether the value of a header of this name is not to be shown."""
    return SENSITIVE.search(header.lower()) is not None
