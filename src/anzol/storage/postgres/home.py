"""Where calls run: each event loop that a worker lives on has connections of its own; all others share a thread's.

A connection belongs to one loop. Senders come from any loop and any thread (a test client's, one that `asyncio.run`
made for one call), so what they ask runs on a loop that stays: that of a worker in this process, else that of a thread
that the storage starts when it is first needed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from anzol.errors import StorageError
from anzol.storage.postgres.connections import Line, Place, connect, transaction

if TYPE_CHECKING:
    from asyncpg import Connection

T = TypeVar("T")
# Connections of one loop, by purpose. With the one that listens a process has at most 10 with a worker, 6 without.
# Two of them (waiting) are only opened when a message's key is in somebody's open transaction.
SIZES: Final = {"accept": 2, "waiting": 2, "dispatch": 1, "settle": 1, "lease": 1, "other": 2}
ONE_PLAN: Final = frozenset({"accept", "dispatch", "settle", "lease"})  # asked again and again, by their keys


class Home:
    """The connections of one event loop; used on that loop only."""

    def __init__(self, loop: asyncio.AbstractEventLoop, place: Place) -> None:
        self.loop = loop
        self.place = place
        self._lines = {
            purpose: Line(partial(self.connect, one_plan=purpose in ONE_PLAN), size) for purpose, size in SIZES.items()
        }
        self._under_way: set[asyncio.Task[Any]] = set()

    async def connect(self, *, one_plan: bool = False) -> Connection:
        """Open a connection, for a line or beside them."""
        return await connect(self.place, one_plan=one_plan)

    @asynccontextmanager
    async def lend(self, purpose: str) -> AsyncIterator[Connection]:
        """Lend a connection as it is; behind a pooler, nothing may be asked of it outside a transaction."""
        async with self._lines[purpose].borrow() as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self, purpose: str) -> AsyncIterator[Connection]:
        """Lend a connection in an open transaction; it commits at the end."""
        async with self._lines[purpose].borrow() as connection, transaction(connection, self.place.begin):
            yield connection

    @asynccontextmanager
    async def statements(self, purpose: str) -> AsyncIterator[Connection]:
        """Lend a connection for statements that commit each by itself; behind a pooler, all together at the end."""
        async with self._lines[purpose].borrow() as connection:
            if not self.place.pooler:
                yield connection
            else:
                async with transaction(connection, self.place.begin):
                    yield connection

    async def run(self, act: Callable[[Home], Awaitable[T]]) -> T:
        """Run *act* to its end even if the caller is cancelled: half an exchange would cost the connection."""
        return await asyncio.shield(self.start(act))

    def start(self, act: Callable[[Home], Awaitable[T]]) -> asyncio.Task[T]:
        """Have *act* run by itself; `close` waits for it."""
        under_way = self.loop.create_task(self._await(act))
        self._under_way.add(under_way)
        under_way.add_done_callback(self._ended)
        return under_way

    def _ended(self, done: asyncio.Task[Any]) -> None:
        self._under_way.discard(done)
        if not done.cancelled():
            done.exception()  # asked for, so that one whose caller is gone is not complained of

    async def _await(self, act: Callable[[Home], Awaitable[T]]) -> T:
        return await act(self)

    async def close(self) -> None:
        """Wait for what is under way, then close every connection; at once, if this is cancelled."""
        try:
            while self._under_way:
                await asyncio.wait(self._under_way)
            for line in self._lines.values():
                await line.close()
        finally:
            for line in self._lines.values():
                line.terminate()


class HomeThread:
    """A thread with a loop, and the home on it; ends when it is closed, or with the process."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._made: Future[Home] = Future()
        self._thread = threading.Thread(target=self._run, name="anzol-postgres", daemon=True)
        self._thread.start()
        self.home = self._made.result()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self.home.loop

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        self._end = asyncio.Event()
        self._made.set_result(Home(asyncio.get_running_loop(), self._place))
        await self._end.wait()
        await self.home.close()

    def close(self) -> None:
        """Finish and end; blocks until then."""
        self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join()


