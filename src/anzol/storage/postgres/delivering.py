"""The face's second group: leases, rounds, results."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from anzol.model import Report
from anzol.storage.face import Profile, Reaped
from anzol.storage.postgres import dispatch, register, settle
from anzol.storage.postgres.calls import Calls
from anzol.storage.processes import this_process


class Delivering(Calls):
    """The queue."""

    async def enlist(self, *, host: str, pid: int, version: str, term: timedelta) -> int:
        me = await self.change(settle.enlist, host, pid, version, this_process(), term)
        self.enlisted.add(me)
        return me

    async def beat(self, me: int, term: timedelta) -> bool:
        return await self.change(settle.beat, me, term)

    async def resign(self, me: int) -> None:
        await self.change(settle.resign, me)
        self.enlisted.discard(me)

    async def reap(self, *, most_interruptions: int) -> Reaped:
        return await self.change(settle.reap, most_interruptions)

    async def profiles(self, endpoints: Sequence[bytes]) -> Sequence[Profile]:
        return await self.look(dispatch.profiles_of, endpoints)

    async def take_incidents(self, limit: int) -> Sequence[Report]:
        return await self.change(settle.take_incidents, limit)

    async def tell_incidents(self, ids: Sequence[int]) -> None:
        await self.change(settle.tell_incidents, ids)

    async def outbox_sources(self) -> Sequence[str]:
        return await self.look(register.outbox_sources)
