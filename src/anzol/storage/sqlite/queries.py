"""The SQL of the SQLite engine: every file of ``sql/sqlite`` under its own name, read once.

A file of a list goes to what is newest first. Its lines marked ``-- either way`` are turned round for a list that
begins with the oldest.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Final

FOLDER: Final = files("anzol.storage") / "sql" / "sqlite"
LARGEST: Final = 256  # rows in one statement; powers of two below it, so that the prepared ones are few
EITHER_WAY: Final = re.compile(r".*-- either way$", re.MULTILINE)
TURNING: Final = re.compile(r"<|>|\bdesc\b")
TURNED: Final = {"<": ">", ">": "<", "desc": "asc"}


@cache
def sql(name: str) -> str:
    """Return the query of ``sql/sqlite/<name>.sql``."""
    return (FOLDER / f"{name}.sql").read_text(encoding="utf-8")


@cache
def turned(name: str) -> str:
    """Return a list's query the other way round: what is greater than a place, the least first."""
    return EITHER_WAY.sub(lambda line: TURNING.sub(lambda word: TURNED[word[0]], line[0]), sql(name))


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
