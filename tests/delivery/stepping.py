"""Real storage and an owned clock, with a scripted receiver: every wait is a step of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from random import Random

from anzol import ids
from anzol.clock import OwnedClock
from anzol.model import Attempt, Delivery, Endpoint, Report
from anzol.rules import DeliveryRules
from anzol.storage.face import NewEndpoint, NewMessage, Selection
from anzol.storage.sqlite.engine import SqliteStorage
from anzol.storage.vault import Vault
from anzol.worker import Worker
from tests.delivery.fakes import POLICY, SECRET, Script

ENVIRONMENT = "default"
MINUTE = timedelta(minutes=1)


class Steps:
    """One worker on one SQLite file; `drain` delivers what is due, `wait` lets time pass and drains again."""

    def __init__(self, storage: SqliteStorage, clock: OwnedClock, rules: DeliveryRules) -> None:
        self.storage = storage
        self.clock = clock
        self.rules = rules
        self.script = Script(clock)
        self.reports: list[Report] = []
        self.worker = self.another()

    def another(self) -> Worker:
        """Make a worker on the same storage."""
        return Worker(
            self.storage,
            self.script,
            policy=POLICY,
            clock=self.clock,
            chance=Random(7),
            rules=self.rules,
            tell=self._tell,
        )

    async def _tell(self, report: Report) -> None:
        self.reports.append(report)

    async def endpoint(self, host: str = "one.example", **more: object) -> Endpoint:
        fields = {"customer": "acme", "url": f"http://{host}/in", "secret": SECRET, **more}
        return await self.storage.create_endpoint(ENVIRONMENT, NewEndpoint(**fields))  # type: ignore[arg-type]  # by name

    async def send(self, body: bytes = b"{}", **more: object) -> str:
        now = self.clock.micros()
        fields = {
            "id": ids.new(now), "environment": ENVIRONMENT, "customer": "acme", "event_type": "invoice.paid",
            "method": "POST", "content_type": "application/json", "body": body, "created_at": now, **more,
        }  # fmt: skip
        accepted = await self.storage.accept(NewMessage(**fields))  # type: ignore[arg-type]  # by name
        return ids.show(ids.MESSAGE, accepted.id)

    async def drain(self) -> int:
        return await self.worker.drain_once()

    async def wait(self, by: timedelta) -> int:
        self.clock.advance(by)
        return await self.drain()

    async def deliveries(self, **selection: object) -> list[Delivery]:
        """All deliveries, oldest first."""
        page = await self.storage.deliveries(ENVIRONMENT, Selection(**selection), limit=500)  # type: ignore[arg-type]
        return list(reversed(page.items))

    async def attempts(self, **selection: object) -> list[Attempt]:
        """All attempts, oldest first."""
        page = await self.storage.attempts(ENVIRONMENT, Selection(**selection), limit=500)  # type: ignore[arg-type]
        return list(reversed(page.items))


@asynccontextmanager
async def stepping(folder: Path, rules: DeliveryRules | None = None) -> AsyncIterator[Steps]:
    clock = OwnedClock()
    storage = SqliteStorage(folder / "anzol.db", clock=clock, vault=Vault(["k" * 43]))
    await storage.prepare(deployment="test")
    steps = Steps(storage, clock, rules or DeliveryRules(spread=0.0))
    try:
        yield steps
        await steps.worker.close()
    finally:
        await storage.close()
