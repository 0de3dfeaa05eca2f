"""When to look after a nudge: a commit is announced before it is one, so once is not enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

AFTER_NUDGE: Final = (0.002, 0.010, 0.050, 0.250)  # seconds


def planned(looks: Sequence[float], now: float) -> list[float]:
    """Return when to look, after one more nudge; however often one comes, the look that is next is not put off."""
    sooner = [look for look in looks if look < now + AFTER_NUDGE[0]]
    return sooner[:1] + [now + after for after in AFTER_NUDGE]
