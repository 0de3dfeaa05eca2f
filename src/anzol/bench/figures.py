"""What a workload's run has shown, as published; and the arithmetic for it. No I/O but reading the processor's name."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the machine could do at best, measured in the same run without Anzol.

    ``requests``: the same bytes posted to the same receiver, a second; ``requests_by`` says with what. ``inserts``: the
    same rows in the same batches by the bare driver, messages a second. Commits: one durable commit of one message.
    """

    requests: float
    requests_by: str
    inserts: float
    commit_p50_ms: float
    commit_p99_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """How it was verified, by message id at the receiver and by the rows of attempts in the database."""

    accepted: int
    delivered: int
    lost: int
    duplicates: int
    unrecorded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One run of one variant of a workload. None where a figure makes no sense for it.

    ``rate`` is deliveries a second, ``limit`` the lower of the two limits and ``limit_by`` which it is, ``ratio`` rate
    by limit. ``cpu_us`` is the processor time of all of Anzol's processes for each delivery, callers included, the
    database's and the receiver's not. ``p50_ms`` and ``p99_ms``: from `send` returned to the first byte at the
    receiver; ``send_...``: what `await send` took; ``post_p50_ms``: the same way by a bare client.
    """

    workload: str
    variant: str
    engine: str
    endpoints: int
    processes: int
    rate: float | None
    limit: float | None
    limit_by: str | None
    ratio: float | None
    cpu_us: float | None
    p50_ms: float | None
    p99_ms: float | None
    send_p50_ms: float | None
    send_p99_ms: float | None
    accept_rate: float | None
    post_p50_ms: float | None
    memory_mb: float | None
    accepted: int
    delivered: int
    lost: int
    duplicates: int
    unrecorded: int
    seconds: float
    requests_limit: float
    requests_by: str
    inserts_limit: float
    commit_p50_ms: float
    commit_p99_ms: float
    receiver: str
    machine: str

    @property
    def whole(self) -> bool:
        """Whether everything that was accepted arrived and was recorded."""
        return not self.lost and not self.unrecorded


def lowest(limits: Limits) -> tuple[float, str]:
    """Return the lower of the two limits, and which it is."""
    return min((limits.requests, "requests"), (limits.inserts, "inserts"))


def checked(accepted: Sequence[str], arrivals: Mapping[str, int], *, requests: int, attempts: int) -> Checked:
    """Compare what was accepted with what arrived, and the requests that arrived with the attempts that are recorded.

    Args:
        arrivals: How often each message id arrived.
        requests: How many requests arrived in all.
        attempts: How many attempts the database holds.
    """
    times = [arrivals.get(message_id, 0) for message_id in accepted]
    return Checked(
        accepted=len(accepted),
        delivered=len(times) - times.count(0),
        lost=times.count(0),
        duplicates=sum(count - 1 for count in times if count > 1),
        unrecorded=max(0, requests - attempts),
    )


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the value below which *share* of the values lie; None of no values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


def milliseconds(values: Sequence[float], share: float) -> float | None:
    """Return a quantile of seconds in milliseconds, to the hundredth."""
    found = quantile(values, share)
    return None if found is None else round(found * 1e3, 2)


def machine(database: str) -> str:
    """Describe the machine: cores, processor, versions; *database* says which one and how it is set."""
    model = platform.processor() or platform.machine()
    with suppress(OSError):
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
        model = found[1] if found else model
    return (
        f"{os.cpu_count()} cores, {model}, {platform.system()}, Python {platform.python_version()}, {database}, "
        f"Anzol {version('anzol')}"
    )
