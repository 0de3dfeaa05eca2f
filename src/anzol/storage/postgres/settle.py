"""The end of claims: results written and fenced, and what they say of their endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from anzol.lifecycle import Cause, Incident, Outcome, ends
from anzol.storage.face import AttemptRecord, LaneHealth, NewIncident, Settled
from anzol.storage.postgres.work import Work
from anzol.storage.rows import write_wire

NO_REQUEST: Final = AttemptRecord(b"", Outcome.OK, None, "", "", 0, None, None, None, None, 0, (), b"")
STATES: Final[dict[Cause, int]] = {cause: int(ends(cause)) for cause in Cause if cause is not Cause.RESENT}
Parties = tuple[bytes, bytes]  # an endpoint, a message


@dataclass(frozen=True, slots=True)
class Batch:
    """What a worker settles together. ``ahead``: how far the database's clock is ahead of the worker's."""

    me: int
    settled: Sequence[Settled]
    health: Sequence[LaneHealth]
    incidents: Sequence[NewIncident]
    ahead: int = field(compare=False)

    @property
    def plain(self) -> bool:
        """Whether one statement writes all of it, which can tell by the attempts whether it was written before."""
        if self.health or self.incidents:
            return False
        return all(one.cause is not None and one.attempt is not None for one in self.settled)

    @property
    def attempts(self) -> list[bytes]:
        return [one.attempt.id for one in self.settled if one.attempt is not None]


@dataclass(frozen=True, slots=True)
class Written:
    """What a transaction wrote, known before its end: its number, and the claims."""

    batch: Batch
    xid: int
    claims: frozenset[int]


def once(settled: Sequence[Settled]) -> Sequence[Settled]:
    """Return the last result of each claim: a second one would spoil those of all others."""
    last = {one.id: one for one in settled}
    return settled if len(last) == len(settled) else list(last.values())


async def end(work: Work, batch: Batch, settled: Sequence[Settled]) -> frozenset[int]:
    """Move deliveries that ended from pending to the history; return the claims that were still held."""
    row = await work.one("settle_ended", me=batch.me, **ended_columns(settled), **attempt_columns(settled, batch.ahead))
    assert row is not None
    return frozenset(row[0])


async def settle(work: Work, batch: Batch) -> Written | None:
    """Write results of claims that are still held, and what they say of their lanes; None if the worker is gone."""
    begun = await work.one("settle_begin", me=batch.me)
    if begun is None:
        return None
    ended = [one for one in batch.settled if one.cause is not None]
    kept = [one for one in batch.settled if one.cause is None]
    parties = await ending(work, batch, ended)
    written = await end(work, batch, ended) if ended else frozenset()
    again = await keep(work, batch, kept) if kept else []
    disabled = await disable(work, batch)
    await write_lanes(work, batch, again, disabled)
    await write_incidents(work, batch, parties, disabled)
    return Written(batch, begun[0], written | {row[0] for row in again})


async def ending(work: Work, batch: Batch, ended: Sequence[Settled]) -> set[Parties]:
    """Return whose deliveries end here, if that is to be told of any of them."""
    if not any(one.kind is Incident.MESSAGE_EXHAUSTED for one in batch.incidents):
        return set()
    return {
        (endpoint, message)
        for endpoint, message in await work.all("settle_ending", me=batch.me, claims=[one.id for one in ended])
    }


async def keep(work: Work, batch: Batch, kept: Sequence[Settled]) -> list[Any]:
    """Free claims that go on; return (claim, endpoint, when its lane is to have a turn) of each."""
    ahead = batch.ahead
    columns = {
        "claims": [one.id for one in kept],
        "dues": [None if one.due_at is None else one.due_at + ahead for one in kept],
        "steps": [one.step for one in kept],
    }
    return await work.all("settle_again", me=batch.me, **columns, **attempt_columns(kept, ahead))


async def disable(work: Work, batch: Batch) -> set[bytes]:
    """Disable endpoints of lanes that we hold; return those that this disabled."""
    disabling = {one.endpoint_id: int(one.disable) for one in batch.health if one.disable is not None}
    if not disabling:
        return set()
    found = await work.column(
        "endpoints_disable", me=batch.me, endpoints=list(disabling), because=list(disabling.values())
    )
    return set(found)


async def write_lanes(work: Work, batch: Batch, again: Iterable[Any], disabled: set[bytes]) -> None:
    """Touch the lanes of what goes on, and write how lanes stand: each lane's row once."""
    dues: dict[bytes, int | None] = {}
    for _, endpoint, due_at in again:
        known = dues.get(endpoint)
        dues[endpoint] = due_at if known is None else known if due_at is None else min(known, due_at)
    health = {one.endpoint_id: one for one in batch.health}
    lanes = list({**dues, **health})
    if lanes:
        columns = health_columns([health.get(lane) for lane in lanes], batch.ahead)
        await work.run(
            "lanes_settled",
            me=batch.me,
            lanes=lanes,
            dues=[dues.get(lane) for lane in lanes],
            disabled=[lane in disabled for lane in lanes],
            **columns,
        )


