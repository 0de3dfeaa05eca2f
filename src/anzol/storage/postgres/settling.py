"""The face's second group, its later half: results and leases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Concatenate, Final, ParamSpec, TypeVar

from anzol.errors import StorageUnreachable
from anzol.model import Report
from anzol.storage.face import LaneHealth, NewIncident, Reaped, Settled, Unannounced
from anzol.storage.postgres import incidents, leases, settle
from anzol.storage.postgres.calls import Calls
from anzol.storage.postgres.connections import lost
from anzol.storage.postgres.home import Home
from anzol.storage.postgres.settle import Batch, Written
from anzol.storage.postgres.skew import Skew
from anzol.storage.postgres.work import Work
from anzol.storage.processes import this_process

P = ParamSpec("P")
T = TypeVar("T")
NOTHING: Final[Counter[int]] = Counter()


class Settling(Calls):
    """Writes results, fenced row by row; keeps leases; clears away the dead."""

    def begin_anew(self) -> None:
        super().begin_anew()
        # Handed out and not settled, how often: who is given back may be handed out again before its settler hears.
        self.claims_of_worker: dict[int, Counter[int]] = {}
        self.skew = Skew()
        self._unheard: dict[int, Written] = {}  # by worker: a transaction to whose commit there was no answer

    # --- results ----------------------------------------------------------------------------------------------------

    async def settle(
        self,
        me: int,
        settled: Sequence[Settled],
        health: Sequence[LaneHealth] = (),
        incidents: Sequence[NewIncident] = (),
    ) -> Sequence[int]:
        batch = Batch(me, settle.once(settled), health, incidents, self.skew.ahead)

        async def at_home(home: Home) -> frozenset[int]:
            return await self._settle(home, batch)

        written = await self.homes.run(at_home)
        return tuple([one.id for one in settled if one.id not in written])

    async def _settle(self, home: Home, batch: Batch) -> frozenset[int]:
        """Write results; return the claims. What a try wrote whose answer was lost is known again."""
        write = self._in_one_statement if batch.plain else self._in_one_transaction
        written = await self.again(lambda: write(home, batch), lossy=True)
        known = self.claims_of_worker.get(batch.me, NOTHING)
        for one in batch.settled:
            if known.get(one.id, 0) > 1:
                known[one.id] -= 1
            else:
                known.pop(one.id, None)
        return written

    async def _in_one_statement(self, home: Home, batch: Batch) -> frozenset[int]:
        """Write deliveries that ended, each by an attempt."""
        async with home.statements("settle") as connection:
            work = self.work(connection)
            written = await settle.end(work, batch, batch.settled)
            if len(written) < len(batch.settled):
                written |= await settle.recorded(work, [one for one in batch.settled if one.id not in written])
        return written

    async def _in_one_transaction(self, home: Home, batch: Batch) -> frozenset[int]:
        """Write whatever there is; ask first what became of the try before, if its answer was lost."""
        before = self._unheard.get(batch.me)
        if before is not None and before.batch == batch and await self._committed(home, before):
            del self._unheard[batch.me]
            return before.claims
        self._unheard.pop(batch.me, None)
        try:
            async with home.transaction("settle") as connection:
                written = await settle.settle(self.work(connection), batch)
                if written is not None:
                    self._unheard[batch.me] = written
        except BaseException as error:
            if not lost(error):
                self._unheard.pop(batch.me, None)
            raise
        self._unheard.pop(batch.me, None)
        return frozenset() if written is None else written.claims

    async def _committed(self, home: Home, before: Written) -> bool:
        """Say whether a transaction was committed.

        Raises:
            StorageUnreachable: it is not over: the server has not noticed yet that its connection is gone.
        """
        async with home.statements("settle") as connection:
            became = await settle.what_became(self.work(connection), before)
        if became == "in progress":
            raise StorageUnreachable(
                "A connection to the database was lost, and the server has not ended its transaction yet.",
                do="Wait: it does so when it notices.",
            )
        return became == "committed"

    async def take_incidents(self, limit: int) -> Sequence[Report]:
        return await self._state("other", incidents.take_incidents, limit)

    async def tell_incidents(self, ids: Sequence[int]) -> None:
        await self._state("other", incidents.tell_incidents, ids)

    async def unannounced(self, limit: int) -> Sequence[Unannounced]:
        return await self._state("other", incidents.unannounced, limit)

    async def announced(self, ids: Sequence[int]) -> None:
        await self._state("other", incidents.announced, ids)

    # --- leases -----------------------------------------------------------------------------------------------------

    async def enlist(self, *, host: str, pid: int, version: str, term: timedelta) -> int:
        asked = self.clock.micros()
        me, said = await self._state("lease", leases.enlist, host, pid, version, this_process(), term)
        self.skew.learn(asked, said, self.clock.micros())
        self.enlisted.add(me)
        return me

    async def beat(self, me: int, term: timedelta) -> bool:
        asked = self.clock.micros()
        said = await self._state("lease", leases.beat, me, term)
        if said is not None:
            self.skew.learn(asked, said, self.clock.micros())
        return said is not None

    async def resign(self, me: int) -> None:
        await self._leave(leases.resign, me)
        self._forget(me)

    async def reap(self, *, most_interruptions: int) -> Reaped:
        total = Reaped()
        for one in await self._state("lease", leases.dead):
            reaped = await self._leave(leases.reap, one, most_interruptions)
            total = leases.both(total, reaped)
            if reaped.workers:
                self._forget(one.id)
        return total

    def _forget(self, me: int) -> None:
        self.enlisted.discard(me)
        self.claims_of_worker.pop(me, None)
        self._unheard.pop(me, None)

    # --- how these get through --------------------------------------------------------------------------------------

    async def _state(
        self, line: str, act: Callable[Concatenate[Work, P], Awaitable[T]], *arguments: P.args, **named: P.kwargs
    ) -> T:
        """Do what is one statement, and harmless if it is done again."""

        async def at_home(home: Home) -> T:
            return await self.again(lambda: now(home), lossy=True)

        async def now(home: Home) -> T:
            async with home.statements(line) as connection:
                return await act(self.work(connection), *arguments, **named)

        return await self.homes.run(at_home)

    async def _leave(
        self, act: Callable[Concatenate[Work, P], Awaitable[T]], *arguments: P.args, **named: P.kwargs
    ) -> T:
        """Change what a worker leaves, in one transaction; done a second time it finds nothing, and harms nothing."""

        async def at_home(home: Home) -> T:
            return await self.again(lambda: self._change(home, act, *arguments, **named), lossy=True)

        return await self.homes.run(at_home)
