"""The application that is measured: the documentation's, with everything on, over a fresh database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from fastapi import FastAPI
from pydantic import BaseModel

from anzol.app import Webhooks
from anzol.bench.receivers import Arrivals
from anzol.bench.sites import Database, settings
from anzol.errors import BenchError

EVENT: Final = "new-subscription"
NOTE: Final = "y" * 880  # makes a body of a KB
MAKERS: Final = 32  # endpoints that are made at a time
STILL: Final = 30.0  # seconds without any progress, after which a run is given up
LOOK_EVERY: Final = 0.02  # seconds
NEARLY: Final = 0.9  # the share of the arrivals after which the database is asked
Told = Callable[[int], None]


class Subscription(BaseModel):
    """The body that is sent."""

    username: str
    monthly_fee: float
    start_date: datetime
    note: str = ""


@dataclass(slots=True)
class Sent:
    """What senders have got back: each message's id with the time of that (seconds since the epoch), and the waits."""

    returned: dict[str, float] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)


def make_app(database: Database, *, worker: bool) -> tuple[FastAPI, Webhooks]:
    """Build the application; it may deliver to loopback."""
    app = FastAPI()
    webhooks = Webhooks(app, settings(database, worker=worker))

    @app.webhooks.post(EVENT)
    def new_subscription(body: Subscription) -> None: ...

    return app, webhooks


async def make_endpoints(webhooks: Webhooks, url: str, count: int) -> None:
    """Give each of *count* customers one endpoint."""
    numbers = iter(range(count))

    async def make() -> None:
        for number in numbers:
            await webhooks.endpoints.create(customer(number), url=url)

    await asyncio.gather(*(make() for _ in range(MAKERS)))


def customer(number: int) -> str:
    """Name a customer."""
    return f"customer-{number}"


async def send_one(webhooks: Webhooks, number: int, sent: Sent) -> None:
    """Send one message to a customer."""
    body = Subscription(username="rick", monthly_fee=9.9, start_date=datetime.now(UTC), note=NOTE)
    before = time.perf_counter()
    message = await webhooks.to(customer(number)).send(EVENT, body)
    sent.waits.append(time.perf_counter() - before)
    sent.returned[message.id] = time.time()


def nobody(_: int) -> None:
    """Do not say how far it is."""


async def send_all(webhooks: Webhooks, *, messages: int, customers: int, callers: int, told: Told = nobody) -> Sent:
    """Send to the customers in turn from *callers* tasks, each waiting for its send before the next."""
    numbers = iter(range(messages))
    sent = Sent()

    async def caller() -> None:
        for number in numbers:
            await send_one(webhooks, number % customers, sent)
            if number % 100 == 0:
                told(number)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return sent


async def recorded(webhooks: Webhooks, arrivals: Arrivals, *, expected: int, told: Told = nobody) -> None:
    """Wait until nothing is accepted or pending any more.

    While many are still to arrive the receiver's log is counted, which disturbs nobody; then the database is asked, for
    at most a fifth of the time.

    Raises:
        BenchError: nothing has moved for 30 seconds.
    """
    waiting, last, moved, took = expected, (0, 0), time.monotonic(), 0.0
    while True:
        arrived = arrivals.count()
        told(arrived)
        if arrived >= expected * NEARLY or time.monotonic() - moved > 1:
            before = time.perf_counter()
            waiting = await left(webhooks)
            took = time.perf_counter() - before
        if not waiting:
            return
        if (arrived, waiting) != last:
            last, moved = (arrived, waiting), time.monotonic()
        if time.monotonic() - moved > STILL:
            raise BenchError(
                f"Deliveries have come to a halt: {arrived} of {expected} arrived, {waiting} wait.",
                do="Look for errors above; the address guard or a proxy may keep loopback out of reach.",
            )
        await asyncio.sleep(max(LOOK_EVERY, 4 * took))


async def left(webhooks: Webhooks) -> int:
    """Return how many messages and deliveries are not at their end."""
    status = await webhooks.status()
    return status.accepted_waiting + status.pending
