"""What operational endpoints are to be sent: which incidents, with what, and when a row may go."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from anzol.addresses import Policy
from anzol.announcements import announcement
from anzol.clock import from_micros
from anzol.errors import KeyConflict
from anzol.lifecycle import Cause, Disabled, Incident, Outcome
from anzol.model import OPERATIONAL, Endpoint, Report
from anzol.storage.face import EndpointChanges, NewEndpoint, NewIncident, Retention, Unannounced
from anzol.worker import Worker as Deliverer
from tests.contract.conftest import ENVIRONMENT, Scene, Worker, raw
from tests.delivery.fakes import Script, reply

FOR_HANDLERS = [Incident.ENDPOINT_FAILING, Incident.MESSAGE_EXHAUSTED, Incident.ENDPOINT_RECOVERED]


async def operational(scene: Scene) -> Endpoint:
    return await scene.endpoint(OPERATIONAL)


async def unannounced(scene: Scene) -> Sequence[Unannounced]:
    return await scene.storage.unannounced(100)


async def kinds(scene: Scene) -> list[Incident]:
    return [one.kind for one in await unannounced(scene)]


async def taken(scene: Scene) -> list[Report]:
    return list(await scene.storage.take_incidents(100))


async def incident(
    scene: Scene, worker: Worker, endpoint: Endpoint, kind: Incident, message_id: str | None = None
) -> None:
    """What a worker that holds the endpoint's lane writes."""
    message = None if message_id is None else raw(message_id)
    await scene.storage.settle(worker.me, [], incidents=[NewIncident(kind, raw(endpoint.id), message, "It failed.")])


async def held(scene: Scene, endpoint: Endpoint, customer: str = "acme") -> Worker:
    """A worker that holds the endpoint's lane."""
    worker = await scene.worker()
    await scene.send(customer)
    found = await worker.round()
    assert raw(endpoint.id) in worker.lanes
    await worker.settle(found.claims)
    return worker


# --- what people do


async def test_what_people_do_to_an_endpoint_is_announced(scene: Scene) -> None:
    await operational(scene)
    endpoint = await scene.endpoint(uid="main")
    await scene.storage.update_endpoint(ENVIRONMENT, endpoint.id, EndpointChanges(description="x"))
    await scene.storage.disable_endpoint(ENVIRONMENT, endpoint.id, Disabled.BY_CUSTOMER)
    await scene.storage.enable_endpoint(ENVIRONMENT, endpoint.id)
    await scene.storage.delete_endpoint(ENVIRONMENT, endpoint.id)

    found = await unannounced(scene)

    assert [one.kind for one in found] == [
        Incident.ENDPOINT_CREATED,
        Incident.ENDPOINT_UPDATED,
        Incident.ENDPOINT_DISABLED,
        Incident.ENDPOINT_ENABLED,
        Incident.ENDPOINT_DELETED,
    ]
    acme = await scene.storage.customer(ENVIRONMENT, "acme")
    assert {(one.environment, one.customer_id, one.customer) for one in found} == {(ENVIRONMENT, acme.id, "acme")}
    assert {(one.endpoint_id, one.endpoint_uid) for one in found} == {(endpoint.id, "main")}
    assert {one.at for one in found} == {from_micros(scene.now)}
    assert await taken(scene) == []


async def test_nothing_is_kept_where_no_operational_endpoint_is_live(scene: Scene) -> None:
    first = await scene.endpoint()
    listener = await operational(scene)
    await scene.storage.disable_endpoint(ENVIRONMENT, listener.id, Disabled.BY_OPERATOR)
    await scene.storage.delete_endpoint(ENVIRONMENT, first.id)
    await scene.storage.enable_endpoint(ENVIRONMENT, listener.id)
    await scene.storage.delete_endpoint(ENVIRONMENT, listener.id)
    await scene.endpoint()

    assert await unannounced(scene) == ()


