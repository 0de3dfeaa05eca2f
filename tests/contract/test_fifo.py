"""FIFO endpoints: the next delivery only after the one before has ended."""

from __future__ import annotations

from anzol.lifecycle import State
from anzol.storage.face import EndpointChanges
from tests.contract.conftest import ENVIRONMENT, Scene, raw


async def test_one_at_a_time_in_order_whatever_the_room(scene: Scene) -> None:
    await scene.endpoint(fifo=True)
    sent = [await scene.send() for _ in range(4)]
    worker = await scene.worker()

    order = []
    for _ in sent:
        (claim,) = (await worker.round(room=10)).claims
        order.append(claim.content.message_id)
        assert (await worker.round(room=10)).claims == []
        await worker.settle([claim])

    assert order == [raw(shown) for shown in sent]


async def test_a_failed_head_holds_back_the_rest_until_it_ends(scene: Scene) -> None:
    endpoint = await scene.endpoint(fifo=True)
    first, second = await scene.send(), await scene.send()
    worker = await scene.worker()
    (claim,) = (await worker.round()).claims
    await scene.storage.settle(worker.me, [scene.failed(claim, after=20)])

    meanwhile = await worker.round()
    third = await scene.send()
    fresh = await worker.round()
    scene.later(20)
    (again,) = (await worker.round()).claims
    await worker.settle([again])
    (next_one,) = (await worker.round()).claims

    assert (meanwhile.claims, fresh.claims) == ([], [])
    assert again.content.message_id == raw(first)
    assert (again.attempt, again.step) == (1, 1)
    assert next_one.content.message_id == raw(second)
    assert third in {delivery.message_id for delivery in await scene.deliveries(endpoint_id=endpoint.id)}


async def test_a_free_lane_sleeps_until_its_head_is_due(scene: Scene) -> None:
    await scene.endpoint(fifo=True)
    await scene.send()
    await scene.send()
    worker, other = await scene.worker(), await scene.worker()
    (claim,) = (await worker.round()).claims
    await scene.storage.settle(worker.me, [scene.failed(claim, after=20)])
    await worker.release()

    early = await other.round()
    scene.later(20)
    due = await other.round()

    assert early.claims == []
    assert [found.id for found in due.claims] == [claim.id]


async def test_behind_says_that_more_waits(scene: Scene) -> None:
    endpoint = await scene.endpoint(fifo=True)
    await scene.send()
    await scene.send()

    found = await (await scene.worker()).round()

    assert (len(found.claims), found.behind) == (1, {raw(endpoint.id)})


async def test_an_interrupted_head_is_tried_again_first(scene: Scene) -> None:
    await scene.endpoint(fifo=True)
    first = await scene.send()
    await scene.send()
    await (await scene.worker()).round()
    scene.later(31)
    await scene.reap()

    (claim,) = (await (await scene.worker()).round()).claims

    assert claim.content.message_id == raw(first)
    assert claim.attempt == 1


async def test_turning_order_on_waits_for_what_is_in_flight(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    for _ in range(4):
        await scene.send()
    worker = await scene.worker()
    claims = (await worker.round(new_room=2)).claims

    await scene.storage.update_endpoint(ENVIRONMENT, endpoint.id, EndpointChanges(fifo=True))
    during = await worker.round()
    await worker.settle(claims)
    after = await worker.round()

    assert (len(claims), during.claims, len(after.claims)) == (2, [], 1)


async def test_cancelling_the_head_lets_the_next_one_go(scene: Scene) -> None:
    await scene.endpoint(fifo=True)
    first, second = await scene.send(event_type="bad"), await scene.send()
    worker, other = await scene.worker(), await scene.worker()
    (claim,) = (await worker.round()).claims
    await scene.storage.settle(worker.me, [scene.failed(claim, after=600)])
    await worker.release()

    from anzol.storage.face import Selection

    await scene.storage.cancel(ENVIRONMENT, Selection(event_types=("bad",)), after=None, limit=10)
    found = await other.round()

    assert [one.content.message_id for one in found.claims] == [raw(second)]
    assert await scene.states(message_id=first) == [State.CANCELLED]
