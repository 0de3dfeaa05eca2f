"""Storage in one SQLite file: the default, which needs no service.

What changes goes through the one `Writer`; what is only read through connections of its own, so that a long list never
waits for a commit nor a commit for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import timedelta
from typing import Final

from anzol.storage.face import (
    Accepted,
    Dispatched,
    LaneHealth,
    NewIncident,
    NewMessage,
    Order,
    Probe,
    Profile,
    Reaped,
    Retention,
    Settled,
)
from anzol.storage.processes import this_process
from anzol.storage.sqlite import (
    accept,
    clean,
    dispatch,
    invariants,
    register,
    settle,
)
from anzol.storage.sqlite import (
    deployment as marks,
)
from anzol.storage.sqlite.accessing import Accessing
from anzol.storage.sqlite.reading import Reading
from anzol.storage.sqlite.registering import Auditing, Cataloguing, Registering
from anzol.storage.sqlite.sweeping import Sweeping
from anzol.storage.sqlite.telling import Telling
from anzol.storage.sqlite.watching import Watching
from anzol.storage.sqlite.writer import Op

ERASED: Final = 500  # messages erased, or endpoints sealed again, in one transaction


class SqliteStorage(Accessing, Registering, Cataloguing, Auditing, Reading, Sweeping, Telling, Watching):
    """One SQLite file. Opened when first used; any thread, any event loop; closed and opened again around a fork.

    Args:
        path: The file; made if it is new.
        vault: Seals secrets.
        patience: Seconds to wait for another process's lock before StorageBusy.
        nap: Seconds to let operations gather before a commit.
    """

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
        return await self.queue(settle.enlist, host, pid, version, this_process(), term)

    async def beat(self, me: int, term: timedelta) -> bool:
        return await self.queue(settle.beat, me, term)

    async def resign(self, me: int) -> None:
        await self.queue(settle.resign, me)

    async def reap(self, *, most_interruptions: int) -> Reaped:
        return await self.queue(settle.reap, most_interruptions)

    async def dispatch(self, me: int, order: Order) -> Dispatched:
        def give_back(nobodys: Dispatched) -> None:
            self._give_back(me, nobodys)

        return await self.queue(dispatch.dispatch, me, order, self._memory, unclaimed=give_back)

    def _give_back(self, me: int, nobodys: Dispatched) -> None:
        """Undo a round whose caller was cancelled: what it claimed would stay in flight as long as the worker lives."""
        lanes = [profile.endpoint_id for profile in nobodys.profiles] + [claim.endpoint_id for claim in nobodys.claims]
        claims = [claim.id for claim in nobodys.claims]
        undo = Op(run=lambda work: dispatch.undo(work, me, claims, lanes), patient=True, future=Future())
        if lanes:
            self._writer.submit(undo)

    async def profiles(self, endpoints: Sequence[bytes]) -> Sequence[Profile]:
        return await self.look(dispatch.profiles_of, endpoints)

    async def held(self) -> Mapping[int, int]:
        return await self.look(dispatch.held)

    async def settle(
        self,
        me: int,
        settled: Sequence[Settled],
        health: Sequence[LaneHealth] = (),
        incidents: Sequence[NewIncident] = (),
    ) -> Sequence[int]:
        return await self.queue(settle.settle, me, settled, health, incidents)

    async def outbox_sources(self) -> Sequence[str]:
        return await self.look(register.outbox_sources)

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

    # --- the whole --------------------------------------------------------------------------------------------------

    async def prepare(self, *, deployment: str) -> None:
        await self.change(marks.prepare, deployment)

    async def probe(self) -> Probe:
        return await self.change(marks.probe)

    async def adopt(self, *, deployment: str, withdraw_pending: bool) -> int:
        """Make a copied or renamed database this deployment's; return how much that waited was withdrawn."""
        return await self.change(marks.adopt, deployment, withdraw_pending)

    async def rekey(self) -> int:
        after: int | None = 0
        total = 0
        while after is not None:
            after, count = await self.change(marks.rekey_endpoints, after, ERASED)
            total += count
        # The mark comes last: until everything is sealed anew, start-up asks for the former key.
        return total + await self.change(marks.rekey_mark)

    async def broken(self) -> Sequence[str]:
        """Return a sentence for every broken rule of the database: none, or there is a fault in Anzol."""
        return await self.look(invariants.broken)

    async def clean(self, retention: Retention, *, limit: int) -> int:
        return await self.change(clean.clean, retention, limit, self._sweep)

    async def leave(self) -> None:
        """Do nothing: files are the process's."""
