"""One process that delivers: alone, or as one of a supervisor's."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar

from anzol.app import Webhooks
from anzol.app.delivering import rules_of
from anzol.app.health import Health, Own, live_answer, ready_answer
from anzol.cli.exits import Exit
from anzol.cli.healthport import SCOPES, Answer, HealthPort, listening, show_port
from anzol.cli.line import DRAIN, Facts, Line
from anzol.cli.opening import closing, opened
from anzol.cli.screen import Screen
from anzol.errors import AnzolError
from anzol.worker import Worker
from anzol.workerthread import new_loop

T = TypeVar("T")


def run_worker(app: str | None, database: str | None, where: tuple[str, int] | None) -> int:
    """Deliver until a signal, or the supervisor's order; return the exit code. *where* is the health port's."""
    line = Line.handed_over()
    try:
        listener = listening(*where) if where else None
        webhooks = opened(app, database)
        return on_a_loop(closing(webhooks, partial(deliver, line=line, listener=listener)))
    except AnzolError as error:
        if line is not None:
            line.fail(error)
        raise


def deliver_once(app: str | None, database: str | None) -> int:
    """Deliver what is due by now; return how many attempts that took."""
    return on_a_loop(closing(opened(app, database), drained))


async def drained(webhooks: Webhooks) -> int:
    """Deliver what is due by now; return how many attempts that took."""
    async with webhooks.worker() as working:
        try:
            return await working.drain_once()
        finally:
            await working.close()


async def deliver(webhooks: Webhooks, *, line: Line | None, listener: socket.socket | None) -> int:
    """Work until stopped; return the exit code."""
    process = Delivering(webhooks, line)
    try:
        async with AsyncExitStack() as stack:
            if line is not None:
                await line.open()
                following = asyncio.create_task(process.follow(line))
                stack.callback(following.cancel)
            if listener is not None:
                await stack.enter_async_context(HealthPort(listener, {"/live": process.live, "/ready": process.ready}))
                show_port(listener)
            return await process.run()
    except AnzolError as error:
        if line is not None:
            line.fail(error)
        raise


class Delivering:
    """What this process does, who may end it, and what it tells of itself."""

    def __init__(self, webhooks: Webhooks, line: Line | None) -> None:
        self._webhooks = webhooks
        self._line = line
        self._screen = Screen(as_json=False)
        self._working: Worker | None = None
        self._draining = False
        self._health = Health(webhooks.core, self._own)

    async def run(self) -> int:
        """Work until stopped; return the exit code."""
        async with self._webhooks.worker() as working:
            self._working = working
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
            where = self._webhooks.settings.place
            how = "" if self._line else " Ctrl-C stops it."
            self._screen.progress(f"Worker {os.getpid()} delivers from {where}.{how}")
            telling = asyncio.create_task(self._tell(working))
            try:
                await working.run()
            finally:
                telling.cancel()
        return Exit.OK if working.orderly else Exit.FAILED

    # Ending

    def drain(self) -> None:
        """Finish what is under way, then end."""
        if self._working is None:
            os.kill(os.getpid(), signal.SIGTERM)  # not caught yet, because nothing is under way yet
        elif not self._draining:
            self._draining = True
            self._working.stop()

    def stop(self) -> None:
        """End at once."""
        self.drain()
        if self._working is not None:
            self._working.stop()

    def _on_signal(self) -> None:
        if self._line is not None:
            # From whoever ends a whole group of processes, the supervisor among them: it will say when to hurry.
            self.drain()
        elif self._draining:
            self.stop()
        else:
            self.drain()
            self._screen.progress("Finishing what is under way; once more stops at once.")

    # The supervisor

    async def follow(self, line: Line) -> None:
        """Do what the supervisor says, until it is gone; then drain."""
        async for told in line.heard():
            if "ask" in told:
                await self._tell_of(line, told)
            elif told["order"] == DRAIN:
                self.drain()
            else:
                self.stop()
        self.drain()

    async def _tell_of(self, line: Line, asked: Facts) -> None:
        found = (await self._health.ready()).plain() if asked["ask"] == "ready" else {}
        line.say(number=asked["number"], found=found)

    async def _tell(self, working: Worker) -> None:
        """Tell the supervisor as soon as this works, and how long ending may take."""
        await working.serving.wait()
        if self._line is not None:
            settings = self._webhooks.settings
            rules = rules_of(settings)
            self._line.say(
                works=True,
                engine=settings.database_url.partition(":")[0].partition("+")[0],
                patience=rules.timeout.total_seconds() + rules.drain,
            )

    # Health

    async def live(self, _: dict[str, str]) -> Answer:
        """Answer `/live`: that this is answered says it."""
        return live_answer(self._health.live())

    async def ready(self, query: dict[str, str]) -> Answer:
        """Answer `/ready`."""
        found = await self._health.ready()
        for scope in SCOPES:
            if scope == query.get("scope"):
                return ready_answer(found.within(scope))
        return ready_answer(found)

    def _own(self) -> Own:
        works = self._working is not None and self._working.serving.is_set()
        return Own(ok=works, detail="works" if works else "has no lease")


def on_a_loop(doing: Coroutine[Any, Any, T]) -> T:
    """Run something to its end on a loop of the fastest kind there is."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(doing)
