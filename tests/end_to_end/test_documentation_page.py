"""The page "OpenAPI Webhooks" of FastAPI's documentation: its code, unchanged, plus the three lines of Anzol's."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from fastapi.testclient import TestClient
from standardwebhooks import Webhook as Verifier

from anzol import NotFound, Outcome, State
from tests.uses.conftest import Receiver, receiver  # noqa: F401 - a fixture

PAGE = '''
from datetime import datetime

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Subscription(BaseModel):
    username: str
    monthly_fee: float
    start_date: datetime


@app.webhooks.post("new-subscription")
def new_subscription(body: Subscription):
    """
    When a new user subscribes to your service we'll send you a POST request with this
    data to the URL that you register for the event `new-subscription` in the dashboard.
    """


@app.get("/users/")
def read_users():
    return ["Rick", "Morty"]
'''
ANZOL = """
from anzol import Webhooks

webhooks = Webhooks(app)


@app.post("/subscriptions")
async def subscribe(subscription: Subscription) -> str:
    return (await webhooks.to("rick").send(new_subscription, subscription)).id
"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.setenv("ANZOL_DATABASE_URL", f"sqlite:///{tmp_path}/anzol.db")
    monkeypatch.setenv("ANZOL_ALLOW_NETWORKS", "127.0.0.0/8")
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    exec(PAGE + ANZOL, module.__dict__)
    yield module
    module.webhooks.wait(module.webhooks.close())


SUBSCRIPTION = {"username": "ada", "monthly_fee": 9.99, "start_date": "2026-01-01T00:00:00Z"}


def test_the_page_delivers_to_a_receiver_that_verifies(page: ModuleType, receiver: Receiver) -> None:  # noqa: F811
    with TestClient(page.app) as client:
        endpoint = page.webhooks.wait(
            page.webhooks.endpoints.create("rick", url=receiver.url, event_types=["new-subscription"])
        )
        secret = page.webhooks.wait(page.webhooks.endpoints.secret(endpoint.id))
        answer = client.post("/subscriptions", json=SUBSCRIPTION)
        receiver.wait_for(1)

    (method, path, headers, body) = receiver.arrived[0]
    assert answer.status_code == 200
    assert (method, path) == ("POST", "/in")
    assert Verifier(secret).verify(body, headers) == SUBSCRIPTION
    assert headers["webhook-id"] == answer.json()
    assert headers["webhook-event"] == "new-subscription"
    assert client.get("/users/").json() == ["Rick", "Morty"]


def test_every_attempt_is_there_to_see(page: ModuleType, receiver: Receiver) -> None:  # noqa: F811
    webhooks = page.webhooks
    with TestClient(page.app) as client:
        webhooks.wait(webhooks.endpoints.create("rick", url=receiver.url))
        message_id = client.post("/subscriptions", json=SUBSCRIPTION).json()
        receiver.wait_for(1)

    (attempt,) = webhooks.wait(webhooks.attempts.list("rick")).items
    (delivery,) = webhooks.wait(webhooks.deliveries.list(message=message_id)).items
    (match,) = webhooks.wait(webhooks.messages.matches(message_id))
    assert (attempt.message_id, attempt.outcome, attempt.status, attempt.number) == (message_id, Outcome.OK, 204, 1)
    assert (delivery.state, delivery.attempts) == (State.DELIVERED, 1)
    assert match.reason == "matched"
    assert webhooks.wait(webhooks.attempts.get(message_id, attempt.id)) == attempt
    with pytest.raises(NotFound):
        webhooks.wait(webhooks.attempts.get(message_id, "atmpt_0000000000000000000000"))