async def test_what_is_as_it_was_is_not_announced(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    await scene.storage.disable_endpoint(ENVIRONMENT, endpoint.id, Disabled.BY_CUSTOMER)
    await operational(scene)

    await scene.storage.disable_endpoint(ENVIRONMENT, endpoint.id, Disabled.BY_OPERATOR)
    await scene.storage.enable_endpoint(ENVIRONMENT, endpoint.id)
    await scene.storage.enable_endpoint(ENVIRONMENT, endpoint.id)

    assert await kinds(scene) == [Incident.ENDPOINT_ENABLED]


async def test_a_customer_that_is_gone_is_still_named(scene: Scene) -> None:
    await operational(scene)
    endpoint = await scene.endpoint()
    acme = await scene.storage.customer(ENVIRONMENT, "acme")
    await scene.storage.delete_customer(ENVIRONMENT, "acme")

    created, deleted = await unannounced(scene)

    assert (deleted.kind, deleted.endpoint_id) == (Incident.ENDPOINT_DELETED, endpoint.id)
    assert (deleted.customer_id, deleted.customer) == (acme.id, "acme")
    assert created.customer_id == acme.id


async def test_operational_endpoints_are_not_told_of_themselves(scene: Scene) -> None:
    await operational(scene)
    second = await operational(scene)
    await scene.storage.disable_endpoint(ENVIRONMENT, second.id, Disabled.BY_CUSTOMER)
    await scene.storage.enable_endpoint(ENVIRONMENT, second.id)
    worker = await held(scene, second, OPERATIONAL)

    await incident(scene, worker, second, Incident.ENDPOINT_FAILING)

    assert await unannounced(scene) == ()
    assert [one.kind for one in await taken(scene)] == [Incident.ENDPOINT_FAILING]


async def test_each_environment_tells_its_own_endpoints(scene: Scene) -> None:
    await operational(scene)
    given = NewEndpoint(customer="acme", url="https://a.example", secret="whsec_" + "a" * 32)

    await scene.storage.create_endpoint("sandbox", given)

    assert await unannounced(scene) == ()


# --- what happens


@pytest.mark.parametrize("kind", FOR_HANDLERS)
async def test_what_happens_is_told_and_announced_with_the_last_attempt(scene: Scene, kind: Incident) -> None:
    await operational(scene)
    endpoint = await scene.endpoint()
    worker = await held(scene, endpoint)
    await scene.storage.announced([one.id for one in await unannounced(scene)])
    message = await scene.send(key="order-7")
    (claim,) = (await worker.round()).claims
    last = scene.record(Outcome.HTTP_STATUS, 503)
    settled = scene.result(claim, Cause.GAVE_UP, attempt=last)
    given = [NewIncident(kind, raw(endpoint.id), raw(message), "It failed.")]
    await scene.storage.settle(worker.me, [settled], incidents=given)

    (found,) = await unannounced(scene)
    (told,) = await taken(scene)

    assert (found.kind, found.message_id, found.message_key) == (kind, message, "order-7")
    assert (raw(found.attempt_id or "x_"), found.attempt_status) == (last.id, 503)
    assert found.attempt_at == from_micros(last.started_at)
    assert (told.id, told.kind, told.detail) == (found.id, kind, "It failed.")


async def test_what_a_dead_worker_took_with_it_is_announced(scene: Scene) -> None:
    await operational(scene)
    await scene.endpoint()
    await scene.storage.announced([one.id for one in await unannounced(scene)])
    worker = await scene.worker()
    await scene.send()
    await worker.round()
    scene.later(61)
    await scene.reap(most_interruptions=1)

    assert await kinds(scene) == [Incident.MESSAGE_EXHAUSTED]


async def test_a_full_backlog_is_for_handlers_only(scene: Scene) -> None:
    await operational(scene)
    await scene.endpoint()
    await scene.storage.announced([one.id for one in await unannounced(scene)])
    worker = await scene.worker()
    for _ in range(3):
        await scene.send()
    await worker.round(backlog=1, take=0, idle_lanes=False)

    assert await unannounced(scene) == ()
    assert [one.kind for one in await taken(scene)] == [Incident.ENDPOINT_FULL]


@pytest.mark.parametrize("first", ["told", "announced"])
async def test_a_row_goes_when_both_are_done(scene: Scene, first: str) -> None:
    await operational(scene)
    endpoint = await scene.endpoint()
    worker = await held(scene, endpoint)
    await scene.storage.announced([one.id for one in await unannounced(scene)])
    await incident(scene, worker, endpoint, Incident.ENDPOINT_FAILING)
    (one,) = await unannounced(scene)
    marks: dict[str, Any] = {"told": scene.storage.tell_incidents, "announced": scene.storage.announced}

    await marks.pop(first)([one.id])
    scene.later(120)
    left = (len(await unannounced(scene)), len(await taken(scene)))
    await marks.popitem()[1]([one.id])
    scene.later(120)

    assert left == ((1, 0) if first == "told" else (0, 1))
    assert (await unannounced(scene), await taken(scene)) == ((), [])


async def test_what_nobody_was_ever_told_of_is_forgotten_with_the_messages(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    worker = await held(scene, endpoint)
    await incident(scene, worker, endpoint, Incident.ENDPOINT_FAILING)
    retention = Retention(messages=timedelta(days=2))
    scene.later(86_400)
    while await scene.storage.clean(retention, limit=100):
        pass
    (kept,) = await taken(scene)
    scene.later(86_401)

    while await scene.storage.clean(retention, limit=100):
        pass

    assert kept.kind is Incident.ENDPOINT_FAILING
    assert await taken(scene) == []


# --- sent


async def test_announcing_twice_makes_one_message(scene: Scene) -> None:
    await operational(scene)
    await scene.endpoint()
    (one,) = await unannounced(scene)
    messages = [announcement(one, scene.now), announcement(one, scene.now + 1)]

    answers = await scene.storage.accept_many([message for message in messages if message is not None])

    assert [isinstance(answer, Exception) for answer in answers] == [False, False]
    assert [answer.duplicate for answer in answers if not isinstance(answer, Exception)] == [False, True]


async def test_announcing_after_another_attempt_makes_one_message(scene: Scene) -> None:
    listener = await operational(scene)
    endpoint = await scene.endpoint()
    await scene.storage.announced([one.id for one in await unannounced(scene)])
    worker = await held(scene, endpoint)
    message = await scene.send()
    (claim,) = (await worker.round()).claims
    given = [NewIncident(Incident.ENDPOINT_FAILING, raw(endpoint.id), raw(message), "")]
    await scene.storage.settle(worker.me, [scene.failed(claim, after=1)], incidents=given)
    (before,) = await unannounced(scene)
    scene.later(2)
    await worker.settle((await worker.round()).claims)
    (after,) = await unannounced(scene)

    answers = [
        answer
        for one in (before, after)
        for answer in await scene.storage.accept_many([made for made in [announcement(one, scene.now)] if made])
    ]
    await worker.round()

    assert isinstance(answers[1], KeyConflict)
    assert len(await scene.deliveries(endpoint_id=listener.id)) == 1


async def test_a_worker_sends_operational_endpoints_what_happened_once(scene: Scene) -> None:
    await scene.endpoint(OPERATIONAL, url="https://operations.example/in", event_types=("endpoint.created",))
    endpoint = await scene.endpoint(url="https://gone.example/in")
    await scene.storage.delete_endpoint(ENVIRONMENT, endpoint.id)
    sender = Script(scene.clock)
    workers = [Deliverer(scene.storage, sender, policy=Policy(), clock=scene.clock) for _ in range(2)]

    for worker in workers:
        await worker.drain_once()
        await worker.close()

    (body,) = sender.bodies("operations.example")
    said = json.loads(body)
    assert (said["type"], said["data"]["endpointId"]) == ("endpoint.created", endpoint.id)
    assert "webhook-signature: v1," in sender.sent[0][1].head.decode()
    assert await unannounced(scene) == ()
    assert await taken(scene) == []


async def test_a_message_that_is_given_up_is_announced_by_the_worker_that_gave_it_up(scene: Scene) -> None:
    await scene.endpoint(OPERATIONAL, url="https://operations.example/in")
    await scene.endpoint(url="https://down.example/in", schedule=(timedelta(0),))
    sent = await scene.send(key="order-7")
    sender = Script(scene.clock, answers={"down.example": reply(500)})
    worker = Deliverer(scene.storage, sender, policy=Policy(), clock=scene.clock)

    await worker.drain_once()
    await worker.close()

    said = {told["type"]: told["data"] for told in map(json.loads, sender.bodies("operations.example"))}
    assert {*said} == {"endpoint.created", "message.attempt.exhausted"}
    exhausted = said["message.attempt.exhausted"]
    assert (exhausted["msgId"], exhausted["msgEventId"]) == (sent, "order-7")
    assert exhausted["lastAttempt"]["responseStatusCode"] == 500
