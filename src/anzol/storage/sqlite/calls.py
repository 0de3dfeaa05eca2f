"""How calls get to the file and back: the one writer, readers beside it, what a fork and closing do to them."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from anzol.actors import actor
from anzol.clock import Clock
from anzol.storage.face import Content
from anzol.storage.forks import on_fork
from anzol.storage.sqlite import clean
from anzol.storage.sqlite.checkpoints import Checkpoints
from anzol.storage.sqlite.connections import Readers, check_there, connect, identity
from anzol.storage.sqlite.dispatch import Memory
from anzol.storage.sqlite.migrations import check_known
from anzol.storage.sqlite.work import Work
from anzol.storage.sqlite.writer import Op, Writer, explained
from anzol.storage.vault import Vault

T = TypeVar("T")
REMEMBERED: Final = 16 * 1024 * 1024  # bytes of messages kept for a worker in this process
BESIDE: Final = 1024  # bytes that a message takes beside its body, about
READERS: Final = 2


class Calls:
    """One SQLite file, and the ways to it; the groups of the storage's face stand on this."""

    def __init__(
        self, path: str | Path, *, clock: Clock, vault: Vault, patience: float = 5.0, nap: float = 0.0005
    ) -> None:
        self.path = Path(path)
        self._clock = clock
        self._vault = vault
        self._patience = patience
        self._nap = nap
        self._listeners: list[Callable[[], None]] = []
        self._recent: OrderedDict[int, Content] = OrderedDict()  # a dict is slow to lose its first
        self._recent_bytes = 0
        self._memory = Memory()
        self._sweep = clean.Sweep()
        self._start()
        on_fork(self)

    def _start(self) -> None:
        """Begin with nothing open: in a new storage, and in a child after a fork."""
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._forking = False
        self._data_version = 0
        self._readers = Readers(self.path, READERS)
        self._pool: ThreadPoolExecutor | None = None
        self._checkpoints = Checkpoints(self.path, self._readers, self._threads)
        self._closing = threading.Lock()
        self._writer = Writer(self, self._look, self._listened, patience=self._patience, nap=self._nap)

    # --- what the writer asks for -----------------------------------------------------------------------------------

    def begin(self) -> Work:
        """Open a transaction that may write."""
        if self._connection is None:
            self._connection = self._open()
        check_there(self.path, self._file)
        self._connection.execute("begin immediate")
        return Work(self._connection, self._clock.micros(), self._vault, self._recent)

    def _open(self) -> sqlite3.Connection:
        connection = connect(self.path, reading=False)
        try:
            check_known(connection)
        except BaseException:
            connection.close()
            raise
        self._file = identity(self.path)
        self._checkpoints.prepare(connection)
        connection.execute("pragma busy_timeout = 0")  # the writer itself waits: a loop that drives it must not block
        return connection

    def commit(self, work: Work) -> None:
        """Make it durable."""
        work.connection.execute("commit")

    def committed(self, work: Work) -> None:
        """Remember new messages' contents if somebody here is going to send them; say that there is work."""
        if work.fresh and self._listeners:
            self._remember(work.fresh)
        if work.nudging:
            self._nudge()
        self._checkpoints.after_commit(work.connection)

    def rollback(self) -> None:
        """Forget what was done, and numbers that may be given to others now."""
        self._memory.seqs.clear()
        self._memory.ids.clear()
        self._memory.backlogs.forget()
        if self._connection is not None and self._connection.in_transaction:
            self._connection.execute("rollback")

    def _remember(self, fresh: Mapping[int, Content]) -> None:
        if not self._recent:  # what was erased is not counted off by itself
            self._recent_bytes = 0
        self._recent.update(fresh)
        self._recent_bytes += sum(len(content.body) + BESIDE for content in fresh.values())
        while self._recent_bytes > REMEMBERED and self._recent:
            _, oldest = self._recent.popitem(last=False)
            self._recent_bytes -= len(oldest.body) + BESIDE

    def _look(self) -> bool:
        """Say whether another process has committed since the last look."""
        if self._connection is None:
            return False
        (seen,) = self._connection.execute("pragma data_version").fetchone()
        changed = bool(seen != self._data_version)
        self._data_version = seen
        if changed:
            self._nudge()
        return changed

    def idle(self) -> None:
        """Nothing has happened for a while."""
        if self._connection is not None:
            self._checkpoints.when_idle(self._connection)

    def _listened(self) -> bool:
        return bool(self._listeners)

    def _nudge(self) -> None:
        for nudge in list(self._listeners):
            # A worker that stops takes its loop away before its listener; a nudge may be lost.
            with suppress(RuntimeError):
                nudge()

    # --- forks ------------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Close everything, and let nobody open it until the fork is over."""
        self._writer.gate.acquire()
        self._readers.hold()
        self._close_writing()
        self._forking = True

    def after_fork_in_parent(self) -> None:
        """Go on."""
        if self._forking:  # else it was made while others were told of the fork
            self._forking = False
            self._readers.let_go()
            self._writer.gate.release()

    def after_fork_in_child(self) -> None:
        """Begin anew: the parent's threads, listeners and queue are not ours."""
        self._listeners = []
        self._start()

    def _close_writing(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- how calls get through --------------------------------------------------------------------------------------

    async def _write(self, op: Op) -> Any:
        loop = asyncio.get_running_loop()
        op.loop = loop
        op.future = loop.create_future()
        self._submit(op)
        return await op.future

    def _submit(self, op: Op) -> None:
        self._writer.submit(op)
        # Now, not after the commit: so a worker of this process may fan it out in the same transaction.
        if op.together is not None:
            self._nudge()

    def _write_sync(self, op: Op) -> Any:
        future: Future[Any] = Future()
        op.future = future
        self._submit(op)
        while self._writer.on_driving_loop() and not future.done():
            self._writer.tick()
        return future.result()

    async def change(self, function: Callable[..., T], *arguments: Any) -> T:
        """Queue a change that may refuse."""
        who = actor()  # now: on the writer's thread nobody said who is acting

        def act(work: Work) -> T:
            work.actor = who
            return function(work, *arguments)

        result: T = await self._write(Op(run=act, guarded=True))
        return result

    async def queue(
        self, function: Callable[..., T], *arguments: Any, unclaimed: Callable[[Any], None] | None = None
    ) -> T:
        """Queue the engine's own work: it waits for locks."""
        run = Op(run=lambda work: function(work, *arguments), patient=True, unclaimed=unclaimed)
        result: T = await self._write(run)
        return result

    async def look(self, function: Callable[..., T], *arguments: Any) -> T:
        """Read in a thread, from one snapshot."""
        return await asyncio.get_running_loop().run_in_executor(self._threads(), self._read_now, function, arguments)

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="anzol-reader")
        return self._pool

    def _read_now(self, function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
        try:
            with self._readers.borrow() as connection:
                connection.execute("begin")
                return function(Work(connection, self._clock.micros(), self._vault, self._recent), *arguments)
        except sqlite3.Error as error:
            raise explained(error) from error

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        with self._closing:
            self._writer.drive_on(None)
            self._listeners.clear()
            self._writer.stop()
            if self._pool is not None:
                self._pool.shutdown()
                self._pool = None
            self._readers.close()
            with self._writer.gate:
                self._close_writing()
