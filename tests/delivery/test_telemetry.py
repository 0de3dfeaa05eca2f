"""What is told of attempts."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.delivery.fakes import SECRET, reply
from tests.delivery.stepping import stepping


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
