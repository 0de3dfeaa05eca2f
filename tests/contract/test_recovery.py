"""Holding back, taking back, sending again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from anzol.clock import from_micros
from anzol.errors import Conflict, NotFound
from anzol.lifecycle import Cause, Disabled, State
from anzol.storage.face import Progress, Selection
from tests.contract.conftest import ENVIRONMENT, Scene, raw

NOTHING: dict[str, Any] = {"customer": None, "event_type": None, "endpoint_id": None}


async def pause(scene: Scene, **parts: Any) -> None:
    await scene.storage.pause(ENVIRONMENT, **(NOTHING | parts), actor="ops")


async def resume(scene: Scene, **parts: Any) -> int:
    return await scene.storage.resume(ENVIRONMENT, **(NOTHING | parts))


@pytest.mark.parametrize("part", ["everything", "customer", "event_type", "endpoint_id", "all three"])
async def test_pausing_holds_back_what_waits_and_what_comes_and_loses_nothing(scene: Scene, part: str) -> None:
    endpoint = await scene.endpoint()
    other = await scene.endpoint("globex")
    parts: dict[str, Any] = {
        "everything": {},
        "customer": {"customer": "acme"},
        "event_type": {"event_type": "invoice.paid"},
        "endpoint_id": {"endpoint_id": endpoint.id},
        "all three": {"customer": "acme", "event_type": "invoice.paid", "endpoint_id": endpoint.id},
    }[part]
    worker = await scene.worker()
    await scene.send()
    await worker.round(take=0, idle_lanes=False)

    await pause(scene, **parts)
    await scene.send()
    await scene.send("globex", "user.born")
    during = await worker.round()
    held = await scene.deliveries(customer="acme")
    gone = await resume(scene, **parts)
    after = await worker.round()

    everything = part == "everything"
    assert {claim.endpoint_id for claim in during.claims} == (set() if everything else {raw(other.id)})
    assert [one.parked for one in held] == ["paused", "paused"]
    assert gone == 1
    assert len(after.claims) == (3 if everything else 2)
    assert list(await scene.storage.pause_rules(ENVIRONMENT)) == []


async def test_pausing_reaches_the_holder_of_the_lane(scene: Scene) -> None:
    await scene.endpoint()
    for _ in range(3):
        await scene.send()
    worker = await scene.worker()
    claims = (await worker.round(new_room=1)).claims

    await pause(scene, customer="acme")
    found = await worker.round()
    fenced = await worker.settle(claims)

    assert (found.claims, [profile.active for profile in found.profiles], list(fenced)) == ([], [False], [])


async def test_a_paused_event_type_in_flight_waits_if_it_fails(scene: Scene) -> None:
    await scene.endpoint()
    await scene.send()
    worker = await scene.worker()
    (claim,) = (await worker.round()).claims

    await pause(scene, event_type="invoice.paid")
    await scene.storage.settle(worker.me, [scene.failed(claim, after=1)])
    scene.later(2)
    during = await worker.round()
    await resume(scene, event_type="invoice.paid")
    after = await worker.round()

    assert (during.claims, len(after.claims)) == ([], 1)


async def test_what_two_rules_hold_back_waits_for_both(scene: Scene) -> None:
    await scene.endpoint()
    await scene.send()
    worker = await scene.worker()
    await pause(scene, event_type="invoice.paid")
    await pause(scene, event_type="invoice.paid", customer="acme")
    await pause(scene, customer="acme")

    counts = []
    for parts in (
        {"event_type": "invoice.paid"},
        {"customer": "acme"},
        {"event_type": "invoice.paid", "customer": "acme"},
    ):
        await resume(scene, **parts)
        counts.append(len((await worker.round()).claims))

    assert counts == [0, 0, 1]


async def test_resuming_takes_exactly_the_named_rules(scene: Scene) -> None:
    await pause(scene, customer="acme")
    await pause(scene, customer="acme", event_type="a")

    assert await resume(scene) == 0
    assert await resume(scene, event_type="a") == 0
    (left, _) = await scene.storage.pause_rules(ENVIRONMENT)
    assert (left.customer, left.event_type, left.endpoint_id, left.actor) == ("acme", None, None, "ops")


async def test_a_new_endpoint_of_a_paused_customer_is_paused(scene: Scene) -> None:
    await pause(scene, customer="acme")
    endpoint = await scene.endpoint()
    await scene.send()

    found = await (await scene.worker()).round()

    assert endpoint.paused
    assert (await scene.storage.customer(ENVIRONMENT, "acme")).paused
    assert found.claims == []


async def test_a_paused_and_disabled_endpoint_needs_both_taken_back(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    await scene.send()
    worker = await scene.worker()
    await worker.round(take=0, idle_lanes=False)
    await pause(scene, endpoint_id=endpoint.id)
    await scene.storage.disable_endpoint(ENVIRONMENT, endpoint.id, Disabled.BY_OPERATOR)

    await resume(scene, endpoint_id=endpoint.id)
    still = await worker.round()
    await scene.storage.enable_endpoint(ENVIRONMENT, endpoint.id)
    after = await worker.round()

    assert (still.claims, len(after.claims)) == ([], 1)


async def everything(call: Any, selection: Selection, limit: int) -> list[Progress]:
    pages, after = [], None
    while True:
        page = await call(ENVIRONMENT, selection, after=after, limit=limit)
        pages.append(page)
        after = page.next
        if after is None:
            return pages


async def test_cancelling_takes_what_is_selected_and_not_in_flight(scene: Scene) -> None:
    await scene.endpoint()
    worker = await scene.worker()
    for number in range(7):
        await scene.send(event_type="bad" if number % 2 else "good")
    flying = (await worker.round(new_room=2)).claims

    pages = await everything(scene.storage.cancel, Selection(event_types=("bad",)), 1)

    assert sum(page.changed for page in pages) == 2
    assert max(page.changed for page in pages) == 1
    cancelled = await scene.deliveries(states=(State.CANCELLED,))
    assert {(one.event_type, one.cause) for one in cancelled} == {("bad", Cause.WITHDRAWN)}
    assert list(await worker.settle(flying)) == []


async def test_cancelling_nothing_pending_changes_nothing(scene: Scene) -> None:
    selection = Selection(states=(State.DELIVERED,))

    assert await scene.storage.cancel(ENVIRONMENT, selection, after=None, limit=5) == Progress(0, None)


@pytest.mark.parametrize("cause", [Cause.ACCEPTED, Cause.GAVE_UP, Cause.WITHDRAWN])
async def test_resending_goes_on_counting_and_begins_the_schedule_anew(scene: Scene, cause: Cause) -> None:
    endpoint = await scene.endpoint()
    shown = await scene.send()
    worker = await scene.worker()
    (claim,) = (await worker.round()).claims
    await scene.storage.settle(worker.me, [scene.failed(claim, after=0)])
    (claim,) = (await worker.round()).claims
    await worker.settle([claim], cause=cause)

    delivery = await scene.storage.resend(ENVIRONMENT, shown, endpoint.id)
    (again,) = (await worker.round()).claims
    await worker.settle([again])

    assert (delivery.state, delivery.cause, delivery.attempts) == (State.PENDING, None, 2)
    assert (again.attempt, again.step, again.manual) == (2, 0, True)
    newest = (await scene.storage.attempts(ENVIRONMENT, Selection())).items[0]
    assert (newest.number, newest.manual) == (3, True)
    assert len(await scene.deliveries()) == 1


async def test_a_pending_delivery_is_only_made_due(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    shown = await scene.send()
    worker = await scene.worker()
    (claim,) = (await worker.round()).claims
    await scene.storage.settle(worker.me, [scene.failed(claim, after=600)])

    await scene.storage.resend(ENVIRONMENT, shown, endpoint.id)
    (again,) = (await worker.round(look=())).claims

    assert (again.attempt, again.step, again.manual) == (1, 1, False)


async def test_resending_to_an_endpoint_that_was_not_meant(scene: Scene) -> None:
    shown = await scene.send()
    worker = await scene.worker()
    await worker.round()
    late = await scene.endpoint()
    stranger = await scene.endpoint("globex")

    delivery = await scene.storage.resend(ENVIRONMENT, shown, late.id)
    (claim,) = (await worker.round()).claims

    assert (delivery.attempts, claim.attempt, claim.manual) == (0, 0, True)
    with pytest.raises(NotFound):
        await scene.storage.resend(ENVIRONMENT, shown, stranger.id)


async def test_resending_what_is_in_flight_changes_nothing(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    shown = await scene.send()
    worker = await scene.worker()
    claims = (await worker.round()).claims

    delivery = await scene.storage.resend(ENVIRONMENT, shown, endpoint.id)
    found = await worker.round()

    assert delivery.in_flight
    assert found.claims == []
    assert list(await worker.settle(claims)) == []


async def test_a_deleted_endpoint_gets_nothing_again(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    shown = await scene.send()
    worker = await scene.worker()
    await worker.settle((await worker.round()).claims, cause=Cause.GAVE_UP)
    await scene.storage.delete_endpoint(ENVIRONMENT, endpoint.id)

    with pytest.raises(Conflict):
        await scene.storage.resend(ENVIRONMENT, shown, endpoint.id)
    assert await everything(scene.storage.recover, Selection(), 5) == [Progress(0, None)]


async def test_recovering_resends_what_is_selected_in_order_page_by_page(scene: Scene) -> None:
    await scene.endpoint(fifo=True)
    worker = await scene.worker()
    sent = []
    for number in range(6):
        sent.append(await scene.send(tags=("odd",) if number % 2 else ()))
        (claim,) = (await worker.round()).claims
        await worker.settle([claim], cause=Cause.GAVE_UP if number < 4 else Cause.ACCEPTED)
        scene.later(1)

    pages = await everything(scene.storage.recover, Selection(states=(State.EXHAUSTED,)), 3)
    order = []
    while claims := (await worker.round()).claims:
        order += [claim.content.message_id for claim in claims]
        assert all(claim.manual and claim.step == 0 for claim in claims)
        await worker.settle(claims)

    assert sum(page.changed for page in pages) == 4
    assert order == [raw(shown) for shown in sent[:4]]


async def test_recovering_since_a_time_until_a_time_with_a_tag(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    worker = await scene.worker(timedelta(days=1))
    times = []
    for number in range(6):
        times.append(scene.now)
        await scene.send(tags=("odd",) if number % 2 else ())
        await worker.settle((await worker.round()).claims, cause=Cause.GAVE_UP)
        scene.later(7200)
    selection = Selection(
        endpoint_id=endpoint.id, since=from_micros(times[1]), until=from_micros(times[5]), tag="odd", customer="acme"
    )

    pages = await everything(scene.storage.recover, selection, 10)

    assert sum(page.changed for page in pages) == 2


async def test_recovering_only_what_is_pending_is_nothing(scene: Scene) -> None:
    selection = Selection(states=(State.PENDING,))

    assert await scene.storage.recover(ENVIRONMENT, selection, after=None, limit=5) == Progress(0, None)


async def test_what_is_recovered_while_its_type_is_paused_waits(scene: Scene) -> None:
    await scene.endpoint()
    await scene.send()
    worker = await scene.worker()
    await worker.settle((await worker.round()).claims, cause=Cause.GAVE_UP)
    await pause(scene, event_type="invoice.paid")

    await everything(scene.storage.recover, Selection(), 5)

    assert (await worker.round()).claims == []
    assert [one.parked for one in await scene.deliveries()] == ["paused"]


async def test_what_was_resent_before_its_fan_out_is_delivered_once(scene: Scene) -> None:
    endpoint, other = await scene.endpoint(), await scene.endpoint()
    waiting, ended = await scene.send(), await scene.send()
    worker = await scene.worker()
    await scene.storage.resend(ENVIRONMENT, ended, endpoint.id)
    await worker.settle((await worker.round(fan_out=0)).claims)
    await scene.storage.resend(ENVIRONMENT, waiting, endpoint.id)

    claims = (await worker.round()).claims

    assert sorted((claim.content.message_id, claim.endpoint_id) for claim in claims) == sorted(
        [(raw(waiting), raw(endpoint.id)), (raw(waiting), raw(other.id)), (raw(ended), raw(other.id))]
    )
