"""Deliveries, and why there are none, through the API; and what operators look at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from anzol.lifecycle import Disabled
from anzol.testing import FakeReceiver
from tests.api.conftest import ENVIRONMENT, Service
from tests.api.scene import SECRET, Scene, ids_of, scene_of


@pytest.fixture
async def scene(service: Service) -> AsyncIterator[Scene]:
    async with scene_of(service) as scene:
        yield scene


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    with FakeReceiver(SECRET) as receiver:
        yield receiver


async def test_deliveries_say_in_which_state_they_are_and_why(scene: Scene, receiver: FakeReceiver) -> None:
    well = await scene.endpoint(receiver.url, uid="well")
    parked = await scene.endpoint()
    message_id = await scene.send(key="order-1")
    await scene.deliver()
    await (await scene.storage()).disable_endpoint(ENVIRONMENT, parked.id, Disabled.BY_OPERATOR)

    listed = {one["endpointId"]: one for one in (await scene.get("/app/acme/delivery"))["data"]}

    done, waiting = listed[well.id], listed[parked.id]
    assert (done["msgId"], done["state"], done["cause"], done["attempts"]) == (message_id, "delivered", "accepted", 1)
    assert done["endedAt"] is not None
    assert (waiting["state"], waiting["parked"], waiting["status"]) == ("pending", "disabled", 1)
    assert (waiting["nextAttempt"], waiting["appUid"]) == (None, "acme")


async def test_deliveries_are_narrowed(scene: Scene, receiver: FakeReceiver) -> None:
    await scene.endpoint(receiver.url, uid="well")
    await scene.endpoint(uid="nobody")
    first = await scene.send(key="order-1", event_type="invoice.void", tags=("vip",))
    second = await scene.send()
    await scene.send(customer="other")
    await scene.deliver()

    async def found(path: str = "/app/acme/delivery", **query: Any) -> list[str]:
        return ids_of([(await scene.get(path, **query))["data"]], "msgId")

    assert await found() == [second, second, first, first]
    assert await found(status="0") == await found(endpoint_id="well") == [second, first]
    assert await found(msg_id="order-1", status="1") == [first]
    assert await found(event_types="invoice.void", tag="vip", endpoint_id="nobody") == [first]
    assert await found(status_code_class="200") == [second, first]
    assert await found(status="3") == []
    assert await found("/delivery", app_id="acme", status="0") == [second, first]
    assert await found("/delivery", status="0") == [second, first]
    assert (await scene.client.get("/app/acme/delivery?endpoint_id=other")).status_code == 404


async def test_600_deliveries_are_paged_both_ways(scene: Scene) -> None:
    await scene.endpoint()
    made = await scene.send_many(600)
    await scene.deliver_many()

    pages = await scene.pages("/app/acme/delivery", 250)

    assert ids_of(pages, "msgId") == made[::-1]


async def test_a_message_says_why_an_endpoint_did_not_get_it(scene: Scene) -> None:
    urls = {name: f"http://127.0.0.1:9/{name}" for name in ("match", "type", "channel", "off")}
    await scene.endpoint(urls["match"])
    await scene.endpoint(urls["type"], event_types=("invoice.void",))
    await scene.endpoint(urls["channel"], channels=("eu",))
    off = await scene.endpoint(urls["off"])
    await (await scene.storage()).disable_endpoint(ENVIRONMENT, off.id, Disabled.BY_CUSTOMER)
    message_id = await scene.send()
    await scene.deliver()

    found = (await scene.get(f"/app/acme/msg/{message_id}/match"))["data"]

    assert {one["url"]: (one["matched"], one["reason"]) for one in found} == {
        urls["match"]: (True, "matched"),
        urls["type"]: (False, "event_type"),
        urls["channel"]: (False, "channel"),
        urls["off"]: (False, "disabled"),
    }


async def test_a_customer_sees_its_own_deliveries_only(scene: Scene) -> None:
    await scene.endpoint()
    await scene.endpoint(customer="other")
    mine, theirs = await scene.send(), await scene.send(customer="other")
    await scene.deliver()
    app_id = (await scene.get("/app/acme"))["id"]

    async with scene.service.client(scene.service.customer_token(app_id)) as client:
        assert ids_of([(await scene.get("/app/acme/delivery", client))["data"]], "msgId") == [mine]
        assert (await client.get("/app/other/delivery")).status_code == 404
        assert (await client.get(f"/app/acme/msg/{theirs}/match")).status_code == 404
        assert [(await client.get(path)).status_code for path in ("/delivery", "/status", "/endpoint")] == [403] * 3


async def test_operators_see_how_the_whole_does(scene: Scene) -> None:
    await scene.endpoint()
    await scene.send()
    await scene.deliver()
    await scene.send()

    status = await scene.get("/status")

    assert (status["acceptedWaiting"], status["pending"], status["failingEndpoints"]) == (1, 1, 1)
    assert (status["workers"], status["inFlight"], status["disabledEndpoints"]) == ([], 0, 0)


async def test_operators_find_the_endpoints_that_fail_among_all(scene: Scene, receiver: FakeReceiver) -> None:
    failing = await scene.endpoint()
    for number in range(12):
        await scene.endpoint(f"{receiver.url}/{number}", customer="other")
    off = await scene.endpoint(receiver.url)
    await (await scene.storage()).disable_endpoint(ENVIRONMENT, off.id, Disabled.BY_OPERATOR)
    await scene.send()
    await scene.deliver()

    everything = await scene.pages("/endpoint", 5)
    (found,) = (await scene.get("/endpoint", failing="true", limit="2"))["data"]
    disabled = (await scene.get("/endpoint", disabled="true", limit="2"))["data"]

    assert len(ids_of(everything)) == 14
    assert (found["id"], found["failures"], found["waiting"], found["appUid"]) == (failing.id, 1, 1, "acme")
    assert [(one["id"], one["disabledBecause"]) for one in disabled] == [(off.id, "by_operator")]
    assert len((await scene.get("/endpoint", failing="false", limit="250"))["data"]) == 13
