"""What the repository's own benchmarks share; the workloads and their receiver are those of `anzol bench`."""

from __future__ import annotations

import json
import resource
import sqlite3
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from anzol.bench import figures

RESULTS = Path(__file__).parent / "results"


def cpu_seconds() -> float:
    """Return the processor time that this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def quantile(values: Sequence[float], share: float) -> float:
    return figures.quantile(values, share) or 0.0


def median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else 0.0


def write_result(name: str, rows: Sequence[dict[str, object]], *, machine: str = "") -> None:
    """Print the rows and keep them as the workload's last result; *name* tells one result from another."""
    RESULTS.mkdir(exist_ok=True)
    document = {
        "workload": name,
        "machine": machine or figures.machine(f"SQLite {sqlite3.sqlite_version}"),
        "date": datetime.now(UTC).date().isoformat(),
        "rows": rows,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")
    for row in rows:
        print(json.dumps(row))
