"""The one writer of a process: what is queued is done in order, one transaction a tick, each caller gets its result.

Ticks are driven by the writer's own thread, or by an event loop (`Writer.drive_on`): the loop of a worker, which then
has its results without a hand-over between threads.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from anzol.errors import AnzolError, SchemaOutdated, StorageBusy, StorageError
from anzol.storage.sqlite.work import Work, is_busy

Many = Callable[[Work, Sequence[Any]], Sequence[Any]]
Single = Callable[[Work], Any]


@dataclass(slots=True, eq=False)
class Op:
    """One queued operation: a function of the transaction, which may be run again after a rollback.

    Args:
        run: What to do; of a *gathered* operation all in a tick are done by one call, with their *arguments*.
        guarded: An error of Anzol's own takes back this operation alone, by a savepoint.
        patient: Waits for a lock however long that takes; others get StorageBusy.
        unclaimed: What to do with a result that nobody takes any more.
    """

    run: Single | None = None
    together: Many | None = None
    argument: Any = None
    guarded: bool = False
    patient: bool = False
    unclaimed: Callable[[Any], None] | None = None
    future: Future[Any] | asyncio.Future[Any] | None = None
    loop: asyncio.AbstractEventLoop | None = None
    result: Any = None
    error: BaseException | None = None

    def deliver(self) -> None:
        """Give the caller the result; on the thread of its loop."""
        future = self.future
        assert future is not None
        if future.done():
            if self.unclaimed is not None and self.error is None:
                self.unclaimed(self.result)
        elif self.error is not None:
            future.set_exception(self.error)
        else:
            future.set_result(self.result)


class Driver(Protocol):
    """What makes the writer's ticks happen."""

    def wake(self) -> None: ...

    def stop(self) -> None: ...


class Transactions(Protocol):
    """Where the writer's transactions come from: the storage."""

    def begin(self) -> Work:
        """Open one; raises sqlite3.OperationalError when the database is locked."""
        ...

    def commit(self, work: Work) -> None: ...

    def committed(self, work: Work) -> None:
        """Do what follows a commit; must not raise, or what was done would be done again."""
        ...

    def rollback(self) -> None: ...

    def idle(self) -> None: ...


IDLE_AFTER: Final = 2.0  # seconds without work until looking for others' commits gets slower
LONG_IDLE_AFTER: Final = 60.0


def watch_interval(idle: float) -> float:
    """Return how long to wait between two looks for other processes' commits, after *idle* seconds without any."""
    if idle < IDLE_AFTER:
        return 0.010
    return 0.050 if idle < LONG_IDLE_AFTER else 0.250


