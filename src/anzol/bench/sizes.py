"""How much a round does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much of each workload is done, and how long its limits are measured.

    ``endpoints`` and ``processes`` are the variants of `deliver`; with 2 processes the worker has one of its own, with
    3 there are two such workers. ``paced_seconds`` is the length of `latency`. ``wide`` is how many endpoints the one
    message of `fan-out` is for; others send for ``beside_seconds`` before it.
    """

    messages: int
    endpoints: tuple[int, ...]
    processes: tuple[int, ...]
    callers: int
    paced_rate: float
    paced_seconds: float
    backlog: int
    backlog_endpoints: int
    wide: int
    beside_seconds: float
    limit_seconds: float
    limit_rows: int
    limit_commits: int


SHORT: Final = Size(
    messages=10_000,
    endpoints=(1, 1000),
    processes=(1,),
    callers=64,
    paced_rate=200,
    paced_seconds=5,
    backlog=10_000,
    backlog_endpoints=1000,
    wide=3000,
    beside_seconds=5,
    limit_seconds=2,
    limit_rows=10_000,
    limit_commits=100,
)
FULL: Final = Size(
    messages=30_000,
    endpoints=(1, 1000),
    processes=(1, 2),
    callers=64,
    paced_rate=200,
    paced_seconds=60,
    backlog=200_000,
    backlog_endpoints=1000,
    wide=100_000,
    beside_seconds=20,
    limit_seconds=4,
    limit_rows=40_000,
    limit_commits=200,
)
