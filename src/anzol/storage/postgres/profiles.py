"""What the holder of a lane must know of its endpoint, read from typed rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from anzol.storage.face import Profile
from anzol.storage.postgres.work import Work
from anzol.storage.rows import header_start, inactive, open_headers, open_secrets, readable, within_reach
from anzol.storage.vault import Vault


async def profiles_of(work: Work, endpoints: Sequence[bytes]) -> list[Profile]:
    """Read the profiles of endpoints; times are the database's."""
    return [profile_of(row, work.vault) for row in await work.all("profiles", endpoints=endpoints)]


def profile_of(row: Any, vault: Vault) -> Profile:
    """Return the profile in a row of ``profiles``."""
    raw, customer_id, customer, environment, url, headers, prefix, throttle, fifo, schedule, parked, *rest = row
    *health, change_at, versions, values, customer_throttle = rest
    failures, failing_since, open_until, circuit_step = health
    where = (environment, customer_id, raw)
    bare = inactive(raw, customer_id, environment, fifo, (failures, failing_since, open_until, circuit_step), change_at)

    def whole() -> Profile:
        secrets = open_secrets(vault, zip(versions, values, strict=True), *where)
        return replace(
            bare,
            customer=customer or "",
            customer_throttle=customer_throttle,
            url=url,
            secrets=secrets,
            headers=open_headers(vault, headers, *where),
            header_prefix=header_start(prefix),
            throttle=throttle,
            schedule=within_reach(spans(schedule)),
            active=bool(secrets) and not parked,
        )

    return readable(bare, whole)


def spans(micros: Sequence[int] | None) -> tuple[timedelta, ...] | None:
    """Return durations."""
    return None if micros is None else tuple(timedelta(microseconds=one) for one in micros)


def by_our_clock(profiles: Iterable[Profile], ahead: int) -> list[Profile]:
    """Return profiles with their times by a clock that the database's is *ahead* of."""
    if not ahead:
        return list(profiles)
    return [
        replace(
            one,
            failing_since=back(one.failing_since, ahead),
            circuit_open_until=back(one.circuit_open_until, ahead),
            secrets_change_at=back(one.secrets_change_at, ahead),
        )
        for one in profiles
    ]


def back(time: int | None, ahead: int) -> int | None:
    """Return a time that may be missing, by the clock that is behind."""
    return None if time is None else time - ahead
