"""How much may be asked for: requests a second, requests and bytes under way at once. Each process counts its own."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil
from typing import Final

from anzol.api.problems import Problem

MOST_REQUESTS: Final = 2000  # under way at once; a request more is answered with 503
MOST_BYTES: Final = 64 * 1024 * 1024  # of bodies, held at once
REMEMBERED: Final = 10_000  # of those who ask
GUESSES: Final = 5.0  # credentials a second that are worth nothing, from one address
MOST_GUESSES: Final = 50.0  # at once
NETWORK: Final = 64  # bits of an IPv6 address that are one customer of a provider's


@dataclass(slots=True)
class Bucket:
    """What somebody may still do, as of a time on the process's own clock."""

    left: float
    at: float


class Buckets:
    """Counts what each one does: *rate* a second, *most* at once. Who has not come for long is forgotten.

    Args:
        rate: None: nobody is held up.
    """

    def __init__(self, rate: float | None, most: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._most = most
        self._clock = clock
        self._buckets: OrderedDict[Hashable, Bucket] = OrderedDict()

    def take(self, who: Hashable) -> float:
        """Let *who* do one thing more; return 0, or after how many seconds that will be possible."""
        if self._rate is None:
            return 0.0
        bucket = self._bucket(who, self._rate)
        if bucket.left < 1:
            return (1 - bucket.left) / self._rate
        bucket.left -= 1
        return 0.0

    def wait(self, who: Hashable) -> float:
        """Return after how many seconds *who* may do one thing more; 0: now. Nothing is counted."""
        if self._rate is None or who not in self._buckets:
            return 0.0
        return max(0.0, (1 - self._bucket(who, self._rate).left) / self._rate)

    def _bucket(self, who: Hashable, rate: float) -> Bucket:
        now = self._clock()
        bucket = self._buckets.get(who)
        if bucket is None:
            bucket = self._buckets[who] = Bucket(self._most, now)
            if len(self._buckets) > REMEMBERED:
                self._buckets.popitem(last=False)
        else:
            bucket.left = min(self._most, bucket.left + (now - bucket.at) * rate)
            bucket.at = now
            self._buckets.move_to_end(who)
        return bucket


def spread(rate: int | None) -> Buckets:
    """Return the counts for a setting: its rate a second, and two seconds' worth of it at once."""
    return Buckets(rate, 2.0 * (rate or 0))


def slower(wait: float, why: str) -> Problem:
    """Return the problem of somebody who is too fast, and is to come again after *wait* seconds."""
    return Problem("rate_limited", why, headers={"retry-after": str(max(1, ceil(wait)))})


def network_of(address: str) -> str:
    """Return what stands for whoever has an address: itself, of IPv6 the network of one customer."""
    try:
        read = ip_address(address)
    except ValueError:  # a Unix socket has none
        return address
    if isinstance(read, IPv6Address):
        return str(read.ipv4_mapped or ip_network((read, NETWORK), strict=False))
    return address


class Door:
    """Lets in no more than fits: requests, and bytes of their bodies, that are under way in this process.

    Who does not fit is told at once to come again, before memory grows: waiting here would take memory, too.
    """

    def __init__(self, requests: int = MOST_REQUESTS, size: int = MOST_BYTES) -> None:
        self._most_requests = requests
        self._most_bytes = size
        self.requests = 0
        self.bytes = 0

    def enter(self) -> Pass:
        """Let a request in; raises Problem."""
        if self.requests >= self._most_requests:
            raise full()
        self.requests += 1
        return Pass(self)

    def hold(self, size: int) -> None:
        """Make room for bytes; one body alone always has it. Raises Problem."""
        if self.bytes and self.bytes + size > self._most_bytes:
            raise full()
        self.bytes += size


class Pass:
    """One request's place; given back once, whatever happens."""

    __slots__ = ("_door", "_held", "_inside")

    def __init__(self, door: Door) -> None:
        self._door = door
        self._held = 0
        self._inside = True

    def hold(self, size: int) -> None:
        """Make room for *size* bytes in all, more than before; raises Problem."""
        if size > self._held:
            self._door.hold(size - self._held)
            self._held = size

    def leave(self) -> None:
        """Give the place back."""
        if self._inside:
            self._inside = False
            self._door.requests -= 1
            self._door.bytes -= self._held


def full() -> Problem:
    """Return the problem of a process that has enough to do."""
    return Problem(
        "unavailable", "This process has more requests under way than it takes on.", headers={"retry-after": "1"}
    )
