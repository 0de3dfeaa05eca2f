"""Results, gathered for a moment and written in one transaction; while one batch is written the next one gathers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anzol.errors import StorageError
from anzol.rules import DeliveryRules
from anzol.storage.face import Deliver, LaneHealth, NewIncident, Settled

if TYPE_CHECKING:
    from anzol.lane import Lane

log = logging.getLogger("anzol.worker")


@dataclass(slots=True)
class Batch:
    """What is written together. ``lanes`` runs parallel to ``settled``; ``after`` is called once it is written."""

    settled: list[Settled] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)
    health: dict[bytes, LaneHealth] = field(default_factory=dict)
    healed: list[Lane] = field(default_factory=list)
    incidents: list[NewIncident] = field(default_factory=list)
    after: list[Callable[[], None]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.settled or self.health or self.incidents)


class Settlement:
    """Writes the results of one tenure. What could not be written is kept, and tried until it can."""

    def __init__(
        self,
        storage: Deliver,
        me: int,
        rules: DeliveryRules,
        *,
        relieved: Callable[[], None],
        told: Callable[[], None],
    ) -> None:
        """*relieved* is called when claims may go on, *told* when incidents were written."""
        self._storage = storage
        self._relieved = relieved
        self._told = told
        self._me = me
        self._rules = rules
        self._gathering = Batch()
        self._writing: Batch | None = None
        self._some = asyncio.Event()
        self._now = asyncio.Event()
        self._writer = asyncio.Lock()
        self.unsettled = 0

    def add(self, lane: Lane, settled: Settled) -> None:
        """Take one result."""
        gathering = self._gathering
        gathering.settled.append(settled)
        gathering.lanes.append(lane)
        lane.unsettled += 1
        self.unsettled += 1
        self._some.set()
        if lane.profile.fifo or len(gathering.settled) >= self._rules.batch:
            self._now.set()

    def add_health(self, lane: Lane, *incidents: NewIncident) -> None:
        """Take how a lane stands now, and what is to be told of it; only the last standing is written."""
        gathering = self._gathering
        gathering.health[lane.endpoint_id] = lane.health()
        gathering.healed.append(lane)
        gathering.incidents.extend(incidents)
        lane.unwritten += 1
        self._some.set()

    def add_incident(self, incident: NewIncident) -> None:
        self._gathering.incidents.append(incident)
        self._some.set()

    def afterwards(self, do: Callable[[], None]) -> None:
        """Call *do* once everything taken so far is written."""
        self._gathering.after.append(do)

    def hurry(self) -> bool:
        """Write what there is without waiting for more; return whether there is anything."""
        if not self._gathering:
            return False
        self._now.set()
        return True

    async def run(self) -> None:
        """Write for as long as there is something to write, until cancelled."""
        pause = 0.0
        while True:
            if self._writing is None:
                await self._some.wait()
                await self._gather()
            pause = await self.write_or_wait(pause)

    async def _gather(self) -> None:
        """Wait for more results: for a moment, or until there are many, or a round of the dispatcher goes anyway."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._rules.gather):
                await self._now.wait()

    async def write_or_wait(self, pause: float) -> float:
        """Write one batch; if storage cannot, wait a little longer each time. Return the next pause."""
        try:
            await self.write()
        except StorageError as error:
            log.warning("Results of %d deliveries wait: %s", self.unsettled, error)
        except Exception:
            log.exception("Results of %d deliveries could not be written; they are kept.", self.unsettled)
        else:
            return 0.0
        pause = min(1.0, pause * 2 or 0.05)
        await asyncio.sleep(pause)
        return pause

    @property
    def waiting(self) -> bool:
        """Whether anything is not written yet."""
        return self._writing is not None or bool(self._gathering)

    async def flush(self) -> None:
        """Write everything there is now."""
        while self.waiting:
            await self.write()

    async def write(self) -> None:
        """Write one batch; on an error it is kept, and is the next one written."""
        async with self._writer:
            batch = self._writing = self._writing or self._cut()
            fenced: set[int] = set()
            if batch:
                fenced = set(
                    await self._storage.settle(self._me, batch.settled, tuple(batch.health.values()), batch.incidents)
                )
            self._writing = None
        self._written(batch, fenced)

    def _cut(self) -> Batch:
        """Take all that was gathered: what is told of a delivery is written together with its end."""
        batch, self._gathering = self._gathering, Batch()
        self._some.clear()
        self._now.clear()
        return batch

    def _written(self, batch: Batch, fenced: set[int]) -> None:
        held_up = self.unsettled >= self._rules.most_unsettled
        self.unsettled -= len(batch.settled)
        if held_up:
            self._relieved()
        if batch.incidents:
            self._told()
        for lane in batch.lanes:
            lane.settled()
        for lane in batch.healed:
            lane.unwritten -= 1
        for do in batch.after:
            do()
        if fenced:
            log.warning(
                "%d results of worker %d came too late: its lease had ended and the deliveries are another's now, or "
                "their messages were erased.",
                len(fenced),
                self._me,
            )
