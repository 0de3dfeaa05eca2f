"""The throttle of a customer: starts are granted out of its one row, to all workers together."""

from __future__ import annotations

from anzol import ids
from anzol.grants import FOR, gap_of
from tests.contract.conftest import ENVIRONMENT, SECOND, Scene, Worker

ACME = ids.derive(ENVIRONMENT, "acme")


async def ask(worker: Worker, wanted: int) -> list[tuple[int, int]]:
    """Ask for starts; return (first, count) of what was granted."""
    found = await worker.round(wants={ACME: wanted})
    return [(grant.first, grant.count) for grant in found.grants]


async def test_a_customer_without_a_throttle_is_granted_nothing(scene: Scene) -> None:
    await scene.endpoint()

    assert await ask(await scene.worker(), 5) == []


async def test_what_one_worker_was_granted_another_is_not(scene: Scene) -> None:
    await scene.storage.put_customer(ENVIRONMENT, "acme", throttle=100)
    first, second = await scene.worker(), await scene.worker()

    one, two, three = await ask(first, 50), await ask(second, 50), await ask(first, 50)

    ((at, count),) = one
    assert count == FOR // gap_of(100)
    assert two[0] == (at + count * gap_of(100), count)
    assert three[0][0] == at + 2 * count * gap_of(100)


async def test_no_more_is_granted_than_is_wanted(scene: Scene) -> None:
    await scene.storage.put_customer(ENVIRONMENT, "acme", throttle=100)
    worker = await scene.worker()

    assert [count for _, count in await ask(worker, 1)] == [1]
    assert [count for _, count in await ask(worker, 2)] == [2]


async def test_starts_that_nobody_asked_for_in_time_are_gone(scene: Scene) -> None:
    await scene.storage.put_customer(ENVIRONMENT, "acme", throttle=1)
    worker = await scene.worker()
    await ask(worker, 1)
    scene.later(20)

    ((at, count),) = await ask(worker, 9)

    assert count == 1
    assert scene.now - at < SECOND


async def test_a_grant_says_when_there_will_be_more(scene: Scene) -> None:
    await scene.storage.put_customer(ENVIRONMENT, "acme", throttle=1)
    worker = await scene.worker()
    (grant,) = (await worker.round(wants={ACME: 2})).grants

    scene.later((grant.again_at - scene.now) / SECOND)

    assert [count for _, count in await ask(worker, 2)] == [1]


async def test_a_profile_carries_the_throttle_and_a_change_of_it_touches_the_lanes(scene: Scene) -> None:
    await scene.storage.put_customer(ENVIRONMENT, "acme", throttle=7)
    await scene.endpoint()
    await scene.endpoint()
    await scene.accept()
    worker = await scene.worker()
    taken = (await worker.round()).profiles
    await scene.storage.put_customer(ENVIRONMENT, "acme", name="Acme", throttle=7)
    same = (await worker.round()).profiles
    await scene.storage.put_customer(ENVIRONMENT, "acme", throttle=None)
    changed = (await worker.round()).profiles

    assert [(one.customer_id, one.customer_throttle) for one in taken] == [(ACME, 7)] * 2
    assert list(same) == []
    assert [one.customer_throttle for one in changed] == [None] * 2


async def test_a_throttle_stays_until_it_is_taken_away_or_the_customer_goes(scene: Scene) -> None:
    put = await scene.storage.put_customer(ENVIRONMENT, "acme", throttle=7)
    renamed = await scene.storage.put_customer(ENVIRONMENT, "acme", name="Acme")
    listed = (await scene.storage.customers(ENVIRONMENT)).items
    await scene.storage.delete_customer(ENVIRONMENT, "acme")
    anew = await scene.storage.put_customer(ENVIRONMENT, "acme")

    assert (put.throttle, renamed.throttle, anew.throttle) == (7, 7, None)
    assert [one.throttle for one in listed] == [7]
