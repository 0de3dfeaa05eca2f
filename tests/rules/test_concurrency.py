"""How many requests an endpoint gets at once."""

from __future__ import annotations

import pytest

from anzol.concurrency import BEGIN, CEILING, Concurrency
from anzol.lifecycle import Outcome


def grown(successes: int = 1000) -> Concurrency:
    concurrency = Concurrency()
    for _ in range(successes):
        concurrency.succeeded()
    return concurrency


def test_it_begins_modestly_and_grows_with_every_success_to_the_ceiling() -> None:
    assert Concurrency().limit == BEGIN
    assert grown(10).limit == BEGIN + 10
    assert grown(100_000).limit == CEILING


@pytest.mark.parametrize("outcome", [Outcome.TIMEOUT, Outcome.CONNECT_TIMEOUT])
def test_silence_brings_it_to_one(outcome: Outcome) -> None:
    concurrency = grown()
    concurrency.failed(outcome, None)

    assert concurrency.limit == 1


@pytest.mark.parametrize("status", [429, 502, 504])
def test_overload_brings_it_to_one(status: int) -> None:
    concurrency = grown()
    concurrency.failed(Outcome.HTTP_STATUS, status)

    assert concurrency.limit == 1


def test_any_other_failure_halves_it() -> None:
    concurrency = grown()
    concurrency.failed(Outcome.HTTP_STATUS, 500)

    assert concurrency.limit == CEILING // 2


def test_after_a_failure_it_grows_fast_to_half_and_then_slowly() -> None:
    concurrency = grown()
    concurrency.failed(Outcome.TIMEOUT, None)
    for _ in range(CEILING // 2):
        concurrency.succeeded()
    halfway = concurrency.limit
    for _ in range(CEILING // 2):
        concurrency.succeeded()

    assert halfway >= CEILING // 2 - 1
    assert concurrency.limit <= halfway + 2


def test_it_never_falls_below_one() -> None:
    concurrency = Concurrency()
    for _ in range(20):
        concurrency.failed(Outcome.HTTP_STATUS, 500)
        concurrency.quieten()

    assert concurrency.limit == 1
