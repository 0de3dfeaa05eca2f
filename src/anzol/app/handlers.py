"""The team's own handlers of incidents: an endpoint fails, is disabled, recovers; a message is given up."""

from __future__ import annotations

import asyncio
import difflib
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from anzol.errors import InvalidValue
from anzol.lifecycle import Incident
from anzol.model import Report

Handler = Callable[[Report], Awaitable[Any] | Any]
H = TypeVar("H", bound=Handler)
LABELS: Final = {incident.label: incident for incident in Incident if incident <= Incident.ENDPOINT_FULL}


class Handlers:
    """Which handlers are to be run for which incident; run by the worker, once per incident."""

    def __init__(self) -> None:
        self._all: dict[Incident, list[Handler]] = {incident: [] for incident in Incident}
        self._told: dict[int, list[Handler]] = {}  # of incidents that a handler failed of, those that did not fail

    def add(self, kind: Incident, handler: H) -> H:
        """Run *handler* for incidents of this kind."""
        self._all[kind].append(handler)
        return handler

    async def tell(self, report: Report) -> None:
        """Run the handlers of a report's incident; called again for one that failed, run only those that failed.

        Raises:
            Exception: what a handler raised, once all have been run.
        """
        told = self._told.setdefault(report.id, [])
        failed: list[Exception] = []
        for handler in [handler for handler in self._all[report.kind] if handler not in told]:
            try:
                await run(handler, report)
                told.append(handler)
            except Exception as error:  # noqa: BLE001 - raised below, when the others have been run
                failed.append(error)
        if failed:
            raise failed[0]
        del self._told[report.id]


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
