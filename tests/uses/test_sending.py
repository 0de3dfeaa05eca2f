"""Sending: judged, encoded once, stored; from any loop, thread and process, with or without a lifespan."""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import threading
import traceback
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from inspect import currentframe
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

from anzol import (
    AnzolError,
    DeclarationError,
    Envelope,
    InvalidCustomer,
    InvalidPayload,
    InvalidValue,
    KeyConflict,
    Message,
    PayloadTooLarge,
    Settings,
    SettingsError,
    UnknownWebhook,
    Webhooks,
)
from tests.uses.conftest import Shop, Subscription


async def stored(webhooks: Webhooks) -> list[str]:
    return [message.id async for message in webhooks.messages.all()]


# --- what is stored -------------------------------------------------------------------------------------------------


async def test_a_sent_message_is_stored_as_it_goes_on_the_wire(shop: Shop) -> None:
    message = await shop.webhooks.to("acme").send(shop.new_subscription, shop.subscription)

    kept = await shop.webhooks.messages.get(message.id)
    assert (kept.customer, kept.event_type, kept.method) == ("acme", "new-subscription", "POST")
    assert kept.body == b'{"username":"ada","monthly_fee":5.0}'
    assert kept.content_type == "application/json"


async def test_what_is_said_with_to_is_stored(shop: Shop) -> None:
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    recipient = shop.webhooks.to("acme", key="k1", channels=["eu", "eu"], deliver_at=later, tags=["a", "b"])

    message = await recipient.send("stopped", shop.subscription, reason="moved away")

    kept = await shop.webhooks.messages.get(message.id)
    assert (kept.key, kept.channels, kept.deliver_at, kept.tags) == ("k1", ("eu",), later, ("a", "b"))
    assert kept.query == "reason=moved+away"


def test_send_sync_stores_as_send_does(shop: Shop) -> None:
    message = shop.webhooks.to("acme").send_sync(shop.new_subscription, shop.subscription)

    kept = shop.webhooks.wait(shop.webhooks.messages.get(message.id))
    assert kept.body == b'{"username":"ada","monthly_fee":5.0}'


async def test_a_name_with_several_methods_is_sent_with_method(shop: Shop) -> None:
    @shop.app.webhooks.api_route("thing", methods=["POST", "PUT"])
    def thing(body: Subscription) -> None: ...

    with pytest.raises(UnknownWebhook, match="POST, PUT"):
        await shop.webhooks.to("acme").send("thing", shop.subscription)
    message = await shop.webhooks.to("acme").send("thing", shop.subscription, method="PUT")

    assert (await shop.webhooks.messages.get(message.id)).method == "PUT"


async def test_an_envelope_carries_the_name_and_the_time(shop: Shop) -> None:
    @shop.app.webhooks.post("wrapped")
    def wrapped(body: Envelope[Subscription]) -> None: ...

    envelope = shop.webhooks.envelope(wrapped, shop.subscription, timestamp=datetime(2026, 1, 1, tzinfo=UTC))
    message = await shop.webhooks.to("acme").send(wrapped, envelope)

    body = json.loads((await shop.webhooks.messages.get(message.id)).body or b"")
    assert body == {
        "type": "wrapped",
        "timestamp": "2026-01-01T00:00:00Z",
        "data": {"username": "ada", "monthly_fee": 5.0},
    }


async def test_a_key_makes_sending_again_harmless(shop: Shop) -> None:
    first = await shop.webhooks.to("acme", key="k").send(shop.new_subscription, shop.subscription)
    again = await shop.webhooks.to("acme", key="k").send(shop.new_subscription, shop.subscription)

    assert again == Message(first.id, "k", duplicate=True)
    assert await stored(shop.webhooks) == [first.id]


async def test_a_key_with_another_body_is_refused(shop: Shop) -> None:
    await shop.webhooks.to("acme", key="k").send(shop.new_subscription, shop.subscription)

    with pytest.raises(KeyConflict):
        await shop.webhooks.to("acme", key="k").send(shop.new_subscription, {"username": "bob", "monthly_fee": 1})
    await shop.webhooks.to("other", key="k").send(shop.new_subscription, {"username": "bob", "monthly_fee": 1})


# --- what is refused ------------------------------------------------------------------------------------------------


