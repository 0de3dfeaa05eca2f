"""What is told of attempts and of overdue work."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from anzol.clock import to_micros
from anzol.housekeeping import overdue, watch_overdue
from anzol.model import Status, WorkerCard
from tests.delivery.fakes import SECRET, reply
from tests.delivery.stepping import stepping
from tests.delivery.virtual import run

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


async def test_every_attempt_is_one_wide_event_without_secrets(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with stepping(tmp_path) as steps:
        url = "http://one.example:8080/path?token=canary1"
        endpoint = await steps.endpoint(url=url, headers=(("x-key", "canary2"),))
        message = await steps.send(b"canary3", headers=(("x-declared", "canary4"),), query="q=canary5")
        steps.script.default = reply(500, None, (b"x-reply", b"canary6"))
        with caplog.at_level(logging.INFO, "anzol.attempt"):
            await steps.drain()

    (record,) = [record for record in caplog.records if record.name == "anzol.attempt"]
    facts = record.anzol
    assert facts["message_id"] == message
    assert facts["endpoint_id"] == endpoint.id
    assert (facts["host"], facts["number"]) == ("one.example:8080", 1)
    assert (facts["outcome"], facts["status"], facts["ended"]) == ("http_status", 500, None)
    assert facts["due_at"] == steps.clock.micros() / 1e6 + 5
    assert all(isinstance(value, str | int | float | bool | None) for value in facts.values())
    told = repr(facts) + record.getMessage()
    assert "canary" not in told
    assert SECRET not in told


async def test_with_the_level_off_nothing_is_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with stepping(tmp_path) as steps:
        await steps.endpoint()
        await steps.send()
        with caplog.at_level(logging.WARNING, "anzol.attempt"):
            await steps.drain()

    assert [record for record in caplog.records if record.name == "anzol.attempt"] == []


def status(late: timedelta | None, *expiries: timedelta) -> Status:
    cards = tuple(WorkerCard(1, "here", 1, "0", NOW, NOW + expiry, 0, 0) for expiry in expiries)
    return Status(2, 5, 3, 0, 0, None if late is None else NOW - late, 0, 0, cards, 1)


MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("found", "complains"),
    [
        (status(None), False),
        (status(timedelta(seconds=5)), False),
        (status(MINUTE), True),
        (status(MINUTE, MINUTE), False),
        (status(MINUTE, -MINUTE), True),
    ],
)
def test_overdue_work_that_nobody_does_is_complained_about(found: Status, complains: bool) -> None:
    complaint = overdue(found, to_micros(NOW))

    assert (complaint is not None) == complains
    assert not complains or "5 deliveries are overdue, the oldest by 60 seconds" in complaint


def test_the_watch_is_loud_for_as_long_as_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    import asyncio

    from anzol.clock import OwnedClock

    class Late:
        async def status(self, environment: str) -> Status:
            return status(MINUTE)

    async def story() -> None:
        watching = asyncio.create_task(watch_overdue(Late(), "default", OwnedClock(NOW), every=30))  # type: ignore[arg-type]
        await asyncio.sleep(95)
        watching.cancel()

    run(story())

    assert [record.levelname for record in caplog.records] == ["ERROR"] * 4
