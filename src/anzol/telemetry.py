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
