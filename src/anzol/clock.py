"""Time as an argument: what the system's clock says, or what a test says."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Where the time comes from.

    ``micros`` is the wall clock in whole microseconds since the Unix epoch: due times, leases, ids.
    ``monotonic`` is seconds on a clock that is never set: deadlines, throttles, durations.
    """

    def micros(self) -> int: ...

    def monotonic(self) -> float: ...


class SystemClock:
    """The clock of the machine."""

    def micros(self) -> int:
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        return time.monotonic()


class OwnedClock:
    """A clock that stands still until the test moves it."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._micros = to_micros(start)
        self._monotonic = 1000.0

    def micros(self) -> int:
        return self._micros

    def monotonic(self) -> float:
        return self._monotonic

    def now(self) -> datetime:
        """Return the wall clock's time, in UTC."""
        return from_micros(self._micros)

    def advance(self, by: timedelta) -> None:
        """Let *by* pass on both clocks."""
        self._micros += by // timedelta(microseconds=1)
        self._monotonic += by.total_seconds()

    def set_wall(self, now: datetime) -> None:
        """Step the wall clock alone, as an operator or NTP does."""
        self._micros = to_micros(now)


def to_micros(moment: datetime) -> int:
    """Return whole microseconds since the Unix epoch of an aware datetime."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    """Return the UTC datetime of whole microseconds since the Unix epoch."""
    return EPOCH + timedelta(microseconds=micros)