def test_an_endpoint_that_refuses_is_disabled_and_the_team_is_told_once(
    page: ModuleType,
    receiver: Receiver,  # noqa: F811
) -> None:
    webhooks, told, heard = page.webhooks, [], threading.Event()

    @webhooks.on("endpoint.disabled")
    def tell(report: object) -> None:
        told.append(report)
        heard.set()

    receiver.status = 410
    with TestClient(page.app) as client:
        endpoint = webhooks.wait(webhooks.endpoints.create("rick", url=receiver.url, contact="rick@example.com"))
        client.post("/subscriptions", json=SUBSCRIPTION)
        assert heard.wait(20)
        gone = webhooks.wait(webhooks.endpoints.get(endpoint.id))

    (report,) = told
    assert (report.kind.label, report.customer, report.contact) == ("endpoint.disabled", "rick", "rick@example.com")
    assert gone.enabled is False


def test_what_was_accepted_without_a_lifespan_is_delivered_by_the_next_one(
    page: ModuleType,
    receiver: Receiver,  # noqa: F811
) -> None:
    webhooks = page.webhooks
    webhooks.wait(webhooks.endpoints.create("rick", url=receiver.url))
    ids = {TestClient(page.app).post("/subscriptions", json=SUBSCRIPTION).json() for _ in range(5)}

    async def work() -> None:
        async with webhooks.running():
            await asyncio.to_thread(receiver.wait_for, 5)

    asyncio.run(work())

    assert {headers["webhook-id"] for _, _, headers, _ in receiver.arrived} == ids


def test_resend_recover_pause_and_cancel_do_what_they_say(page: ModuleType, receiver: Receiver) -> None:  # noqa: F811
    webhooks = page.webhooks
    with TestClient(page.app) as client:
        endpoint = webhooks.wait(webhooks.endpoints.create("rick", url=receiver.url))
        first = client.post("/subscriptions", json=SUBSCRIPTION).json()
        receiver.wait_for(1)
        since = webhooks.wait(webhooks.messages.get(first)).created_at
        until(lambda: webhooks.wait(webhooks.deliveries.get(first, endpoint.id)).state is State.DELIVERED)

        webhooks.wait(webhooks.resend(first, endpoint.id))
        receiver.wait_for(2)
        until(lambda: webhooks.wait(webhooks.deliveries.get(first, endpoint.id)).state is State.DELIVERED)
        assert webhooks.wait(webhooks.recover(endpoint=endpoint.id, since=since)) == 0
        assert webhooks.wait(webhooks.recover(customer="rick", since=since, states=[State.DELIVERED])) == 1
        receiver.wait_for(3)

        webhooks.wait(webhooks.pause(customer="rick"))
        second = client.post("/subscriptions", json=SUBSCRIPTION).json()
        until(lambda: webhooks.wait(webhooks.deliveries.list(message=second)).items)
        assert webhooks.wait(webhooks.deliveries.get(second, endpoint.id)).parked == "paused"
        assert webhooks.wait(webhooks.cancel("rick", preview=True)) == 1
        assert webhooks.wait(webhooks.cancel("rick")) == 1
        webhooks.wait(webhooks.resume(customer="rick"))
        third = client.post("/subscriptions", json=SUBSCRIPTION).json()
        receiver.wait_for(4)

    assert [headers["webhook-id"] for _, _, headers, _ in receiver.arrived] == [first, first, first, third]
    assert webhooks.wait(webhooks.deliveries.get(second, endpoint.id)).state is State.CANCELLED


def test_an_example_arrives_at_the_one_endpoint(page: ModuleType, receiver: Receiver) -> None:  # noqa: F811
    webhooks = page.webhooks
    with TestClient(page.app):
        webhooks.wait(webhooks.endpoints.create("rick", url=f"{receiver.url}/other"))
        only = webhooks.wait(webhooks.endpoints.create("rick", url=f"{receiver.url}/only", event_types=[]))
        message = webhooks.wait(webhooks.send_example(page.new_subscription, endpoint=only.id))
        receiver.wait_for(1)

    ((_, path, headers, body),) = receiver.arrived
    assert (path, headers["webhook-id"]) == ("/in/only", message.id)
    assert set(json.loads(body)) == {"username", "monthly_fee", "start_date"}


def until(condition: object, seconds: float = 20) -> None:
    """Wait until *condition* holds."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)
