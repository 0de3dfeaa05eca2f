"""The test bench of `anzol.testing`, used as the tests of an application use it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Body, Depends, FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, Field
from sqlmodel import Session, SQLModel, create_engine

import anzol
from anzol import Report, Webhooks
from anzol.errors import AnzolError
from anzol.storage.outboxrows import outbox_table
from anzol.testing import AsyncBench, Bench, harness
from tests.sessions.hosts import KINDS, DriverHost, Open, prepare

SCHEDULE = [timedelta(0), timedelta(minutes=5), timedelta(hours=1)]


class Subscription(BaseModel):
    username: str
    fee: Decimal


class Odd(BaseModel):
    """What is sent is not what is read."""

    value: int = Field(validation_alias="in", serialization_alias="out")


app = FastAPI()
webhooks = Webhooks(app)


@app.webhooks.post("new-subscription")
def new_subscription(body: Subscription) -> None: ...


@app.webhooks.post("odd")
def odd(body: Odd) -> None: ...


@app.webhooks.post("note")
def note(body: Annotated[str, Body(media_type="text/plain")]) -> None: ...


@app.webhooks.post("pair")
def pair(one: Subscription, two: Annotated[int, Body()]) -> None: ...


@app.webhooks.post("nothing")
def nothing() -> None: ...


@app.post("/subscriptions")
async def subscribe(subscription: Subscription) -> str:
    return (await webhooks.to("acme").send(new_subscription, subscription)).id


ADA = Subscription(username="ada", fee=Decimal("8.50"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a database made by mistake would be found."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def bench() -> Iterator[Bench]:
    with harness(webhooks) as bench:
        yield bench


@pytest.fixture
async def async_bench() -> AsyncIterator[AsyncBench]:
    async with harness(webhooks) as bench:
        yield bench


def test_with_a_test_client_deliveries_come_when_asked_for(bench: Bench) -> None:
    receiver = bench.receiver("acme", event_types=[new_subscription])
    with TestClient(app) as client:
        message_id = client.post("/subscriptions", json={"username": "ada", "fee": "8.50"}).json()
        before = receiver.requests
        count = bench.deliver_due()

    assert before == []
    assert count == 1
    [request] = receiver.requests
    assert request.verified, request.problem
    assert (request.event_type, request.message_id) == ("new-subscription", message_id)
    assert request.json() == {"username": "ada", "fee": "8.50"}


async def test_with_an_asynchronous_client_too(async_bench: AsyncBench) -> None:
    receiver = await async_bench.receiver("acme")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        await client.post("/subscriptions", json={"username": "ada", "fee": "8.50"})

    assert await async_bench.deliver_due() == 1
    assert await async_bench.sent(new_subscription, to="acme") == [ADA]
    assert receiver.requests[0].verified


async def test_a_plain_bench_works_on_an_event_loop_as_well(bench: Bench) -> None:
    receiver = bench.receiver("acme")
    await webhooks.to("acme").send(new_subscription, ADA)

    assert bench.deliver_due() == 1
    assert len(receiver.requests) == 1


def test_the_clock_stands_and_retries_come_when_it_is_moved(bench: Bench) -> None:
    receiver = bench.receiver("acme", schedule=SCHEDULE)
    receiver.answer(500, times=2)
    webhooks.to("acme").send_sync(new_subscription, ADA)
    counts = [
        bench.deliver_due(),
        bench.deliver_due(),
        bench.advance(timedelta(minutes=4, seconds=59)),
        bench.advance(timedelta(seconds=1)),
        bench.advance(timedelta(hours=1)),
        bench.advance(timedelta(days=1)),
    ]

    assert counts == [1, 0, 0, 1, 1, 0]
    assert bench.clock.micros() == micros(2026, 1, 2, 13, 5)
    assert {request.message_id for request in receiver.requests} == {receiver.requests[0].message_id}
    assert all(request.verified for request in receiver.requests)


def micros(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[misc]  # parts of a date


@pytest.mark.parametrize("misfortune", ["stall", "hang_up"])
def test_a_receiver_that_does_not_answer_is_tried_again(misfortune: str, bench: Bench) -> None:
    short = webhooks.settings.model_copy(update={"delivery_timeout": timedelta(seconds=0.2)})
    other = Webhooks(FastAPI(), short)
    other.core.source.webhooks.post("note")(new_subscription)  # type: ignore[union-attr]  # it is an app
    with harness(other) as bench:
        receiver = bench.receiver("acme", schedule=SCHEDULE)
        getattr(receiver, misfortune)(times=1)
        other.to("acme").send_sync("note", ADA)

        assert bench.deliver_due() == 1
        assert bench.advance(timedelta(minutes=5)) == 1
        assert len(receiver.requests) == 2


def test_sent_gives_bodies_as_they_were_declared(bench: Bench) -> None:
    to = webhooks.to("acme")
    to.send_sync(new_subscription, ADA)
    webhooks.to("other").send_sync(new_subscription, Subscription(username="bob", fee=Decimal(1)))
    to.send_sync(odd, Odd.model_validate({"in": 3}))
    to.send_sync(note, "hello")
    to.send_sync(pair, ADA, 2)
    to.send_sync(nothing)

    assert bench.sent(new_subscription, to="acme") == [ADA]
    assert [body.username for body in bench.sent(new_subscription)] == ["ada", "bob"]
    assert bench.sent(odd) == [{"out": 3}]
    assert bench.sent("note") == ["hello"]
    assert bench.sent(pair) == [{"one": {"username": "ada", "fee": "8.50"}, "two": 2}]
    assert bench.sent(nothing) == [None]
    assert [message.event_type for message in bench.messages(to="acme")] == [
        "new-subscription",
        "odd",
        "note",
        "pair",
        "nothing",
    ]


def test_what_is_sent_in_a_session_is_there_once_that_is_committed(bench: Bench, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/app.db")
    outbox_table(SQLModel.metadata).create(engine)
    receiver = bench.receiver("acme")
    with Session(engine) as session:
        webhooks.to("acme", session=session).send_sync(new_subscription, ADA)
        session.rollback()
        webhooks.to("acme", session=session).send_sync(new_subscription, ADA)
        before = bench.deliver_due(), bench.sent(new_subscription)
        session.commit()
    engine.dispose()

    assert before == (0, [])
    assert bench.sent(new_subscription) == [ADA]
    assert bench.deliver_due() == 1
    assert receiver.requests[0].verified


@pytest.mark.parametrize("opened", KINDS.values(), ids=KINDS)
async def test_what_a_test_that_rolls_back_has_sent_is_seen_in_its_session(
    opened: Open, async_bench: AsyncBench, tmp_path: Path
) -> None:
    bench = async_bench
    prepare(tmp_path / "app.db")
    async with opened(tmp_path / "app.db") as host:
        await host.add("first")
        for customer, webhook, body in (("7", new_subscription, ADA), ("8", new_subscription, ADA), ("7", note, "x")):
            await webhooks.to(customer, session=host.given).send(webhook, body)  # type: ignore[operator]  # each its own
        seen = await bench.sent(new_subscription, to=7, session=host.given)
        everybody = await bench.sent(new_subscription, session=host.given)
        await host.rollback()
        afterwards = await bench.sent(new_subscription, session=host.given)
        await host.rollback() if not isinstance(host, DriverHost) else None

    assert (seen, everybody, afterwards) == ([ADA], [ADA, ADA], [])


async def test_the_outbox_dependency_is_on_the_bench_too(async_bench: AsyncBench) -> None:
    own = FastAPI(webhooks=app.webhooks)

    @own.post("/send")
    async def send(outbox: Annotated[anzol.Outbox, Depends(webhooks.outbox(to=lambda: "acme"))]) -> None:
        await outbox.send(new_subscription, ADA)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(own), base_url="http://test") as client:
        await client.post("/send")

    assert await async_bench.sent(new_subscription, to="acme") == [ADA]


def test_handlers_are_run_by_the_bench(bench: Bench) -> None:
    told: list[Report] = []
    webhooks.on("endpoint.disabled")(told.append)
    bench.receiver("acme").answer(410)
    webhooks.to("acme").send_sync(new_subscription, ADA)
    bench.deliver_due()

    assert [report.customer for report in told] == ["acme"]


def test_each_bench_begins_empty_and_ends_without_a_trace(tmp_path: Path) -> None:
    threads = set(threading.enumerate())
    settings, clock = webhooks.settings, webhooks.core.clock
    for _ in range(2):
        with harness(webhooks) as bench:
            receiver = bench.receiver("acme")
            receiver.stall()
            webhooks.to("acme").send_sync(new_subscription, ADA)

            assert len(bench.messages()) == 1

    assert set(threading.enumerate()) <= threads
    assert webhooks.settings is settings
    assert webhooks.core.clock is clock
    assert list(tmp_path.iterdir()) == []


def test_a_bench_that_is_over_says_so() -> None:
    with harness(webhooks) as bench:
        pass

    with pytest.raises(AnzolError, match="not open"):
        asyncio.run(bench._bench.deliver_due())
    with pytest.raises(AnzolError, match="not open"):
        bench.deliver_due()


def test_a_leap_of_the_clock_is_no_death_of_a_worker(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    receiver = bench.receiver("acme")
    receiver.answer(503, times=1)
    webhooks.to("acme").send_sync(new_subscription, ADA)
    bench.deliver_due()

    assert bench.advance(timedelta(days=2)) == 1
    assert len(receiver.requests) == 2
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_the_benchs_own_time_is_there_to_send_later_by(bench: Bench) -> None:
    receiver = bench.receiver("acme")

    webhooks.to("acme", deliver_at=bench.clock.now() + timedelta(hours=1)).send_sync(new_subscription, ADA)

    assert bench.advance(timedelta(minutes=59)) == 0
    assert bench.advance(timedelta(minutes=1)) == 1
    assert receiver.requests[0].verified


def test_a_bench_lets_receivers_through_and_nothing_else(bench: Bench) -> None:
    with pytest.raises(anzol.AddressRefused):
        webhooks.wait(webhooks.endpoints.create("acme", url="http://10.0.0.1/"))


def test_what_sent_returns_is_typed(bench: Bench) -> None:
    webhooks.to("acme").send_sync(new_subscription, ADA)

    bodies: list[Subscription] = bench.sent(new_subscription)
    anything: list[Any] = bench.sent("new-subscription")

    assert bodies == anything
