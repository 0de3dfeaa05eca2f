"""What must be true in every snapshot; tests, stress runs and ``anzol doctor`` watch it."""

from __future__ import annotations

from typing import Any, Final

from anzol import ids
from anzol.storage.postgres.work import FARTHEST, Work

RULES: Final = {
    "broken_asleep": "lane {0} is free and unparked, has deliveries pending, and nobody would come",
    "broken_claim": "delivery {0} is claimed by a worker that does not hold its lane",
    "broken_holder": "lane {0} is held by a worker that is not there",
    "broken_twice": "message {0} is both pending and ended for endpoint {1}",
    "broken_lane": "endpoint {0} and its lane disagree on what parks it",
    "broken_pause": "delivery {0} and the pause rules disagree",
}
TIMED: Final = {"broken_asleep"}


async def broken(work: Work) -> tuple[str, ...]:
    """Return a sentence for every place where a rule is broken."""
    found = []
    for query, sentence in RULES.items():
        values = {"farthest": FARTHEST} if query in TIMED else {}
        found += [sentence.format(*named(query, row)) for row in await work.all(query, **values)]
    return tuple(found)


def named(query: str, row: Any) -> list[object]:
    """Show ids as users see them."""
    prefixes = (ids.MESSAGE, ids.ENDPOINT) if query == "broken_twice" else (ids.ENDPOINT,)
    return [
        ids.show(prefix, value) if isinstance(value, bytes) else value
        for prefix, value in zip(prefixes, row, strict=True)
    ]
