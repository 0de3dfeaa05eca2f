"""What has happened to endpoints: kept until handlers have been told, and operational endpoints were sent it.

Two marks say so, and a row with both goes: ``telling_until`` without end, and ``announced``. Where there is nobody to
be sent it, an incident is announced from its beginning.
"""

from __future__ import annotations

from collections.abc import Sequence

from anzol.lifecycle import Incident
from anzol.model import Report
from anzol.storage.face import Unannounced
from anzol.storage.rows import report_of, unannounced_of
from anzol.storage.sqlite.work import Work, encode


def keep_incidents(work: Work, rows: Sequence[tuple[int, int, int, bytes | None, str]]) -> None:
    """Store (kind, at, endpoint, message, detail); announced, if there is an operational endpoint to be sent it."""
    if not rows:
        return
    announcing = set(work.gathered("announcing", endpoints=encode([row[2] for row in rows])))
    work.insert("incident_new", [(*row, int(row[2] not in announcing)) for row in rows])


def take_incidents(work: Work, limit: int) -> tuple[Report, ...]:
    """Return what is to be told, for a minute."""
    rows = work.all("incidents", now=work.now, limit=limit)
    if rows:
        until = work.now + 60_000_000
        work.run("incidents_telling", ids=encode([row[0] for row in rows]), until=until)
    return tuple(report_of(row) for row in rows)


def tell_incidents(work: Work, told: Sequence[int]) -> None:
    """Note what was told; what is announced too is forgotten."""
    done(work, "incidents_told", told)


def unannounced(work: Work, limit: int) -> tuple[Unannounced, ...]:
    """Return what operational endpoints have not been sent."""
    return tuple(unannounced_of(row) for row in work.all("incidents_unannounced", most=limit))


def announced(work: Work, sent: Sequence[int]) -> None:
    """Note what was sent; what handlers have been told of too is forgotten."""
    done(work, "incidents_announced", sent)


def done(work: Work, mark: str, incidents: Sequence[int]) -> None:
    """Set one of the two marks of incidents; those that have both go."""
    numbers = encode(list(incidents))
    work.run(mark, ids=numbers)
    work.run("incidents_done", ids=numbers)


def changed(
    work: Work, kind: Incident, endpoint: int, *, disabled: bool | None = None, detail: str | None = ""
) -> None:
    """Keep what people do to an endpoint, to be announced; *disabled*: only if it is, or is not, just now."""
    values = {"endpoint": endpoint, "disabled": disabled, "detail": detail}
    kept = work.run("incidents_changed", kind=int(kind), now=work.now, **values)
    work.nudging = work.nudging or bool(kept)