class Homes:
    """All homes of one storage in one process."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._listening: dict[asyncio.AbstractEventLoop, Home] = {}
        self._listeners: dict[asyncio.AbstractEventLoop, int] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._thread: HomeThread | None = None
        self._lock = threading.Lock()

    def open_here(self) -> Home:
        """Make the running loop a home, until `leave` was called as often."""
        loop = asyncio.get_running_loop()
        with self._lock:
            home = self._listening.get(loop)
            if home is None:
                home = self._listening[loop] = Home(loop, self.place)
            self._listeners[loop] = self._listeners.get(loop, 0) + 1
            return home

    def leave(self, loop: asyncio.AbstractEventLoop, *ending: asyncio.Task[None]) -> None:
        """Let go of a loop that one listener less lives on; with the last one its connections are closed.

        Args:
            ending: What else of the listener comes to its end on that loop.
        """
        self._wait_for(*ending)
        with self._lock:
            self._listeners[loop] -= 1
            if self._listeners[loop]:
                return
            del self._listeners[loop]
            home = self._listening.pop(loop)
        self._wait_for(loop.create_task(home.close()))

    def _wait_for(self, *tasks: asyncio.Task[None]) -> None:
        for task in tasks:
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def shared(self) -> Home:
        """Return the home for calls from loops that have none: a worker's, else the thread's."""
        with self._lock:
            return self._shared()

    def _shared(self) -> Home:
        for loop, home in list(self._listening.items()):
            if loop.is_closed():
                del self._listening[loop], self._listeners[loop]
            else:
                return home
        return self._made_thread().home

    def begin(self, do: Callable[[Home], object]) -> None:
        """Call *do* soon at the home for calls from loops that have none; from any thread.

        Under the lock, so that it comes before `leave`, which waits for all that was started at home before.

        Raises:
            StorageError: there is no home any more.
        """
        for _ in range(2):
            with self._lock, suppress(RuntimeError):  # a worker's loop that has just ended
                home = self._shared()
                home.loop.call_soon_threadsafe(do, home)
                return
        raise StorageError("The storage is being closed.")

    def aside(self) -> Home:
        """Return the thread's home, for who blocks the loop that he runs on."""
        with self._lock:
            return self._made_thread().home

    def _made_thread(self) -> HomeThread:
        if self._thread is None:
            self._thread = HomeThread(self.place)
        return self._thread

    async def run(self, act: Callable[[Home], Awaitable[T]]) -> T:
        """Run *act* at home: here if this loop is one, else there."""
        here = self._listening.get(asyncio.get_running_loop())
        if here is not None:
            return await here.run(act)
        return await asyncio.wrap_future(self.submit(act))

    def submit(self, act: Callable[[Home], Awaitable[T]]) -> Future[T]:
        """Have *act* run at a home of another thread; to its end, even if the caller is gone."""
        future: Future[T] = Future()
        self.begin(lambda home: home.start(act).add_done_callback(lambda done: hand_over(done, future)))
        return future

    def here(self) -> bool:
        """Say whether the calling thread runs a loop that is a home: who blocks it would wait for himself."""
        try:
            return asyncio.get_running_loop() in self._listening
        except RuntimeError:
            return False

    async def close(self) -> None:
        """End the thread, and finish closing what the running loop has left. A working worker's home stays."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(None, thread.close)
        await self.left_here()

    async def left_here(self) -> None:
        """Finish closing what the running loop has left: a loop that ends before would leave connections open."""
        mine = [task for task in self._closing if task.get_loop() is asyncio.get_running_loop()]
        if mine:
            await asyncio.wait(mine)


def hand_over(done: asyncio.Task[T], future: Future[T]) -> None:
    """Give what came of a task to whoever waits in another thread, if somebody still does."""
    if not future.set_running_or_notify_cancel():
        return
    if done.cancelled():
        future.set_exception(StorageError("The storage was closed meanwhile."))
    elif (error := done.exception()) is not None:
        future.set_exception(error)
    else:
        future.set_result(done.result())


def new_loop() -> asyncio.AbstractEventLoop:
    """Make a loop: uvloop's where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
