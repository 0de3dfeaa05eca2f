"""The throttle of a customer, over all of its endpoints and all workers."""

from __future__ import annotations

import asyncio
import bisect
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from anzol.lifecycle import State
from anzol.rules import DeliveryRules
from anzol.worker import Worker
from tests.delivery.fakes import OK, POLICY, Memory, after, reply
from tests.delivery.stepping import ENVIRONMENT, Steps, stepping
from tests.delivery.test_worker import Scene
from tests.delivery.virtual import run

ACME = b"a" * 16


def most_in_a_second(moments: list[float]) -> int:
    ordered = sorted(round(moment * 1_000_000) for moment in moments)
    return max((bisect.bisect_left(ordered, at + 1_000_000) - place for place, at in enumerate(ordered)), default=0)


def throttled(memory: Memory, host: str, rate: int, **more: object) -> bytes:
    return memory.endpoint(host, customer_id=ACME, customer_throttle=rate, **more)


def another(scene: Scene, **rules: int) -> Worker:
    """A second worker on the same storage."""
    return Worker(
        scene.memory,  # type: ignore[arg-type]  # the part of storage that a worker uses
        scene.script,
        policy=POLICY,
        clock=scene.clock,
        chance=Random(8),
        rules=DeliveryRules(**rules),  # type: ignore[arg-type]  # by name
    )


@pytest.mark.parametrize("rate", [3, 40, 200])
def test_two_workers_together_keep_to_the_rate_and_reach_it(rate: int) -> None:
    async def story() -> list[float]:
        scene = Scene()
        endpoints = [throttled(scene.memory, f"e{number}.example", rate) for number in range(6)]
        other = another(scene)
        for _ in range(2 * rate):
            for endpoint in endpoints:
                scene.memory.put(endpoint)
        async with scene.working():
            second = asyncio.create_task(other.run())
            await asyncio.sleep(6)
            other.stop()
            await second
        return [at for at, _ in scene.script.sent]

    sent = run(story())

    assert most_in_a_second(sent) <= rate + rate // 20
    assert len(sent) >= 5 * rate


def test_every_endpoint_has_its_share_whoever_holds_it() -> None:
    async def story() -> list[str]:
        scene = Scene(DeliveryRules(lanes=2))
        other = another(scene, lanes=2)
        endpoints = [throttled(scene.memory, f"e{number}.example", 20) for number in range(4)]
        for _ in range(200):
            for endpoint in endpoints:
                scene.memory.put(endpoint)
        async with scene.working():
            second = asyncio.create_task(other.run())
            await asyncio.sleep(8)
            held = set(scene.memory.lanes.values())
            assert len(held) == 2, "each holds two"
            other.stop()
            await second
        return scene.script.hosts()

    hosts = run(story())

    assert min(hosts.count(f"e{number}.example") for number in range(4)) >= 20


def test_what_waits_for_its_throttle_keeps_nobody_from_a_place() -> None:
    async def story() -> tuple[int, float]:
        scene = Scene(DeliveryRules(places=4, most_queued=50))
        slow = [throttled(scene.memory, f"slow{number}.example", 1) for number in range(30)]
        for endpoint in slow:
            for _ in range(20):
                scene.memory.put(endpoint)
        quick = scene.memory.endpoint("quick.example")
        async with scene.working():
            await asyncio.sleep(2)
            began = scene.clock.monotonic()
            for _ in range(300):
                scene.memory.put(quick)
            await scene.until(lambda: len(scene.script.bodies("quick.example")) == 300, seconds=20)
            took = scene.clock.monotonic() - began
            return len(scene.script.sent) - 300, took

    slow, took = run(story())

    assert took < 3
    assert slow <= took + 2 + 2


def test_a_slow_endpoint_takes_no_starts_that_another_could_use() -> None:
    async def story() -> int:
        scene = Scene()
        scene.script.answers["hole.example"] = after(10, OK)
        for host in ("hole.example", "quick.example"):
            endpoint = throttled(scene.memory, host, 20)
            for _ in range(200):
                scene.memory.put(endpoint)
        async with scene.working():
            await asyncio.sleep(6)
        return len(scene.script.bodies("quick.example"))

    assert run(story()) >= 80


