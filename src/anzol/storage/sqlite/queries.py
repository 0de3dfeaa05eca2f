"""The SQL of the SQLite engine: every file of ``sql/sqlite`` under its own name, read once."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

FOLDER: Final = files("anzol.storage") / "sql" / "sqlite"
LARGEST: Final = 256  # rows in one statement; powers of two below it, so that the prepared ones are few


@cache
def sql(name: str) -> str:
    """Return the query of ``sql/sqlite/<name>.sql``."""
    return (FOLDER / f"{name}.sql").read_text(encoding="utf-8")


@cache
def repeated(name: str, rows: int) -> str:
    """Return a query with its line of VALUES, the one that begins with ``(?``, as many times as there are *rows*."""
    lines = sql(name).splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("(?"))
    lines[place] = ", ".join([lines[place]] * rows)
    return "\n".join(lines)


def chunks(count: int) -> list[int]:
    """Split *count* rows into sizes that are powers of two, the largest first."""
    sizes = [LARGEST] * (count // LARGEST)
    rest = count % LARGEST
    return sizes + [1 << bit for bit in range(LARGEST.bit_length() - 2, -1, -1) if rest >> bit & 1]
