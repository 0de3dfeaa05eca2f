"""The circuit of an endpoint."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from anzol.circuit import HEALTHY, Circuit, CircuitRules, Phase, interval

RULES = CircuitRules()
SECOND = 1_000_000


class Middle(Random):
    """Chance that is always in the middle: no jitter."""

    def random(self) -> float:
        return 0.5


def after(failures: int, *, apart: int = 0, start: Circuit = HEALTHY) -> Circuit:
    circuit = start
    for number in range(failures):
        circuit = circuit.failed(number * apart, RULES, Middle())
    return circuit


def test_it_is_closed_while_failures_are_few() -> None:
    assert after(RULES.threshold - 1).phase(0, RULES) is Phase.CLOSED


def test_failures_in_a_row_open_it() -> None:
    circuit = after(RULES.threshold)

    assert circuit.phase(0, RULES) is Phase.OPEN
    assert circuit.open_until == RULES.first // timedelta(microseconds=1)


def test_a_few_failures_over_a_long_time_open_it_too() -> None:
    assert after(RULES.few, apart=20 * 60 * SECOND).open_until is not None
    assert after(RULES.few, apart=1 * SECOND).open_until is None


def test_one_probe_may_go_once_the_time_has_come() -> None:
    assert Circuit(10, 0, 500, 0).phase(499, RULES) is Phase.OPEN
    assert Circuit(10, 0, 500, 0).phase(500, RULES) is Phase.HALF_OPEN


def test_a_time_further_ahead_than_probes_are_apart_is_no_time_to_wait_for() -> None:
    farthest = 36 * 60 * SECOND  # half an hour, and a fifth of it

    assert Circuit(10, 0, farthest, 8).phase(0, RULES) is Phase.OPEN
    assert Circuit(10, 0, farthest + 1, 8).phase(0, RULES) is Phase.HALF_OPEN  # the clock was set back
    assert Circuit(10, 0, farthest + 1, 8).failed(0, RULES, Middle()).open_until == 30 * 60 * SECOND


def test_a_failed_probe_opens_it_for_longer() -> None:
    opened = Circuit(10, 0, 500, 0).failed(600, RULES, Middle())

    assert opened == Circuit(11, 0, 600 + 20 * SECOND, 1)


def test_what_was_on_its_way_when_it_opened_does_not_put_the_probe_off() -> None:
    assert Circuit(10, 0, 500, 0).failed(499, RULES, Middle()) == Circuit(11, 0, 500, 0)


def test_probes_grow_apart_up_to_a_limit() -> None:
    gaps = [interval(step, RULES, Middle()) / SECOND for step in range(12)]

    assert gaps == [10, 20, 40, 80, 160, 320, 640, 1280, 1800, 1800, 1800, 1800]


@pytest.mark.parametrize("steps", [10**3, 10**6])
def test_any_number_of_failed_probes_is_borne(steps: int) -> None:
    assert interval(steps, RULES, Middle()) == 1800 * SECOND


def test_it_knows_since_when_it_fails() -> None:
    circuit = after(3, apart=60 * SECOND)

    assert circuit.failing_for(300 * SECOND) == timedelta(minutes=5)
    assert HEALTHY.failing_for(300 * SECOND) == timedelta(0)
