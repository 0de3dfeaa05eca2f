"""One message to very many endpoints: page by page, whoever goes on with it, and others before it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from anzol.storage import pages
from anzol.storage.pages import OVERDUE
from tests.contract.conftest import TERM, Scene, raw

ENDPOINTS = 60
PAGE = 20


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of 20 endpoints, and rows with more than 5 are long."""
    monkeypatch.setattr("anzol.storage.postgres.fanout.PAGE", PAGE)
    monkeypatch.setattr("anzol.storage.sqlite.fanout.PAGE", PAGE)
    monkeypatch.setattr(pages, "PAGE", PAGE)
    monkeypatch.setattr(pages, "LONG", 5)


async def widen(scene: Scene, customer: str = "wide") -> None:
    for _ in range(ENDPOINTS):
        await scene.endpoint(customer)


async def test_a_page_is_claimed_as_it_is_made_and_the_next_one_follows(scene: Scene) -> None:
    await widen(scene)
    await scene.send("wide")
    worker = await scene.worker()

    counts = [len((await worker.round(take=30, room=1)).claims) for _ in range(4)]

    assert counts == [PAGE, PAGE, PAGE, 0]


async def test_no_page_is_made_while_lanes_wait_but_one_a_second(scene: Scene) -> None:
    await widen(scene)
    await scene.send("wide")
    worker = await scene.worker()

    made = []
    for _ in range(3):
        made += [(await worker.round(take=0)).fanned_out for _ in range(3)]
        scene.later(1)

    assert made == [1, 0, 0] * 3


async def test_others_are_expanded_before_a_wide_message_and_while_it_waits(scene: Scene) -> None:
    await widen(scene)
    await scene.endpoint("narrow")
    await scene.send("wide")
    worker = await scene.worker()
    await worker.round(take=0)
    await scene.send("narrow")

    found = await worker.round(take=1, rooms={}, look=(), new_room=1, fan_out=10)
    narrow = await scene.deliveries(customer="narrow")

    assert found.fanned_out == 1
    assert len(narrow) == 1


async def test_the_idle_lanes_that_may_be_taken_go_to_others_first(scene: Scene) -> None:
    await widen(scene)
    narrow = await scene.endpoint("narrow")
    await scene.send("wide")
    await scene.send("narrow")
    worker = await scene.worker()

    found = await worker.round(take=1)

    assert [profile.endpoint_id for profile in found.profiles] == [raw(narrow.id)]


async def test_an_idle_lane_comes_before_those_that_have_waited_for_a_moment_only(scene: Scene) -> None:
    for name in ("early", "late"):
        await scene.endpoint(name)
    await scene.send("early")
    worker = await scene.worker()
    await worker.round(take=0, idle_lanes=False)
    scene.clock.advance(timedelta(microseconds=OVERDUE // 2))
    await scene.send("late")

    first = await worker.round(take=2)

    assert {profile.customer for profile in first.profiles} == {"early", "late"}


async def test_when_a_worker_dies_another_goes_on_and_nobody_is_left_out(scene: Scene) -> None:
    await widen(scene)
    shown = await scene.send("wide")
    one, two = await scene.worker(), await scene.worker(term=10 * TERM)
    sent = [*(await one.round(take=30, room=1)).claims, *(await one.round(take=30, room=1)).claims]
    await one.settle(sent[: PAGE // 2])

    scene.clock.advance(TERM + timedelta(seconds=1))
    reaped = await scene.reap()
    again = []
    while claims := (await two.round(take=30, room=1)).claims:
        again += claims
        await two.settle(claims)

    requests = Counter(claim.endpoint_id for claim in [*sent, *again])
    assert reaped.interrupted == 2 * PAGE - PAGE // 2
    assert len(requests) == ENDPOINTS
    assert sum(requests.values()) == ENDPOINTS + reaped.interrupted
    assert len(await scene.deliveries(message_id=shown)) == ENDPOINTS


async def test_two_workers_expand_it_together_and_make_nothing_twice(scene: Scene) -> None:
    await widen(scene)
    await scene.send("wide")
    workers = [await scene.worker(), await scene.worker()]
    got: Counter[bytes] = Counter()
    for number in range(8):
        got.update(claim.endpoint_id for claim in (await workers[number % 2].round(take=30, room=1)).claims)

    assert len(got) == ENDPOINTS
    assert set(got.values()) == {1}


async def test_how_many_lanes_each_live_worker_holds(scene: Scene) -> None:
    for name in ("a", "b", "c"):
        await scene.endpoint(name)
        await scene.send(name)
    one, two = await scene.worker(), await scene.worker(term=10 * TERM)
    await one.round(take=2)
    await two.round(take=5)
    both = dict(await scene.storage.held())
    scene.clock.advance(TERM + timedelta(seconds=1))

    assert sum(both.values()) == 3
    assert both.keys() == {one.me, two.me}
    assert (await scene.storage.held()).keys() == {two.me}
