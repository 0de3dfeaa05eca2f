"""What a worker does for people beside delivering: sweeps carried on, incidents announced, in virtual time."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from anzol.announcements import announcement
from anzol.errors import KeyConflict, StorageBusy
from anzol.lifecycle import Cause, Incident
from anzol.model import OPERATIONAL
from anzol.storage.face import BY_HAND, Unannounced
from tests.delivery.test_worker import Scene
from tests.delivery.virtual import run

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def unannounced(number: int = 1, kind: Incident = Incident.ENDPOINT_CREATED, **more: Any) -> Unannounced:
    known: dict[str, Any] = {
        "at": AT,
        "environment": "production",
        "customer_id": "app_1",
        "customer": "acme",
        "endpoint_id": "ep_1",
        "endpoint_uid": None,
        "message_id": None,
        "message_key": None,
        "detail": "",
        "failing_since": None,
        "attempt_id": None,
        "attempt_status": None,
        "attempt_at": None,
    }
    return Unannounced(number, kind, **(known | more))


def body(incident: Unannounced) -> dict[str, Any]:
    made = announcement(incident, 0)
    assert made is not None
    parsed: dict[str, Any] = json.loads(made.body)
    return parsed


# --- sweeps


def test_a_sweep_that_is_begun_is_carried_on_at_once_to_its_end() -> None:
    async def story() -> tuple[float, set[int]]:
        scene = Scene()
        async with scene.working():
            await asyncio.sleep(10)
            began = scene.clock.monotonic()
            scene.memory.pages = 5
            scene.worker.nudge()
            await scene.until(lambda: not scene.memory.pages)
            return scene.clock.monotonic() - began, {*scene.memory.swept_by}

    took, workers = run(story())
    assert took < 2
    assert len(workers) == 1


def test_a_sweep_is_found_without_a_nudge() -> None:
    async def story() -> float:
        scene = Scene()
        async with scene.working():
            await asyncio.sleep(10)
            scene.memory.pages = 1
            began = scene.clock.monotonic()
            await scene.until(lambda: not scene.memory.pages)
            return scene.clock.monotonic() - began

    assert run(story()) < 60


def test_deliveries_go_on_between_the_pages_of_a_long_sweep() -> None:
    async def story() -> tuple[float, int]:
        scene = Scene()
        endpoint = scene.memory.endpoint("one.example")
        async with scene.working():
            scene.memory.pages = 1000
            scene.worker.nudge()
            await asyncio.sleep(2)
            began = scene.clock.monotonic()
            number = scene.memory.put(endpoint)
            await scene.until(lambda: number in scene.memory.ended)
            assert scene.memory.ended == {number: Cause.ACCEPTED}
            return scene.script.sent[0][0] - began, scene.memory.pages

    waited, left = run(story())
    assert waited < 0.1
    assert left > 900


def test_many_nudges_make_one_look_a_second() -> None:
    async def story() -> int:
        scene = Scene()
        async with scene.working():
            await asyncio.sleep(5)
            scene.memory.calls.clear()
            for _ in range(1000):
                scene.worker.nudge()
                await asyncio.sleep(0.01)
            return scene.memory.calls["advance_sweep"] + scene.memory.calls["unannounced"]

    assert run(story()) <= 22


def test_a_worker_that_has_no_lease_sweeps_nothing() -> None:
    async def story() -> int:
        scene = Scene()
        async with scene.working():
            await asyncio.sleep(5)
        scene.memory.calls.clear()
        scene.worker.nudge()
        await asyncio.sleep(5)
        return scene.memory.calls["advance_sweep"]

    assert run(story()) == 0


def test_draining_once_does_all_running_sweeps_and_announces() -> None:
    async def story() -> tuple[int, int]:
        scene = Scene()
        scene.memory.pages = 3
        scene.memory.unannounced_ = [unannounced()]
        await scene.worker.drain_once()
        return scene.memory.pages, len(scene.memory.accepted)

    assert run(story()) == (0, 1)


# --- announcing


def test_what_happened_becomes_a_message_to_the_operational_endpoints() -> None:
    async def story() -> Scene:
        scene = Scene()
        async with scene.working():
            await asyncio.sleep(5)
            scene.memory.unannounced_ = [unannounced(1), unannounced(2, Incident.ENDPOINT_DELETED)]
            scene.worker.nudge()
            await scene.until(lambda: not scene.memory.unannounced_)
        return scene

    accepted = run(story()).memory.accepted
    assert [(one.environment, one.customer, one.event_type) for one in accepted] == [
        ("production", OPERATIONAL, "endpoint.created"),
        ("production", OPERATIONAL, "endpoint.deleted"),
    ]
    assert len({one.key for one in accepted}) == 2


def test_one_that_storage_refuses_is_announced_again_and_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> tuple[list[int], list[str]]:
        scene = Scene()
        scene.memory.refused = {
            "endpoint.created": StorageBusy("It was locked."),
            "endpoint.deleted": KeyConflict("It was used.", key="k", message_id="msg_1"),
        }
        scene.memory.unannounced_ = [
            unannounced(1),
            unannounced(2, Incident.ENDPOINT_DELETED),
            unannounced(3, Incident.ENDPOINT_UPDATED),
        ]
        async with scene.working():
            await asyncio.sleep(5)
            left = [one.id for one in scene.memory.unannounced_]
            scene.memory.refused = {}
            scene.worker.nudge()
            await scene.until(lambda: not scene.memory.unannounced_)
        return left, [one.event_type for one in scene.memory.accepted]

    left, sent = run(story())
    assert left == [1]
    assert sent == ["endpoint.updated", "endpoint.created"]
    assert "It was locked." in caplog.text


# --- what is said


def test_an_announcement_says_whose_endpoint_it_is() -> None:
    assert body(unannounced(endpoint_uid="main")) == {
        "type": "endpoint.created",
        "data": {"appId": "app_1", "appUid": "acme", "endpointId": "ep_1", "endpointUid": "main"},
    }


@pytest.mark.parametrize("customer", [None, "~" + "0" * 22])
def test_a_customer_that_nobody_named_has_no_uid(customer: str | None) -> None:
    assert body(unannounced(customer=customer))["data"]["appUid"] is None


def test_an_announcement_about_a_delivery_says_which_and_its_last_attempt() -> None:
    attempt = {"attempt_id": "atmpt_1", "attempt_status": 503, "attempt_at": AT}

    said = body(unannounced(1, Incident.MESSAGE_EXHAUSTED, message_id="msg_1", message_key="order-7", **attempt))

    assert said["type"] == "message.attempt.exhausted"
    assert {name: said["data"][name] for name in ("msgId", "msgEventId", "lastAttempt")} == {
        "msgId": "msg_1",
        "msgEventId": "order-7",
        "lastAttempt": {"id": "atmpt_1", "responseStatusCode": 503, "timestamp": "2026-03-01T12:00:00Z"},
    }


@pytest.mark.parametrize(
    ("kind", "event_type"),
    [
        (Incident.ENDPOINT_FAILING, "message.attempt.failing"),
        (Incident.ENDPOINT_RECOVERED, "message.attempt.recovered"),
        (Incident.ENDPOINT_UPDATED, "endpoint.updated"),
        (Incident.ENDPOINT_ENABLED, "endpoint.enabled"),
    ],
)
def test_event_types_are_those_of_the_dialect(kind: Incident, event_type: str) -> None:
    assert body(unannounced(1, kind))["type"] == event_type


@pytest.mark.parametrize(("detail", "trigger"), [(BY_HAND, "manual"), ("410 Gone", "automatic")])
def test_of_a_disabled_endpoint_it_is_said_who_did_it_and_since_when_it_failed(detail: str, trigger: str) -> None:
    said = body(unannounced(1, Incident.ENDPOINT_DISABLED, detail=detail, failing_since=AT))

    assert (said["data"]["trigger"], said["data"]["failSince"]) == (trigger, "2026-03-01T12:00:00Z")


def test_a_full_backlog_is_not_announced() -> None:
    assert announcement(unannounced(1, Incident.ENDPOINT_FULL), 0) is None


def test_the_same_incident_has_the_same_key_and_body_whenever_it_is_announced() -> None:
    one, other = announcement(unannounced(), 1_000_000), announcement(unannounced(), 2_000_000)
    elsewhere = announcement(unannounced(at=datetime(2026, 3, 2, tzinfo=UTC)), 1_000_000)

    assert one is not None
    assert other is not None
    assert elsewhere is not None
    assert (one.key, one.body) == (other.key, other.body)
    assert one.key != elsewhere.key
