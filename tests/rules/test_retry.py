"""When a delivery is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anzol.clock import to_micros
from anzol.lifecycle import Cause, Outcome
from anzol.retry import DEFAULT_SCHEDULE, Verdict, http_date, judge, retry_after, varied

NOW = to_micros(datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC))
SECOND = 1_000_000
DAY = 24 * 3600


def verdict(
    outcome: Outcome = Outcome.HTTP_STATUS, status: int | None = 500, *headers: tuple[bytes, bytes], **more
) -> Verdict:
    given_ = {"step": 0, "attempt": 0, "schedule": DEFAULT_SCHEDULE, "now": NOW, "chance": Random(1), "spread": 0.0}
    return judge(outcome, status, headers, **(given_ | more))


def asked(value: str) -> float | None:
    """The seconds that a Retry-After asks for."""
    at = retry_after([(b"Retry-After", value.encode("latin-1"))], NOW)
    return None if at is None else (at - NOW) / SECOND


def test_a_success_ends_the_delivery() -> None:
    assert verdict(Outcome.OK, 204) == Verdict(Cause.ACCEPTED, None, 0)


def test_410_ends_the_delivery() -> None:
    assert verdict(Outcome.HTTP_STATUS, 410) == Verdict(Cause.REFUSED, None, 0)


@pytest.mark.parametrize(
    "outcome", [outcome for outcome in Outcome if outcome not in (Outcome.OK, Outcome.PROXY_ERROR)]
)
def test_every_other_outcome_is_tried_again_by_the_schedule(outcome: Outcome) -> None:
    assert verdict(outcome, 500) == Verdict(None, NOW + 5 * SECOND, 1)


def test_the_whole_schedule_is_walked_and_then_it_ends() -> None:
    step, delays = 0, []
    while (found := verdict(step=step, attempt=step)).cause is None:
        delays.append(timedelta(microseconds=found.due_at - NOW))
        step = found.step

    assert tuple(delays) == DEFAULT_SCHEDULE[1:]
    assert found == Verdict(Cause.GAVE_UP, None, len(DEFAULT_SCHEDULE) - 1)


def test_an_endpoints_own_schedule_of_one_attempt_ends_at_once() -> None:
    assert verdict(schedule=(timedelta(0),)).cause is Cause.GAVE_UP


def test_a_failing_proxy_uses_up_no_step() -> None:
    waits = [
        (verdict(Outcome.PROXY_ERROR, None, step=3, attempt=attempt).due_at - NOW) / SECOND for attempt in range(8)
    ]

    assert waits == [5, 10, 20, 40, 80, 160, 300, 300]
    assert verdict(Outcome.PROXY_ERROR, None, step=9, attempt=500) == Verdict(None, NOW + 300 * SECOND, 9)


def test_retry_after_is_never_undercut() -> None:
    assert verdict(Outcome.HTTP_STATUS, 503, (b"retry-after", b"120")).due_at == NOW + 120 * SECOND


def test_retry_after_does_not_bring_a_later_attempt_forward() -> None:
    assert verdict(Outcome.HTTP_STATUS, 503, (b"retry-after", b"2")).due_at == NOW + 5 * SECOND


def test_retry_after_counts_on_any_failure() -> None:
    assert verdict(Outcome.HTTP_STATUS, 301, (b"Retry-After", b"60")).due_at == NOW + 60 * SECOND


def test_retry_after_adds_no_attempt_behind_the_schedule() -> None:
    assert verdict(Outcome.HTTP_STATUS, 503, (b"retry-after", b"60"), step=9).cause is Cause.GAVE_UP


def test_two_retry_after_headers_are_none() -> None:
    assert retry_after([(b"Retry-After", b"60"), (b"retry-after", b"90")], NOW) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 120 ", 120),
        ("0", None),
        ("-5", None),
        ("+5", None),
        ("120.5", None),
        ("1e9", None),
        ("999999999", DAY),
        ("9" * 64, DAY),
        ("9" * 65, None),
        ("9" * 5000, None),
        ("²", None),
        ("", None),
        ("soon", None),
        ("Sun, 01 Mar 2026 12:02:00 GMT", 120),
        ("Sunday, 01-Mar-26 12:02:00 GMT", 120),
        ("Sun Mar  1 12:02:00 2026", 120),
        ("Sun, 01 Mar 2026 11:00:00 GMT", None),
        ("Sun, 01 Mar 2126 12:00:00 GMT", DAY),
        ("Sun, 01 Mar 2026 12:02:00 CET", None),
        ("Sun, 01 Mar 2026 25:02:00 GMT", None),
        ("Sun, 01 Xyz 2026 12:02:00 GMT", None),
        ("Sunday, 01-Mar-94 12:02:00 GMT", None),
    ],
)
def test_what_a_retry_after_asks_for(value: str, seconds: float | None) -> None:
    assert asked(value) == seconds


@given(st.integers(0, 253_402_300_799))
def test_dates_are_read_as_the_standard_library_writes_them(seconds: int) -> None:
    assert http_date(format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True), NOW) == seconds


@given(st.binary(max_size=200))
def test_no_retry_after_is_earlier_than_now_or_later_than_a_day(value: bytes) -> None:
    at = retry_after([(b"retry-after", value)], NOW)

    assert at is None or NOW < at <= NOW + DAY * SECOND


@given(st.integers(0, 10**12), st.integers())
def test_a_delay_varies_by_a_fifth_at_most(delay: int, seed: int) -> None:
    assert 0.8 * delay - 1 <= varied(delay, Random(seed)) <= 1.2 * delay + 1


def test_chance_spreads_a_delay_over_its_whole_range() -> None:
    chance = Random(4)
    delays = [varied(1000, chance) for _ in range(1000)]

    assert min(delays) < 820
    assert max(delays) > 1180
