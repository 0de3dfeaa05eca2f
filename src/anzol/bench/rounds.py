"""What all variants of one run share, and what becomes of one that was measured: verified, and made into figures."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from anzol.bench.application import Sent
from anzol.bench.figures import Checked, Figures, Limits, checked, lowest, machine, milliseconds
from anzol.bench.receivers import Arrivals, Receiver
from anzol.bench.sites import Database, Site
from anzol.bench.sizes import Size
from anzol.workerthread import new_loop

T = TypeVar("T")


class Progress(Protocol):
    """Who is told how far it is."""

    def step(self, text: str, total: int) -> None:
        """Begin something that has so many parts."""
        ...

    def done(self, count: int) -> None:
        """So many parts are done."""
        ...


@dataclass(frozen=True, slots=True)
class Round:
    """What all variants of one run share."""

    site: Site
    size: Size
    progress: Progress
    limits: Limits
    receiver: Receiver


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one variant has shown before it was verified. Seconds; ``memory`` in bytes."""

    sent: Sent
    took: float
    cpu: float
    accepting: float | None = None
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """Which workload, in which variant."""

    workload: str
    name: str
    endpoints: int
    processes: int


def on_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine* to its end on a loop of its own, as uvicorn would make it."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(coroutine)


def verified(measured: Measured, arrivals: Arrivals, database: Database) -> Checked:
    """Compare what was accepted with what the receiver and the database hold."""
    often = arrivals.written(measured.sent.returned)
    return checked(list(measured.sent.returned), often, requests=often.total(), attempts=database.attempts())


def figures(
    run: Round,
    variant: Variant,
    measured: Measured,
    seen: Checked,
    *,
    target: Receiver,
    delays: Sequence[float] | None = None,
    posted: Sequence[float] = (),
) -> Figures:
    """Make one row.

    Args:
        delays: From `send` returned to the first byte, in seconds; where they are what matters, there is no limit of
            the rate, which the workload itself has set.
        posted: The same way by a bare client.
    """
    count, limits, waits = len(measured.sent.returned), run.limits, measured.sent.waits
    rate = count / measured.took
    limit, limit_by = lowest(limits) if delays is None else (None, None)
    return Figures(
        workload=variant.workload,
        variant=variant.name,
        engine=run.site.engine,
        endpoints=variant.endpoints,
        processes=variant.processes,
        rate=round(rate, 1),
        limit=limit and round(limit),
        limit_by=limit_by,
        ratio=limit and round(rate / limit, 4),
        cpu_us=round(measured.cpu / count * 1e6, 1),
        p50_ms=milliseconds(delays or (), 0.5),
        p99_ms=milliseconds(delays or (), 0.99),
        send_p50_ms=milliseconds(waits, 0.5),
        send_p99_ms=milliseconds(waits, 0.99),
        accept_rate=measured.accepting and round(count / measured.accepting, 1),
        post_p50_ms=milliseconds(posted, 0.5),
        memory_mb=measured.memory and round(measured.memory / 1e6, 1),
        accepted=seen.accepted,
        delivered=seen.delivered,
        lost=seen.lost,
        duplicates=seen.duplicates,
        unrecorded=seen.unrecorded,
        seconds=round(measured.took, 2),
        requests_limit=round(limits.requests),
        requests_by=limits.requests_by,
        inserts_limit=round(limits.inserts),
        commit_p50_ms=round(limits.commit_p50_ms, 2),
        commit_p99_ms=round(limits.commit_p99_ms, 2),
        receiver=target.kind,
        machine=machine(run.site.described),
    )
