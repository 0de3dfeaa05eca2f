"""Leases kept, claims and lanes given back, the dead cleared away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from anzol import ids
from anzol.lifecycle import Cause, Incident, Outcome, ends
from anzol.storage.face import Reaped
from anzol.storage.postgres.settle import storable
from anzol.storage.postgres.work import FARTHEST, Work
from anzol.storage.processes import gone

MICRO: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Dead:
    """A worker that is to be cleared away. ``ended``: its process is no more, whatever its lease says."""

    id: int
    host: str
    pid: int
    ended: bool

    @property
    def note(self) -> str:
        return f"worker {self.id} ({self.host}, process {self.pid}) died"


async def enlist(work: Work, host: str, pid: int, version: str, process: str, term: timedelta) -> tuple[int, int]:
    """Register a worker of *process*; return its number, and the time."""
    known = {"host": storable(host), "version": storable(version), "process": process}
    row = await work.the("worker_new", "worker", pid=pid, term=term // MICRO, **known)
    return row[0], row[1]


async def beat(work: Work, me: int, term: timedelta) -> int | None:
    """Renew a lease that still holds; return the time."""
    row = await work.one("worker_beat", me=me, term=term // MICRO)
    return None if row is None else int(row[0])


async def resign(work: Work, me: int) -> None:
    """Give everything back as it was."""
    # Its row goes first: what is under way in its name is waited for, and nothing more is claimed.
    if not await work.run("worker_gone", me=me):
        return
    claims = await work.column("claims_of", me=me)
    if claims:
        await work.run("claims_unclaim", claims=claims)
    lanes = await free(work, me)
    left = bool(lanes) or await work.one("sweeps_held", me=me) is not None
    work.nudging = work.nudging or left


async def free(work: Work, me: int) -> list[bytes]:
    """Free the lanes of a worker whose claims are given back; return them."""
    lanes = await work.column("lanes_of", me=me)
    if lanes:
        await work.run("lanes_free", me=me, lanes=lanes, farthest=FARTHEST)
    return lanes


async def dead(work: Work) -> list[Dead]:
    """Return workers whose lease has ended, or whose process has."""
    found = []
    for number, host, pid, process, expired in await work.all("workers_known"):
        ended = gone(process)
        if expired or ended:
            found.append(Dead(number, host, pid, ended))
    return found


async def reap(work: Work, one: Dead, most_interruptions: int) -> Reaped:
    """Clear away one of the dead, unless another does, or a transaction in its name is not over."""
    row = await work.one("worker_reaped", worker=one.id, ended=one.ended)
    if row is None:
        return Reaped()
    claims = await work.all("claims_of", me=one.id)
    poison = [claim[-1] + 1 >= most_interruptions for claim in claims]
    if claims:
        await interrupt(work, one, claims, poison, row[0])
    await free(work, one.id)
    work.nudging = True
    return Reaped(1, len(claims) - sum(poison), sum(poison))


async def interrupt(work: Work, one: Dead, claims: Sequence[Any], poison: Sequence[bool], now: int) -> None:
    """Record for each claim a request nobody knows the end of; it is due again, or as poison it ends."""
    numbers, messages, endpoints, tries, manual, _ = map(list, zip(*claims, strict=True))
    await work.run(
        "claims_interrupted",
        claims=numbers,
        attempts=[ids.new(now) for _ in claims],
        messages=messages,
        endpoints=endpoints,
        numbers=[behind + 1 for behind in tries],
        manual=manual,
        poison=list(poison),
        note=one.note,
        outcome=int(Outcome.INTERRUPTED),
        state=int(ends(Cause.INTERRUPTED)),
        cause=int(Cause.INTERRUPTED),
        kind=int(Incident.MESSAGE_EXHAUSTED),
    )


def both(one: Reaped, other: Reaped) -> Reaped:
    """Add up what two left."""
    return Reaped(one.workers + other.workers, one.interrupted + other.interrupted, one.exhausted + other.exhausted)
