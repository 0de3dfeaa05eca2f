"""Metrics for those who operate: how the whole is doing, in the format that Prometheus and OpenMetrics read.

The names are a promise, documented in the how-to about operating. Extra: ``anzol[metrics]``.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

from anzol.model import Status

FRESH: Final = 1.0  # seconds that a look at the database is good for

GAUGES: Final = {
    "anzol_messages_waiting": "Accepted messages that are not yet deliveries.",
    "anzol_deliveries_pending": "Deliveries that have not ended.",
    "anzol_deliveries_due": "Pending deliveries whose time has come.",
    "anzol_deliveries_parked": "Pending deliveries of endpoints that are disabled or paused.",
    "anzol_deliveries_in_flight": "Deliveries that a worker is making now.",
    "anzol_oldest_due_seconds": "For how long the longest overdue delivery or message is due; 0 if nothing is.",
    "anzol_endpoints_failing": "Endpoints whose last attempts failed.",
    "anzol_endpoints_disabled": "Endpoints that are disabled.",
    "anzol_workers": "Workers that hold a lease.",
}


def measured(status: Status, now: datetime) -> dict[str, float]:
    """Return every gauge's value."""
    overdue = 0.0 if status.oldest_due is None else max(0.0, (now - status.oldest_due).total_seconds())
    return {
        "anzol_messages_waiting": status.accepted_waiting,
        "anzol_deliveries_pending": status.pending,
        "anzol_deliveries_due": status.due,
        "anzol_deliveries_parked": status.parked,
        "anzol_deliveries_in_flight": status.in_flight,
        "anzol_oldest_due_seconds": overdue,
        "anzol_endpoints_failing": status.failing_endpoints,
        "anzol_endpoints_disabled": status.disabled_endpoints,
        "anzol_workers": len(status.workers),
    }


class Metrics:
    """A registry of its own, so that a host's metrics are left alone.

    Args:
        look: Reads how the whole is doing.
    """

    def __init__(self, look: Callable[[], Awaitable[Status]]) -> None:
        self._look = look
        self._registry: Any = None
        self._gauges: dict[str, Any] = {}
        self._looked_at = 0.0
        self.there = importlib.util.find_spec("prometheus_client") is not None

    async def text(self) -> tuple[bytes, str]:
        """Return what a scrape reads, and its media type."""
        from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

        if self._registry is None:
            self._register()
        if time.monotonic() - self._looked_at >= FRESH:
            for name, value in measured(await self._look(), datetime.now(UTC)).items():
                self._gauges[name].set(value)
            self._looked_at = time.monotonic()
        text: bytes = generate_latest(self._registry)  # type: ignore[no-untyped-call]  # the package has no types for it
        return text, CONTENT_TYPE_LATEST

    def _register(self) -> None:
        from prometheus_client import CollectorRegistry, Gauge, Info, PlatformCollector, ProcessCollector

        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        Info("anzol_build", "Which Anzol this is.", registry=self._registry).info({"version": version("anzol")})
        self._gauges = {name: Gauge(name, about, registry=self._registry) for name, about in GAUGES.items()}
