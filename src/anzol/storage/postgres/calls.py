"""How calls get to the database and back: where they run, in which transaction, whom their commit wakes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from anzol.actors import actor
from anzol.clock import Clock, SystemClock
from anzol.storage.forks import on_fork
from anzol.storage.postgres.connections import Place, clashed, explained, lost
from anzol.storage.postgres.home import Home, Homes
from anzol.storage.postgres.nudges import Listener, Nudger
from anzol.storage.postgres.work import Work
from anzol.storage.vault import Vault

P = ParamSpec("P")
T = TypeVar("T")
Act = Callable[Concatenate[Work, P], Awaitable[T]]

TRIES: Final = 4  # of what ran into another transaction, or into a connection that was gone
RETRY: Final = 0.05  # seconds before a second try, twice as long before the next

_abandoned: list[object] = []  # after a fork: the parent's connections and loops, which must not be closed by the child


class Calls:
    """One schema of a PostgreSQL database, and the ways to it; the groups of the storage's face stand on this."""

    def __init__(self, place: Place, *, clock: Clock, vault: Vault) -> None:
        self.place = place
        self.vault = vault
        self.clock = clock
        self._owned = None if isinstance(clock, SystemClock) else clock
        self.begin_anew()
        on_fork(self)

    def begin_anew(self) -> None:
        """Begin with nothing open: in a new storage, and in a child after a fork."""
        self.homes = Homes(self.place)
        self.nudger = Nudger(self.homes)
        self.listeners: list[Callable[[], None]] = []
        self.enlisted: set[int] = set()  # workers that enlisted in this process and have not resigned

    # --- forks ------------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Nothing is to be closed: the child leaves the parent's connections alone."""

    def after_fork_in_parent(self) -> None:
        """Go on."""

    def after_fork_in_child(self) -> None:
        """Begin anew: the parent's connections, threads and loops are not ours."""
        _abandoned.append((self.homes, self.nudger))
        self.begin_anew()

    # --- how calls get through --------------------------------------------------------------------------------------

    def now(self) -> int | None:
        """Return the time of the storage's own clock; None: statements take the database's."""
        return None if self._owned is None else self._owned.micros()

    def work(self, connection: Any) -> Work:
        """Return hands for a connection."""
        return Work(connection, self.place.schema, self.now(), self.vault)

    async def change(self, act: Act[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Do what people asked for, in one transaction; again if it ran into another one.

        Raises:
            AnzolError: as *act*, or what the database said.
        """

        who = actor()  # now: at home it may be another thread, where nobody said who is acting

        async def acting(work: Work) -> T:
            work.actor = who
            return await act(work, *arguments, **named)

        async def at_home(home: Home) -> T:
            return await self.again(lambda: self._change(home, acting))

        return await self.homes.run(at_home)

    async def _change(self, home: Home, act: Act[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        async with home.transaction("other") as connection:
            work = self.work(connection)
            result = await act(work, *arguments, **named)
        self.committed(home, work)
        return result

    async def look(self, act: Act[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Read from one snapshot."""

        async def at_home(home: Home) -> T:
            return await self.again(lambda: self._look(home, act, *arguments, **named), lossy=True)

        return await self.homes.run(at_home)

    async def _look(self, home: Home, act: Act[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        async with home.transaction("other") as connection:
            await connection.execute("set transaction isolation level repeatable read, read only")
            return await act(self.work(connection), *arguments, **named)

    async def again(self, act: Callable[[], Awaitable[T]], *, lossy: bool = False) -> T:
        """Await *act*; again if it ran into another transaction, and with *lossy* if its connection was lost.

        Raises:
            AnzolError: as *act*, or what the database said at last.
        """
        for left in reversed(range(TRIES)):
            try:
                return await act()
            except Exception as error:  # noqa: BLE001 it is looked at, and raised
                if not left or not (clashed(error) or (lossy and lost(error))):
                    raise explained(error) from error.__cause__
                await asyncio.sleep(RETRY * 2 ** (TRIES - 1 - left))
        raise AssertionError  # the last try returns or raises

    def committed(self, home: Home, work: Work) -> None:
        """Wake who has work now: workers of this process at once, others by a notification."""
        if work.nudging:
            self.nudge_here()
            self.nudger.tell(home)
        elif work.holders - self.enlisted:
            self.nudger.tell(home, work.holders - self.enlisted)
        if work.holders & self.enlisted:
            self.nudge_here()

    def nudge_here(self) -> None:
        """Wake the workers of this process."""
        for nudge in list(self.listeners):
            # A worker that stops takes its loop away before its listener; a nudge may be lost.
            with suppress(RuntimeError):
                nudge()

    def nudge_soon(self) -> None:
        """Wake workers here and elsewhere: somebody's transaction has been committed. From any thread."""
        self.nudge_here()
        with suppress(RuntimeError):
            home = self.homes.shared()
            home.loop.call_soon_threadsafe(self.nudger.tell, home)

    def listen(self, nudge: Callable[[], None]) -> Callable[[], None]:
        """Call *nudge* whenever there may be new work; the running loop has connections of its own until this ends."""
        loop, home = asyncio.get_running_loop(), self.homes.open_here()
        self.listeners.append(nudge)

        def heard(workers: frozenset[int]) -> None:
            if not workers or workers & self.enlisted:
                nudge()

        listener = None if self.place.pooler else Listener(home, heard)

        def end() -> None:
            if nudge not in self.listeners:
                return
            self.listeners.remove(nudge)
            self.homes.leave(loop, *([] if listener is None else [listener.stop()]))

        return end
