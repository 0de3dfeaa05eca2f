"""The dispatcher's round: fan-out, lanes, claims; and the interleavings in which work could be lost."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from anzol import ids
from anzol.lifecycle import Cause, Disabled, State
from anzol.storage.face import EndpointChanges, Order
from anzol.storage.pages import PAGE
from anzol.storage.postgres.engine import PostgresStorage
from anzol.storage.sqlite.engine import SqliteStorage
from tests.contract.conftest import ENVIRONMENT, SECOND, Scene, raw


async def test_a_message_reaches_every_endpoint_of_its_customer(scene: Scene) -> None:
    mine = [await scene.endpoint(), await scene.endpoint()]
    await scene.endpoint("globex")
    shown = await scene.send(headers=(("x-a", "b"),), query="q=1")

    found = await (await scene.worker()).round()

    assert {claim.endpoint_id for claim in found.claims} == {raw(endpoint.id) for endpoint in mine}
    assert found.fanned_out == 1
    claim = found.claims[0]
    assert (claim.attempt, claim.step, claim.manual, claim.due_at) == (0, 0, False, scene.now)
    content = claim.content
    assert (content.message_id, content.event_type, content.method) == (raw(shown), "invoice.paid", "POST")
    assert (content.body, content.headers, content.query) == (b'{"amount": 9.9}', (("x-a", "b"),), "q=1")


async def test_the_profile_of_a_taken_lane_comes_with_it(scene: Scene) -> None:
    endpoint = await scene.endpoint(
        headers=(("authorization", "Bearer x"),),
        throttle=7,
        header_prefix="acme",
        schedule=(timedelta(seconds=1), timedelta(minutes=5)),
    )
    await scene.accept()

    (profile,) = (await (await scene.worker()).round()).profiles

    assert profile.endpoint_id == raw(endpoint.id)
    assert (profile.customer, profile.environment, profile.url) == ("acme", ENVIRONMENT, "https://acme.example/in")
    assert profile.secrets == ("whsec_" + "a" * 32,)
    assert profile.headers == (("authorization", "Bearer x"),)
    assert (profile.throttle, profile.header_prefix, profile.fifo, profile.active) == (7, "acme", False, True)
    assert profile.schedule == (timedelta(seconds=1), timedelta(minutes=5))
    assert "Bearer" not in repr(profile)
    assert "whsec" not in repr(profile)


async def test_a_large_body_read_back_from_disk_is_the_same(scene: Scene) -> None:
    await scene.endpoint()
    bodies = [bytes(range(256)) * 1024, b"", b"\x00\xff"]
    for body in bodies:
        await scene.accept(body=body)

    found = await (await scene.worker()).round()

    assert sorted(claim.content.body for claim in found.claims) == sorted(bodies)


async def test_no_more_is_claimed_than_there_is_room_for(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    for _ in range(5):
        await scene.accept()
    worker = await scene.worker()

    first = await worker.round(new_room=2)
    full = await worker.round(room=0)
    second = await worker.round(room=2)
    third = await worker.round(room=9)

    assert [len(found.claims) for found in (first, full, second, third)] == [2, 0, 2, 1]
    assert [found.behind for found in (first, full, second)] == [{raw(endpoint.id)}] * 3
    assert third.behind == frozenset()


async def test_older_deliveries_go_before_fresh_ones(scene: Scene) -> None:
    await scene.endpoint()
    worker = await scene.worker()
    first = await scene.send()
    second = await scene.send()
    await worker.round(new_room=1)
    third = await scene.send()

    found = await worker.round(room=1)

    assert [claim.content.message_id for claim in found.claims] == [raw(second)]
    assert {first, second, third} == {delivery.message_id for delivery in await scene.deliveries()}


async def test_fan_out_is_limited_and_says_that_more_waits(scene: Scene) -> None:
    await scene.endpoint()
    for _ in range(5):
        await scene.accept()
    worker = await scene.worker()

    first = await worker.round(fan_out=2)
    last = await worker.round(fan_out=100)

    assert (first.fanned_out, first.waiting) == (2, True)
    assert (last.fanned_out, last.waiting) == (3, False)


async def test_customers_take_turns_in_fan_out(scene: Scene) -> None:
    await scene.endpoint("loud")
    await scene.endpoint("quiet")
    for _ in range(50):
        await scene.accept(customer="loud")
    await scene.accept(customer="quiet")

    found = await (await scene.worker()).round(fan_out=4, room=100)

    customers = {profile.customer for profile in found.profiles}
    assert customers == {"loud", "quiet"}
    assert found.fanned_out <= 4


async def test_every_customer_has_its_turn_while_others_queue_up(scene: Scene) -> None:
    for number in range(9):
        await scene.endpoint(f"c{number}")
    for _ in range(10):
        for number in range(9):
            await scene.accept(customer=f"c{number}")
    worker = await scene.worker()

    seen: set[str] = set()
    for _ in range(5):
        found = await worker.round(fan_out=2, room=100)
        seen |= {profile.customer for profile in found.profiles}

    assert len(seen) == 9


async def test_a_message_for_many_endpoints_is_expanded_page_by_page(scene: Scene) -> None:
    await asyncio.gather(*(scene.endpoint("big") for _ in range(600)))
    await scene.endpoint("small")
    shown = await scene.send("big")
    await scene.send("small")
    worker = await scene.worker()

    first = await worker.round(fan_out=10, room=1, take=0, idle_lanes=False)
    pending = len(await scene.deliveries(message_id=shown))
    small = await scene.deliveries(customer="small")
    scene.later(1)
    while (await worker.round(fan_out=10, take=0, idle_lanes=False)).fanned_out:
        scene.later(1)

    assert (pending, first.waiting) == (PAGE, True)
    assert len(small) == 1
    status = await scene.storage.status(ENVIRONMENT)
    assert (status.pending, status.accepted_waiting) == (601, 0)


async def test_a_later_message_follows_an_earlier_one_on_every_page(scene: Scene) -> None:
    await asyncio.gather(*(scene.endpoint("big", fifo=True) for _ in range(600)))
    first = await scene.send("big")
    second = await scene.send("big")
    worker = await scene.worker()
    while (await worker.round(fan_out=1, take=0, idle_lanes=False)).fanned_out:
        scene.later(1)

    heads: list[bytes] = []
    while found := (await worker.round(take=500, fan_out=0, rooms={}, look=())).claims:
        heads += [claim.content.message_id for claim in found]

    assert heads == [raw(first)] * 600
    assert second != first


async def test_an_idle_lane_is_not_taken_without_places(scene: Scene) -> None:
    await scene.endpoint()
    await scene.accept()
    worker = await scene.worker()

    without = await worker.round(idle_lanes=False, take=0)
    after = await worker.round(take=5)

    assert (without.claims, without.waiting, without.next_turn_at) == ([], True, scene.now)
    assert len(after.claims) == 1


async def test_no_idle_lane_jumps_the_queue_of_overdue_ones(scene: Scene) -> None:
    await scene.endpoint("early")
    await scene.accept(customer="early")
    worker = await scene.worker()
    await worker.round(idle_lanes=False, take=0)
    scene.later(1)
    await scene.endpoint("late")
    await scene.accept(customer="late")

    found = await worker.round(take=0, idle_lanes=True)

    assert found.claims == []


async def test_lanes_are_taken_in_order_of_their_turn(scene: Scene) -> None:
    worker = await scene.worker()
    for name in ("a", "b", "c"):
        await scene.endpoint(name)
        await scene.accept(customer=name)
        await worker.round(idle_lanes=False, take=0)
        scene.later(1)

    order = [(await worker.round(take=1, fan_out=0)).profiles[0].customer for _ in range(3)]

    assert order == ["a", "b", "c"]


async def test_two_takers_never_hold_the_same_lane(scene: Scene) -> None:
    for number in range(20):
        await scene.endpoint(f"c{number}")
        await scene.accept(customer=f"c{number}")
    one, two = await scene.worker(), await scene.worker()
    await one.round(take=0, idle_lanes=False)

    first, second = await asyncio.gather(one.round(take=12, fan_out=0), two.round(take=12, fan_out=0))

    mine = {claim.endpoint_id for claim in first.claims}
    theirs = {claim.endpoint_id for claim in second.claims}
    assert len(mine) == 12
    assert len(theirs) == 8
    assert not mine & theirs


async def test_a_message_for_a_lane_held_by_another_is_seen_by_its_holder(scene: Scene) -> None:
    await scene.endpoint()
    await scene.accept()
    holder, other = await scene.worker(), await scene.worker()
    await holder.round()
    await scene.accept()

    foreign = await other.round()
    found = await holder.round(look=(), take=0, fan_out=0)

    assert foreign.claims == []
    assert len(found.claims) == 1


async def test_a_release_before_anothers_fan_out_leaves_the_lane_to_take(scene: Scene) -> None:
    await scene.endpoint()
    await scene.accept()
    holder, other = await scene.worker(), await scene.worker()
    await holder.settle((await holder.round()).claims)
    await scene.accept()

    await holder.release()
    found = await other.round()

    assert len(found.claims) == 1


async def test_a_release_after_anothers_fan_out_does_not_put_the_lane_to_sleep(scene: Scene) -> None:
    await scene.endpoint()
    await scene.accept()
    holder, other = await scene.worker(), await scene.worker()
    await holder.settle((await holder.round()).claims)
    await scene.accept()

    await other.round(take=0)
    released = await holder.release()
    found = await other.round(fan_out=0)

    assert released.next_turn_at == scene.now
    assert len(found.claims) == 1


async def test_a_released_lane_goes_to_the_tail(scene: Scene) -> None:
    await scene.endpoint("a")
    for _ in range(2):
        await scene.accept(customer="a")
    worker, other = await scene.worker(), await scene.worker()
    await worker.round(new_room=1)
    scene.later(1)
    await scene.endpoint("b")
    await scene.accept(customer="b")
    await other.round(take=0, idle_lanes=False)
    scene.later(1)

    await worker.round(release=tuple(worker.lanes), take=0, fan_out=0, rooms={}, look=())
    first = await other.round(take=1, fan_out=0)

    assert [profile.customer for profile in first.profiles] == ["b"]


async def test_a_released_lane_with_nothing_pending_has_no_turn(scene: Scene) -> None:
    await scene.endpoint()
    await scene.accept()
    worker = await scene.worker()
    await worker.settle((await worker.round()).claims)

    await worker.release()
    found = await worker.round()

    assert (found.next_turn_at, found.waiting, found.profiles) == (None, False, [])


async def test_claims_of_a_released_lane_go_back(scene: Scene) -> None:
    await scene.endpoint()
    await scene.accept()
    one, two = await scene.worker(), await scene.worker()
    claims = (await one.round()).claims

    await one.release()
    again = (await two.round()).claims
    fenced = await one.settle(claims)

    assert [claim.id for claim in again] == [claim.id for claim in claims]
    assert list(fenced) == [claim.id for claim in claims]


async def test_a_message_for_later_is_due_then(scene: Scene) -> None:
    await scene.endpoint()
    await scene.accept(deliver_at=scene.now + 20 * SECOND)
    worker = await scene.worker()

    early = await worker.round()
    scene.later(20)
    due = await worker.round(look=())

    assert (early.claims, early.next_turn_at, early.waiting) == ([], scene.now, False)
    assert len(due.claims) == 1


async def test_a_message_for_later_on_a_lane_that_is_held_is_found_then(scene: Scene) -> None:
    await scene.endpoint()
    await scene.accept()
    worker = await scene.worker()
    await worker.settle((await worker.round()).claims)
    await scene.accept(deliver_at=scene.now + 20 * SECOND)

    early = await worker.round()
    scene.later(20)
    due = await worker.round(look=(), take=0)

    assert (early.claims, early.next_turn_at) == ([], scene.now)
    assert len(due.claims) == 1


async def test_a_lane_taken_for_what_is_due_keeps_the_time_of_what_comes_later(scene: Scene) -> None:
    await scene.endpoint()
    await scene.accept(deliver_at=scene.now + 20 * SECOND)
    await scene.accept()
    worker, other = await scene.worker(), await scene.worker()

    first = await worker.round()
    later = scene.now + 20 * SECOND
    elsewhere = await other.round()
    scene.later(20)
    second = await worker.round(look=(), take=0)

    assert (len(first.claims), first.next_turn_at, elsewhere.profiles) == (1, later, [])
    assert len(second.claims) == 1


async def test_changes_of_an_endpoint_reach_the_holder_of_its_lane(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    await scene.accept()
    worker = await scene.worker()
    await worker.round()

    await scene.storage.update_endpoint(ENVIRONMENT, endpoint.id, EndpointChanges(url="https://new.example/"))
    (profile,) = (await worker.round(look=())).profiles

    assert profile.url == "https://new.example/"
    assert (await worker.round(look=())).profiles == []


async def test_disabling_while_claimed_stops_the_rest_and_lets_the_claim_end(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    for _ in range(3):
        await scene.accept()
    worker = await scene.worker()
    claims = (await worker.round(new_room=1)).claims

    await scene.storage.disable_endpoint(ENVIRONMENT, endpoint.id, Disabled.BY_CUSTOMER)
    after = await worker.round()
    fenced = await worker.settle(claims)

    assert after.claims == []
    assert [profile.active for profile in after.profiles] == [False]
    assert list(fenced) == []
    assert sorted(await scene.states()) == [State.PENDING, State.PENDING, State.DELIVERED]


async def test_deleting_while_claimed_lets_the_claim_end_and_cancels_the_rest(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    for _ in range(2):
        await scene.accept()
    worker = await scene.worker()
    claims = (await worker.round(new_room=1)).claims

    await scene.storage.delete_endpoint(ENVIRONMENT, endpoint.id)
    after = await worker.round()
    await worker.settle(claims)

    assert after.claims == []
    assert [profile.active for profile in after.profiles] == [False]
    assert sorted(await scene.states()) == [State.PENDING, State.DELIVERED]


async def test_a_changed_filter_leaves_what_waits_and_narrows_what_comes(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    await scene.accept(event_type="a")
    worker = await scene.worker()
    claims = (await worker.round()).claims

    await scene.storage.update_endpoint(ENVIRONMENT, endpoint.id, EndpointChanges(event_types=("b",)))
    await scene.accept(event_type="a")
    after = await worker.round()
    fenced = await worker.settle(claims)

    assert (after.claims, list(fenced)) == ([], [])


async def test_a_cancelled_round_leaves_nothing_claimed(scene: Scene) -> None:
    await scene.endpoint()
    await scene.accept()
    worker = await scene.worker()

    task = asyncio.create_task(scene.storage.dispatch(worker.me, Order(take=5, fan_out=5, idle_lanes=True)))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    claims = []
    for _ in range(200):
        claims = (await worker.round()).claims
        if claims:
            break

    assert len(claims) == 1
    assert list(await worker.settle(claims, cause=Cause.ACCEPTED)) == []


async def test_an_unknown_endpoint_in_an_order_does_no_harm(scene: Scene) -> None:
    worker = await scene.worker()
    stranger = ids.new(scene.now)

    found = await worker.round(release=(stranger,), rooms={stranger: 3}, look=(stranger,))

    assert found.claims == []


# What no API writes; PostgreSQL's types refuse some of it by themselves.
DAMAGE: dict[str, tuple[str, str | None]] = {
    "a URL of bytes": ("url = x'ff00'", None),
    "a URL that is no text": ("url = cast(x'68ff' as text)", None),
    "a throttle that is no number": ("throttle = 'soon'", None),
    "a delay of 10^30": ("schedule = '[1e30]'", None),
    "a delay of 10^18": ("schedule = '[9000000000000000000]'", "schedule = '{9000000000000000000}'"),
    "a delay below zero": ("schedule = '[-1]'", "schedule = '{-1}'"),
    "a schedule that is none": ("schedule = '7'", None),
    "a schedule that is no text": ("schedule = cast(x'ff' as text)", None),
    "a prefix with a line break": (
        "header_prefix = 'x: y' || char(13, 10) || 'evil-'",
        "header_prefix = 'x: y' || chr(13) || chr(10) || 'evil-'",
    ),
    "a prefix of bytes": ("header_prefix = x'80'", None),
    "headers that nobody sealed": ("headers = x'0102'", "headers = '\\x0102'"),
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_damaged_endpoint_gets_nothing_and_the_others_go_on(
    scene: Scene, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = await scene.endpoint(), await scene.endpoint()
    await scene.accept()
    await spoil(scene, bad.id, *DAMAGE[damage])
    worker = await scene.worker()

    profiles = {profile.endpoint_id: profile for profile in (await worker.round()).profiles}
    again = await scene.storage.profiles([raw(bad.id), raw(good.id)])

    assert profiles[raw(good.id)].active
    assert (profiles[raw(bad.id)].active, profiles[raw(bad.id)].secrets) == (False, ())
    assert sorted(profile.active for profile in again) == [False, True]
    (said,) = [record.getMessage() for record in caplog.records if bad.id in record.getMessage()]  # once
    assert said.startswith("Nothing is sent to")


async def spoil(scene: Scene, shown: str, on_sqlite: str, on_postgres: str | None) -> None:
    """Write into an endpoint's row what no API would."""
    storage = scene.storage
    if isinstance(storage, SqliteStorage):
        spoil_sqlite(storage.path, f"update anzol_endpoint set {on_sqlite} where id = ?", raw(shown))
    elif on_postgres is None:
        pytest.skip("The types of PostgreSQL refuse such a value.")
    else:
        assert isinstance(storage, PostgresStorage)
        connection = await asyncpg.connect(storage.place.url)
        statement = f"update {storage.place.schema}.endpoint set {on_postgres} where id = $1"
        assert await connection.execute(statement, UUID(bytes=raw(shown))) == "UPDATE 1"
        await connection.close()


def spoil_sqlite(path: Path, statement: str, endpoint: bytes) -> None:
    connection = sqlite3.connect(path)
    try:
        connection.execute("pragma ignore_check_constraints = on")
        changed = connection.execute(statement, (endpoint,)).rowcount
        connection.commit()
    finally:
        connection.close()
    assert changed == 1
