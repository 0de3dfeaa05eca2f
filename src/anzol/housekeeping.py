"""What a worker does beside delivering.

It reaps dead workers, tells and announces incidents, moves outbox rows, carries on sweeps, and forgets what is old.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final, Protocol, TypeGuard

from anzol.announcements import announcement
from anzol.clock import Clock, to_micros
from anzol.errors import KeyConflict, StorageError
from anzol.model import Report
from anzol.rules import DeliveryRules
from anzol.storage.face import Retention, Storage, Unannounced
from anzol.telemetry import Trouble

log = logging.getLogger("anzol.worker")

Tell = Callable[[Report], Awaitable[None]]

REAP: Final = 15.0  # seconds
TELL: Final = 20.0
MOVE: Final = 1.0
CLEAN: Final = 60.0
PIECE: Final = 500  # rows that one piece of cleaning changes at most
PIECES: Final = 200  # pieces in one go
BREATH: Final = 0.05  # seconds between pieces, which leave storage to others
INCIDENTS: Final = 20
ATTEND: Final = 50.0  # if no nudge came: an idle worker asks little
REST: Final = 1.0  # seconds between two looks, however often there may be something
ANNOUNCED: Final = 100  # incidents announced together
SWEPT: Final = 200  # deliveries that one page of a sweep changes at most
PATIENCE: Final = 30.0  # seconds that a handler may take
GIVE_UP_TELLING: Final = timedelta(hours=1)


class Relay(Protocol):
    """Moves messages over from other databases."""

    async def move(self) -> int:
        """See that it goes on; waits for nothing. Return how many were moved since the last call."""
        ...

    async def drain(self) -> int:
        """Move what is there now, and return how many that were."""
        ...


class Housekeeper:
    """The chores, each in pieces that are small."""

    def __init__(
        self,
        storage: Storage,
        *,
        clock: Clock,
        rules: DeliveryRules,
        retention: Retention,
        relay: Relay | None,
        tell: Tell | None,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._rules = rules
        self._retention = retention
        self._relay = relay
        self._tell = tell
        self.me: int | None = None  # the worker's number, while it has a lease
        self.deaths = asyncio.Event()
        self.news = asyncio.Event()
        self.sweeps = asyncio.Event()
        self.incidents = asyncio.Event()
        self.arrivals = asyncio.Event()

    async def run(self) -> None:
        """Do all chores, each at its pace, until cancelled."""
        async with asyncio.TaskGroup() as chores:
            chores.create_task(self._regularly(self.reap, REAP, self.deaths))
            chores.create_task(self._regularly(self.clean, CLEAN))
            chores.create_task(self._regularly(self.announce, ATTEND, self.news, rest=REST))
            chores.create_task(self._regularly(self.sweep, ATTEND, self.sweeps, rest=REST))
            if self._tell is not None:
                chores.create_task(self._regularly(self.tell, TELL, self.incidents))
            if self._relay is not None:
                chores.create_task(self._regularly(self.move, MOVE, self.arrivals))

    def nudge(self) -> None:
        """Say that there may be something to do."""
        self.arrivals.set()
        self.news.set()
        self.sweeps.set()

    def happened(self) -> None:
        """Say that incidents were written."""
        self.incidents.set()
        self.news.set()

    async def reap(self) -> None:
        """Clear away workers that died, and say so."""
        reaped = await self._storage.reap(most_interruptions=self._rules.most_interruptions)
        if reaped.workers:
            log.warning(
                "Workers ended without a farewell: %d. Deliveries interrupted and due again: %d; given up: %d.",
                reaped.workers,
                reaped.interrupted,
                reaped.exhausted,
            )
        if reaped.exhausted:
            self.happened()

    async def clean(self) -> None:
        """Forget what is old, piece by piece."""
        for _ in range(PIECES):
            if not await self._storage.clean(self._retention, limit=PIECE):
                return
            await asyncio.sleep(BREATH)

    async def move(self) -> None:
        """See that what waits in other databases is moved over."""
        assert self._relay is not None
        await self._relay.move()

    async def tell(self) -> None:
        """Run the handlers for what has happened."""
        assert self._tell is not None
        while reports := await self._storage.take_incidents(INCIDENTS):
            told = [report.id for report in reports if await self._told(self._tell, report)]
            await self._storage.tell_incidents(told)

    async def announce(self) -> bool:
        """Send operational endpoints what has happened; return whether anything had."""
        announced = False
        while found := await self._storage.unannounced(ANNOUNCED):
            await self._announced(found)
            announced = True
        return announced

    async def _announced(self, found: Sequence[Unannounced]) -> None:
        now = self._clock.micros()
        made = {incident.id: message for incident in found if (message := announcement(incident, now)) is not None}
        answers = zip(made, await self._storage.accept_many([*made.values()]), strict=True)
        failed = {number: answer for number, answer in answers if is_failure(answer)}
        await self._storage.announced([incident.id for incident in found if incident.id not in failed])
        for error in failed.values():
            raise error

    async def sweep(self) -> None:
        """Carry on what was begun for many; between two pages storage is left to others as long as one took."""
        while self.me is not None:
            began = self._clock.monotonic()
            if not await self._advance(self.me):
                return
            await asyncio.sleep(max(BREATH, self._clock.monotonic() - began))

    async def _advance(self, me: int) -> bool:
        return await self._storage.advance_sweep(me, limit=SWEPT, term=self._rules.term)

    async def attend(self, me: int) -> bool:
        """Announce and sweep all there is, now; return whether there was anything."""
        attended = await self.announce()
        while await self._advance(me):
            attended = True
        return attended

    async def _told(self, tell: Tell, report: Report) -> bool:
        """Tell one incident; return whether it is done with. One that fails is told again, for an hour."""
        try:
            async with asyncio.timeout(PATIENCE):
                await tell(report)
        except Exception:
            log.exception("A handler of %s failed for endpoint %s.", report.kind.label, report.endpoint_id)
            age = self._clock.micros() - to_micros(report.at)
            return age >= GIVE_UP_TELLING // timedelta(microseconds=1)
        return True

    async def _regularly(
        self,
        chore: Callable[[], Awaitable[object]],
        pace: float,
        nudge: asyncio.Event | None = None,
        *,
        rest: float = 0.0,
    ) -> None:
        """Do a chore now and at every pace, or when nudged; its errors are logged, and it is tried again.

        Args:
            rest: Seconds until it is done again at the soonest.
        """
        nudge, trouble = nudge or asyncio.Event(), Trouble(log)
        while True:
            nudge.clear()
            try:
                await chore()
                trouble.over()
            except StorageError as error:
                trouble.tell("%s failed; it is tried again: %s", chore.__name__.capitalize(), error)
            except Exception:
                log.exception("%s failed; it is tried again.", chore.__name__.capitalize())
            if rest:
                await asyncio.sleep(rest)
            try:
                async with asyncio.timeout(pace):
                    await nudge.wait()
            except TimeoutError:
                pass


def is_failure(answer: object) -> TypeGuard[Exception]:
    """Say whether an incident was not announced.

    Of a conflict somebody else was first, and saw another attempt as the last one.
    """
    return isinstance(answer, Exception) and not isinstance(answer, KeyConflict)
