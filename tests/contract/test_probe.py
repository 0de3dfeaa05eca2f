"""A probe: it commits, leaves nothing, and says who works and since when something waits for a worker."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.contract.conftest import ENVIRONMENT, SECOND, Scene


async def test_a_probe_of_an_idle_database_finds_it_current_and_nobody_waiting(scene: Scene) -> None:
    found = await scene.storage.probe()

    assert (found.workers, found.waits_since) == (0, None)
    assert found.schema_version == found.schema_wanted
    assert found.now == scene.clock.micros()


async def test_a_probe_leaves_nothing_behind(scene: Scene) -> None:
    await scene.worker()
    before = await scene.storage.status(ENVIRONMENT)
    for _ in range(3):
        await scene.storage.probe()

    after = await scene.storage.status(ENVIRONMENT)

    assert before == after


async def test_probes_at_the_same_time_do_not_meet(scene: Scene) -> None:
    found = await asyncio.gather(*(scene.storage.probe() for _ in range(10)))

    assert {probe.workers for probe in found} == {0}


async def test_a_live_worker_is_counted_until_its_lease_ends(scene: Scene) -> None:
    worker = await scene.worker()

    alive = (await scene.storage.probe()).workers
    scene.later(31)

    assert (alive, (await scene.storage.probe()).workers) == (1, 0)
    assert not await scene.storage.beat(worker.me, timedelta(seconds=30))


async def test_an_accepted_message_waits_until_it_is_fanned_out(scene: Scene) -> None:
    await scene.endpoint()
    sent = scene.clock.micros()
    await scene.send()
    scene.later(5)
    await scene.send()

    waiting = (await scene.storage.probe()).waits_since
    worker = await scene.worker()
    await worker.round()

    assert waiting == sent
    assert (await scene.storage.probe()).waits_since is None


async def test_a_lane_whose_turn_it_is_waits_until_it_is_taken(scene: Scene) -> None:
    await scene.endpoint()
    await scene.send()
    first = await scene.worker()
    found = await first.round()
    retry = scene.clock.micros() + 60 * SECOND
    await first.settle(found.claims, cause=None, due_at=retry, step=1)
    await first.release()

    early = (await scene.storage.probe()).waits_since
    scene.later(90)
    late = (await scene.storage.probe()).waits_since

    assert (early, late) == (None, retry)


async def test_what_a_dead_worker_holds_waits_since_its_lease_ended(scene: Scene) -> None:
    await scene.endpoint()
    await scene.send()
    worker = await scene.worker()
    await worker.round()
    ends = scene.clock.micros() + 30 * SECOND

    held = (await scene.storage.probe()).waits_since
    scene.later(100)

    assert (held, (await scene.storage.probe()).waits_since) == (None, ends)
