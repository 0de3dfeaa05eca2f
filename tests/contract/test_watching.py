"""Looking on: attempts in the order in which they are recorded, none lost, none twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from anzol import ids
from anzol.errors import InvalidValue
from anzol.storage.books import Recorded
from anzol.storage.face import Claim
from tests.contract.conftest import ENVIRONMENT, SECOND, Scene, Worker

REACH = timedelta(minutes=5)


async def recorded(scene: Scene, mark: str | None, limit: int = 100, customer: str | None = None) -> Recorded:
    return await scene.storage.recorded(ENVIRONMENT, customer=customer, mark=mark, reach=REACH, limit=limit)


def of(page: Recorded) -> list[str]:
    return [attempt.id for attempt, _ in page.items]


async def settle(scene: Scene, worker: Worker, claim: Claim, began: int) -> str:
    """Record an attempt that began at that time; return its id."""
    raw = ids.first_at(began)[:6] + ids.new(scene.now)[6:]
    record = scene.record(id=raw, started_at=began)
    await scene.storage.settle(worker.me, [scene.result(claim, attempt=record)])
    return ids.show(ids.ATTEMPT, raw)


async def claims(scene: Scene, count: int, customer: str = "acme") -> tuple[Worker, list[Claim]]:
    await scene.endpoint(customer)
    for _ in range(count):
        await scene.send(customer)
    worker = await scene.worker()
    return worker, list((await worker.round()).claims)


async def test_a_mark_of_now_has_nothing_behind_it(scene: Scene) -> None:
    worker, (claim,) = await claims(scene, 1)
    await settle(scene, worker, claim, scene.now)

    start = await recorded(scene, None)

    assert (start.items, start.more) == ((), False)
    assert (await recorded(scene, start.mark)).items == ()


async def test_an_attempt_that_began_earlier_and_ended_later_is_not_lost(scene: Scene) -> None:
    worker, (slow, quick, last) = await claims(scene, 3)
    began = scene.now
    scene.later(100)
    mark = (await recorded(scene, None)).mark

    first = await settle(scene, worker, quick, scene.now)
    one = await recorded(scene, mark)
    second = await settle(scene, worker, slow, began)
    two = await recorded(scene, one.mark)
    third = await settle(scene, worker, last, scene.now)
    three = await recorded(scene, two.mark)

    assert [of(one), of(two), of(three)] == [[first], [second], [third]]
    assert (await recorded(scene, three.mark)).items == ()


async def test_every_attempt_has_a_mark_behind_which_the_others_come(scene: Scene) -> None:
    worker, claimed = await claims(scene, 5)
    mark = (await recorded(scene, None)).mark
    made = [await settle(scene, worker, claim, scene.now - number * SECOND) for number, claim in enumerate(claimed)]

    whole = await recorded(scene, mark)
    rest = [of(await recorded(scene, mark)) for _, mark in whole.items]

    assert sorted(of(whole)) == sorted(made)
    assert rest == [of(whole)[place:] for place in range(1, 6)]


async def test_pages_come_one_after_another_while_more_is_recorded(scene: Scene) -> None:
    worker, claimed = await claims(scene, 7)
    mark = (await recorded(scene, None)).mark
    made = [await settle(scene, worker, claim, scene.now) for claim in claimed[:5]]

    first = await recorded(scene, mark, limit=2)
    made += [await settle(scene, worker, claim, scene.now - 9 * SECOND) for claim in claimed[5:]]
    seen, page = of(first), first
    while page.more:
        page = await recorded(scene, page.mark, limit=2)
        seen += of(page)

    assert first.more
    assert sorted(seen) == sorted(made)
    assert len(seen) == len({*seen})


async def test_one_customers_attempts_are_told_without_the_others(scene: Scene) -> None:
    mark = (await recorded(scene, None)).mark
    worker, (claim,) = await claims(scene, 1)
    mine = await settle(scene, worker, claim, scene.now)
    await worker.release()
    other, (theirs,) = await claims(scene, 1, "other")
    await settle(scene, other, theirs, scene.now)

    page = await recorded(scene, mark, customer="acme")

    assert of(page) == [mine]
    assert of(await recorded(scene, page.mark, customer="acme")) == []
    assert len(of(await recorded(scene, mark))) == 2
    assert of(await recorded(scene, mark, customer="nobody")) == []


@pytest.mark.parametrize(
    "mark", ["", "x", "-1", "1.", "1.0:1:", "1.5:3:", "1.3:5:5", "1.3:9:4,4", "1.3:9:4.2.3:9:", "9" * 30]
)
async def test_a_mark_that_is_none_is_refused(scene: Scene, mark: str) -> None:
    with pytest.raises(InvalidValue):
        await recorded(scene, mark)


async def test_endpoints_are_told_of_after_they_were_deleted(scene: Scene) -> None:
    there, gone = await scene.endpoint(uid="there"), await scene.endpoint(url="https://acme.example/gone")
    await scene.storage.delete_endpoint(ENVIRONMENT, gone.id)
    wanted = [there.id, gone.id, ids.show(ids.ENDPOINT, bytes(16)), "no id", there.id]

    found = await scene.storage.endpoints_of(ENVIRONMENT, wanted)

    assert {shown: one.url for shown, one in found.items()} == {there.id: there.url, gone.id: gone.url}
    assert found[there.id].uid == "there"
    assert await scene.storage.endpoints_of("sandbox", wanted) == {}