def test_lanes_that_cannot_use_their_turn_hold_up_nobody() -> None:
    async def story() -> list[str]:
        scene = Scene()
        for number in range(8):
            endpoint = throttled(scene.memory, f"e{number}.example", 4)
            for _ in range(8):
                scene.memory.put(endpoint)
            if number < 4:
                scene.script.answers[f"e{number}.example"] = reply(500)
        async with scene.working():
            await asyncio.sleep(30)
        return scene.script.hosts()

    hosts = run(story())

    assert [hosts.count(f"e{number}.example") for number in range(4, 8)] == [8] * 4


def test_an_end_of_the_throttle_frees_what_waits() -> None:
    async def story() -> float:
        scene = Scene()
        endpoint = throttled(scene.memory, "one.example", 1)
        for _ in range(50):
            scene.memory.put(endpoint)
        async with scene.working():
            await asyncio.sleep(2)
            assert len(scene.script.sent) <= 3
            scene.memory.change(endpoint, customer_throttle=None)
            began = scene.clock.monotonic()
            await scene.until(lambda: len(scene.script.sent) == 50)
            return scene.clock.monotonic() - began

    assert run(story()) < 3


# --- real storage, time by steps ------------------------------------------------------------------------------------


@pytest.fixture
async def steps(tmp_path: Path) -> AsyncIterator[Steps]:
    async with stepping(tmp_path) as made:
        yield made


async def test_two_workers_on_one_database_keep_to_the_rate(steps: Steps) -> None:
    await steps.storage.put_customer(ENVIRONMENT, "acme", throttle=20)
    other = steps.another()
    await steps.endpoint("one.example")
    await steps.send()
    await steps.drain()  # the first holds this lane
    await steps.endpoint("two.example")
    await steps.send()
    await other.drain_once()
    for _ in range(60):
        await steps.send()
    for _ in range(150):
        steps.clock.advance(timedelta(milliseconds=20))
        await steps.drain()
        await other.drain_once()
    await other.close()

    moments = [at for at, _ in steps.script.sent]
    assert most_in_a_second(moments) <= 21
    assert len(moments) >= 50


async def test_a_fifo_endpoint_keeps_its_order_under_the_throttle(steps: Steps) -> None:
    await steps.storage.put_customer(ENVIRONMENT, "acme", throttle=10)
    await steps.endpoint("one.example", fifo=True)
    for number in range(12):
        await steps.send(b"%d" % number)
    for _ in range(100):
        await steps.wait(timedelta(milliseconds=20))

    assert steps.script.bodies("one.example") == [b"%d" % number for number in range(12)]
    assert most_in_a_second([at for at, _ in steps.script.sent]) <= 10


async def test_what_is_held_back_stays_for_a_later_clock(steps: Steps) -> None:
    await steps.storage.put_customer(ENVIRONMENT, "acme", throttle=1)
    await steps.endpoint("one.example")
    await steps.endpoint("two.example")
    await steps.send()
    at_once = await steps.drain()
    again = await steps.drain()
    states = sorted(one.state for one in await steps.deliveries())
    await steps.wait(timedelta(seconds=2))

    assert (at_once, again) == (1, 0)
    assert states == [State.PENDING, State.DELIVERED]
    assert [one.state for one in await steps.deliveries()] == [State.DELIVERED] * 2


async def test_a_customer_without_a_throttle_is_asked_nothing(steps: Steps) -> None:
    await steps.endpoint("one.example")
    for _ in range(30):
        await steps.send()

    assert await steps.drain() == 30
    await steps.storage.put_customer(ENVIRONMENT, "acme", throttle=2)
    for _ in range(5):
        await steps.send()
    assert await steps.drain() <= 1
    await steps.storage.put_customer(ENVIRONMENT, "acme", throttle=None)
    assert await steps.drain() >= 4
