"""How many lanes a busy worker leaves to others, and when."""

from __future__ import annotations

import pytest

from anzol.sharing import EVERY, FIRST, LARGEST, MODEST, Sharing, excess


@pytest.mark.parametrize(
    ("mine", "others", "workers", "over"),
    [(1000, 0, 1, 0), (1000, 0, 2, 500), (3, 0, 2, 0), (4, 0, 2, 2), (105, 95, 2, 0), (10, 900, 3, 0), (0, 0, 2, 0)],
)
def test_what_is_above_the_even_share(mine: int, others: int, workers: int, over: int) -> None:
    assert excess(mine, others, workers) == over


def test_portions_grow_as_they_are_taken_until_all_is_even() -> None:
    sharing, mine, now, given = Sharing(), 1000, 0.0, []
    while count := sharing.give(1, {1: mine, 2: 1000 - mine}, now):
        given.append(count)
        mine -= count
        now += MODEST

    assert given[:4] == [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST]
    assert max(given) <= LARGEST
    assert mine <= 550


def test_nothing_is_taken_for_a_moment_after_lanes_were_given_back() -> None:
    sharing = Sharing()
    sharing.give(1, {1: 100, 2: 0}, 5.0)

    assert sharing.modest(5.0 + MODEST / 2)
    assert not sharing.due(5.0 + MODEST / 2)
    assert not sharing.modest(5.0 + MODEST)
    assert sharing.due(5.0 + MODEST)


def test_portions_that_nobody_takes_come_less_and_less_often() -> None:
    sharing, now, times = Sharing(), 0.0, []
    while now < 300:
        if sharing.due(now) and sharing.give(1, {1: 1000, 2: 0}, now):
            times.append(now)
        now += EVERY / 2

    assert 5 <= len(times) <= 12
    assert times[-1] - times[-2] >= 60
