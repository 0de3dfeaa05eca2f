"""A worker's life, in virtual time: polling, leases, retries on time, draining, and what happens when storage fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from anzol.circuit import CircuitRules
from anzol.errors import StorageBusy
from anzol.lifecycle import Cause, Incident, Outcome
from anzol.model import Report
from anzol.rules import DeliveryRules
from anzol.sender import Reply, Request
from anzol.worker import Worker, fitted
from tests.delivery.fakes import OK, POLICY, SECOND, TIMEOUT, Memory, Script, after, reply
from tests.delivery.virtual import LoopClock, run

RULES = DeliveryRules(spread=0.0)


class Scene:
    """A worker at work on storage in memory, and the receivers it sends to."""

    def __init__(self, rules: DeliveryRules = RULES, **more: object) -> None:
        self.clock = LoopClock()
        self.memory = Memory(self.clock)
        self.script = Script(self.clock)
        self.worker = Worker(
            self.memory,  # type: ignore[arg-type]  # the part of storage that a worker uses
            self.script,
            policy=POLICY,
            clock=self.clock,
            chance=Random(7),
            rules=rules,
            **more,  # type: ignore[arg-type]  # by name
        )

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.worker.run())
        await asyncio.sleep(0.1)
        try:
            yield
        finally:
            self.worker.stop()
            await task

    async def until(self, condition: object, *, seconds: float = 120.0) -> None:
        """Let time pass until something holds."""
        end = self.clock.monotonic() + seconds
        while not condition():  # type: ignore[operator]  # a function without arguments
            assert self.clock.monotonic() < end, "it did not come to that"
            await asyncio.sleep(0.01 if seconds <= 120 else 1)


def test_what_is_put_is_delivered_at_once() -> None:
    async def story() -> float:
        scene = Scene()
        endpoint = scene.memory.endpoint("one.example")
        async with scene.working():
            began = scene.clock.monotonic()
            number = scene.memory.put(endpoint)
            await scene.until(lambda: number in scene.memory.ended)
            assert scene.memory.ended == {number: Cause.ACCEPTED}
        return scene.script.sent[0][0] - began

    assert run(story()) < 0.01


def test_places_are_fewer_where_few_files_may_be_open(caplog: pytest.LogCaptureFixture) -> None:
    assert fitted(RULES, 2_000) is RULES
    assert fitted(RULES, 600).places == 300
    assert "600 files" in caplog.text


def test_an_idle_worker_asks_storage_at_most_once_a_second() -> None:
    async def story() -> int:
        scene = Scene(tell=silent)
        async with scene.working():
            await asyncio.sleep(60)
            scene.memory.calls.clear()
            await asyncio.sleep(600)
            return scene.memory.calls.total()

    assert run(story()) <= 600


def test_a_lost_nudge_costs_a_second_or_two_and_no_more() -> None:
    async def story() -> float:
        scene = Scene()
        endpoint = scene.memory.endpoint("one.example")
        async with scene.working():
            await asyncio.sleep(60)
            scene.memory.nudges.clear()
            began = scene.clock.monotonic()
            number = scene.memory.put(endpoint)
            await scene.until(lambda: number in scene.memory.ended)
            scene.memory.nudges.append(scene.worker.nudge)
        return scene.script.sent[0][0] - began

    assert run(story()) <= 1.5


def test_retries_of_a_lane_that_is_held_or_was_given_back_are_made_on_time() -> None:
    async def story() -> list[int]:
        scene = Scene()
        scene.script.default = reply(500)
        schedule = tuple(timedelta(seconds=delay) for delay in (0, 1.3, 2.4, 60))
        endpoint = scene.memory.endpoint("one.example", schedule=schedule)
        async with scene.working():
            number = scene.memory.put(endpoint)
            await scene.until(lambda: number in scene.memory.ended)
        times = [at for at, _ in scene.script.sent]
        return [round(later - before, 1) for before, later in pairwise(times)]

    assert run(story()) == [1.3, 2.4, 60.0]


@pytest.mark.parametrize("delay", [1.5, 30.0])
def test_a_schedule_that_begins_later_is_honoured(delay: float) -> None:
    async def story() -> float:
        scene = Scene(DeliveryRules(schedule=(timedelta(seconds=delay),)))
        endpoint = scene.memory.endpoint("one.example")
        async with scene.working():
            began = scene.clock.monotonic()
            number = scene.memory.put(endpoint)
            await scene.until(lambda: number in scene.memory.ended)
            assert [settled.attempt is not None for _, settled in scene.memory.attempts] == [True]
        return round(scene.script.sent[0][0] - began, 1)

    assert run(story()) == delay


def test_fifo_order_is_kept_through_retries() -> None:
    async def story() -> list[bytes]:
        scene = Scene()
        scene.script.answers["one.example"] = [OK, reply(500), reply(503), OK]
        endpoint = scene.memory.endpoint("one.example", fifo=True)
        async with scene.working():
            for number in range(5):
                scene.memory.put(endpoint, b"%d" % number)
            await scene.until(lambda: not scene.memory.pending, seconds=1000)
        return scene.script.bodies("one.example")

    assert run(story()) == [b"0", b"1", b"1", b"1", b"2", b"3", b"4"]


def test_claims_stop_while_receivers_that_do_not_read_hold_too_many_bytes() -> None:
    async def story() -> int:
        scene = Scene(DeliveryRules(spread=0.0, most_held_bytes=10_000))
        scene.script.default = after(10, OK)
        most = 0
        async with scene.working():
            for number in range(30):
                scene.memory.put(scene.memory.endpoint(f"never{number}.example"), bytes(4_000))
                await asyncio.sleep(0.1)
            most = sum(one.holder is not None for one in scene.memory.pending.values())
            await scene.until(lambda: not scene.memory.pending)
        return most

    assert run(story()) == 3


def test_one_body_larger_than_all_that_may_be_held_is_delivered() -> None:
    async def story() -> None:
        scene = Scene(DeliveryRules(spread=0.0, most_held_bytes=100))
        one = scene.memory.endpoint("one.example")
        async with scene.working():
            scene.memory.put(one, bytes(4_000))
            scene.memory.put(one, bytes(4_000))
            await scene.until(lambda: not scene.memory.pending, seconds=2)

    run(story())


def test_a_throttled_endpoint_gets_its_rate_and_everything() -> None:
    async def story() -> list[float]:
        scene = Scene()
        endpoint = scene.memory.endpoint("one.example", throttle=10)
        async with scene.working():
            for _ in range(50):
                scene.memory.put(endpoint)
            await scene.until(lambda: not scene.memory.pending)
        return [at for at, _ in scene.script.sent]

    times = run(story())

    assert len(times) == 50
    assert max(sum(at <= other < at + 1 for other in times) for at in times) <= 10
    assert times[-1] - times[0] < 6


def test_changes_of_an_endpoint_are_seen_within_two_seconds() -> None:
    async def story() -> list[str]:
        scene = Scene()
        endpoint = scene.memory.endpoint("old.example")
        async with scene.working():
            scene.memory.put(endpoint)
            await asyncio.sleep(0.5)
            scene.memory.change(endpoint, url="http://new.example/in")
            await asyncio.sleep(2)
            scene.memory.put(endpoint)
            await asyncio.sleep(0.5)
        return scene.script.hosts()

    assert run(story()) == ["old.example", "new.example"]


def test_what_is_queued_is_given_back_once_the_endpoint_is_parked() -> None:
    async def story() -> None:
        scene = Scene()
        scene.script.answers["one.example"] = after(5, OK)
        endpoint = scene.memory.endpoint("one.example")
        async with scene.working():
            for _ in range(20):
                scene.memory.put(endpoint)
            await asyncio.sleep(0.5)
            begun = len(scene.script.sent)
            assert sum(one.holder is not None for one in scene.memory.pending.values()) > begun
            scene.memory.change(endpoint, active=False)
            await asyncio.sleep(2)
            assert sum(one.holder is not None for one in scene.memory.pending.values()) == begun
            await asyncio.sleep(10)
            assert scene.memory.lanes[endpoint] is None
        assert len(scene.script.sent) == begun
        assert {one.claim.attempt for one in scene.memory.pending.values()} == {0}

    run(story())


def test_a_fault_of_ours_in_one_attempt_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        scene = Scene()
        one, two = scene.memory.endpoint("one.example"), scene.memory.endpoint("two.example")

        async def broken(_: Request) -> Reply:
            raise RuntimeError("a bug")

        scene.script.answers["one.example"] = broken
        async with scene.working():
            first, second = scene.memory.put(one), scene.memory.put(two)
            await scene.until(lambda: second in scene.memory.ended, seconds=1)
            scene.script.answers["one.example"] = OK
            await scene.until(lambda: first in scene.memory.ended, seconds=65)

    run(story())

    assert "A fault of ours" in caplog.text


def test_when_a_secret_ends_the_profile_is_read_again() -> None:
    async def story() -> int:
        scene = Scene()
        endpoint = scene.memory.endpoint("one.example", secrets_change_at=scene.clock.micros() + SECOND)
        async with scene.working():
            scene.memory.put(endpoint)
            await asyncio.sleep(0.5)
            assert scene.memory.calls["profiles"] == 0
            scene.memory.change(endpoint, secrets_change_at=None)
            scene.memory.touched.clear()
            await asyncio.sleep(2)
        return scene.memory.calls["profiles"]

    assert run(story()) == 1


def test_what_comes_for_a_lane_that_has_just_answered_410_goes_back() -> None:
    async def story() -> None:
        scene = Scene()
        scene.script.answers["one.example"] = after(0.0005, reply(410))
        endpoint = scene.memory.endpoint("one.example")
        real = scene.memory.settle
        async with scene.working():
            scene.memory.settle = away  # type: ignore[method-assign]  # the disabling is not written yet
            for _ in range(30):
                scene.memory.put(endpoint)
                await asyncio.sleep(0.0003)
            await asyncio.sleep(1)
            begun = len(scene.script.sent)
            scene.memory.settle = real  # type: ignore[method-assign]  # back
            await asyncio.sleep(2)
            assert {one.holder for one in scene.memory.pending.values()} == {None}
        assert begun == len(scene.script.sent) <= 12
        assert len(scene.memory.told(Incident.ENDPOINT_DISABLED)) == 1

    run(story())


# Stopping


def test_stopping_gives_back_what_has_not_started_and_finishes_the_rest() -> None:
    async def story() -> None:
        scene = Scene()
        scene.script.answers["one.example"] = after(5, OK)
        endpoint = scene.memory.endpoint("one.example")
        async with scene.working():
            for _ in range(20):
                scene.memory.put(endpoint)
            await asyncio.sleep(0.5)
            begun = len(scene.script.sent)
            scene.worker.stop()
            await asyncio.sleep(1)
            assert sum(one.holder is not None for one in scene.memory.pending.values()) == begun
            await asyncio.sleep(5)
        assert 0 < begun < 20
        assert len(scene.script.sent) == begun
        assert list(scene.memory.ended.values()) == [Cause.ACCEPTED] * begun
        assert len(scene.memory.attempts) == begun
        assert len(scene.memory.pending) == 20 - begun
        assert all(one.holder is None and one.claim.attempt == 0 for one in scene.memory.pending.values())
        assert scene.memory.due() == 20 - begun
        assert scene.memory.lanes[endpoint] is None
        assert not scene.memory.workers

    run(story())


def test_stopping_takes_no_longer_than_the_slowest_request_may() -> None:
    async def story() -> float:
        scene = Scene()
        scene.script.answers["one.example"] = after(10_000, OK)
        endpoint = scene.memory.endpoint("one.example")
        async with scene.working():
            scene.memory.put(endpoint)
            await asyncio.sleep(0.5)
            began = scene.clock.monotonic()
        assert scene.memory.attempts[0][1].attempt.outcome is Outcome.TIMEOUT
        return scene.clock.monotonic() - began

    assert run(story()) <= 20


def test_a_second_stop_is_at_once_and_leaves_the_unknown_to_the_reaper() -> None:
    async def story() -> None:
        scene = Scene()
        scene.script.answers["one.example"] = after(10, OK)
        endpoint = scene.memory.endpoint("one.example")
        async with scene.working():
            for _ in range(20):
                scene.memory.put(endpoint)
            await asyncio.sleep(0.5)
            assert sum(one.holder is not None for one in scene.memory.pending.values()) > 4
            began = scene.clock.monotonic()
            scene.worker.stop()
        assert scene.clock.monotonic() - began < 1
        assert len(scene.script.sent) == 4
        assert sum(one.holder is not None for one in scene.memory.pending.values()) == 4
        assert len(scene.memory.workers) == 1

    run(story())


def test_an_idle_worker_stops_at_once() -> None:
    async def story() -> float:
        scene = Scene()
        async with scene.working():
            await asyncio.sleep(30)
            began = scene.clock.monotonic()
        return scene.clock.monotonic() - began

    assert run(story()) < 0.1


def test_stopping_does_not_wait_for_a_database_that_stays_locked() -> None:
    async def story() -> float:
        scene = Scene()
        scene.memory.endpoint("one.example")
        async with scene.working():
            await asyncio.sleep(5)
            scene.memory.dispatch = scene.memory.resign = waits  # type: ignore[method-assign]  # a lock
            await asyncio.sleep(5)
            began = scene.clock.monotonic()
        return scene.clock.monotonic() - began

    async def waits(*_: object) -> Any:
        await asyncio.Event().wait()

    assert 0 < run(story()) <= 2 * RULES.drain


# Leases


def test_a_worker_that_lost_its_lease_drops_everything_and_enlists_again(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        scene = Scene()
        scene.script.answers["slow.example"] = after(3, OK)
        slow, quick = scene.memory.endpoint("slow.example"), scene.memory.endpoint("quick.example")
        async with scene.working():
            first = scene.memory.put(slow)
            await asyncio.sleep(0.5)
            (me,) = scene.memory.workers
            scene.memory._free(me)
            scene.memory.pending[first].holder = 999
            later = scene.memory.put(quick)
            await scene.until(lambda: later in scene.memory.ended)
            assert list(scene.memory.workers) != [me]
            await asyncio.sleep(5)
        assert scene.memory.fenced == [first]
        assert first in scene.memory.pending

    with caplog.at_level(logging.WARNING, "anzol.worker"):
        run(story())

    assert "has lost its lease" in caplog.text
    assert "too late" in caplog.text


def test_what_a_lost_lease_interrupted_is_claimed_anew_at_once() -> None:
    async def story() -> float:
        scene = Scene()
        scene.script.answers["one.example"] = after(600, OK)
        endpoint = scene.memory.endpoint("one.example")
        async with scene.working():
            await asyncio.sleep(1)
            number = scene.memory.put(endpoint)
            await asyncio.sleep(0.5)
            scene.script.answers["one.example"] = OK
            scene.memory.workers = dict.fromkeys(scene.memory.workers, scene.clock.micros())  # the lease has ended
            lost = scene.clock.monotonic()
            await scene.until(lambda: number in scene.memory.ended)
            return scene.clock.monotonic() - lost

    assert run(story()) < 5


def test_a_lease_is_renewed_for_as_long_as_the_worker_lives() -> None:
    async def story() -> None:
        scene = Scene()
        async with scene.working():
            (me,) = scene.memory.workers
            await asyncio.sleep(600)
            assert list(scene.memory.workers) == [me]

    run(story())


def test_after_a_freeze_longer_than_the_lease_nothing_queued_is_started() -> None:
    async def story() -> int:
        scene = Scene()
        scene.script.answers["one.example"] = after(0.5, OK)
        endpoint = scene.memory.endpoint("one.example")
        async with scene.working():
            for _ in range(50):
                scene.memory.put(endpoint)
            await asyncio.sleep(0.2)
            begun = len(scene.script.sent)
            asyncio.get_running_loop().leaping.now += 31  # the process was stopped
            scene.memory.workers.clear()
            for one in scene.memory.pending.values():
                one.holder = 999
            await asyncio.sleep(5)
        return len(scene.script.sent) - begun

    assert run(story()) == 0


# When storage fails


def test_results_are_kept_until_storage_takes_them() -> None:
    async def story() -> None:
        scene = Scene()
        endpoint = scene.memory.endpoint("one.example")
        scene.memory.failing = [
            StorageBusy("locked"),
            StorageBusy("locked"),
            RuntimeError("a bug"),
            StorageBusy("locked"),
        ]
        async with scene.working():
            numbers = [scene.memory.put(endpoint) for _ in range(3)]
            await scene.until(lambda: len(scene.memory.ended) == 3)
        assert scene.memory.ended == dict.fromkeys(numbers, Cause.ACCEPTED)
        assert len(scene.script.sent) == 3

    run(story())


def test_claims_stop_while_too_many_results_wait() -> None:
    async def story() -> int:
        scene = Scene(DeliveryRules(most_unsettled=10))
        endpoint = scene.memory.endpoint("one.example")
        scene.memory.failing = [StorageBusy("locked")] * 30
        async with scene.working():
            for _ in range(500):
                scene.memory.put(endpoint)
            await asyncio.sleep(10)
            sent = len(scene.script.sent)
            await scene.until(lambda: not scene.memory.pending)
        assert len(scene.script.sent) == 500
        return sent

    assert run(story()) < 60


def test_a_worker_outlives_storage_that_is_away() -> None:
    async def story() -> None:
        scene = Scene()
        endpoint = scene.memory.endpoint("one.example")
        real = scene.memory.dispatch
        async with scene.working():
            scene.memory.dispatch = away  # type: ignore[method-assign]  # for a while
            number = scene.memory.put(endpoint)
            await asyncio.sleep(5)
            scene.memory.dispatch = real  # type: ignore[method-assign]  # back
            await scene.until(lambda: number in scene.memory.ended)

    run(story())


# Incidents


def test_handlers_are_told_and_one_that_fails_is_told_again() -> None:
    told: list[Report] = []

    async def tell(report: Report) -> None:
        told.append(report)
        if len(told) == 1:
            raise RuntimeError("the mail server is away")

    async def story() -> Scene:
        scene = Scene(tell=tell)
        scene.script.default = reply(410)
        endpoint = scene.memory.endpoint("one.example")
        async with scene.working():
            scene.memory.put(endpoint)
            await asyncio.sleep(1)
            assert scene.memory.forgotten == []
            scene.memory.telling += told  # a minute later, as storage hands it out again
            await asyncio.sleep(30)
        return scene

    scene = run(story())

    assert [report.kind for report in told] == [Incident.ENDPOINT_DISABLED] * 2
    assert scene.memory.forgotten == [told[0].id]


def test_a_handler_that_hangs_holds_nothing_up() -> None:
    async def hang(_: Report) -> None:
        await asyncio.sleep(10_000)

    async def story() -> None:
        scene = Scene(tell=hang)
        scene.script.answers["gone.example"] = reply(410)
        gone, well = scene.memory.endpoint("gone.example"), scene.memory.endpoint("well.example")
        async with scene.working():
            scene.memory.put(gone)
            await asyncio.sleep(1)
            number = scene.memory.put(well)
            await scene.until(lambda: number in scene.memory.ended, seconds=1)

    run(story())


async def silent(_: Report) -> None:
    """Hear an incident and do nothing."""


async def away(*_: object) -> None:
    raise StorageBusy("away")


def test_timeouts_open_the_circuit_and_no_attempt_is_burnt_while_it_is_open() -> None:
    async def story() -> tuple[int, int]:
        scene = Scene()
        scene.script.default = reply(500)
        endpoint = scene.memory.endpoint("one.example")
        async with scene.working():
            for _ in range(300):
                scene.memory.put(endpoint)
            await asyncio.sleep(8)
            opened = len(scene.script.sent)
            assert {one.holder for one in scene.memory.pending.values()} == {None}
            await asyncio.sleep(3600)
        assert len(scene.memory.told(Incident.ENDPOINT_FAILING)) == 1
        return opened, len(scene.script.sent) - opened

    opened, probes = run(story())

    assert opened <= 20
    assert probes <= 10


def test_what_is_queued_goes_back_when_the_circuit_opens() -> None:
    async def story() -> None:
        scene = Scene(DeliveryRules(circuit=CircuitRules(threshold=4), spread=0.0))
        scene.script.default = reply(500)
        scene.script.answers["one.example"] = after(0.5, reply(500))
        endpoint = scene.memory.endpoint("one.example")
        async with scene.working():
            for _ in range(20):
                scene.memory.put(endpoint)
            await asyncio.sleep(0.4)
            assert sum(one.holder is not None for one in scene.memory.pending.values()) > 4
            await asyncio.sleep(0.4)
            assert {one.holder for one in scene.memory.pending.values()} == {None}
        assert len(scene.script.sent) == 4

    run(story())


def test_a_circuit_left_open_by_a_clock_that_was_set_back_is_probed_at_once() -> None:
    async def story() -> float:
        scene = Scene()
        far = scene.clock.micros() + 10 * 3600 * SECOND
        endpoint = scene.memory.endpoint("one.example", failures=10, failing_since=far, circuit_open_until=far)
        async with scene.working():
            for _ in range(20):
                scene.memory.put(endpoint)
            began = scene.clock.monotonic()
            await scene.until(lambda: not scene.memory.pending)
            assert scene.memory.profiles_[endpoint].circuit_open_until is None
            return scene.clock.monotonic() - began

    assert run(story()) < 3


def test_the_first_success_closes_the_circuit_and_says_so() -> None:
    async def story() -> Memory:
        scene = Scene()
        scene.script.default = TIMEOUT
        endpoint = scene.memory.endpoint("one.example")
        async with scene.working():
            for _ in range(100):
                scene.memory.put(endpoint)
            await scene.until(lambda: scene.memory.told(Incident.ENDPOINT_FAILING), seconds=3600)
            scene.script.default = OK
            await scene.until(lambda: not scene.memory.pending, seconds=3600)
        assert scene.memory.profiles_[endpoint].circuit_open_until is None
        assert scene.memory.profiles_[endpoint].failures == 0
        return scene.memory

    memory = run(story())

    assert len(memory.told(Incident.ENDPOINT_FAILING)) == 1
    assert len(memory.told(Incident.ENDPOINT_RECOVERED)) == 1
