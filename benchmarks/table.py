"""Write the last results into ``benchmarks/README.md``: ``python -m benchmarks.table``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"
ORDER = (
    "deliver-sqlite",
    "deliver-postgresql",
    "latency-sqlite",
    "latency-postgresql",
    "drain-sqlite",
    "drain-postgresql",
    "send",
    "start",
)
# What every row of a run has alike is said above its table; the rest of it is in the result's file.
ALIKE = ("workload", "requests_by", "receiver", "seconds")


def tables() -> Iterator[str]:
    """Yield a heading and a table for each workload that has a result."""
    for name in ORDER:
        path = RESULTS / f"{name}.json"
        if path.exists():
            yield from table(json.loads(path.read_text()))


def table(result: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of one workload: a row for each figure, a column for each run."""
    yield f"### `{result['workload']}`\n\n{result['date']}, {result['machine']}.\n\n"
    rows = [{key: value for key, value in row.items() if key not in ALIKE} for row in result["rows"]]
    for keys, alike in grouped(rows):
        yield "| " + " | ".join(keys) + " |\n" + "|---" * len(keys) + "|\n"
        yield from ("| " + " | ".join(str(row[key]) for key in keys) + " |\n" for row in alike)
        yield "\n"


def grouped(rows: list[dict[str, Any]]) -> Iterator[tuple[tuple[str, ...], list[dict[str, Any]]]]:
    """Yield runs of rows that have the same figures."""
    shapes = list(dict.fromkeys(tuple(row) for row in rows))
    for shape in shapes:
        yield shape, [row for row in rows if tuple(row) == shape]


def main() -> None:
    text = README.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    README.write_text(before + BEGIN + "\n" + "".join(tables()) + END + after)


if __name__ == "__main__":
    main()
