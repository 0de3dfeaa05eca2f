"""The face's second group: rounds, and what the dispatcher asks beside them."""

from __future__ import annotations

from collections.abc import Sequence

from anzol.storage.face import Profile
from anzol.storage.postgres import dispatch, register
from anzol.storage.postgres.settling import Settling


class Delivering(Settling):
    """The queue."""

    async def profiles(self, endpoints: Sequence[bytes]) -> Sequence[Profile]:
        return await self.look(dispatch.profiles_of, endpoints)

    async def outbox_sources(self) -> Sequence[str]:
        return await self.look(register.outbox_sources)
