"""The workloads of `anzol bench` at their full size, on SQLite and on PostgreSQL; kept as this repository's results.

    python -m benchmarks.workloads [deliver latency drain] [--engine sqlite] [--database postgresql://...] [--keep]

PostgreSQL is the tests' own server, with its settings as they come (fsync on), unless a database is named.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from collections.abc import Iterator
from dataclasses import asdict

from anzol.bench.figures import Figures
from anzol.bench.measuring import NAMES, measure
from anzol.bench.sizes import FULL, SHORT
from benchmarks.common import write_result

ENGINES = ("sqlite", "postgresql")


class Lines:
    """Says what is begun."""

    def step(self, text: str, total: int) -> None:
        print(f"{text} ({total:,})", file=sys.stderr, flush=True)

    def done(self, count: int) -> None:
        pass


@contextlib.contextmanager
def database(engine: str, url: str | None) -> Iterator[str | None]:
    """Give where to measure; None is a temporary SQLite file."""
    if engine == "sqlite" or url:
        yield url if engine != "sqlite" else None
        return
    from tests.postgres import running_postgres

    with running_postgres() as server, server.database() as uri:
        yield uri


def kept(found: Figures) -> dict[str, object]:
    """Return a row without what is said once for all of them, and without what makes no sense for it."""
    return {
        name: value
        for name, value in asdict(found).items()
        if value is not None and name not in ("workload", "engine", "machine", "endpoints", "processes")
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", choices=[[], *NAMES], default=[])
    parser.add_argument("--engine", nargs="*", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--database", help="a PostgreSQL database, instead of a server of its own")
    parser.add_argument("--short", action="store_true", help="as `anzol bench` without --full")
    parser.add_argument("--keep", action="store_true", help="write the results to benchmarks/results")
    options = parser.parse_args()
    logging.getLogger("anzol").addHandler(logging.NullHandler())
    for engine in options.engine:
        with database(engine, options.database) as url:
            for name in options.workloads or NAMES:
                found = list(measure([name], SHORT if options.short else FULL, Lines(), database=url))
                if options.keep:
                    write_result(f"{name}-{engine}", [kept(row) for row in found], machine=found[0].machine)
                else:
                    print(*map(asdict, found), sep="\n")


if __name__ == "__main__":
    main()
