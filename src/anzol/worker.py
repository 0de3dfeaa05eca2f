"""A worker: enlists, holds lanes, delivers, and leaves in good order. As many as you like on one database."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any, Final

from anzol.addresses import Policy
from anzol.clock import Clock, SystemClock
from anzol.dispatcher import Dispatcher
from anzol.errors import StorageError
from anzol.executor import Executor, Sends
from anzol.headers import user_agent
from anzol.housekeeping import Housekeeper, Relay, Tell
from anzol.rules import DeliveryRules
from anzol.sender import open_files
from anzol.settlement import Settlement
from anzol.storage.face import Retention, Storage
from anzol.tenure import Tenure
from anzol.turns import Turns

log = logging.getLogger("anzol.worker")

FILES: Final = 4  # open files for each place: its connection, kept ones, and what the host has open
HASTE: Final = 1.0  # seconds for writing results after a second stop

__all__ = ["DeliveryRules", "Relay", "Tell", "Worker"]


class Worker:
    """Delivers what is due, on the loop that `run` is called on.

    Args:
        storage: Where everything is kept; prepared.
        sender: Sends one request; the worker does not close it.
        policy: What the address guard lets through, to read endpoints' URLs with.
        relay: Moves over what other databases hold for us.
        tell: Is awaited with each incident; without it incidents are left for another worker.
    """

    def __init__(
        self,
        storage: Storage,
        sender: Sends,
        *,
        policy: Policy,
        clock: Clock | None = None,
        chance: Random | None = None,
        rules: DeliveryRules | None = None,
        retention: Retention | None = None,
        relay: Relay | None = None,
        tell: Tell | None = None,
    ) -> None:
        self._storage = storage
        self._clock = clock or SystemClock()
        self._rules = rules or DeliveryRules()
        self._executor = Executor(
            sender,
            policy=policy,
            clock=self._clock,
            chance=chance or Random(),  # noqa: S311 - jitter, no secret
            rules=self._rules,
        )
        self._housekeeper = Housekeeper(
            storage,
            clock=self._clock,
            rules=self._rules,
            retention=retention or Retention(),
            relay=relay,
            tell=tell,
        )
        self._relay = relay
        self._tell = tell
        self._wake = asyncio.Event()
        self._hasty = asyncio.Event()
        self._stopped = asyncio.Event()
        self.serving = asyncio.Event()  # set while it has a lease and works
        self.orderly = True  # whether nothing was left under way by the stop
        self._stopping = False
        self._leave_by = 0.0  # the loop's time
        self._nudged = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dispatcher: Dispatcher | None = None
        self._step: tuple[Tenure, Dispatcher, Turns] | None = None
        self._past: set[asyncio.Task[None]] = set()

    # The life

    async def run(self) -> None:
        """Work until stopped; then finish what is under way, and leave."""
        self._loop = asyncio.get_running_loop()
        self._rules = fitted(self._rules, allow_descriptors(FILES * self._rules.places))
        deaf = self._storage.listen(self.nudge)
        chores = asyncio.create_task(self._housekeeper.run())
        try:
            while not self._stopping:
                await self._serve()
        finally:
            deaf()
            await cancelled(chores, *self._past)

    def stop(self) -> None:
        """Stop taking, finish what is under way, give back the rest. A second call: at once. On the worker's loop."""
        if self._stopping:
            self._hasty.set()
        self._stopping = True
        self._stopped.set()
        self._wake.set()
        if self._dispatcher is not None:
            self._dispatcher.stop()

    def nudge(self) -> None:
        """Say that there may be work; from any thread. Only the first of many takes the way over the loop."""
        if self._nudged or self._loop is None:
            return
        self._nudged = True
        try:
            self._loop.call_soon_threadsafe(self._awake)
        except RuntimeError:  # the loop has ended
            self._nudged = False

    def _awake(self) -> None:
        self._nudged = False
        self._wake.set()
        self._housekeeper.nudge()

    async def _serve(self) -> None:
        """Work under one lease, from its beginning to its loss or to the stop."""
        tenure = await self._enlist()
        if tenure is None:
            return
        turns = self._turned(tenure, timers=True)
        self._dispatcher = dispatcher = Dispatcher(self._storage, tenure, turns, self._clock, self._rules)
        if self._stopping:
            dispatcher.stop()
        writing = asyncio.create_task(tenure.settlement.run())
        beating = asyncio.create_task(self._beat(tenure, dispatcher))
        self.serving.set()
        self._housekeeper.me = tenure.me
        self._housekeeper.sweeps.set()
        try:
            await self._dispatched(dispatcher)
            self.serving.clear()
            self._housekeeper.me = None
            if dispatcher.lost:
                self._outlive(tenure, turns, writing)
                self._housekeeper.deaths.set()  # its claims are due again now, not at the next regular look
            else:
                await self._leave(tenure, turns, writing)
        finally:
            await cancelled(beating)

    async def _dispatched(self, dispatcher: Dispatcher) -> None:
        """Do rounds until the stop or the lease's end; a last round that waits for a locked database is given up."""
        rounds = asyncio.create_task(dispatcher.run())
        stop = asyncio.create_task(self._stopped.wait())
        try:
            await asyncio.wait({rounds, stop}, return_when=asyncio.FIRST_COMPLETED)
            self._leave_by = asyncio.get_running_loop().time() + self._rules.timeout.total_seconds() + self._rules.drain
            await asyncio.wait({rounds}, timeout=HASTE if self._hasty.is_set() else self._rules.drain)
        finally:
            await cancelled(rounds, stop)

    def _turned(self, tenure: Tenure, *, timers: bool) -> Turns:
        turns = Turns(self._executor.attempt, self._clock, self._rules, timers=timers)
        tenure.quick = turns.quick
        return turns

    # The lease

    async def _enlist(self) -> Tenure | None:
        """Enlist, however often it takes; None if stopped meanwhile."""
        pause = 0.1
        while not self._stopping:
            try:
                return await self._enlisted()
            except StorageError as error:
                log.warning("Storage could not enlist this worker; again in %.1f s: %s", pause, error)
                await self._pause(pause)
                pause = min(5.0, pause * 2)
        return None

    async def _pause(self, seconds: float) -> None:
        """Wait, but not beyond a stop."""
        self._wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._stopping:
                    await self._wake.wait()
                    self._wake.clear()

    async def _enlisted(self) -> Tenure:
        began = self._clock.monotonic()
        me = await self._storage.enlist(
            host=socket.gethostname(), pid=os.getpid(), version=user_agent().partition("/")[2], term=self._rules.term
        )
        settlement = Settlement(
            self._storage, me, self._rules, relieved=self._wake.set, told=self._housekeeper.happened
        )
        tenure = Tenure(me, settlement, self._wake, self._rules)
        tenure.expires = began + self._rules.term.total_seconds()
        return tenure

    async def _beat(self, tenure: Tenure, dispatcher: Dispatcher) -> None:
        """Renew the lease until it is lost."""
        while not dispatcher.lost:
            await asyncio.sleep(self._rules.term.total_seconds() / 3)
            try:
                await self._beat_once(tenure, dispatcher)
            except StorageError as error:
                log.warning("The lease of worker %d could not be renewed; it is tried again: %s", tenure.me, error)
            except Exception:
                log.exception("The lease of worker %d could not be renewed; it is tried again.", tenure.me)

    async def _beat_once(self, tenure: Tenure, dispatcher: Dispatcher) -> None:
        began = self._clock.monotonic()
        if await self._storage.beat(tenure.me, self._rules.term):
            tenure.expires = began + self._rules.term.total_seconds()
        else:
            dispatcher.lost = True
            self._wake.set()

    def _outlive(self, tenure: Tenure, turns: Turns, writing: asyncio.Task[None]) -> None:
        """Let what is under way end on its own: its results are fenced off, and the log says so."""
        log.error("Worker %d has lost its lease; it enlists again.", tenure.me)
        turns.stop()
        tenure.drop()
        past = asyncio.create_task(self._finish_past(tenure, turns, writing))
        self._past.add(past)
        past.add_done_callback(self._past.discard)

    async def _finish_past(self, tenure: Tenure, turns: Turns, writing: asyncio.Task[None]) -> None:
        try:
            await turns.finished()
            await tenure.settlement.flush()
        except StorageError as error:
            log.warning("Results of worker %d, whose lease was lost, were not written: %s", tenure.me, error)
        finally:
            await cancelled(writing)

    # Leaving

    async def _leave(self, tenure: Tenure, turns: Turns, writing: asyncio.Task[None]) -> None:
        """Finish what is under way, give back the rest, write it all down, resign."""
        turns.stop()
        for lane in tenure.lanes.values():
            tenure.give_back(lane)
        ended = await self._finished(turns)
        if not ended:
            turns.cancel()
        # Even in haste: what was sent and is not written would be sent again.
        written = await self._soon(self._written(tenure.settlement))
        await cancelled(writing)
        self.orderly = ended and written
        if not self.orderly:
            log.error("Worker %d stopped with work under way; another will see to it once the lease ends.", tenure.me)
            return
        if not await self._soon(self._resigned(tenure.me)):
            log.warning("Worker %d could not resign in time; its lease will end by itself.", tenure.me)

    def _left(self) -> float:
        """Return the seconds until everything must have ended; after a second stop that is at once, near enough."""
        return HASTE if self._hasty.is_set() else max(HASTE, self._leave_by - asyncio.get_running_loop().time())

    async def _soon(self, doing: Coroutine[Any, Any, None]) -> bool:
        """Return whether something was done in the time that is left; after a second stop it still gets a moment."""
        haste = asyncio.create_task(self._hasty.wait())
        task = asyncio.create_task(doing)
        patience = min(self._rules.drain, self._left())
        await asyncio.wait({task, haste}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if haste.done():
            await asyncio.wait({task}, timeout=HASTE)
        done = task.done()
        await cancelled(task, haste)
        return done

    async def _resigned(self, me: int) -> None:
        try:
            await self._storage.resign(me)
        except StorageError as error:
            log.warning("Worker %d could not resign; its lease will end by itself: %s", me, error)

    async def _written(self, settlement: Settlement) -> None:
        """Wait until every result is written."""
        pause = 0.0
        while settlement.waiting:
            pause = await settlement.write_or_wait(pause)

    async def _finished(self, turns: Turns) -> bool:
        """Wait for what is under way, but not for long, and not after a second stop; return whether it has ended."""
        haste = asyncio.create_task(self._hasty.wait())
        finishing = asyncio.create_task(turns.finished())
        await asyncio.wait({finishing, haste}, timeout=self._left(), return_when=asyncio.FIRST_COMPLETED)
        ended = finishing.done()
        await cancelled(finishing, haste)
        return ended

    # Step by step

    async def drain_once(self) -> int:
        """Deliver everything that is due by the clock, and return how many attempts that took.

        For tests: nothing here waits for time to pass. What a throttle holds back stays for a later clock.
        """
        tenure, dispatcher, turns = await self._steps()
        before = self._executor.attempts
        while True:
            if self._relay is not None:
                await self._relay.drain()
            await self._beat_once(tenure, dispatcher)
            brought = not dispatcher.lost and await dispatcher.round(everywhere=True)
            if dispatcher.lost:
                tenure.drop()
                self._step = None
                tenure, dispatcher, turns = await self._steps()
                continue
            await turns.finished()
            await tenure.settlement.flush()
            if not brought and not dispatcher.more and not await self._housekeeper.attend(tenure.me):
                break
        for lane in tenure.lanes.values():
            tenure.give_back(lane)
        await tenure.settlement.flush()
        if self._tell is not None:
            await self._housekeeper.tell()
        return self._executor.attempts - before

    async def close(self) -> None:
        """End what `drain_once` began: resign."""
        if self._step is not None:
            await self._storage.resign(self._step[0].me)
            self._step = None

    async def _steps(self) -> tuple[Tenure, Dispatcher, Turns]:
        """Return the tenure that steps go on with, after dead workers were cleared away."""
        if self._step is None:
            tenure = await self._enlisted()
            turns = self._turned(tenure, timers=False)
            self._step = tenure, Dispatcher(self._storage, tenure, turns, self._clock, self._rules), turns
        await self._beat_once(self._step[0], self._step[1])
        await self._housekeeper.reap()
        return self._step


def allow_descriptors(count: int) -> int:
    """Raise this process's limit of open files to *count*, as far as the system lets it; return the limit."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return count
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return open_files()


def fitted(rules: DeliveryRules, files: int) -> DeliveryRules:
    """Return the rules with no more places than half of the *files* that may be open have room for."""
    places = max(1, min(rules.places, files // 2))
    if places < rules.places:
        log.warning("Only %d files may be open here, so %d requests are under way at most.", files, places)
        return replace(rules, places=places)
    return rules


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for their end; what they raised is theirs."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