async def write_incidents(work: Work, batch: Batch, ended: set[Parties], disabled: set[bytes]) -> None:
    """Keep incidents to be told: those of our own lanes, of deliveries that we ended, endpoints that we disabled."""
    told = [one for one in batch.incidents if is_ours(one, ended, disabled)]
    if told:
        await work.run(
            "incident_new",
            me=batch.me,
            kinds=[int(one.kind) for one in told],
            endpoints=[one.endpoint_id for one in told],
            messages=[one.message_id for one in told],
            details=[storable(one.detail) for one in told],
        )


def is_ours(one: NewIncident, ended: set[Parties], disabled: set[bytes]) -> bool:
    """Say whether an incident came of what this transaction did, as far as that can be another's."""
    if one.kind is Incident.MESSAGE_EXHAUSTED:
        return (one.endpoint_id, one.message_id) in ended
    return one.kind is not Incident.ENDPOINT_DISABLED or one.endpoint_id in disabled


async def recorded(work: Work, settled: Sequence[Settled]) -> set[int]:
    """Return of claims that are not held those whose very results are written: by a try whose answer was lost."""
    claims = {one.attempt.id: one.id for one in settled if one.attempt is not None}
    return {claims[attempt] for attempt in await work.column("attempts_known", attempts=list(claims))}


async def what_became(work: Work, written: Written) -> str | None:
    """Return what became of a transaction: ``committed``, ``aborted``, ``in progress``, or None: nobody knows."""
    status, found = await work.the("settled_before", "answer", xid=written.xid, attempts=written.batch.attempts)
    # Another server may have given the number again, to a transaction of its own.
    mistaken = status == "committed" and written.batch.attempts and written.claims and not found
    return None if mistaken else status


# --- columns --------------------------------------------------------------------------------------------------------


def ended_columns(settled: Sequence[Settled]) -> dict[str, Any]:
    """Return how deliveries ended."""
    causes = [one.cause for one in settled]
    return {
        "claims": [one.id for one in settled],
        "states": [STATES[cause] for cause in causes if cause is not None],
        "causes": causes,
    }


def attempt_columns(settled: Sequence[Settled], ahead: int) -> dict[str, Any]:
    """Return what is recorded of requests; where none was made, the attempt is null."""
    made = [one.attempt or NO_REQUEST for one in settled]
    return {
        "attempts": [None if one is NO_REQUEST else one.id for one in made],
        "outcomes": [one.outcome for one in made],
        "statuses": [one.status for one in made],
        "details": [storable(one.detail) for one in made],
        "notes": [storable(one.note) for one in made],
        "starts": [one.started_at + ahead for one in made],
        "resolves": [one.resolve for one in made],
        "connects": [one.connect for one in made],
        "handshakes": [one.tls for one in made],
        "first_bytes": [one.first_byte for one in made],
        "totals": [one.total for one in made],
        "headers": [write_wire(one.response_headers) for one in made],
        "bodies": [one.response_body for one in made],
    }


def health_columns(health: Sequence[LaneHealth | None], ahead: int) -> dict[str, Any]:
    """Return how lanes stand; null where nothing is known."""
    return {
        "failures": [None if one is None else one.failures for one in health],
        "since": [None if one is None else moved(one.failing_since, ahead) for one in health],
        "open_until": [None if one is None else moved(one.circuit_open_until, ahead) for one in health],
        "steps": [None if one is None else one.circuit_step for one in health],
    }


def moved(time: int | None, ahead: int) -> int | None:
    """Return a time of the worker's clock by the database's."""
    return None if time is None else time + ahead


def storable(text: str) -> str:
    """Return text as PostgreSQL can hold it: without U+0000, and without halves of characters."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
