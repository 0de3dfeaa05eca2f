"""What the REST API stands on; the roof makes it of an application's settings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from anzol.clock import Clock
from anzol.outbox import Intake
from anzol.recovery import Recovery
from anzol.registry import Customers, Endpoints, Records
from anzol.sender import Sender
from anzol.settings import Settings
from anzol.storage.face import Storage

if TYPE_CHECKING:
    from anzol.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Ground:
    """All that a request may need. What is read lazily is a function: making an API opens nothing.

    Args:
        records: The registry's, of the settings' own environment; `of` gives those of another one.
        jwt_secrets: What signs tokens, and what else tokens may be signed with: those of keys before.
        declared: The catalog of the application's code; empty where there is none.
        document: The OpenAPI document of the declared webhooks.
        sender: Makes a sender as the settings say, for the running event loop; whoever asks closes it.
    """

    settings: Callable[[], Settings]
    clock: Clock
    random: Callable[[int], bytes]
    storage: Callable[[], Awaitable[Storage]]
    records: Callable[[], Records]
    intake: Callable[[], Intake]
    jwt_secrets: Callable[[], tuple[bytes, ...]]
    declared: Callable[[], Catalog]
    document: Callable[[], dict[str, Any]]
    sender: Callable[[], Sender]

    def of(self, environment: str) -> Place:
        """Return what belongs to one environment."""
        return Place(self, environment, replace(self.records(), environment=environment))


@dataclass(frozen=True, slots=True)
class Place(Recovery):
    """One environment, with everything that people do in it."""

    ground: Ground
    environment: str
    kept: Records

    @property
    def records(self) -> Records:
        return self.kept

    @property
    def customers(self) -> Customers:
        return Customers(self.kept)

    @property
    def endpoints(self) -> Endpoints:
        return Endpoints(self.kept)

    @property
    def intake(self) -> Intake:
        return replace(self.ground.intake(), environment=self.environment)

    async def storage(self) -> Storage:
        """Return the database, ready."""
        return await self.ground.storage()
