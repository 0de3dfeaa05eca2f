"""The end of claims: results written and fenced, leases kept, the dead cleared away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from anzol import ids
from anzol.lifecycle import Cause, Disabled, Incident, Outcome, ends
from anzol.storage.face import AttemptRecord, LaneHealth, NewIncident, Reaped, Settled
from anzol.storage.processes import gone
from anzol.storage.rows import write_wire
from anzol.storage.sqlite.incidents import keep_incidents
from anzol.storage.sqlite.work import Work, encode, give_back


@dataclass(frozen=True, slots=True)
class Held:
    """A claim as it stands: what is pending, held by the one who settles or reaps."""

    id: int
    endpoint: int
    message: int
    attempt: int
    step: int
    manual: int
    interruptions: int
    endpoint_id: str
    message_id: str


def settle(
    work: Work,
    me: int,
    settled: Sequence[Settled],
    health: Sequence[LaneHealth],
    incidents: Sequence[NewIncident],
) -> tuple[int, ...]:
    """Write results of claims that are still held; return the ids of the others."""
    rows = work.gathered("pending_held", me=me, claims=encode([one.id for one in settled])) if settled else []
    held = {row[0]: Held(*row) for row in rows}
    ours = [(one, held[one.id]) for one in settled if one.id in held]
    write_attempts(work, [(claim, one.attempt) for one, claim in ours if one.attempt is not None])
    end(work, [(claim, one.cause, one.attempt is not None) for one, claim in ours if one.cause is not None])
    keep(work, [(one, claim) for one, claim in ours if one.cause is None])
    disabled = write_health(work, me, health) if health else set()
    if incidents:
        exhausted = {(claim.endpoint_id, claim.message_id) for one, claim in ours if one.cause is not None}
        write_incidents(work, me, incidents, exhausted, disabled)
    return tuple(one.id for one in settled if one.id not in held)


def write_attempts(work: Work, attempts: Sequence[tuple[Held, AttemptRecord]]) -> None:
    """Record requests that were made."""
    work.insert("attempt_new", [attempt_row(claim, attempt) for claim, attempt in attempts])


def attempt_row(claim: Held, attempt: AttemptRecord) -> tuple[object, ...]:
    """Return the row of an attempt, in the order of ``attempt_new``."""
    return (
        attempt.id,
        claim.message,
        claim.endpoint,
        claim.attempt + 1,
        int(attempt.outcome),
        attempt.status,
        attempt.detail,
        attempt.note,
        claim.manual,
        attempt.started_at,
        attempt.resolve,
        attempt.connect,
        attempt.tls,
        attempt.first_byte,
        attempt.total,
        write_wire(attempt.response_headers),
        attempt.response_body,
    )


def end(work: Work, ended: Sequence[tuple[Held, Cause, bool]]) -> None:
    """Move deliveries that ended from pending to the history."""
    if not ended:
        return
    rows = [
        (claim.message, claim.endpoint, int(ends(cause)), int(cause), claim.attempt + tried, work.now)
        for claim, cause, tried in ended
    ]
    work.insert("delivery_new", rows)
    work.run("pending_done", claims=encode([claim.id for claim, _, _ in ended]))


def keep(work: Work, kept: Sequence[tuple[Settled, Held]]) -> None:
    """Free claims that are due again; their lanes have a turn no later than then."""
    if not kept:
        return
    rows = [
        (one.id, one.due_at, one.step, claim.attempt + tried, 0 if tried else claim.manual)
        for one, claim in kept
        for tried in (one.attempt is not None,)
    ]
    work.run("pending_again", rows=encode(rows))
    work.run("lanes_touch_for", claims=encode([one.id for one, _ in kept]))


def write_health(work: Work, me: int, health: Sequence[LaneHealth]) -> set[str]:
    """Write how lanes stand, of those held by *me*; return the endpoints that this disabled."""
    rows = [
        (
            one.endpoint_id.hex().upper(),
            one.failures,
            one.failing_since,
            one.circuit_open_until,
            one.circuit_step,
            one.disable,
        )
        for one in health
    ]
    seqs = work.gathered_for("lanes_held_of", [(one.endpoint_id,) for one in health], me)
    numbers = {shown: seq for seq, shown, _ in seqs}
    enabled = {shown for _, shown, disabled in seqs if disabled is None}
    ours = [(numbers[shown], *values) for shown, *values in rows if shown in numbers]
    work.run("lanes_health", rows=encode([row[:5] for row in ours]))
    disabling = {shown: disable for shown, *_, disable in rows if disable is not None and shown in enabled}
    for shown, disable in disabling.items():
        park(work, numbers[shown], disable)
    return set(disabling)


def park(work: Work, endpoint: int, because: Disabled) -> None:
    """Disable an endpoint: new messages are not for it, what waits stays."""
    work.run("endpoint_disable", endpoint=endpoint, because=int(because), now=work.now)
    work.run("lane_park", endpoint=endpoint, flag=1, now=work.now)


def write_incidents(
    work: Work, me: int, incidents: Sequence[NewIncident], ended: set[tuple[str, str]], disabled: set[str]
) -> None:
    """Keep incidents to be told: those of our own lanes and of deliveries that we ended."""
    lanes = {
        shown: seq
        for seq, shown, _ in work.gathered_for("lanes_held_of", [(one.endpoint_id,) for one in incidents], me)
    }
    rows = []
    for one in incidents:
        shown = one.endpoint_id.hex().upper()
        message = one.message_id.hex().upper() if one.message_id is not None else ""
        if one.kind is Incident.MESSAGE_EXHAUSTED and (shown, message) not in ended:
            continue
        if one.kind is Incident.ENDPOINT_DISABLED and shown not in disabled:
            continue  # told when it was disabled
        if shown in lanes:
            rows.append((int(one.kind), work.now, lanes[shown], one.message_id, one.detail))
    keep_incidents(work, rows)


def enlist(work: Work, host: str, pid: int, version: str, process: str, term: timedelta) -> int:
    """Register a worker of *process*."""
    me = work.number("anzol_worker")
    micros = term // timedelta(microseconds=1)
    work.run("worker_new", me=me, host=host, pid=pid, version=version, process=process, now=work.now, term=micros)
    return me


def beat(work: Work, me: int, term: timedelta) -> bool:
    """Renew a lease that still holds."""
    return work.run("worker_beat", me=me, now=work.now, term=term // timedelta(microseconds=1)) > 0


def resign(work: Work, me: int) -> None:
    """Give everything back as it was."""
    lanes = work.gathered("lanes_of", me=me)
    work.run("lanes_unclaim", me=me, lanes=encode(lanes))
    give_back(work, me, lanes)
    work.run("worker_gone", me=me)
    left = bool(lanes) or work.one("sweeps_held", me=me) is not None
    work.nudging = work.nudging or left


def reap(work: Work, most_interruptions: int) -> Reaped:
    """Clear away workers whose lease has ended, or whose process has."""
    known = work.all("workers_known", now=work.now)
    dead = [(number, host, pid) for number, host, pid, process, expired in known if expired or gone(process)]
    interrupted = exhausted = 0
    for number, host, pid in dead:
        work.run("worker_gone", me=number)
        claims = [Held(*row) for row in work.gathered("claims_of", me=number)]
        record = interruption(work, f"worker {number} ({host}, process {pid}) died")
        write_attempts(work, [(claim, record()) for claim in claims])
        poison = [claim for claim in claims if claim.interruptions + 1 >= most_interruptions]
        end(work, [(claim, Cause.INTERRUPTED, True) for claim in poison])
        tell_exhausted(work, poison)
        lanes = work.gathered("lanes_of", me=number)
        work.run("pending_interrupted", me=number, lanes=encode(lanes), now=work.now)
        give_back(work, number, lanes)
        interrupted += len(claims) - len(poison)
        exhausted += len(poison)
    work.nudging = work.nudging or bool(dead)
    return Reaped(len(dead), interrupted, exhausted)


def interruption(work: Work, note: str) -> Any:
    """Return what makes the record of a request nobody knows the end of."""

    def record() -> AttemptRecord:
        return AttemptRecord(
            id=ids.new(work.now),
            outcome=Outcome.INTERRUPTED,
            status=None,
            detail="",
            note=note,
            started_at=work.now,
            resolve=None,
            connect=None,
            tls=None,
            first_byte=None,
            total=0,
            response_headers=(),
            response_body=b"",
        )

    return record


def tell_exhausted(work: Work, claims: Iterable[Held]) -> None:
    """Keep an incident for each delivery that ended as poison."""
    kind = int(Incident.MESSAGE_EXHAUSTED)
    rows = [(kind, work.now, one.endpoint, bytes.fromhex(one.message_id), "interrupted") for one in claims]
    keep_incidents(work, rows)
