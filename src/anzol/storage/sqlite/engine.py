"""Storage in one SQLite file: the default, which needs no service.

What changes goes through the one `Writer`; what is only read through connections of its own, so that a long list never
waits for a commit nor a commit for it.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from anzol import ids
from anzol.clock import Clock
from anzol.lifecycle import Disabled, Outcome
from anzol.model import (
    UNSET,
    Attempt,
    Customer,
    Delivery,
    Endpoint,
    Match,
    Page,
    PauseRule,
    Report,
    Secret,
    Status,
    StoredMessage,
    Unset,
)
from anzol.storage.face import (
    Accepted,
    Content,
    Dispatched,
    EndpointChanges,
    LaneHealth,
    NewEndpoint,
    NewIncident,
    NewMessage,
    Order,
    Probe,
    Profile,
    Progress,
    Reaped,
    Retention,
    Selection,
    Settled,
)
from anzol.storage.forks import on_fork
from anzol.storage.processes import this_process
from anzol.storage.sqlite import (
    accept,
    clean,
    dispatch,
    invariants,
    read,
    recovery,
    register,
    settle,
)
from anzol.storage.sqlite import (
    deployment as marks,
)
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
ERASED: Final = 500  # messages erased, or endpoints sealed again, in one transaction


class SqliteStorage:
    """One SQLite file. Opened when first used; any thread, any event loop; closed and opened again around a fork.

    Args:
        path: The file; made if it is new.
        vault: Seals secrets.
        patience: Seconds to wait for another process's lock before StorageBusy.
        nap: Seconds to let operations gather before a commit.
    """

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

    async def _change(self, function: Callable[..., T], *arguments: Any) -> T:
        """Queue a change that may refuse."""
        result: T = await self._write(Op(run=lambda work: function(work, *arguments), guarded=True))
        return result

    async def _queue(
        self, function: Callable[..., T], *arguments: Any, unclaimed: Callable[[Any], None] | None = None
    ) -> T:
        """Queue the engine's own work: it waits for locks."""
        run = Op(run=lambda work: function(work, *arguments), patient=True, unclaimed=unclaimed)
        result: T = await self._write(run)
        return result

    async def _read(self, function: Callable[..., T], *arguments: Any) -> T:
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

    # --- accept -----------------------------------------------------------------------------------------------------

    async def accept(self, message: NewMessage) -> Accepted:
        (answer,) = await self.accept_many((message,))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def accept_sync(self, message: NewMessage) -> Accepted:
        (answer,) = self._write_sync(Op(together=accept.accept_together, argument=(message,)))
        if isinstance(answer, Exception):
            raise answer
        result: Accepted = answer
        return result

    async def accept_many(self, messages: Sequence[NewMessage]) -> Sequence[Accepted | Exception]:
        op = Op(together=accept.accept_together, argument=messages)
        result: Sequence[Accepted | Exception] = await self._write(op)
        return result

    # --- deliver ----------------------------------------------------------------------------------------------------

    async def enlist(self, *, host: str, pid: int, version: str, term: timedelta) -> int:
        return await self._queue(settle.enlist, host, pid, version, this_process(), term)

    async def beat(self, me: int, term: timedelta) -> bool:
        return await self._queue(settle.beat, me, term)

    async def resign(self, me: int) -> None:
        await self._queue(settle.resign, me)

    async def reap(self, *, most_interruptions: int) -> Reaped:
        return await self._queue(settle.reap, most_interruptions)

    async def dispatch(self, me: int, order: Order) -> Dispatched:
        def give_back(nobodys: Dispatched) -> None:
            self._give_back(me, nobodys)

        return await self._queue(dispatch.dispatch, me, order, self._memory, unclaimed=give_back)

    def _give_back(self, me: int, nobodys: Dispatched) -> None:
        """Undo a round whose caller was cancelled: what it claimed would stay in flight as long as the worker lives."""
        lanes = [profile.endpoint_id for profile in nobodys.profiles] + [claim.endpoint_id for claim in nobodys.claims]
        claims = [claim.id for claim in nobodys.claims]
        undo = Op(run=lambda work: dispatch.undo(work, me, claims, lanes), patient=True, future=Future())
        if lanes:
            self._writer.submit(undo)

    async def profiles(self, endpoints: Sequence[bytes]) -> Sequence[Profile]:
        return await self._read(dispatch.profiles_of, endpoints)

    async def held(self) -> Mapping[int, int]:
        return await self._read(dispatch.held)

    async def settle(
        self,
        me: int,
        settled: Sequence[Settled],
        health: Sequence[LaneHealth] = (),
        incidents: Sequence[NewIncident] = (),
    ) -> Sequence[int]:
        return await self._queue(settle.settle, me, settled, health, incidents)

    async def take_incidents(self, limit: int) -> Sequence[Report]:
        return await self._queue(settle.take_incidents, limit)

    async def tell_incidents(self, ids: Sequence[int]) -> None:
        await self._queue(settle.tell_incidents, ids)

    async def outbox_sources(self) -> Sequence[str]:
        return await self._read(register.outbox_sources)

    def listen(self, nudge: Callable[[], None]) -> Callable[[], None]:
        self._listeners.append(nudge)
        self._writer.wake()

        def end() -> None:
            if nudge in self._listeners:
                self._listeners.remove(nudge)

        return end

    def drive_on(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Have commits on the thread of *loop* (a worker's) from now on; None: on a thread of their own again."""
        self._writer.drive_on(loop)

    # --- register ---------------------------------------------------------------------------------------------------

    async def put_customer(
        self,
        environment: str,
        uid: str,
        *,
        name: str | Unset = UNSET,
        metadata: Mapping[str, str] | Unset = UNSET,
        throttle: int | Unset | None = UNSET,
    ) -> Customer:
        return await self._change(register.put_customer, environment, uid, name, metadata, throttle)

    async def create_endpoint(self, environment: str, endpoint: NewEndpoint) -> Endpoint:
        endpoint_id = ids.new(self._clock.micros())
        return await self._change(register.create_endpoint, environment, endpoint, endpoint_id)

    async def update_endpoint(self, environment: str, endpoint_id: str, changes: EndpointChanges) -> Endpoint:
        return await self._change(register.update_endpoint, environment, endpoint_id, changes)

    async def delete_endpoint(self, environment: str, endpoint_id: str) -> None:
        await self._change(register.delete_endpoint, environment, endpoint_id)

    async def enable_endpoint(self, environment: str, endpoint_id: str) -> Endpoint:
        return await self._change(register.enable_endpoint, environment, endpoint_id)

    async def disable_endpoint(self, environment: str, endpoint_id: str, because: Disabled) -> Endpoint:
        return await self._change(register.disable_endpoint, environment, endpoint_id, because)

    async def secrets(self, environment: str, endpoint_id: str) -> Sequence[Secret]:
        return await self._read(register.secrets_of, environment, endpoint_id)

    async def rotate_secret(
        self, environment: str, endpoint_id: str, secret: str, *, keep_old: timedelta, most: int = 10
    ) -> Sequence[Secret]:
        return await self._change(register.rotate_secret, environment, endpoint_id, secret, keep_old, most)

    async def sync_event_types(
        self, environment: str, event_types: Sequence[tuple[str, str, Mapping[str, object]]]
    ) -> None:
        await self._change(register.sync_event_types, environment, event_types)

    async def add_outbox_source(self, url: str) -> None:
        await self._change(register.add_outbox_source, url)

    async def delete_customer(self, environment: str, uid: str) -> None:
        customer_id = await self._change(register.delete_customer, environment, uid)
        self._recent.clear()
        # Page by page: a customer may have millions of messages. What a crash leaves, housekeeping erases.
        while await self._change(clean.erase, customer_id, ERASED):
            pass

    async def pause(
        self, environment: str, *, customer: str | None, event_type: str | None, endpoint_id: str | None, actor: str
    ) -> PauseRule:
        return await self._change(recovery.pause, environment, customer, event_type, endpoint_id, actor)

    async def resume(
        self, environment: str, *, customer: str | None, event_type: str | None, endpoint_id: str | None
    ) -> int:
        return await self._change(recovery.resume, environment, customer, event_type, endpoint_id)

    async def pause_rules(self, environment: str) -> Sequence[PauseRule]:
        return await self._read(recovery.pause_rules, environment)

    async def cancel(self, environment: str, selection: Selection, *, after: str | None, limit: int) -> Progress:
        return await self._change(recovery.cancel, environment, selection, after, limit)

    async def resend(self, environment: str, message_id: str, endpoint_id: str) -> Delivery:
        return await self._change(recovery.resend, environment, message_id, endpoint_id)

    async def recover(self, environment: str, selection: Selection, *, after: str | None, limit: int) -> Progress:
        return await self._change(recovery.recover, environment, selection, after, limit)

    # --- read -------------------------------------------------------------------------------------------------------

    async def customer(self, environment: str, uid: str) -> Customer:
        return await self._read(read.customer, environment, uid)

    async def customers(self, environment: str, *, after: str | None = None, limit: int = 50) -> Page[Customer]:
        return await self._read(read.customers, environment, after, limit)

    async def endpoint(self, environment: str, endpoint_id: str) -> Endpoint:
        return await self._read(read.endpoint, environment, endpoint_id)

    async def endpoints(
        self, environment: str, *, customer: str | None = None, after: str | None = None, limit: int = 50
    ) -> Page[Endpoint]:
        return await self._read(read.endpoints, environment, customer, after, limit)

    async def message(self, environment: str, message_id: str) -> StoredMessage:
        return await self._read(read.message, environment, message_id)

    async def messages(
        self, environment: str, selection: Selection, *, after: str | None = None, limit: int = 50
    ) -> Page[StoredMessage]:
        return await self._read(read.messages, environment, selection, after, limit)

    async def deliveries(
        self, environment: str, selection: Selection, *, after: str | None = None, limit: int = 50
    ) -> Page[Delivery]:
        return await self._read(read.deliveries, environment, selection, after, limit)

    async def attempts(
        self,
        environment: str,
        selection: Selection,
        *,
        outcomes: Sequence[Outcome] = (),
        after: str | None = None,
        limit: int = 50,
    ) -> Page[Attempt]:
        return await self._read(read.attempts, environment, selection, outcomes, after, limit)

    async def matches(self, environment: str, message_id: str) -> Sequence[Match]:
        return await self._read(read.matches, environment, message_id)

    async def status(self, environment: str) -> Status:
        return await self._read(read.status, environment)

    # --- the whole --------------------------------------------------------------------------------------------------

    async def prepare(self, *, deployment: str) -> None:
        await self._change(marks.prepare, deployment)

    async def probe(self) -> Probe:
        return await self._change(marks.probe)

    async def adopt(self, *, deployment: str, withdraw_pending: bool) -> int:
        """Make a copied or renamed database this deployment's; return how much that waited was withdrawn."""
        return await self._change(marks.adopt, deployment, withdraw_pending)

    async def rekey(self) -> int:
        after: int | None = 0
        total = 0
        while after is not None:
            after, count = await self._change(marks.rekey_endpoints, after, ERASED)
            total += count
        # The mark comes last: until everything is sealed anew, start-up asks for the former key.
        return total + await self._change(marks.rekey_mark)

    async def broken(self) -> Sequence[str]:
        """Return a sentence for every broken rule of the database: none, or there is a fault in Anzol."""
        return await self._read(invariants.broken)

    async def clean(self, retention: Retention, *, limit: int) -> int:
        return await self._change(clean.clean, retention, limit, self._sweep)

    async def leave(self) -> None:
        """Do nothing: files are the process's."""

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
