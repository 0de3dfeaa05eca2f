"""What has happened to endpoints: kept until handlers have been told, and operational endpoints were sent it.

Two marks say so, and a row with both goes: ``telling_until`` without end, and ``announced``. Where there is nobody to
be sent it, an incident is announced from its beginning.
"""

from __future__ import annotations

from collections.abc import Sequence

from anzol.lifecycle import Incident
from anzol.model import Report
from anzol.storage.face import Unannounced
from anzol.storage.postgres.work import Work
from anzol.storage.rows import report_of, unannounced_of


async def take_incidents(work: Work, limit: int) -> tuple[Report, ...]:
    """Return what is to be told, for a minute."""
    return tuple([report_of(row) for row in await work.all("incidents_take", limit=limit)])


async def tell_incidents(work: Work, told: Sequence[int]) -> None:
    """Note what was told; what is announced too is forgotten."""
    await work.run("incidents_told", ids=list(told))
    await work.run("incidents_done", ids=list(told))


async def unannounced(work: Work, limit: int) -> tuple[Unannounced, ...]:
    """Return what operational endpoints have not been sent."""
    return tuple([unannounced_of(row) for row in await work.all("incidents_unannounced", most=limit)])


async def announced(work: Work, sent: Sequence[int]) -> None:
    """Note what was sent; what handlers have been told of too is forgotten."""
    # Two statements, and two snapshots: of two workers that set one mark each, the later one sees both.
    await work.run("incidents_announced", ids=list(sent))
    await work.run("incidents_done", ids=list(sent))


async def changed(
    work: Work, kind: Incident, endpoints: Sequence[bytes], *, disabled: bool | None = None, detail: str | None = ""
) -> None:
    """Keep what people do to endpoints, to be announced; *disabled*: only of those that are, or are not, just now."""
    values = {"endpoints": endpoints, "disabled": disabled, "detail": detail}
    kept = await work.run("incidents_changed", kind=int(kind), **values)
    work.nudging = work.nudging or bool(kept)
