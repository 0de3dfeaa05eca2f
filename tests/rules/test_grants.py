"""The throttle of a customer: starts granted to several workers out of one row."""

from __future__ import annotations

import bisect
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from anzol.grants import BEHIND, LATE, SECOND, Starts, share

SECONDS = 4


def simulated(rate: int, workers: int, seed: int, laziness: int) -> list[list[int]]:
    """Let workers with more work than they may start ask when told, or later, and start what they may, or later."""
    chance = Random(seed)
    held = [Starts() for _ in range(workers)]
    asks, used = [0] * workers, [[] for _ in range(workers)]
    until, last, now = None, -1, 1_000_000_000
    end = now + SECONDS * SECOND
    while now < end:
        for me in chance.sample(range(workers), workers):
            while held[me].ready(now):
                held[me].use()
                used[me].append(now)
            if asks[me] <= now:
                slots = share(rate, until, now=now, wanted=chance.randint(1, 2 * rate), again=last == me)
                asks[me] = slots.again_at
                if slots.count:
                    until, last = slots.next_at, me
                    held[me].add(slots.first, slots.gap, slots.count)
        now += chance.randint(1, laziness)
    return used


def most_in_a_second(moments: list[int]) -> int:
    ordered = sorted(moments)
    return max((bisect.bisect_left(ordered, at + SECOND) - place for place, at in enumerate(ordered)), default=0)


@given(st.integers(1, 400), st.integers(1, 4), st.integers(0, 2**32), st.sampled_from([2_000, 20_000, 300_000]))
def test_no_second_of_all_workers_together_holds_more_than_a_twentieth_too_many(
    rate: int, workers: int, seed: int, laziness: int
) -> None:
    used = simulated(rate, workers, seed, laziness)

    assert most_in_a_second([at for one in used for at in one]) <= rate + rate // 20


@given(st.integers(1, 400), st.integers(1, 4), st.integers(0, 2**32))
def test_workers_that_come_in_time_get_the_rate(rate: int, workers: int, seed: int) -> None:
    used = simulated(rate, workers, seed, laziness=2_000)

    total = sum(map(len, used))
    assert total >= SECONDS * rate * 0.92 - 2


@given(st.integers(1, 100), st.integers(0, 2**32))
def test_none_of_two_workers_is_left_without(rate: int, seed: int) -> None:
    used = simulated(rate, 2, seed, laziness=2_000)

    assert min(map(len, used)) >= SECONDS * rate // 8


def test_nothing_is_saved_up_while_nobody_asks() -> None:
    slots = share(100, 0, now=10 * SECOND, wanted=1000, again=False)

    assert slots.first == 10 * SECOND - BEHIND
    assert slots.count == 10


def test_a_clock_set_back_stops_nobody() -> None:
    slots = share(1, 9_000 * SECOND, now=SECOND, wanted=1, again=True)

    assert slots.count == 1
    assert slots.first <= SECOND


def test_a_start_that_comes_too_late_is_forgotten() -> None:
    starts = Starts()
    starts.add(first=100, gap=LATE, count=2)

    assert not starts.ready(99)
    assert starts.ready(100 + LATE)
    assert starts.next_at() == 100
    assert starts.ready(101 + LATE)
    assert starts.next_at() == 100 + LATE
    assert not starts.ready(101 + 2 * LATE)
    assert len(starts) == 0
