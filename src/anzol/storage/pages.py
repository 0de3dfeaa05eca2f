"""Which outbox rows a round expands, and how far: so that one message for very many endpoints holds up nobody else.

A row for more endpoints than a page goes to the tail after each. The next comes when this worker can hold the lanes at
once, and nobody waits for a turn: so others find a short queue, and most deliveries are claimed as they are made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Final

from anzol.storage.placing import Id, Match

PAGE: Final = 100  # endpoints that one outbox row is expanded to in one round: as many as idle lanes are taken in one
ROUND: Final = 1000  # endpoints that are looked at in one round
LONG: Final = 50  # endpoints from which on a row waits while lanes do
OVERDUE: Final = 250_000  # microseconds that a lane has waited when idle ones come no more before it
ANYWAY: Final = 1_000_000  # microseconds after which one long row goes on all the same


@dataclass(frozen=True, slots=True)
class Ahead:
    """One row, as to be chosen from: whose it is, and how many endpoints it has before it."""

    customer: Hashable
    endpoints: int


@dataclass(slots=True)
class Pages:
    """Chooses, round by round. ``went_on`` is when a long row was expanded last, in microseconds."""

    went_on: int = 0

    def choose(self, rows: Sequence[Ahead], *, now: int, crowded: bool) -> list[int]:
        """Return the places of the rows to expand, in their order.

        The oldest comes first, so that each has its turn; then the first of each customer, the shortest before the
        longer ones. A row that goes beyond what is left of a round waits for another.

        Args:
            rows: In the order of the outbox.
            crowded: Free lanes wait for their turn, or have taken most of what this round could take.
        """
        holding = crowded and 0 <= now - self.went_on < ANYWAY
        left = ROUND
        chosen: list[int] = []
        for place in in_turn(rows):
            size = min(rows[place].endpoints, PAGE)
            if (holding and size > LONG) or (chosen and size > left):
                continue
            chosen.append(place)
            left -= size
            if size > LONG:
                self.went_on = now
                holding = crowded
        return sorted(chosen)


def in_turn(rows: Sequence[Ahead]) -> list[int]:
    """Return places: the oldest, then the first of each customer, then the second; among those the shortest first."""
    seen: Counter[Hashable] = Counter()
    turns = []
    for place, row in enumerate(rows):
        turns.append((place > 0, seen[row.customer], row.endpoints, place))
        seen[row.customer] += 1
    return [place for *_, place in sorted(turns)]


def longs(rows: Sequence[Ahead]) -> set[int]:
    """Return the places of rows whose customer has a long one among these."""
    customers = {row.customer for row in rows if row.endpoints > LONG}
    return {place for place, row in enumerate(rows) if row.customer in customers}


def quick_first(matches: Sequence[Match[Id]], long: Collection[int]) -> Sequence[Match[Id]]:
    """Return matches with those of *long* outbox rows last: the lanes that may be taken go to the others."""
    return sorted(matches, key=lambda match: match.outbox in long) if long else matches
