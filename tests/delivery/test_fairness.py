"""Places and turns: slow lanes and long queues take nothing from the others. In virtual time."""

from __future__ import annotations

import asyncio
from random import Random

from anzol.lifecycle import Outcome
from anzol.rules import DeliveryRules
from tests.delivery.fakes import OK, after, reply
from tests.delivery.test_customer_throttle import another
from tests.delivery.test_worker import Scene
from tests.delivery.virtual import run

HEALTHY = 40
BLACK_HOLES = 30


async def traffic(scene: Scene, endpoints: list[bytes], seconds: float, chance: Random) -> None:
    """Two messages a second to each endpoint, at any time; a body says when its message was sent."""

    async def to(endpoint: bytes) -> None:
        end = scene.clock.monotonic() + seconds
        while scene.clock.monotonic() < end:
            await asyncio.sleep(chance.expovariate(2))
            scene.memory.put(endpoint, b"%f" % scene.clock.monotonic())

    await asyncio.gather(*(to(endpoint) for endpoint in endpoints))


def waits(scene: Scene, host: str) -> list[float]:
    """How long each message to hosts that begin so waited for its first attempt, shortest first."""
    return sorted(at - float(one.body) for at, one in scene.script.sent if one.target.host.startswith(host))


def test_black_holes_do_not_starve_healthy_lanes() -> None:
    async def story() -> list[float]:
        scene = Scene(DeliveryRules(places=60))
        healthy = [scene.memory.endpoint(f"healthy{number}.example") for number in range(HEALTHY)]
        holes = [scene.memory.endpoint(f"hole{number}.example") for number in range(BLACK_HOLES)]
        for number in range(HEALTHY):
            scene.script.answers[f"healthy{number}.example"] = after(0.02, OK)
        for number in range(BLACK_HOLES):
            scene.script.answers[f"hole{number}.example"] = after(10_000, OK)
        async with scene.working():
            await traffic(scene, healthy + holes, 30, Random(1))
        return waits(scene, "healthy")

    found = run(story())

    assert len(found) > 2000
    assert found[len(found) * 99 // 100] < 0.25
    assert found[-1] < 2


def test_slow_lanes_together_hold_at_most_half_of_the_places() -> None:
    async def story() -> int:
        scene = Scene(DeliveryRules(places=20))
        holes = [scene.memory.endpoint(f"hole{number}.example", failures=1) for number in range(60)]
        for number in range(60):
            scene.script.answers[f"hole{number}.example"] = after(10_000, OK)
        async with scene.working():
            for endpoint in holes:
                for _ in range(3):
                    scene.memory.put(endpoint)
            await asyncio.sleep(10)
            return len(scene.script.sent)

    assert run(story()) == 10


def test_a_lane_without_an_answer_for_a_second_keeps_one_place() -> None:
    async def story() -> tuple[int, int]:
        scene = Scene()
        scene.script.answers["one.example"] = after(3, OK)
        endpoint = scene.memory.endpoint("one.example")
        async with scene.working():
            for _ in range(40):
                scene.memory.put(endpoint)
            await asyncio.sleep(0.5)
            first = len(scene.script.sent)
            await asyncio.sleep(9)
            return first, len(scene.script.sent) - first

    first, later = run(story())

    assert first == 4
    assert later == 3


def test_a_lane_that_answers_again_gets_its_places_back() -> None:
    async def story() -> int:
        scene = Scene()
        scene.script.answers["one.example"] = after(3, OK)
        endpoint = scene.memory.endpoint("one.example")
        async with scene.working():
            for _ in range(10):
                scene.memory.put(endpoint)
            await asyncio.sleep(10)
            scene.script.answers["one.example"] = after(0.02, OK)
            for _ in range(500):
                scene.memory.put(endpoint)
            await asyncio.sleep(10)
            return len(scene.memory.pending)

    assert run(story()) == 0


def test_a_long_queue_leaves_places_to_those_who_come_later() -> None:
    async def story() -> float:
        scene = Scene(DeliveryRules(places=8))
        scene.script.default = reply(200)
        scene.script.answers["long.example"] = after(0.02, OK)
        long, short = scene.memory.endpoint("long.example"), scene.memory.endpoint("short.example")
        async with scene.working():
            for _ in range(1500):
                scene.memory.put(long)
            await asyncio.sleep(0.5)
            began = scene.clock.monotonic()
            number = scene.memory.put(short)
            await scene.until(lambda: number in scene.memory.ended, seconds=5)
            waited = scene.clock.monotonic() - began
            assert len(scene.memory.pending) > 500
        return waited

    assert run(story()) < 0.6


def test_more_lanes_than_can_be_held_all_have_their_turn() -> None:
    async def story() -> list[float]:
        scene = Scene(DeliveryRules(lanes=5))
        endpoints = [scene.memory.endpoint(f"busy{number}.example") for number in range(20)]
        async with scene.working():
            await traffic(scene, endpoints, 30, Random(3))
            await asyncio.sleep(5)
            assert not scene.memory.pending
        return waits(scene, "busy")

    found = run(story())

    assert len(found) > 1000
    assert found[-1] < 5


def test_busy_lanes_that_fill_all_places_leave_a_quiet_one_its_turn() -> None:
    async def story() -> list[float]:
        scene = Scene(DeliveryRules(places=30, most_queued=60))
        for number in range(100):
            endpoint = scene.memory.endpoint(f"noisy{number}.example")
            scene.script.answers[f"noisy{number}.example"] = after(0.3, OK)
            for _ in range(50):
                scene.memory.put(endpoint)
        quiet = scene.memory.endpoint("quiet.example")
        async with scene.working():
            await asyncio.sleep(5)
            for _ in range(15):
                await asyncio.sleep(1)
                scene.memory.put(quiet, b"%f" % scene.clock.monotonic())
            await asyncio.sleep(2)
            assert len(scene.memory.pending) > 1000
        return waits(scene, "quiet")

    found = run(story())

    assert len(found) == 15
    assert found[-1] < 1.5


def test_dead_endpoints_with_much_waiting_do_not_delay_a_quiet_one() -> None:
    async def story() -> list[float]:
        scene = Scene(DeliveryRules(places=40))
        for number in range(60):
            host = f"dead{number}.example"
            endpoint = scene.memory.endpoint(host)
            scene.script.answers[host] = after(10_000, OK) if number % 2 else reply(None, Outcome.CONNECTION_REFUSED)
            for _ in range(20):
                scene.memory.put(endpoint)
        quiet = scene.memory.endpoint("quiet.example")
        async with scene.working():
            for _ in range(12):
                await asyncio.sleep(1)
                scene.memory.put(quiet, b"%f" % scene.clock.monotonic())
            await asyncio.sleep(3)
        return waits(scene, "quiet")

    found = run(story())

    assert len(found) == 12
    assert found[len(found) // 2] < 0.5
    assert found[-1] < 2


def test_a_round_claims_no_more_than_may_be_queued() -> None:
    async def story() -> int:
        scene = Scene(DeliveryRules(places=10, most_queued=50))
        most = 0
        endpoints = [scene.memory.endpoint(f"e{number}.example") for number in range(40)]
        scene.script.answers = {f"e{number}.example": after(0.2, OK) for number in range(40)}
        async with scene.working():
            await asyncio.sleep(1)
            for endpoint in endpoints:
                for _ in range(30):
                    scene.memory.put(endpoint)
            await asyncio.sleep(8)
            for _ in range(300):
                await asyncio.sleep(0.02)
                held = sum(one.holder is not None for one in scene.memory.pending.values())
                most = max(most, held)
        return most

    assert run(story()) <= 50 + 10 + 10 + 8  # queued, under way, unwritten, and the room of one lane


def test_a_worker_that_starts_later_has_its_part_within_seconds() -> None:
    async def story() -> tuple[int, int, int]:
        scene = Scene(DeliveryRules(places=40))
        other = another(scene, places=40)
        for number in range(100):
            endpoint = scene.memory.endpoint(f"e{number}.example")
            scene.script.answers[f"e{number}.example"] = after(0.2, OK)
            for _ in range(80):
                scene.memory.put(endpoint)
        async with scene.working():
            await asyncio.sleep(3)
            assert len({*scene.memory.lanes.values()} - {None}) == 1
            task = asyncio.create_task(other.run())
            await asyncio.sleep(12)
            first, second = sorted(scene.memory.workers)
            shares = [*scene.memory.lanes.values()]
            left = len(scene.memory.pending)
            other.stop()
            await task
        return shares.count(first), shares.count(second), left

    first, second, left = run(story())

    assert left > 1000
    assert first >= 40
    assert second >= 40


def test_a_worker_alone_keeps_its_lanes() -> None:
    async def story() -> int:
        scene = Scene(DeliveryRules(places=10))
        endpoints = [scene.memory.endpoint(f"e{number}.example") for number in range(20)]
        for number, endpoint in enumerate(endpoints):
            scene.script.answers[f"e{number}.example"] = after(0.2, OK)
            for _ in range(40):
                scene.memory.put(endpoint)
        async with scene.working():
            await asyncio.sleep(1)
            held = dict(scene.memory.lanes)
            await asyncio.sleep(8)
            return sum(scene.memory.lanes[one] != held[one] for one in endpoints)

    assert run(story()) == 0
