"""What arrived in the inbox: a bounded list, newest first, that can be waited on. In memory, of one event loop."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

KEPT: Final = 200
SHOWN: Final = 64 * 1024  # bytes of a body that are kept


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the signature holds. ``reason`` is the verifier's, or ``no_endpoint``; empty when it holds."""

    verified: bool
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request that reached the inbox, as it came. ``body`` is cut, ``size`` is not; ``at`` in microseconds."""

    at: int
    inbox: str
    method: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    size: int
    verdict: Verdict
    answered: int
    number: int = 0
    time: int = 1  # the how-manieth request with this message's id it is

    def header(self, name: str) -> str:
        """Return the first header of that name, or nothing."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def message_id(self) -> str:
        return self.header("webhook-id")

    @property
    def event_type(self) -> str:
        return self.header("webhook-event")


class Arrivals:
    """The list. ``boot`` tells a page that it looks at another list than before."""

    def __init__(self, boot: str) -> None:
        self.boot = boot
        self.closed = False
        self.latest = 0
        self._kept: deque[Arrival] = deque(maxlen=KEPT)
        self._times: Counter[tuple[str, str]] = Counter()
        self._changed = asyncio.Event()

    def add(self, arrival: Arrival) -> Arrival:
        """Put it on top, numbered."""
        self.latest += 1
        numbered = replace(arrival, number=self.latest, time=self._count(arrival))
        self._kept.appendleft(numbered)
        self._wake()
        return numbered

    def since(self, number: int) -> Sequence[Arrival]:
        """Return what came after that number, newest first."""
        return [arrival for arrival in self._kept if arrival.number > number]

    def clear(self) -> None:
        """Forget all; numbers go on."""
        self._kept.clear()
        self._times.clear()
        self._wake()

    def restore(self, arrivals: Iterable[Arrival]) -> None:
        """Put back what an earlier process of this `anzol dev` had; oldest first."""
        for arrival in arrivals:
            self.add(arrival)

    def close(self) -> None:
        """Let everybody who waits go."""
        self.closed = True
        self._wake()

    @property
    def changed(self) -> asyncio.Event:
        """Set at the next change. Take it before reading the list, wait after."""
        return self._changed

    @property
    def empty(self) -> bool:
        return not self._kept

    def _count(self, arrival: Arrival) -> int:
        if not arrival.message_id:
            return 1
        key = (arrival.inbox, arrival.message_id)
        self._times[key] += 1
        return self._times[key]

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
