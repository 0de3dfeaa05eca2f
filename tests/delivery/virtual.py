"""Time that passes only where everybody waits: an event loop for tests of loops, and a clock that reads it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from anzol.clock import to_micros

T = TypeVar("T")
START = to_micros(datetime(2026, 1, 1, tzinfo=UTC))


class Leaping(selectors.SelectSelector):
    """Never waits: the time that would have been waited has passed at once."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found:
            assert timeout is not None, "everybody waits for something that can never come"
            self.now += max(0.0, timeout)
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop without threads or sockets, on which an hour takes no time."""

    def __init__(self) -> None:
        self.leaping = Leaping()
        super().__init__(self.leaping)

    def time(self) -> float:
        return self.leaping.now


class LoopClock:
    """The clock of the running `VirtualLoop`."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def micros(self) -> int:
        return START + round((self.monotonic() - 1000.0) * 1_000_000)


def run(story: Coroutine[Any, Any, T]) -> T:
    """Run a story on a loop of its own, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(story)
