"""The face's second group, its part about incidents."""

from __future__ import annotations

from collections.abc import Sequence

from anzol.model import Report
from anzol.storage.face import Unannounced
from anzol.storage.sqlite import incidents
from anzol.storage.sqlite.calls import Calls


class Telling(Calls):
    """Incidents: told to handlers, announced to operational endpoints."""

    async def take_incidents(self, limit: int) -> Sequence[Report]:
        return await self.queue(incidents.take_incidents, limit)

    async def tell_incidents(self, ids: Sequence[int]) -> None:
        await self.queue(incidents.tell_incidents, ids)

    async def unannounced(self, limit: int) -> Sequence[Unannounced]:
        return await self.look(incidents.unannounced, limit)

    async def announced(self, ids: Sequence[int]) -> None:
        await self.queue(incidents.announced, ids)
