"""Running with an application: what start-up says, the in-process worker, and the watch over overdue work."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from anzol.app.core import Core, finish
from anzol.app.delivering import opened_worker
from anzol.app.handlers import Handlers
from anzol.app.health import Own
from anzol.clock import from_micros
from anzol.declarations import lint
from anzol.errors import StorageError
from anzol.model import Status
from anzol.workerthread import WorkerThread

if TYPE_CHECKING:
    from fastapi import FastAPI

LOOK_EVERY: Final = 15.0  # seconds
PATIENCE: Final = timedelta(seconds=60)  # that work may be overdue before it is an error that nobody works
REPEAT: Final = timedelta(minutes=10)

logger = logging.getLogger("anzol")


class Worker(Protocol):
    """A worker in a thread of its own."""

    @property
    def alive(self) -> bool: ...

    def start(self) -> None: ...

    def drain(self) -> None:
        """Finish what is under way and end; blocks until then."""
        ...


def install_lifespan(app: FastAPI, running: Running) -> None:
    """Put Anzol inside the application's own lifespan: begun after it, ended before it.

    The application's own keeps running as it was given, ``on_event`` handlers included.
    """
    own = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(started: Any) -> AsyncIterator[Mapping[str, Any] | None]:
        async with own(started) as state, running.running(app):
            yield state

    app.router.lifespan_context = lifespan  # type: ignore[assignment]  # the type has a state or none, not either


class Running:
    """What runs while at least one of the installed applications does; the worker is started once for all of them."""

    def __init__(self, core: Core, handlers: Handlers) -> None:
        self._core = core
        self._handlers = handlers
        self._lock = threading.Lock()
        self._users = 0
        self._worker: Worker | None = None
        self._unwatched = UnwatchedUse(core)
        core.used = self._used

    @asynccontextmanager
    async def running(self, app: FastAPI | None) -> AsyncIterator[None]:
        """Prepare storage, say what is declared, start the worker; at the end drain it."""
        await self._prepare(app)
        await asyncio.to_thread(self._enter)
        watch = asyncio.create_task(Watch(self._core).run(), name="anzol-watch")
        try:
            yield
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch
            await asyncio.to_thread(self._leave)

    def own(self) -> Own | None:
        """Say how the worker of this process does; None where there is none."""
        worker = self._worker
        if worker is None:
            return None
        alive = worker.alive
        return Own(ok=alive, dead=not alive, detail="runs" if alive else "has ended with an error; the log says which")

    def _used(self) -> None:
        if not self._users:
            self._unwatched.note(time.monotonic())

    async def _prepare(self, app: FastAPI | None) -> None:
        core = self._core
        if app is not None:
            core.check_installed(app)
        announce(core)
        storage = await core.storage()
        catalog = core.catalog
        known = [(event.name, event.description, catalog.schema(event.name, method=event.method)) for event in catalog]
        await storage.sync_event_types(core.settings.environment, known)

    def _enter(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1 and self._core.settings.worker:
                self._worker = make_worker(self._core, self._handlers)
                self._worker.start()

    def _leave(self) -> None:
        # The lock is held while the worker drains: an application that starts meanwhile waits for a new one.
        with self._lock:
            self._users -= 1
            if self._users == 0:
                worker, self._worker = self._worker, None
                if worker is not None:
                    worker.drain()
                finish(self._core.close())


def make_worker(core: Core, handlers: Handlers) -> Worker:
    """Make the in-process worker: in a thread of its own, with a loop of its own."""
    return WorkerThread(partial(opened_worker, core, handlers))


def announce(core: Core) -> None:
    """Log what is declared, in one line, and what is doubtful about it."""
    for source in core.sources[:1]:
        for finding in lint(source):
            logger.warning("%s", finding)
    declared = [f"{event.name} ({event.method})" for event in core.catalog]
    if declared:
        logger.info("Webhooks of environment %s: %s.", core.settings.environment, ", ".join(declared))
    elif core.has_app:  # without one they come over the REST API
        logger.warning("No webhook is declared: write @app.webhooks.post(...) above a function.")


class Watch:
    """Looks whether work is overdue that nobody does, and says so loudly."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._said: datetime | None = None

    async def run(self) -> None:
        """Look every 15 seconds, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self.look_if_possible()

    async def look_if_possible(self) -> None:
        """Look once, unless the database cannot: that is no news of the worker."""
        with suppress(StorageError):
            await self.look()

    async def look(self) -> None:
        """Look once."""
        storage = await self._core.storage()
        status = await storage.status(self._core.settings.environment)
        now = from_micros(self._core.clock.micros())
        problem = overdue(status, now)
        if problem and (self._said is None or now - self._said >= REPEAT):
            logger.error("%s", problem)
            self._said = now
        if not problem:
            self._said = None


class UnwatchedUse:
    """Looks now and then where no lifespan runs: a mounted application, a task queue, a long script."""

    def __init__(self, core: Core) -> None:
        self._watch = Watch(core)
        self._next: float | None = None
        self._looks: set[asyncio.Task[None]] = set()

    def note(self, now: float) -> None:
        """Look beside the present use, once in a minute; not at the first: short programs have no business with it."""
        if self._next is not None and now >= self._next:
            look = asyncio.create_task(self._watch.look_if_possible())
            self._looks.add(look)
            look.add_done_callback(self._looks.discard)
        if self._next is None or now >= self._next:
            self._next = now + PATIENCE.total_seconds()


def overdue(status: Status, now: datetime) -> str:
    """Say what is wrong when work is overdue and no worker is alive; else nothing."""
    due = status.oldest_due
    if status.workers or due is None or now - due < PATIENCE:
        return ""
    return (
        f"{status.accepted_waiting + status.due} messages and deliveries are due, the oldest since "
        f"{due:%Y-%m-%d %H:%M:%S} UTC, and no worker is alive. Run `anzol worker`, or take away ANZOL_WORKER=off; an "
        "application that is mounted in another, whose lifespan nobody runs, has none: write "
        "`async with webhooks.running()` in the outer one's."
    )