async def test_an_invalid_body_is_refused_with_the_field_before_anything_is_stored(shop: Shop) -> None:
    with pytest.raises(InvalidPayload, match=r"body\.monthly_fee") as caught:
        await shop.webhooks.to("acme").send("new-subscription", {"username": "ada", "monthly_fee": "much"})

    assert [path for path, _ in caught.value.faults] == ["body.monthly_fee"]
    assert await stored(shop.webhooks) == []


async def test_the_traceback_of_a_refused_body_does_not_show_it(shop: Shop) -> None:
    for body in ({"username": "ada", "monthly_fee": "canary"}, {"canary": 1}, Subscription.model_construct(a="canary")):
        with pytest.raises(InvalidPayload) as caught:
            await shop.webhooks.to("acme").send("new-subscription", body)

        assert "canary" not in "".join(traceback.format_exception(caught.value, chain=True))


@pytest.mark.parametrize("given", [Subscription(username="ada", monthly_fee=5), Subscription, None, 5])
async def test_what_is_no_webhook_is_refused_as_that(shop: Shop, given: Any) -> None:
    with pytest.raises(UnknownWebhook, match=r"is no webhook: that is a declared function, or its name\. Write"):
        await shop.webhooks.to("acme").send(given)


async def test_an_unknown_name_says_which_was_meant(shop: Shop) -> None:
    with pytest.raises(UnknownWebhook, match="Did you mean 'new-subscription'"):
        await shop.webhooks.to("acme").send("new_subscription", shop.subscription)


async def test_a_body_over_the_limit_is_refused(shop: Shop) -> None:
    shop.webhooks.core._settings = shop.settings.model_copy(update={"payload_limit": 100})

    with pytest.raises(PayloadTooLarge) as caught:
        await shop.webhooks.to("acme").send(shop.new_subscription, {"username": "a" * 100, "monthly_fee": 1})

    assert (caught.value.size, caught.value.limit) == (133, 100)


class Account(BaseModel):
    id: int


class Plan(StrEnum):
    FREE = "free"


@pytest.mark.parametrize(
    ("customer", "text"),
    [
        ("acme", "acme"),
        (5, "5"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Plan.FREE, "free"),
        ("a" * 256, "a" * 256),
        ("ação", "ação"),
    ],
)
async def test_a_customer_is_named_by_its_id(shop: Shop, customer: Any, text: str) -> None:
    message = await shop.webhooks.to(customer).send(shop.new_subscription, shop.subscription)

    assert (await shop.webhooks.messages.get(message.id)).customer == text


