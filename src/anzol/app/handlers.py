"""The team's own handlers of incidents: an endpoint fails, is disabled, recovers; a message is given up."""

from __future__ import annotations

import asyncio
import difflib
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from anzol.errors import InvalidValue
from anzol.lifecycle import Incident
from anzol.model import Report

Handler = Callable[[Report], Awaitable[Any] | Any]
H = TypeVar("H", bound=Handler)
LABELS: Final = {incident.label: incident for incident in Incident}

logger = logging.getLogger("anzol")


class Handlers:
    """Which handlers are to be run for which incident; run by the worker, once per incident."""

    def __init__(self) -> None:
        self._all: dict[Incident, list[Handler]] = {incident: [] for incident in Incident}

    def add(self, kind: Incident, handler: H) -> H:
        """Run *handler* for incidents of this kind."""
        self._all[kind].append(handler)
        return handler

    def __bool__(self) -> bool:
        return any(self._all.values())

    async def tell(self, report: Report) -> None:
        """Run the handlers of a report's incident. One that fails is logged, and keeps no other from being run."""
        for handler in self._all[report.kind]:
            try:
                await run(handler, report)
            except Exception:
                logger.exception("A handler of %s failed: %r.", report.kind.label, handler)


async def run(handler: Handler, report: Report) -> None:
    """Call a handler; one that does not await runs in a thread, so that it may block."""
    if inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__):
        await handler(report)
    else:
        await asyncio.to_thread(handler, report)


def known_incident(label: str) -> Incident:
    """Return the incident of this label.

    Raises:
        InvalidValue: there is none; the nearest one is named.
    """
    if label in LABELS:
        return LABELS[label]
    near = difflib.get_close_matches(label, LABELS, n=1)
    do = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(LABELS)}."
    raise InvalidValue(f"Nothing is told under {label!r}.", field="label", do=do)
