"""The throttle of an endpoint."""

from __future__ import annotations

import bisect

from hypothesis import given
from hypothesis import strategies as st

from anzol.throttle import Throttle


def grants(rate: int, seconds: list[float]) -> list[float]:
    """Ask at the given moments, as often as there is something to be had, and return when that was."""
    throttle, granted = Throttle(rate, 0.0), []
    for now in sorted(seconds):
        while throttle.grant(now):
            granted.append(now)
    return granted


@given(st.integers(1, 5000), st.lists(st.floats(0, 5), min_size=1, max_size=60))
def test_no_second_holds_more_than_a_twentieth_too_many(rate: int, moments: list[float]) -> None:
    granted = grants(rate, moments + [moment + 0.999999 for moment in moments])

    most = max((bisect.bisect_left(granted, at + 1) - place for place, at in enumerate(granted)), default=0)
    assert most <= rate + rate // 20


@given(st.integers(1, 2000))
def test_who_comes_back_when_told_gets_the_whole_rate(rate: int) -> None:
    throttle, now, granted = Throttle(rate, 0.0), 0.0, 0
    while now < 3:
        granted += throttle.grant(now)
        now += throttle.wait(now) + 1e-9

    assert 3 * rate - 1 <= granted <= 3 * rate + rate // 20 + 1


def test_it_says_how_long_to_wait() -> None:
    throttle = Throttle(2, 10.0)

    assert throttle.wait(10.0) == 0
    assert throttle.grant(10.0)
    assert not throttle.grant(10.0)
    assert throttle.wait(10.0) == 0.5
    assert throttle.grant(10.5)


@given(st.integers(1, 500), st.floats(0, 3), st.floats(0, 3))
def test_it_says_how_many_there_will_be(rate: int, at: float, seconds: float) -> None:
    throttle = Throttle(rate, 0.0)
    while throttle.grant(at):
        pass
    promised = throttle.within(at, seconds)

    now, got = at, 0
    while (now := now + throttle.wait(now) + 1e-9) <= at + seconds:
        got += throttle.grant(now)
    assert abs(promised - got) <= 1


def test_nothing_is_saved_up_beyond_the_burst() -> None:
    assert len(grants(100, [0.0])) == 1 + 0
    assert len(grants(100, [1000.0])) == 5
