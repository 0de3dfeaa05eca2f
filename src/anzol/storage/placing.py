"""What becomes of each delivery that fan-out makes: claimed at once, or left. The same on every engine.

Engines differ in what ids are: row numbers on SQLite, the 16 raw bytes on PostgreSQL.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

Id = TypeVar("Id", int, bytes)


@dataclass(slots=True)
class Match(Generic[Id]):
    """An endpoint that a message is for, and how its lane stands."""

    outbox: int
    message: Id
    endpoint: Id
    deliver_at: int | None
    paused: int
    fifo: int
    holder: int | None
    parked: int
    turn_at: int | None
    full: int  # it was over the bound of its backlog
    waiting: int  # something that goes before: due and unclaimed; on FIFO endpoints anything pending


@dataclass(slots=True)
class Placing(Generic[Id]):
    """The decisions of one round of fan-out, pending row by pending row.

    ``rows`` are (endpoint, message, due at, paused, holder); ``look`` are held lanes with more
    due rows than were claimed.
    """

    me: int
    now: int
    rooms: dict[Id, int]
    take: int
    new_room: int
    taken: list[Id] = field(default_factory=list)
    touched: dict[Id, int] = field(default_factory=dict)
    look: set[Id] = field(default_factory=set)
    rows: list[tuple[Id, Id, int, int, int | None]] = field(default_factory=list)
    _behind: set[Id] = field(default_factory=set)
    _held: set[Id] = field(default_factory=set)

    def place(self, match: Match[Id]) -> None:
        """Decide on one delivery: claimed at once, or left to be looked for."""
        due_at = max(self.now, match.deliver_at or 0)
        held = self._holds(match)
        claimed = held and due_at <= self.now and self._claims(match)
        if not claimed:
            self._leave(match, due_at, held)
        self.rows.append((match.endpoint, match.message, due_at, match.paused, self.me if claimed else None))

    def _holds(self, match: Match[Id]) -> bool:
        if match.holder == self.me or match.endpoint in self._held:
            return True
        idle = match.holder is None and match.turn_at is None and not match.parked and not match.paused
        if not idle or match.endpoint in self.touched or len(self.taken) >= self.take:
            return False
        self.taken.append(match.endpoint)
        self._held.add(match.endpoint)
        self.rooms[match.endpoint] = self.new_room
        return True

    def _claims(self, match: Match[Id]) -> bool:
        room = self.rooms.get(match.endpoint, 0)
        if match.parked or match.paused or match.waiting or match.endpoint in self._behind or room < 1:
            return False
        self.rooms[match.endpoint] = room - 1
        if match.fifo:
            self._behind.add(match.endpoint)
        return True

    def _leave(self, match: Match[Id], due_at: int, held: bool) -> None:
        if match.fifo:
            self._behind.add(match.endpoint)
        if match.paused:
            return
        if held and due_at <= self.now:
            self._behind.add(match.endpoint)
            self.look.add(match.endpoint)
        else:
            self.touched[match.endpoint] = min(due_at, self.touched.get(match.endpoint, due_at))
