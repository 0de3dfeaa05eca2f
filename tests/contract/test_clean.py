"""Housekeeping: bounded pieces, nothing that waits is lost, what is old goes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from anzol.errors import NotFound
from anzol.lifecycle import Cause, Disabled, State
from anzol.storage.face import Retention, Selection
from tests.contract.conftest import ENVIRONMENT, Scene, raw

DAY = 24 * 3600


async def clean(scene: Scene, limit: int = 100, **retention: timedelta) -> list[int]:
    pieces = []
    while piece := await scene.storage.clean(Retention(**retention), limit=limit):
        pieces.append(piece)
    return pieces


async def kept(scene: Scene) -> set[str]:
    return {message.id for message in (await scene.storage.messages(ENVIRONMENT, Selection(), limit=500)).items}


async def test_messages_go_when_they_have_ended_and_are_old(scene: Scene) -> None:
    await scene.endpoint()
    old = [await scene.send() for _ in range(7)]
    worker = await scene.worker(timedelta(days=90))
    await worker.settle((await worker.round()).claims)
    scene.later(31 * DAY)
    young = await scene.send()
    await worker.settle((await worker.round()).claims)

    pieces = await clean(scene, limit=3)

    assert await kept(scene) == {young}
    assert len((await scene.storage.attempts(ENVIRONMENT, Selection())).items) == 1
    assert len(await scene.deliveries()) == 1
    assert max(pieces) <= 3
    assert old[0] not in await kept(scene)


async def test_what_waits_is_not_old(scene: Scene) -> None:
    await scene.endpoint()
    shown = await scene.send()
    worker = await scene.worker(timedelta(days=90))
    (claim,) = (await worker.round()).claims
    scene.later(31 * DAY)

    flying = await clean(scene)
    await scene.storage.settle(worker.me, [scene.failed(claim, after=60)])
    waiting = await clean(scene)

    assert (flying, waiting) == ([], [])
    assert await kept(scene) == {shown}


async def test_a_message_not_yet_fanned_out_is_not_old(scene: Scene) -> None:
    shown = await scene.send()
    scene.later(31 * DAY)

    await clean(scene)

    assert await kept(scene) == {shown}


async def test_messages_that_nobody_got_are_kept_for_three_days(scene: Scene) -> None:
    endpoint = await scene.endpoint(event_types=("a",))
    nobodys = await scene.send(event_type="b")
    resent = await scene.send(event_type="b")
    got = await scene.send(event_type="a")
    worker = await scene.worker(timedelta(days=9))
    await worker.settle((await worker.round()).claims)
    await scene.storage.resend(ENVIRONMENT, resent, endpoint.id)
    await worker.settle((await worker.round()).claims)

    scene.later(2 * DAY)
    early = await clean(scene)
    scene.later(1 * DAY + 1)
    await clean(scene)

    assert early == []
    assert await kept(scene) == {got, resent}
    assert nobodys not in await kept(scene)


@pytest.mark.parametrize("parked", ["disabled", "paused", "paused type"])
async def test_what_is_parked_for_longer_than_messages_are_kept_expires(scene: Scene, parked: str) -> None:
    endpoint = await scene.endpoint()
    await scene.send()
    worker = await scene.worker()
    await worker.round(take=0, idle_lanes=False)
    if parked == "disabled":
        await scene.storage.disable_endpoint(ENVIRONMENT, endpoint.id, Disabled.FAILING)
    else:
        event_type = "invoice.paid" if parked == "paused type" else None
        await scene.storage.pause(ENVIRONMENT, customer=None, event_type=event_type, endpoint_id=None, actor="ops")
    scene.later(29 * DAY)
    await clean(scene)
    before = await scene.states()
    scene.later(1 * DAY + 1)

    await scene.storage.clean(Retention(), limit=100)

    (delivery,) = await scene.deliveries()
    assert before == [State.PENDING]
    assert (delivery.state, delivery.cause) == (State.CANCELLED, Cause.EXPIRED)


async def test_a_key_may_be_used_again_after_its_time(scene: Scene) -> None:
    await scene.send(key="k")
    scene.later(8 * DAY)
    await clean(scene, keys=timedelta(days=9))
    during = await scene.accept(key="k")
    scene.later(1 * DAY + 1)
    await clean(scene, keys=timedelta(days=9))

    after = await scene.accept(key="k")

    assert (during.duplicate, after.duplicate) == (True, False)


async def test_attempts_may_go_before_their_messages(scene: Scene) -> None:
    await scene.endpoint()
    shown = await scene.send()
    worker = await scene.worker(timedelta(days=9))
    await worker.settle((await worker.round()).claims)
    scene.later(8 * DAY)

    await clean(scene, attempts=timedelta(days=7))

    assert (await scene.storage.attempts(ENVIRONMENT, Selection())).items == ()
    assert await scene.states(message_id=shown) == [State.DELIVERED]


async def test_old_secrets_and_tombstones_go(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    gone = await scene.endpoint()
    await scene.storage.rotate_secret(ENVIRONMENT, endpoint.id, "whsec_2", keep_old=timedelta(hours=1))
    await scene.storage.delete_endpoint(ENVIRONMENT, gone.id)
    scene.later(31 * DAY)

    pieces = await clean(scene)

    assert sum(pieces) == 3  # the tombstone's lane, the secret, the tombstone
    with pytest.raises(NotFound):
        await scene.deliveries(endpoint_id=gone.id)
    assert len(await scene.storage.secrets(ENVIRONMENT, endpoint.id)) == 1


async def test_old_messages_behind_one_that_waits_go_too(scene: Scene) -> None:
    slow, quick = await scene.endpoint(event_types=("slow",)), await scene.endpoint(event_types=("quick",))
    waiting = [await scene.send(event_type="slow") for _ in range(10)]
    for _ in range(10):
        await scene.send(event_type="quick")
    worker = await scene.worker(timedelta(days=90))
    claims = (await worker.round(room=100)).claims
    await worker.settle([claim for claim in claims if claim.endpoint_id == raw(quick.id)])
    scene.later(31 * DAY)

    await clean(scene, limit=2)

    assert await kept(scene) == set(waiting)
    assert slow.id != quick.id


async def test_what_is_behind_an_expired_delivery_of_a_fifo_endpoint_goes_on(scene: Scene) -> None:
    await scene.endpoint(fifo=True)
    await scene.send(event_type="bad")
    await (await scene.worker()).round(take=0, idle_lanes=False)
    await scene.storage.pause(ENVIRONMENT, customer=None, event_type="bad", endpoint_id=None, actor="ops")
    scene.later(31 * DAY)
    worker = await scene.worker()
    await scene.send(event_type="good")
    before = await worker.round()
    await worker.release()

    await scene.storage.clean(Retention(), limit=100)
    found = await worker.round()

    assert before.claims == []
    assert [claim.content.event_type for claim in found.claims] == ["good"]


async def test_messages_of_a_customer_that_is_here_again_stay_when_its_old_ones_go(scene: Scene) -> None:
    await scene.endpoint()
    await scene.send()
    worker = await scene.worker()
    flying = (await worker.round()).claims
    await scene.storage.delete_customer(ENVIRONMENT, "acme")
    scene.later(1)
    new = await scene.send()
    await scene.endpoint()
    await worker.settle(flying)

    await clean(scene)

    assert await kept(scene) == {new}
