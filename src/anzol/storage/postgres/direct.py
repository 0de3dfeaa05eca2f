"""Sends that go straight into Anzol's tables: who asks which connection, and who is woken afterwards.

The caller's connection is asked where the caller is, on his thread and his loop. Anzol's own is asked at home; by code
that cannot await, on a connection for this one question, since the loop at home may be the very one that waits.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from anzol.storage.face import Accept, Accepted, NewMessage, Storage
from anzol.storage.hands import AsyncHand, Hand
from anzol.storage.nudging import planned
from anzol.storage.postgres.calls import Calls
from anzol.storage.postgres.connections import connect, explained, shut
from anzol.storage.postgres.guests import Ask, Flow, Notes, Own, is_own, refusing, stored

T = TypeVar("T")


class Direct:
    """Writes messages in callers' transactions on Anzol's own PostgreSQL database.

    Args:
        opened: Returns Anzol's storage, whatever it is and ready or not.
        storage, storage_sync: Return it ready; called when it is first needed.
    """

    def __init__(
        self,
        opened: Callable[[], object],
        storage: Callable[[], Awaitable[Storage]],
        storage_sync: Callable[[], Accept],
    ) -> None:
        self._opened = opened
        self._storage = storage
        self._storage_sync = storage_sync
        self._waking: Waking | None = None

    def write(self, hand: Hand, message: NewMessage) -> Accepted | None:
        """Write *message* in the transaction of a connection; None if its database is another one.

        Raises:
            KeyConflict: the key was used before, with another body.
            SessionRefused: the connection's user may not write there.
        """
        own = self._opened()
        return (
            run(refusing(written(own, hand.notes, message)), hand, self._ask_apart) if isinstance(own, Calls) else None
        )

    async def write_async(self, hand: Hand | AsyncHand, message: NewMessage) -> Accepted | None:
        """As `write`, for any connection."""
        own = self._opened()
        if not isinstance(own, Calls):
            return None
        return await run_async(refusing(written(own, hand.notes, message)), hand, self._ask_at_home)

    def announce(self) -> None:
        """Wake workers several times: somebody commits now, or soon."""
        own = self._opened()
        if isinstance(own, Calls):
            home = own.homes.shared()
            if self._waking is None or self._waking.loop is not home.loop:
                self._waking = Waking(own, home.loop)
            self._waking.soon()

    def close(self) -> None:
        """Wake nobody any more."""
        if self._waking is not None:
            self._waking.stop()
            self._waking = None

    async def _ask_at_home(self, question: Own) -> Any:
        await self._storage()
        own = self._opened()
        assert isinstance(own, Calls)
        return await own.look(question.act)

    def _ask_apart(self, question: Own) -> Any:
        self._storage_sync()
        own = self._opened()
        assert isinstance(own, Calls)
        return finished(apart(own, question))


def written(own: Calls, notes: Notes, message: NewMessage) -> Flow[Accepted | None]:
    """Store a message if this is the right database."""
    if not (yield from is_own(own, notes)):
        return None
    return (yield from stored(own, message))


def nobody(question: Own) -> Any:
    """Answer for Anzol's own database in a flow that never asks it."""
    raise AssertionError(question)


def run(flow: Flow[T], hand: Hand, ask_own: Callable[[Own], Any] = nobody) -> T:
    """Ask what *flow* wants to know, until it has its result; what goes wrong is told to it first."""
    try:
        step = next(flow)
        while True:
            try:
                answer = hand.ask(step.phrase, step.values) if isinstance(step, Ask) else ask_own(step)
            except Exception as error:  # noqa: BLE001 it is told, and comes back
                step = flow.throw(error)
            else:
                step = flow.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result


async def run_async(flow: Flow[T], hand: Hand | AsyncHand, ask_own: Callable[[Own], Any] = nobody) -> T:
    """As `run`, on a loop; the connection may be of either kind."""
    try:
        step = next(flow)
        while True:
            try:
                answer = hand.ask(step.phrase, step.values) if isinstance(step, Ask) else ask_own(step)
                if isinstance(answer, Awaitable):
                    answer = await answer
            except Exception as error:  # noqa: BLE001 it is told, and comes back
                step = flow.throw(error)
            else:
                step = flow.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result


async def apart(own: Calls, question: Own) -> Any:
    """Ask Anzol's own database on a connection for this alone."""
    connection = await connect(own.place)
    try:
        return await question.act(own.work(connection))
    except Exception as error:
        raise explained(error) from error
    finally:
        await shut(connection)


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine* to its end; in a thread of its own if a loop runs in this one."""
    done: list[T] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            done.append(asyncio.run(coroutine))
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            failed.append(error)

    thread = threading.Thread(target=work, name="anzol-wait")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]


class Waking:
    """Wakes workers a few times after each announcement, on one loop."""

    def __init__(self, own: Calls, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._own = own
        self._looks: list[float] = []
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def soon(self) -> None:
        """Plan it; from any thread."""
        try:
            self.loop.call_soon_threadsafe(self._plan)
        except RuntimeError:  # a loop that has just ended: workers find out by polling
            return

    def stop(self) -> None:
        """Do no more of it; from any thread."""
        self._stopped = True

    def _plan(self) -> None:
        self._looks = planned(self._looks, self.loop.time())
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(self._looks[0], self._wake) if self._looks else None

    def _wake(self) -> None:
        if not self._stopped:
            self._own.nudge_soon()
            now = self.loop.time()
            self._looks = [look for look in self._looks if look > now]
            self._arm()
