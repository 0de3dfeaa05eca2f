"""The face's second group: rounds, and what the dispatcher asks beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from anzol.errors import AnzolError
from anzol.storage.face import Dispatched, Order, Profile
from anzol.storage.postgres import register
from anzol.storage.postgres.connections import explained
from anzol.storage.postgres.dispatch import Memory, Round, held
from anzol.storage.postgres.home import Home
from anzol.storage.postgres.profiles import by_our_clock, profiles_of
from anzol.storage.postgres.settling import Settling
from anzol.storage.postgres.steps import Steps
from anzol.storage.postgres.work import Work


class Delivering(Settling):
    """The queue."""

    def begin_anew(self) -> None:
        super().begin_anew()
        self._memories: dict[int, Memory] = {}

    def _forget(self, me: int) -> None:
        super()._forget(me)
        self._memories.pop(me, None)

    async def dispatch(self, me: int, order: Order) -> Dispatched:
        memory = self._memories.setdefault(me, Memory())

        async def at_home(home: Home) -> Dispatched:
            return await self._round(home, me, order, memory)

        done = await self.homes.run(at_home)
        if done.lost:
            self._forget(me)
            return done
        # Not before: the caller may be gone. What it does not know of is given back by the next round.
        self.claims_of_worker.setdefault(me, Counter()).update([claim.id for claim in done.claims])
        memory.unheard = False
        return done

    async def _round(self, home: Home, me: int, order: Order, memory: Memory) -> Dispatched:
        def committed(work: Work) -> None:
            self.committed(home, work)

        known = self.claims_of_worker.setdefault(me, Counter())
        try:
            async with home.lend("dispatch") as connection:
                steps = Steps(self.work(connection), self.place, committed)
                clocks = (self.clock.micros, self.clock.monotonic)
                done, expanded = await Round(steps, me, order, memory, known, self.skew, clocks).run()
        except AnzolError:
            raise
        except Exception as error:
            raise explained(error) from error
        if expanded is not None and expanded.free > order.take:
            self.nudger.tell(home)  # more lanes wait than we take: others may have places
        return done

    async def profiles(self, endpoints: Sequence[bytes]) -> Sequence[Profile]:
        return by_our_clock(await self.look(profiles_of, endpoints), self.skew.ahead)

    async def held(self) -> Mapping[int, int]:
        return await self.look(held)

    async def outbox_sources(self) -> Sequence[str]:
        return await self.look(register.outbox_sources)