@pytest.mark.parametrize(
    ("customer", "reason"),
    [
        (Account(id=5), r"a Account\. Did you mean account\.id\?"),
        (None, "not by None. A new row has its id once it is flushed"),
        (True, "a bool"),
        (5.0, "a float"),
        (b"acme", "a bytes"),
        ("", "empty"),
        ("a" * 257, "257 characters"),
        (10**256, "257 characters"),
        pytest.param(10**5000, "256 digits fit", id="more-digits-than-python-writes"),
        ("a\0b", "control characters"),
        (" acme", "blanks at an end"),
        ("\ud800", "control characters"),
    ],
)
def test_what_is_no_id_of_a_customer_is_refused(shop: Shop, customer: Any, reason: str) -> None:
    with pytest.raises(InvalidCustomer, match=reason):
        shop.webhooks.to(customer)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"key": ""}, "key"),
        ({"key": "k" * 257}, "key"),
        ({"key": 5}, "key"),
        ({"key": "a\nb"}, "key"),
        ({"channels": 5}, "channels"),
        ({"tags": True}, "tags"),
        ({"channels": "eu"}, "channels"),
        ({"channels": [""]}, "channels"),
        ({"channels": ["a" * 129]}, "channels"),
        ({"channels": [f"c{number}" for number in range(11)]}, "channels"),
        ({"tags": [5]}, "tags"),
        ({"tags": ["a\0"]}, "tags"),
        ({"deliver_at": datetime(2026, 1, 1)}, "deliver_at"),  # noqa: DTZ001 - that is what is refused
        ({"deliver_at": datetime.now(UTC) + timedelta(days=16)}, "deliver_at"),
        ({"deliver_at": 5}, "deliver_at"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(shop: Shop, said: Any, field: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        shop.webhooks.to("acme", **said)

    assert caught.value.field == field


def test_a_time_without_a_zone_is_refused_with_the_way_out(shop: Shop) -> None:
    with pytest.raises(InvalidValue, match=r"no time zone.*datetime\.now\(UTC\)"):
        shop.webhooks.to("acme", deliver_at=datetime(2026, 1, 1))  # noqa: DTZ001 - that is what is refused


# --- a forgotten await ----------------------------------------------------------------------------------------------


async def test_a_send_that_is_never_awaited_is_logged_with_file_and_line(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    frame = currentframe()
    assert frame is not None
    line = frame.f_lineno + 1
    shop.webhooks.to("acme").send(shop.new_subscription, shop.subscription)  # type: ignore[unused-coroutine]  # that

    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert f"send(new_subscription, ...) at {__file__}:{line} was never awaited" in record.getMessage()
    assert await stored(shop.webhooks) == []


async def test_a_send_may_be_awaited_in_every_way(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    def send() -> Any:
        return shop.webhooks.to("acme").send(shop.new_subscription, shop.subscription)

    await send()
    await asyncio.create_task(send())
    await asyncio.wait_for(send(), 20)
    await asyncio.gather(send(), send())
    await asyncio.to_thread(asyncio.run, send())

    assert len(await stored(shop.webhooks)) == 6
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_send_is_one_message_however_often_it_is_awaited(shop: Shop) -> None:
    sending = shop.webhooks.to("acme").send(shop.new_subscription, shop.subscription)
    await sending

    with pytest.raises(RuntimeError):
        await sending
    assert len(await stored(shop.webhooks)) == 1


async def test_a_send_that_is_cancelled_before_it_began_stores_nothing(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    task = asyncio.ensure_future(shop.webhooks.to("acme").send(shop.new_subscription, shop.subscription))
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert await stored(shop.webhooks) == []
    assert "never awaited" not in caplog.text


# --- where it may be done -------------------------------------------------------------------------------------------


def test_nothing_is_read_or_opened_at_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANZOL_NONSENSE", "1")
    app = FastAPI()

    webhooks = Webhooks(app)
    app.webhooks.post("new-subscription")(lambda: None)

    assert list(tmp_path.iterdir()) == []
    with pytest.raises(AnzolError, match="ANZOL_NONSENSE"):
        webhooks.to("acme")


def test_sending_works_without_a_lifespan_on_one_loop_after_another(shop: Shop) -> None:
    async def send() -> str:
        return (await shop.webhooks.to("acme").send(shop.new_subscription, shop.subscription)).id

    ids = [asyncio.run(send()) for _ in range(3)]

    assert set(shop.webhooks.wait(stored(shop.webhooks))) == set(ids)


def test_sending_works_in_path_operations_with_and_without_a_lifespan(shop: Shop) -> None:
    @shop.app.post("/async")
    async def send_async() -> str:
        return (await shop.webhooks.to("acme").send(shop.new_subscription, shop.subscription)).id

    @shop.app.post("/sync")
    def send_sync() -> str:
        return shop.webhooks.to("acme").send_sync(shop.new_subscription, shop.subscription).id

    bare = TestClient(shop.app)
    ids = [bare.post(path).json() for path in ("/async", "/sync")]
    with TestClient(shop.app) as client:
        ids += [client.post(path).json() for path in ("/async", "/sync")]

    assert set(shop.webhooks.wait(stored(shop.webhooks))) == set(ids)


def test_a_send_given_to_a_background_task_is_awaited(shop: Shop) -> None:
    @shop.app.post("/later")
    async def later(tasks: BackgroundTasks) -> None:
        tasks.add_task(shop.webhooks.to("acme").send, shop.new_subscription, shop.subscription)

    TestClient(shop.app).post("/later")

    assert len(shop.webhooks.wait(stored(shop.webhooks))) == 1


async def test_send_sync_works_where_a_loop_runs(shop: Shop) -> None:
    message = shop.webhooks.to("acme").send_sync(shop.new_subscription, shop.subscription)

    assert await stored(shop.webhooks) == [message.id]


def test_sending_works_from_many_threads_at_once(shop: Shop) -> None:
    def send() -> None:
        for _ in range(10):
            shop.webhooks.to("acme").send_sync(shop.new_subscription, shop.subscription)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(shop.webhooks.wait(stored(shop.webhooks))) == 80


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_sending_works_in_forked_children(shop: Shop) -> None:
    shop.webhooks.to("acme").send_sync(shop.new_subscription, shop.subscription)

    def send() -> None:
        shop.webhooks.to("acme").send_sync(shop.new_subscription, shop.subscription)
        asyncio.run(asyncio.wait_for(shop.webhooks.to("acme").send(shop.new_subscription, shop.subscription), 20))

    context = multiprocessing.get_context("fork")
    children = [context.Process(target=send) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(30)

    assert [child.exitcode for child in children] == [0, 0]
    assert len(shop.webhooks.wait(stored(shop.webhooks))) == 5


def test_wait_refuses_to_block_an_event_loop(shop: Shop) -> None:
    async def blocks() -> None:
        shop.webhooks.wait(shop.webhooks.status())

    with pytest.raises(AnzolError, match="Write `await` instead"):
        asyncio.run(blocks())


# --- which webhooks there are ---------------------------------------------------------------------------------------


async def test_a_webhook_that_is_declared_late_is_there(shop: Shop) -> None:
    await shop.webhooks.to("acme").send(shop.new_subscription, shop.subscription)

    @shop.app.webhooks.post("late")
    def late(body: Subscription) -> None: ...

    await shop.webhooks.to("acme").send(late, shop.subscription)
    await shop.webhooks.to("acme").send("late", shop.subscription)

    assert len(await stored(shop.webhooks)) == 3


async def test_a_router_sends_without_an_application(settings: Settings) -> None:
    router = APIRouter()
    webhooks = Webhooks(router, settings)

    @router.post("invoice.paid")
    def invoice_paid(body: Subscription) -> None: ...

    message = await webhooks.to("acme").send(invoice_paid, Subscription(username="ada", monthly_fee=1))

    assert (await webhooks.messages.get(message.id)).event_type == "invoice.paid"
    await webhooks.close()


async def test_a_function_whose_router_is_not_installed_is_refused_with_the_mend(settings: Settings) -> None:
    router, forgotten = APIRouter(), APIRouter()
    webhooks = Webhooks(router, settings)

    @forgotten.post("invoice.paid")
    def invoice_paid(body: Subscription) -> None: ...

    webhooks.install(FastAPI(webhooks=router))

    with pytest.raises(UnknownWebhook, match=r"its router is not part of app\.webhooks"):
        await webhooks.to("acme").send(invoice_paid, Subscription(username="ada", monthly_fee=1))


async def test_what_any_installed_application_declares_can_be_sent(settings: Settings) -> None:
    router, extra = APIRouter(), APIRouter()
    webhooks = Webhooks(router, settings)
    router.post("invoice.paid")(lambda: None)

    @extra.post("invoice.void")
    def invoice_void(body: Subscription) -> None: ...

    first, second = FastAPI(webhooks=router), FastAPI(webhooks=router)
    first.webhooks = APIRouter()
    first.webhooks.include_router(router)
    first.webhooks.include_router(extra)
    webhooks.install(first)
    webhooks.install(second)

    await webhooks.to("acme").send(invoice_void, Subscription(username="ada", monthly_fee=1))
    with pytest.raises(UnknownWebhook, match=r"Did you mean 'invoice\.paid'"):
        await webhooks.to("acme").send("invoice.pay")
    await webhooks.close()


async def test_send_sync_raises_what_opening_raises_where_a_loop_runs(tmp_path: Path) -> None:
    webhooks = Webhooks(APIRouter(), Settings(database_url=f"sqlite:///{tmp_path}/not-there/anzol.db"))
    webhooks.core.source.post("a")(lambda: None)

    with pytest.raises(SettingsError, match="not-there of the database is not there"):
        webhooks.to("acme").send_sync("a")


def test_an_application_that_lacks_the_router_is_refused_at_its_start(settings: Settings) -> None:
    router = APIRouter()
    webhooks = Webhooks(router, settings)
    router.post("invoice.paid")(lambda: None)
    app = FastAPI()
    webhooks.install(app)

    with pytest.raises(DeclarationError, match=r"invoice\.paid.*app\.webhooks\.include_router"), TestClient(app):
        pass


async def test_what_cannot_hold_webhooks_is_refused() -> None:
    with pytest.raises(DeclarationError, match="FastAPI app, or an APIRouter"):
        Webhooks("main:app")  # type: ignore[arg-type]  # that is what is refused
