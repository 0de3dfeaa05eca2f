"""The bound on an endpoint's backlog: what is over it ends at once, is told of once, and can be recovered."""

from __future__ import annotations

from anzol.lifecycle import Cause, Incident, State
from anzol.storage.face import Selection
from tests.contract.conftest import ENVIRONMENT, Scene, Worker, beside


async def told(scene: Scene) -> list[tuple[Incident, str]]:
    """Take what is to be told, and forget it."""
    reports = await scene.storage.take_incidents(100)
    await scene.storage.tell_incidents([report.id for report in reports])
    return [(report.kind, report.endpoint_id) for report in reports]


async def fill(scene: Scene, worker: Worker, count: int, most: int) -> None:
    """Send and fan out, with no place for anything."""
    for _ in range(count):
        await scene.accept()
    await worker.round(room=0, backlog=most)


async def test_what_is_over_the_bound_ends_as_overflowed(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    worker = await scene.worker()
    await fill(scene, worker, 5, most=3)

    deliveries = await scene.deliveries()
    assert [one.state for one in deliveries] == [State.CANCELLED] * 2 + [State.PENDING] * 3
    assert {one.cause for one in deliveries[:2]} == {Cause.OVERFLOWED}
    assert [one.attempts for one in deliveries[:2]] == [0, 0]
    assert await told(scene) == [(Incident.ENDPOINT_FULL, endpoint.id)]


async def test_another_endpoint_of_the_customer_is_not_bounded_by_it(scene: Scene) -> None:
    await scene.endpoint()
    worker = await scene.worker()
    await fill(scene, worker, 3, most=3)
    other = await scene.endpoint()
    await fill(scene, worker, 1, most=3)

    assert await scene.states(endpoint_id=other.id) == [State.PENDING]
    assert (await scene.states()).count(State.CANCELLED) == 1


async def test_there_is_room_again_once_something_has_ended(scene: Scene) -> None:
    await scene.endpoint()
    worker = await scene.worker()
    await fill(scene, worker, 3, most=2)
    found = await worker.round(room=1, backlog=2)
    await worker.settle(found.claims)
    await fill(scene, worker, 2, most=2)

    states = await scene.states()
    assert states.count(State.PENDING) == 2
    assert states.count(State.CANCELLED) == 2


async def test_it_is_told_once_until_a_tenth_has_drained(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    worker = await scene.worker()
    await fill(scene, worker, 21, most=20)
    first = await told(scene)
    await worker.settle((await worker.round(room=1, backlog=20)).claims)
    await fill(scene, worker, 2, most=20)
    hovering = await told(scene)
    await worker.settle((await worker.round(room=2, backlog=20)).claims)
    await fill(scene, worker, 3, most=20)

    assert first == [(Incident.ENDPOINT_FULL, endpoint.id)]
    assert hovering == []
    assert await told(scene) == [(Incident.ENDPOINT_FULL, endpoint.id)]


async def test_a_paused_endpoint_is_bounded_too(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    await scene.storage.pause(ENVIRONMENT, customer=None, event_type=None, endpoint_id=endpoint.id, actor="me")
    await fill(scene, await scene.worker(), 3, most=2)

    assert (await scene.states()).count(State.CANCELLED) == 1


async def test_what_overflowed_is_sent_by_recover(scene: Scene) -> None:
    await scene.endpoint()
    worker = await scene.worker()
    await fill(scene, worker, 3, most=1)
    await worker.settle((await worker.round(backlog=1)).claims)

    done = await scene.storage.recover(ENVIRONMENT, Selection(states=(State.CANCELLED,)), after=None, limit=10)
    await worker.settle((await worker.round(backlog=1)).claims)

    assert done.changed == 2
    assert await scene.states() == [State.DELIVERED] * 3


async def test_a_large_backlog_is_not_counted_at_every_round(scene: Scene) -> None:
    most = 1200  # more than is counted without a second thought
    await scene.endpoint()
    worker = await scene.worker()
    for _ in range(most // 300):
        for _ in range(300):
            await scene.accept()
        await worker.round(room=0, fan_out=300, backlog=most)
    await fill(scene, worker, 1, most)
    await worker.settle((await worker.round(room=200, backlog=most)).claims)

    await fill(scene, worker, 1, most)
    at_once = (await scene.states()).count(State.CANCELLED)
    scene.later(1)
    await fill(scene, worker, 1, most)

    assert at_once == 2
    assert (await scene.states()).count(State.CANCELLED) == 2


async def test_workers_of_other_processes_are_reckoned_with(scene: Scene) -> None:
    """What another process added is seen by the numbers of its rows, though nobody told of it."""
    await scene.endpoint("globex")
    await scene.endpoint()
    worker = await scene.worker()
    for _ in range(10):  # so that there have been more rows than may wait, and ours is counted
        await scene.accept(customer="globex")
    await worker.round(room=0)
    await fill(scene, worker, 2, most=4)
    async with beside(scene) as elsewhere:
        await fill(elsewhere, await elsewhere.worker(), 2, most=4)
    await fill(scene, worker, 1, most=4)

    assert (await scene.states()).count(State.CANCELLED) == 1
