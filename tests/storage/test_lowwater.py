"""The mark from which on the outbox is looked at: behind what is done, with a lag, and behind nothing every second."""

from __future__ import annotations

from anzol.storage.postgres.lowwater import LAG, SWEEP, LowWater


def test_the_first_look_is_at_all_of_it_and_then_one_each_second() -> None:
    low = LowWater()
    low.through(10, 0.0)
    low.through(20, LAG)

    assert [low.mark(now) for now in (1.0, 1.2, 1.0 + SWEEP, 1.2 + SWEEP)] == [0, 10, 0, 10]


def test_it_lags_behind_what_is_done() -> None:
    low = LowWater()
    low.mark(0.0)
    marks = []
    for step in range(1, 9):
        now = step * LAG / 2
        low.through(step * 100, now)
        marks.append(low.mark(now))

    assert marks == [0, 0, 100, 100, 300, 300, 500, 0]


def test_it_never_passes_what_is_left() -> None:
    low = LowWater()
    low.mark(0.0)
    for step, left in enumerate([100, 50, 50, 50]):
        low.through(left, step * LAG)

    assert low.mark(4 * LAG - 0.01) <= 50


def test_what_was_left_behind_is_looked_for_at_once() -> None:
    low = LowWater()
    low.mark(0.0)
    low.through(100, 0.0)
    low.through(200, LAG)
    before = low.mark(2 * LAG)
    low.sweep()

    assert (before, low.mark(2 * LAG), low.mark(2 * LAG)) == (100, 0, 100)
