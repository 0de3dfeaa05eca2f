"""What is told of a delivery's life: one wide event for each attempt, on standard logging. Knows no vendor.

The logger is ``anzol.attempt``, the level INFO; a record carries the facts as ``record.anzol``, a flat dict of numbers
and short strings. Never in it: secrets, payloads, header values, a URL's path or query.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

Fact = str | int | float | bool | None

log: Final = logging.getLogger("anzol.attempt")
REPEATED: Final = 60  # failures in a row for each one that is told again


def wanted() -> bool:
    """Say whether anybody listens: who would emit asks first, and then it costs nothing."""
    return log.isEnabledFor(logging.INFO)


def emit(facts: Mapping[str, Fact]) -> None:
    """Write one event: a readable line, and the facts beside it."""
    log.info(
        "%s %s to %s: attempt %s %s%s in %s ms",
        facts["event_type"],
        facts["message_id"],
        facts["host"],
        facts["number"],
        facts["outcome"],
        "" if facts["status"] is None else f" {facts['status']}",
        facts["total_ms"],
        extra={"anzol": dict(facts)},
    )


class Trouble:
    """Something that fails again and again: told when it begins, at every 60th time, and when it is over.

    Who tries every second would fill the log with one sentence while a database is down.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._times = 0

    def tell(self, message: str, *facts: object) -> None:
        """Say that it failed."""
        self._log.log(logging.DEBUG if self._times % REPEATED else logging.WARNING, message, *facts)
        self._times += 1

    def over(self) -> None:
        """Say that it works again, if it did not."""
        if self._times > 1:
            self._log.warning("It works again, after %d failures.", self._times)
        self._times = 0
