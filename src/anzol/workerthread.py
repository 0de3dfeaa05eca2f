"""A worker in the app's own process: its own thread, its own loop, so that neither waits for the other."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Final

from anzol.worker import Worker

log = logging.getLogger("anzol.worker")

REST: Final = (5.0, 1.0, 1.0)  # seconds to wait before what is left is cancelled, and what that has begun

Opened = Callable[[], AbstractAsyncContextManager[Worker]]


class WorkerThread:
    """Runs a worker beside the app.

    Args:
        opened: Makes the worker, on the thread's own loop, and closes afterwards what it needed (the sender).
    """

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: Worker | None = None
        self._stops = 0
        self._lock = threading.Lock()

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start, unless it runs already; returns before the worker has enlisted."""
        if self.alive:
            return
        self._stops = 0
        # A daemon, so that a program that forgets to stop it can end; what is under way is reaped then.
        self._thread = threading.Thread(target=self._run, name="anzol-worker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask it to drain and end; a second time while it drains: at once. Does not wait."""
        with self._lock:
            self._stops += 1
            loop, worker = self._loop, self._worker
        if loop is not None and worker is not None:
            with suppress(RuntimeError):  # it has just ended by itself
                loop.call_soon_threadsafe(worker.stop)

    def drain(self) -> None:
        """Finish what is under way and end; blocks until then."""
        self.stop()
        if self._thread is not None:
            self._thread.join()

    def nudge(self) -> None:
        """Say that there may be work."""
        worker = self._worker
        if worker is not None:
            worker.nudge()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(self._work())
                runner.run(finish_rest())
        except Exception:
            log.exception("The worker in this process has ended with an error; nothing is delivered from here.")

    async def _work(self) -> None:
        async with self._opened() as worker:
            with self._lock:
                self._loop, self._worker = asyncio.get_running_loop(), worker
                for _ in range(self._stops):
                    worker.stop()
            try:
                await worker.run()
            finally:
                with self._lock:
                    self._loop = self._worker = None


async def finish_rest() -> None:
    """Let end what is still under way on this loop, such as connections that are being closed.

    What takes too long is cancelled, and what that begins in turn, too: a driver that is cancelled connects once more
    to tell its server, and a loop that is closed meanwhile may hang for ever.
    """
    for patience in REST:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        if not rest:
            return
        _, late = await asyncio.wait(rest, timeout=patience)
        for task in late:
            task.cancel()


def new_loop() -> asyncio.AbstractEventLoop:
    """Make a loop: uvloop's where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