@dataclass(slots=True, eq=False)
class Writer:
    """The queue and its tick.

    Args:
        transactions: The storage.
        look: Looks for other processes' commits; returns whether there were any.
        listened: Whether anybody wants to know of them.
        patience: Seconds after which an impatient operation is answered StorageBusy.
        nap: Seconds to let operations gather before a tick.
    """

    transactions: Transactions
    look: Callable[[], bool]
    listened: Callable[[], bool]
    patience: float = 5.0
    nap: float = 0.0005
    queue: deque[Op] = field(default_factory=deque)
    gate: threading.Lock = field(default_factory=threading.Lock)  # held through a tick, and through a fork
    driver: Driver | None = None
    locked_since: float | None = None
    active_at: float = 0.0
    _making: threading.Lock = field(default_factory=threading.Lock)

    def submit(self, op: Op) -> None:
        """Queue an operation."""
        self.queue.append(op)
        try:
            (self.driver or self._make_thread()).wake()
        except RuntimeError:  # the loop that drove has closed
            self._make_thread().wake()

    def wake(self) -> None:
        """Have a driver, whether there is work or not: somebody listens."""
        (self.driver or self._make_thread()).wake()

    def _make_thread(self) -> Driver:
        with self._making:
            if self.driver is None or (isinstance(self.driver, LoopDriver) and self.driver.loop.is_closed()):
                self.driver = ThreadDriver(self)
            return self.driver

    def drive_on(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Have the ticks on *loop* from now on; None: on a thread of the writer's own."""
        with self._making:
            before, self.driver = self.driver, None if loop is None else LoopDriver(self, loop)
        if before is not None:
            before.stop()
        if self.queue or self.listened():
            self.wake()

    def stop(self) -> None:
        """Finish what is queued and end the driver; it comes back when something is queued again."""
        with self._making:
            driver, self.driver = self.driver, None
        if driver is not None:
            driver.stop()
        until = time.monotonic() + self.patience
        while self.queue and time.monotonic() < until:
            if not self.tick():
                time.sleep(0.002)

    def on_driving_loop(self) -> bool:
        """Say whether the calling thread is the loop that drives: who blocks there must tick by itself."""
        return isinstance(self.driver, LoopDriver) and self.driver.here()

    def watch(self) -> float | None:
        """Look for other processes' commits if anybody listens; return the seconds until the next look."""
        if not self.listened():
            return None
        with self.gate:
            if self.look():
                self.active_at = time.monotonic()
            idle = time.monotonic() - self.active_at
            if idle > IDLE_AFTER:
                self.transactions.idle()
        return watch_interval(idle)

    def tick(self) -> bool:
        """Do what is queued, in one transaction; False when the database is locked and some of it still waits."""
        with self.gate:
            ops = [self.queue.popleft() for _ in range(len(self.queue))]
            done = self._do(ops) if ops else []
        if ops:
            self.active_at = time.monotonic()
        hand_back(done)
        return len(done) == len(ops)

    def _do(self, ops: list[Op]) -> list[Op]:
        """Do the operations; return those that have their answer, and queue the others again."""
        try:
            self._transact(ops)
        except Exception as error:  # noqa: BLE001 one bad operation must not answer for the others
            if not is_busy(error):
                return self._one_by_one(ops)
            return self._postpone(ops)
        self.locked_since = None
        return ops

    def _one_by_one(self, ops: list[Op]) -> list[Op]:
        for index, op in enumerate(ops):
            try:
                self._transact([op])
            except Exception as error:  # noqa: BLE001 whatever it was, it is its caller's
                if is_busy(error):
                    return ops[:index] + self._postpone(ops[index:])
                op.error = error if isinstance(error, AnzolError) else explained(error)
        return ops

    def _transact(self, ops: list[Op]) -> None:
        work = self.transactions.begin()
        try:
            perform(work, ops)
            self.transactions.commit(work)
        except BaseException:
            self.transactions.rollback()
            raise
        self.transactions.committed(work)

    def _postpone(self, ops: list[Op]) -> list[Op]:
        """Queue again what may wait for the lock; return what has waited long enough, with its error."""
        now = time.monotonic()
        if self.locked_since is None:
            self.locked_since = now
        late = now - self.locked_since > self.patience
        given_up = [op for op in ops if late and not op.patient]
        for op in given_up:
            op.error = StorageBusy(
                f"The database was locked by another process for {self.patience:g} seconds.",
                do="Look for a long write transaction on this file; nothing was stored.",
            )
        self.queue.extendleft(reversed([op for op in ops if op.error is None]))
        if late:
            self.locked_since = None
        return given_up


def explained(error: BaseException) -> StorageError:
    """Return what SQLite said as an error of Anzol's own."""
    wrapped = StorageError(f"The database could not do it: {error}.")
    if "no such table: anzol_" in str(error) or "no such column" in str(error):
        wrapped = SchemaOutdated("The database has not the schema that this Anzol needs.", do="Run `anzol migrate`.")
    wrapped.__cause__ = error
    return wrapped


def perform(work: Work, ops: Sequence[Op]) -> None:
    """Run operations in order; those of one gathered kind at the place of their first."""
    gathered: dict[Many, list[Op]] = {}
    for op in ops:
        op.result = op.error = None
        if op.together is not None:
            gathered.setdefault(op.together, []).append(op)
    for op in ops:
        if op.together is not None:
            perform_together(work, op.together, gathered.pop(op.together, []))
        elif op.guarded:
            perform_guarded(work, op)
        else:
            assert op.run is not None
            op.result = op.run(work)


def perform_together(work: Work, together: Many, ops: Sequence[Op]) -> None:
    """Run operations that share their statements; each gets its own result or error."""
    if not ops:
        return
    for op, result in zip(ops, together(work, [op.argument for op in ops]), strict=True):
        if isinstance(result, Exception):
            op.error = result
        else:
            op.result = result


def perform_guarded(work: Work, op: Op) -> None:
    """Run one that may refuse: what it did until then is taken back, the rest of the tick stays."""
    assert op.run is not None
    work.connection.execute("savepoint guarded")
    try:
        op.result = op.run(work)
    except AnzolError as error:
        work.connection.execute("rollback to guarded")
        work.forget_numbers()  # an environment that it made is not there any more
        op.error = error
    work.connection.execute("release guarded")


def hand_back(ops: Sequence[Op]) -> None:
    """Give every caller its result: one wake-up for each event loop."""
    loops: dict[asyncio.AbstractEventLoop, list[Op]] = {}
    for op in ops:
        if op.loop is None:
            op.deliver()
        else:
            loops.setdefault(op.loop, []).append(op)
    here = running_loop() if loops else None
    for loop, theirs in loops.items():
        if loop is here:
            deliver_all(theirs)
            continue
        try:
            loop.call_soon_threadsafe(deliver_all, theirs)
        except RuntimeError:  # the loop has closed: nobody waits any more
            discard_all(theirs)


def deliver_all(ops: Sequence[Op]) -> None:
    """Deliver results on the loop they belong to."""
    for op in ops:
        op.deliver()


def discard_all(ops: Sequence[Op]) -> None:
    """Undo what was done for callers who are gone."""
    for op in ops:
        if op.unclaimed is not None and op.error is None:
            op.unclaimed(op.result)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs on this thread, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class ThreadDriver:
    """Ticks on a thread of their own, made when first needed."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._wanted = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="anzol-writer", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        if not self._wanted.is_set():
            self._wanted.set()

    def stop(self) -> None:
        """End the thread after what is queued; waits for it."""
        self._stopping = True
        self._wanted.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        writer = self._writer
        pause: float | None = 0.0
        while not self._stopping:
            if not self._wanted.wait(pause):
                pause = writer.watch()
                continue
            if writer.nap and not self._stopping:
                time.sleep(writer.nap)
            self._wanted.clear()  # only now: who comes while we nap is in this tick, and needs no other
            while not writer.tick() and not self._stopping:
                time.sleep(0.001)
            pause = 0.010 if writer.listened() else None


class LoopDriver:
    """Ticks on an event loop: its thread does the SQL, nothing is handed over."""

    def __init__(self, writer: Writer, loop: asyncio.AbstractEventLoop) -> None:
        self._writer = writer
        self.loop = loop
        self._scheduled = False
        self._stopped = False
        self._thread: int | None = None
        loop.call_soon_threadsafe(self._watch)

    def here(self) -> bool:
        """Say whether the calling thread is the loop's."""
        return self._thread == threading.get_ident()

    def wake(self) -> None:
        if self._scheduled:
            return
        self._scheduled = True
        if self.here():
            self._soon()
        else:
            self.loop.call_soon_threadsafe(self._soon)

    def stop(self) -> None:
        self._stopped = True

    def _soon(self) -> None:
        if self._writer.nap:
            self.loop.call_later(self._writer.nap, self._tick)
        else:
            self.loop.call_soon(self._tick)

    def _tick(self) -> None:
        self._scheduled = False
        if self._stopped:  # another drives now; it has been woken
            return
        if not self._writer.tick():
            self._scheduled = True
            self.loop.call_later(0.002, self._tick)

    def _watch(self) -> None:
        self._thread = threading.get_ident()
        if not self._stopped:
            self.loop.call_later(self._writer.watch() or 0.050, self._watch)
