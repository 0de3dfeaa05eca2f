"""An endpoint that comes back with a backlog is drained at its throttle: no faster, and not much slower."""

from __future__ import annotations

import asyncio

import pytest

from anzol.rules import DeliveryRules
from tests.delivery.fakes import OK, after, reply
from tests.delivery.test_customer_throttle import another, most_in_a_second, throttled
from tests.delivery.test_worker import Scene
from tests.delivery.virtual import run

SECONDS = 10


@pytest.mark.parametrize("rate", [5, 40, 200])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_backlog_is_drained_at_the_throttle_of_the_endpoint(rate: int, workers: int) -> None:
    async def story() -> list[float]:
        scene = Scene(DeliveryRules(spread=0.0))
        endpoint = scene.memory.endpoint("one.example", throttle=rate)
        scene.script.answers["one.example"] = after(0.05, OK)
        scene.memory.change(endpoint, active=False)
        for _ in range(rate * SECONDS * 2):
            scene.memory.put(endpoint)
        async with scene.working():
            others = [another(scene) for _ in range(workers - 1)]
            tasks = [asyncio.create_task(other.run()) for other in others]
            await asyncio.sleep(2)
            assert not scene.script.sent
            scene.memory.change(endpoint, active=True)
            await scene.until(lambda: bool(scene.script.sent))
            await asyncio.sleep(SECONDS)
            for other in others:
                other.stop()
            await asyncio.gather(*tasks)
        return [at for at, _ in scene.script.sent]

    sent = run(story())
    within = [at for at in sent if at <= sent[0] + SECONDS]

    assert most_in_a_second(sent) <= rate + rate // 20
    assert len(within) >= rate * SECONDS * 0.9


@pytest.mark.parametrize("rate", [20, 100])
def test_a_backlog_of_many_endpoints_is_drained_at_the_throttle_of_their_customer(rate: int) -> None:
    async def story() -> list[float]:
        scene = Scene(DeliveryRules(spread=0.0))
        endpoints = [throttled(scene.memory, f"e{number}.example", rate) for number in range(8)]
        for endpoint in endpoints:
            scene.memory.change(endpoint, active=False)
            for _ in range(rate * 2):
                scene.memory.put(endpoint)
        async with scene.working():
            other = another(scene)
            task = asyncio.create_task(other.run())
            await asyncio.sleep(2)
            for endpoint in endpoints:
                scene.memory.change(endpoint, active=True)
            await scene.until(lambda: bool(scene.script.sent))
            await asyncio.sleep(SECONDS)
            other.stop()
            await task
        return [at for at, _ in scene.script.sent]

    sent = run(story())
    within = [at for at in sent if at <= sent[0] + SECONDS]

    assert most_in_a_second(sent) <= rate + rate // 20
    assert len(within) >= rate * SECONDS * 0.9


def test_while_an_endpoint_is_down_it_gets_probes_only_and_then_its_backlog() -> None:
    async def story() -> tuple[int, int, int]:
        scene = Scene(DeliveryRules(spread=0.0))
        scene.script.default = reply(503)
        endpoint = scene.memory.endpoint("one.example", throttle=20)
        for _ in range(100):
            scene.memory.put(endpoint)
        async with scene.working():
            await asyncio.sleep(30)
            before = len(scene.script.sent)
            await asyncio.sleep(600)
            probes = len(scene.script.sent) - before
            scene.script.default = OK
            for _ in range(100):
                scene.memory.put(endpoint)
            await scene.until(lambda: len(scene.memory.ended) >= 100, seconds=3600)
        return before, probes, most_in_a_second([at for at, _ in scene.script.sent])

    before, probes, most = run(story())

    assert before <= 40
    assert 1 <= probes <= 20
    assert most <= 21
