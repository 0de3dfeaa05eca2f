"""One lane in its holder's hands: what may start, and how much more is worth having."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from anzol.circuit import Circuit
from anzol.clock import OwnedClock
from anzol.lane import Lane
from anzol.lifecycle import Disabled
from anzol.rules import DeliveryRules
from anzol.settlement import Settlement
from anzol.storage.face import Claim
from anzol.tenure import Tenure
from anzol.turns import Turns
from tests.delivery.fakes import Memory

RULES = DeliveryRules()


class Bench:
    """A lane with claims, and a clock."""

    def __init__(self, claims: int = 0, **profile: object) -> None:
        self.clock = OwnedClock()
        memory = Memory(self.clock)
        settlement = Settlement(memory, 1, RULES, relieved=nothing, told=nothing)  # type: ignore[arg-type]  # its part
        self.tenure = Tenure(1, settlement, asyncio.Event(), RULES)
        endpoint = memory.endpoint("one.example", **profile)
        self.profile = memory.profiles_[endpoint]
        self.lane = Lane(self.tenure, self.profile, RULES, self.clock.monotonic())
        for _ in range(claims):
            self.tenure.enqueue(self.lane, memory.pending[memory.put(endpoint)].claim)

    def take(self) -> Claim | None:
        return self.lane.take(self.clock.micros(), self.clock.monotonic())

    def room(self) -> int:
        return self.lane.room(self.clock.micros(), self.clock.monotonic())


def nothing() -> None:
    """Do nothing."""


def test_claims_start_in_the_order_they_came() -> None:
    bench = Bench(3)

    assert [claim.id for _ in range(3) if (claim := bench.take())] == sorted(bench.lane.flying)
    assert bench.take() is None
    assert bench.tenure.queued == 0


def test_a_body_counts_until_its_attempt_has_ended_or_it_is_given_back() -> None:
    bench = Bench(3)
    claim = bench.take()
    assert claim is not None
    assert bench.tenure.held_bytes == 3 * len(claim.content.body)

    bench.lane.answered(claim, bench.clock.monotonic())
    bench.lane.answered(claim, bench.clock.monotonic())  # said twice, counted once
    assert bench.tenure.held_bytes == 2 * len(claim.content.body)
    bench.tenure.give_back(bench.lane)
    assert bench.tenure.held_bytes == 0


def test_room_is_what_can_be_under_way_and_as_much_again() -> None:
    bench = Bench()
    empty = bench.room()
    for _ in range(1000):
        bench.lane.concurrency.succeeded()

    assert empty == 2 * RULES.begin
    assert bench.room() == RULES.ceiling + 64


def test_what_is_queued_or_under_way_takes_room() -> None:
    bench = Bench(3)
    bench.take()

    assert bench.room() == 2 * RULES.begin - 3


def test_a_fifo_lane_has_room_for_one() -> None:
    bench = Bench(1, fifo=True)

    assert bench.room() == 0
    bench.take()
    assert bench.room() == 0
    assert bench.lane.limit == 1


def test_a_throttled_lane_has_room_for_what_it_may_start_soon() -> None:
    assert Bench(throttle=1).room() == 1
    assert Bench(throttle=10).room() == 6
    assert Bench(throttle=10_000).room() == 2 * RULES.begin


def test_an_open_circuit_leaves_no_room_and_starts_nothing() -> None:
    bench = Bench(2, failures=10, failing_since=0)
    bench.lane.circuit = Circuit(10, 0, bench.clock.micros() + 1, 0)

    assert bench.room() == 0
    assert bench.take() is None


def test_a_half_open_circuit_lets_one_probe_go() -> None:
    bench = Bench(2)
    bench.lane.circuit = Circuit(10, 0, bench.clock.micros(), 0)

    assert bench.take() is not None
    assert bench.take() is None
    assert bench.room() == 0


def test_nothing_starts_after_the_lease() -> None:
    bench = Bench(2)
    bench.tenure.expires = bench.clock.monotonic() + 30
    bench.clock.advance(timedelta(seconds=29))

    assert bench.take() is not None
    bench.clock.advance(timedelta(seconds=1))
    assert bench.take() is None


def test_a_lane_that_failed_before_begins_as_a_slow_one() -> None:
    assert Bench(failures=1).lane.limit == 1
    assert not Bench().lane.slow


def test_a_profile_read_before_the_disabling_was_written_does_not_enable() -> None:
    bench = Bench()
    bench.lane.active, bench.lane.disabling = False, Disabled.GONE
    bench.lane.apply(bench.profile, bench.clock.monotonic())

    assert not bench.lane.active


def test_a_profile_read_before_its_health_was_written_does_not_undo_it() -> None:
    bench = Bench()
    bench.lane.circuit = Circuit(3, 5, None, 0)
    bench.lane.unwritten = 1
    bench.lane.apply(bench.profile, bench.clock.monotonic())

    assert bench.lane.circuit.failures == 3


def test_a_change_of_throttle_counts_at_once_and_an_equal_one_gives_no_new_start() -> None:
    bench = Bench(3, throttle=1)
    assert bench.take() is not None
    bench.lane.apply(bench.profile, bench.clock.monotonic())
    assert bench.take() is None
    bench.lane.apply(replace(bench.profile, throttle=None), bench.clock.monotonic())

    assert bench.take() is not None


@pytest.mark.parametrize(("waited", "slow"), [(0.9, False), (1.0, True)])
def test_an_answer_that_is_overdue_makes_a_lane_slow_and_small(waited: float, slow: bool) -> None:
    bench = Bench(1)
    turns = Turns(unused, bench.clock, RULES)
    bench.take()
    bench.lane.busy = 1
    bench.clock.advance(timedelta(seconds=waited))
    turns.watch(bench.lane)

    assert bench.lane.slow == slow
    turns.quick(bench.lane)
    assert not bench.lane.slow
    assert bench.lane.limit == (1 if slow else RULES.begin)


async def unused(*_: object) -> None:
    """Attempt nothing."""
