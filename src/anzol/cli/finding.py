"""One thing that `anzol doctor` says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from anzol.errors import AnzolError


class Level(Enum):
    """How bad it is: an ERROR loses or stops deliveries, or will; a WARNING may; a NOTE is to be known."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend. ``check`` names the question, so that a script can tell them apart."""

    level: Level
    check: str
    what: str
    do: str = ""


def errored(check: str, error: AnzolError) -> Finding:
    """Return an error of Anzol's own as a finding."""
    return Finding(Level.ERROR, check, error.what, error.do)
