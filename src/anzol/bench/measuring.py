"""One run: where it is done, what the limits are, then each workload."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from anzol.bench.figures import Figures, Limits, milliseconds
from anzol.bench.posting import post_rate
from anzol.bench.receivers import Receiver, receiver
from anzol.bench.rounds import Progress, Round
from anzol.bench.sites import Site, site
from anzol.bench.sizes import Size
from anzol.bench.workloads import WORKLOADS
from anzol.errors import InvalidValue

NAMES: Final = tuple(WORKLOADS)


def measure(
    names: Sequence[str],
    size: Size,
    progress: Progress,
    *,
    database: str | None = None,
    with_receiver: str | None = None,
) -> Iterator[Figures]:
    """Yield the figures of each variant, one after another; what was made for it is gone when this ends.

    Args:
        names: Workloads; none are all of them.
        database: A PostgreSQL database, in which schemas of our own come and go; or a SQLite file, beside which fresh
            files do; else those are in a temporary folder.
        with_receiver: ``nginx`` or ``own``; else the better of those that are there.

    Raises:
        InvalidValue: there is no such workload.
        SettingsError, StorageError: it cannot be measured on that database.
        BenchError: deliveries have come to a halt.
    """
    check_names(names)
    with ended_by_signals(), site(database) as where, receiver(with_receiver) as target:
        limits = measured_limits(where, target, size, progress)
        run = Round(where, size, progress, limits, target)
        for name in names or NAMES:
            yield from WORKLOADS[name](run)


def check_names(names: Sequence[str]) -> None:
    """Refuse what is no workload."""
    for name in names:
        if name not in WORKLOADS:
            raise InvalidValue(
                f"There is no workload {name!r}.", field="workload", do=f"There are: {', '.join(NAMES)}."
            )


def measured_limits(where: Site, target: Receiver, size: Size, progress: Progress) -> Limits:
    """Measure what the machine can do without Anzol."""
    progress.step("limits: the receiver, and the bare driver", 3)
    requests, requests_by = post_rate(target, seconds=size.limit_seconds)
    progress.done(1)
    with where.fresh() as database:
        inserts = database.insert_rate(messages=size.limit_rows, batch=size.callers)
        progress.done(2)
        commits = database.commit_times(size.limit_commits)
    progress.done(3)
    return Limits(
        requests=requests,
        requests_by=requests_by,
        inserts=inserts,
        commit_p50_ms=milliseconds(commits, 0.5) or 0.0,
        commit_p99_ms=milliseconds(commits, 0.99) or 0.0,
    )


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end the run as Ctrl-C does: in order, with everything removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupt(_number: int, _frame: object) -> None:
    """Do as Ctrl-C does; also where that itself is ignored, as in a script's background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)
