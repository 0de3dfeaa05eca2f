"""When a delivery is tried again: the schedule, and what the receiver asked for. Pure; time and chance are arguments.

A schedule holds the delay before each attempt, the first one's included. A delivery stands at a *step* of it: the
number of delays that lie behind it.
"""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Final

from anzol.lifecycle import Cause, Outcome

SECOND: Final = 1_000_000  # microseconds

# Source: Standard Webhooks 1.0, "Retry schedule".
DEFAULT_SCHEDULE: Final[tuple[timedelta, ...]] = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
SPREAD: Final = 0.2
MOST_ASKED: Final = 24 * 3600  # seconds that a Retry-After may ask for
LONGEST_VALUE: Final = 64  # characters; no number of seconds and no date has more

# When our own proxy fails, the schedule stands still: the first delay, doubled each time, up to the last.
PROXY_FIRST: Final = 5 * SECOND
PROXY_LAST: Final = 300 * SECOND

NAMES: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTHS: Final = {name: number for number, name in enumerate(NAMES, 1)}
TIME: Final = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
# Source: RFC 9110, 5.6.7: the three forms of an HTTP-date.
DATES: Final = (
    re.compile(rf"[A-Z][a-z]{{2}}, (?P<day>\d\d) (?P<month>[A-Z][a-z]{{2}}) (?P<year>\d{{4}}) {TIME} GMT", re.ASCII),
    re.compile(rf"[A-Z][a-z]{{5,8}}, (?P<day>\d\d)-(?P<month>[A-Z][a-z]{{2}})-(?P<year>\d\d) {TIME} GMT", re.ASCII),
    re.compile(rf"[A-Z][a-z]{{2}} (?P<month>[A-Z][a-z]{{2}}) (?P<day>[ \d]\d) {TIME} (?P<year>\d{{4}})", re.ASCII),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an attempt means for its delivery: ended by ``cause``, or due again at ``due_at``; where it stands then."""

    cause: Cause | None
    due_at: int | None
    step: int


def judge(
    outcome: Outcome,
    status: int | None,
    headers: Iterable[tuple[bytes, bytes]],
    *,
    step: int,
    attempt: int,
    schedule: Sequence[timedelta],
    now: int,
    chance: Random,
    spread: float = SPREAD,
) -> Verdict:
    """Say what becomes of a delivery after one attempt.

    Args:
        step: Where in the schedule the delivery stood.
        attempt: How many attempts lay behind it.
        now: Microseconds since the Unix epoch, at the end of the attempt.
    """
    if outcome is Outcome.OK:
        return Verdict(Cause.ACCEPTED, None, step)
    if status == 410 and outcome is Outcome.HTTP_STATUS:
        return Verdict(Cause.REFUSED, None, step)
    if outcome is Outcome.PROXY_ERROR:  # ours, not the endpoint's: no step of its schedule is used up
        return Verdict(None, now + varied(proxy_delay(attempt), chance, spread), step)
    if step + 1 >= len(schedule):
        return Verdict(Cause.GAVE_UP, None, step)
    due_at = now + varied(schedule[step + 1] // timedelta(microseconds=1), chance, spread)
    asked = retry_after(headers, now)
    return Verdict(None, due_at if asked is None else max(due_at, asked), step + 1)


def proxy_delay(attempt: int) -> int:
    """Return the microseconds to wait after *attempt* earlier attempts."""
    return min(PROXY_LAST, PROXY_FIRST << min(attempt, 10))


def varied(delay: int, chance: Random, spread: float = SPREAD) -> int:
    """Return *delay* (microseconds), at most *spread* of it more or less, by one fresh draw."""
    return round(delay * (1 + spread * (2 * chance.random() - 1)))


def retry_after(headers: Iterable[tuple[bytes, bytes]], now: int) -> int | None:
    """Return the time (microseconds) that a reply's Retry-After asks for; at most 24 hours ahead.

    None where there is none, or more than one, or one that is neither seconds nor an HTTP-date, or a time gone by.

    Source: RFC 9110, 10.2.3.
    """
    values = [value for name, value in headers if name.lower() == b"retry-after"]
    if len(values) != 1 or len(values[0]) > LONGEST_VALUE:
        return None
    text = values[0].decode("latin-1").strip(" \t")
    asked = int(text) if text.isascii() and text.isdigit() else seconds_until(text, now)
    if asked is None or asked <= 0:
        return None
    return now + min(asked, MOST_ASKED) * SECOND


def seconds_until(text: str, now: int) -> int | None:
    """Return the seconds from *now* until an HTTP-date, rounded up; None if it is none."""
    moment = http_date(text, now)
    return None if moment is None else -((now - moment * SECOND) // SECOND)


def http_date(text: str, now: int) -> int | None:
    """Read an HTTP-date in any of its three forms as seconds since the Unix epoch."""
    found = next((match for form in DATES if (match := form.fullmatch(text))), None)
    if found is None or found["month"] not in MONTHS:
        return None
    day, hour, minute, second = (int(found[part]) for part in ("day", "hour", "minute", "second"))
    if not 1 <= day <= 31 or hour > 23 or minute > 59 or second > 60:
        return None
    year = int(found["year"])
    if len(found["year"]) == 2:
        year = full_year(year, now)
    return timegm((year, MONTHS[found["month"]], day, hour, minute, second)) if year >= 1970 else None


def full_year(year: int, now: int) -> int:
    """Return the year that two digits mean: one that seems over 50 years ahead is of the century before."""
    this = 1970 + now // (31_556_952 * SECOND)
    full = this - this % 100 + year
    return full - 100 if full > this + 50 else full
