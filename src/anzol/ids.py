"""Time-ordered 128-bit ids, stored as 16 bytes, shown as a prefix and 22 base62 digits.

Shown ids sort as their bytes do, and their bytes as the time they were made, so an id is a page cursor.
"""

from __future__ import annotations

import os
import threading
from hashlib import blake2b
from random import Random
from typing import Final

from anzol.errors import InvalidValue

CUSTOMER: Final = "app_"
ENVIRONMENT: Final = "org_"
ENDPOINT: Final = "ep_"
MESSAGE: Final = "msg_"
ATTEMPT: Final = "atmpt_"
SWEEP: Final = "qtask_"
API_KEY: Final = "key_"

WIDTH: Final = 22  # 62**22 > 2**128
DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PAIRS: Final = tuple(high + low for high in DIGITS for low in DIGITS)
VALUES: Final = {digit: value for value, digit in enumerate(DIGITS)}
BITS: Final = 80  # below the 48 bits of milliseconds
SET_BACK: Final = 10_000  # milliseconds

# Not the system's source of chance: each draw from that gives the interpreter's lock away. Ids are no secrets.
_chance = Random()  # noqa: S311
_lock = threading.Lock()
_last = 0


def begin_anew() -> None:
    """Begin anew in a child: parent and child must not draw the same, nor wait for a thread that was not forked."""
    global _lock
    _chance.seed()
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(after_in_child=begin_anew)


def new(micros: int) -> bytes:
    """Make an id for the time *micros* (microseconds since the Unix epoch), later than any made in this process.

    48 bits of milliseconds, then 80 random bits; ids made within one millisecond count up from the first.
    After a clock was set back by less than 10 seconds they go on from the last one; after more, they start anew.
    """
    global _last
    fresh = (micros // 1000) << BITS | _chance.getrandbits(BITS - 1)
    with _lock:
        if 0 <= (_last >> BITS) - (fresh >> BITS) < SET_BACK:
            fresh = _last + 1 + _chance.getrandbits(32)
        _last = fresh
    return fresh.to_bytes(16, "big")


def derive(*parts: str) -> bytes:
    """Make the id that these words always give: a customer's, before its row is there."""
    return blake2b("\0".join(parts).encode(), digest_size=16).digest()


def millis(raw: bytes) -> int:
    """Return the milliseconds since the Unix epoch at which a time-ordered id was made."""
    return int.from_bytes(raw[:6], "big")


def first_at(micros: int) -> bytes:
    """Return the least id of a time, to compare ids with times."""
    return (micros // 1000).to_bytes(6, "big") + bytes(10)


def show(prefix: str, raw: bytes) -> str:
    """Write 16 bytes as ``msg_`` and 22 base62 digits."""
    number = int.from_bytes(raw, "big")
    pairs = []
    for _ in range(WIDTH // 2):
        number, pair = divmod(number, 3844)
        pairs.append(PAIRS[pair])
    pairs.reverse()
    return prefix + "".join(pairs)


def read(prefix: str, text: object) -> bytes:
    """Read what `show` wrote.

    Raises:
        InvalidValue: *text* is not an id with this prefix.
    """
    digits = text.removeprefix(prefix) if isinstance(text, str) and text.startswith(prefix) else ""
    if len(digits) != WIDTH:
        raise InvalidValue(f"{text!r} is not an id.", field="id", do=f"One looks like {show(prefix, bytes(16))!r}.")
    number = 0
    try:
        for digit in digits:
            number = number * 62 + VALUES[digit]
        return number.to_bytes(16, "big")
    except (KeyError, OverflowError) as cause:
        raise InvalidValue(f"{text!r} is not an id.", field="id") from cause
