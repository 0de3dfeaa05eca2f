"""The SQL of the PostgreSQL engine: every file of ``sql/postgres`` under its own name, read once, made ready to run.

A list's file gives what is newest first. For one that begins with the oldest its lines marked ``-- either way`` are
turned round.

A file names its tables ``anzol.<table>`` and its values ``:name``. ``:now`` is the time: the database's own, or one
that is given (a storage with a clock of its own, as tests have).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

FOLDER: Final = files("anzol.storage") / "sql" / "postgres"
COMMENT: Final = re.compile(r"--[^\n]*")
CONDITIONS: Final = "-- conditions"
EITHER_WAY: Final = re.compile(r".*-- either way$", re.MULTILINE)
TURNING: Final = re.compile(r"<|>|\bdesc\b")
TURNED: Final = {"<": ">", ">": "<", "desc": "asc"}
VALUE: Final = re.compile(r"(?<![:\w]):([a-z_]+)")
TABLE: Final = re.compile(r"\banzol\.(?=[a-z_])")
# Of the statement, not of its transaction, which may be long; and no volatile function, which no index can serve.
CLOCK: Final = "(extract(epoch from statement_timestamp()) * 1000000)::bigint"


@dataclass(frozen=True, slots=True)
class Query:
    """A statement with ``$1`` ... in place of names, and the names in that order."""

    text: str
    names: tuple[str, ...]

    def arguments(self, values: dict[str, Any]) -> list[Any]:
        """Return the values in their order; every one that the query names must be given."""
        return [values[name] for name in self.names]


def read(name: str) -> str:
    """Return the file ``sql/postgres/<name>.sql`` as it is written."""
    return (FOLDER / f"{name}.sql").read_text(encoding="utf-8")


def in_schema(text: str, schema: str) -> str:
    """Put a schema's name in the place of ``anzol.``."""
    quoted = '"' + schema.replace('"', '""') + '".'
    return TABLE.sub(lambda _: quoted, text)


@lru_cache(maxsize=2000)
def query(
    name: str, schema: str, timed: bool, conditions: tuple[str, ...] = (), *, oldest_first: bool = False
) -> Query:
    """Return a query ready to run.

    Args:
        timed: The time is given, as the value ``now``; else it is the database's.
        conditions: More of them, for the place that says ``-- conditions``: never made from what users give.
        oldest_first: The other way round.
    """
    more = "".join(f" and {condition}" for condition in conditions)
    text = turned(read(name)) if oldest_first else read(name)
    return ready(text.replace(CONDITIONS, more), schema, timed)


def turned(text: str) -> str:
    """Return a list's query the other way round: what is greater than a place, the least first."""
    return EITHER_WAY.sub(lambda line: TURNING.sub(lambda word: TURNED[word[0]], line[0]), text)


def ready(text: str, schema: str, timed: bool) -> Query:
    """Make a statement of a text with names."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        name = found[1]
        if name == "now" and not timed:
            return CLOCK
        if name not in names:
            names.append(name)
        place = f"${names.index(name) + 1}"
        return f"{place}::bigint" if name == "now" else place

    plain = in_schema(COMMENT.sub("", text), schema)
    return Query(VALUE.sub(number, plain).strip(), tuple(names))
