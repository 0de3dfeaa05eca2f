"""One line for each attempt, for `anzol dev` and `anzol worker`."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from anzol.cli.screen import Screen, clean
from anzol.telemetry import Fact


class AttemptLines(logging.Handler):
    """Prints what the logger ``anzol.attempt`` is told; the worker's thread writes it."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._screen = Screen(as_json=as_json)

    def emit(self, record: logging.LogRecord) -> None:
        facts = getattr(record, "anzol", None)
        if facts is not None:
            self._screen.line(facts, attempt_line(facts, time.time()))


def attempt_line(facts: Mapping[str, Fact], now: float) -> str:
    """Write an attempt for people: when, whether, what, where to, how long, and what comes next."""
    fine = facts["outcome"] == "ok"
    answer = facts["outcome"] if facts["status"] is None else facts["status"]
    due, took = facts.get("due_at"), facts["total_ms"]
    after = f"  again in {max(0.0, due - now):.0f} s" if isinstance(due, float) else "  given up"
    milliseconds = f"{took:.0f}" if isinstance(took, int | float) else "0"
    return clean(
        f"{time.strftime('%H:%M:%S', time.localtime(now))}  {'✓' if fine else '✗'} {facts['event_type']} to "
        f"{facts['host']}  {answer}  {milliseconds} ms  attempt {facts['number']}{'' if fine else after}  "
        f"{facts['message_id']}"
    )
