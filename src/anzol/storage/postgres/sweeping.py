"""The face's group of changes to many."""

from __future__ import annotations

from datetime import timedelta

from anzol.lifecycle import SweepState
from anzol.model import Page, Sweep
from anzol.storage.books import NewSweep
from anzol.storage.postgres import sweeps
from anzol.storage.postgres.calls import Calls


class Sweeping(Calls):
    """Changes to many: begun, looked at, called off, carried on."""

    async def begin_sweep(self, environment: str, sweep: NewSweep) -> Sweep:
        return await self.change(sweeps.begin, environment, sweep)

    async def sweep(self, environment: str, sweep_id: str) -> Sweep:
        return await self.look(sweeps.sweep, environment, sweep_id)

    async def sweeps(
        self,
        environment: str,
        *,
        customer: str | None = None,
        state: SweepState | None = None,
        kind: str | None = None,
        after: str | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> Page[Sweep]:
        return await self.look(sweeps.sweeps, environment, customer, state, kind, after, limit, oldest_first)

    async def call_off_sweep(self, environment: str, sweep_id: str) -> Sweep:
        return await self.change(sweeps.call_off, environment, sweep_id)

    async def advance_sweep(self, me: int, *, limit: int, term: timedelta) -> bool:
        return await self.change(sweeps.advance, me, limit, term)
