"""Judging what is set on an endpoint: each value once, before anything is stored."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from anzol.errors import InvalidValue
from anzol.signing import SigningKey

UID: Final = re.compile(r"[A-Za-z0-9_.-]{1,256}", re.ASCII)
MAX_METADATA: Final = 50
MAX_THROTTLE: Final = 10_000
MAX_STEPS: Final = 50
LONGEST_DELAY: Final = timedelta(days=7)
LONGEST_KEPT: Final = timedelta(days=7)  # that a rotated secret goes on signing


def check_text(text: object, field: str, most: int) -> str:
    """Return *text* once it has at most *most* characters, none of them a NUL or half of a surrogate pair."""
    if not isinstance(text, str):
        raise InvalidValue(f"{field} is a text, not a {type(text).__name__}.", field=field)
    if len(text) > most:
        raise InvalidValue(f"{field} has {len(text)} characters; {most} are the most.", field=field)
    if any(mark == "\0" or "\ud800" <= mark <= "\udfff" for mark in text):
        raise InvalidValue(f"{field} has a character that cannot be stored.", field=field)
    return text


def check_uid(uid: object) -> str:
    """Return an endpoint's id in the developer's own system, once it is one."""
    if not isinstance(uid, str) or not UID.fullmatch(uid) or uid.startswith("ep_"):
        raise InvalidValue(
            f"{uid!r} is not a uid.",
            field="uid",
            do="It has 1 to 256 letters, digits, hyphens, underscores and dots, and does not begin with ep_.",
        )
    return uid


def check_flag(flag: object, field: str) -> bool:
    """Return *flag* once it is True or False: a text such as ``"no"`` would count as true."""
    if not isinstance(flag, bool):
        raise InvalidValue(f"{field} is True or False, not a {type(flag).__name__}.", field=field)
    return flag


def check_metadata(metadata: object) -> dict[str, str]:
    """Return at most 50 pairs of texts: names up to 100 characters, values up to 1,000."""
    if not isinstance(metadata, Mapping):
        raise InvalidValue(f"metadata is a dict of texts, not a {type(metadata).__name__}.", field="metadata")
    if len(metadata) > MAX_METADATA:
        raise InvalidValue(f"{len(metadata)} pairs are too many; {MAX_METADATA} are the most.", field="metadata")
    return {
        check_text(name, "metadata", 100): check_text(value, f"metadata.{name}", 1000)
        for name, value in metadata.items()
    }


def check_throttle(throttle: object) -> int | None:
    """Return deliveries a second, 1 to 10,000; None: no limit."""
    if throttle is None:
        return None
    if isinstance(throttle, bool) or not isinstance(throttle, int):
        raise InvalidValue("throttle is a whole number of deliveries a second.", field="throttle")
    if not 1 <= throttle <= MAX_THROTTLE:
        raise InvalidValue(f"throttle is 1 to {MAX_THROTTLE} deliveries a second, not {throttle}.", field="throttle")
    return throttle


def check_schedule(schedule: object) -> tuple[timedelta, ...] | None:
    """Return the delays before each attempt, the first included; None: those of the settings."""
    if schedule is None:
        return None
    if not isinstance(schedule, Iterable):
        raise InvalidValue("A schedule is a list of delays.", field="schedule", do="Use [timedelta(...), ...].")
    delays = tuple(check_delay(delay) for delay in schedule)
    if not 1 <= len(delays) <= MAX_STEPS:
        raise InvalidValue(f"A schedule has 1 to {MAX_STEPS} delays, not {len(delays)}.", field="schedule")
    return delays


def check_delay(delay: object) -> timedelta:
    """Return one delay of a schedule, 0 to 7 days."""
    if not isinstance(delay, timedelta) or not timedelta(0) <= delay <= LONGEST_DELAY:
        raise InvalidValue(f"{delay!r} is not a delay of 0 to 7 days.", field="schedule", do="Use timedelta(...).")
    return delay


def check_secret(secret: object, random: bytes) -> str:
    """Return a signing secret in its one spelling; None: a new one made of *random* (32 bytes)."""
    if secret is not None and not isinstance(secret, str):
        raise InvalidValue(f"A signing secret is text, not a {type(secret).__name__}.", field="secret")
    return (SigningKey.generate("v1", random) if secret is None else SigningKey.parse(secret)).text


def check_kept(keep_old: object) -> timedelta:
    """Return how long old secrets go on signing, 0 to 7 days."""
    if not isinstance(keep_old, timedelta) or not timedelta(0) <= keep_old <= LONGEST_KEPT:
        raise InvalidValue(f"Old secrets are kept for 0 to 7 days, not for {keep_old}.", field="keep_old")
    return keep_old
