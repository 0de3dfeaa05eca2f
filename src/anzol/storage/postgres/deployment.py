"""The mark in a database that says whose it is: a copy of production must not deliver from anywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anzol import ids
from anzol.errors import VaultError
from anzol.lifecycle import Cause, ends
from anzol.storage import marks
from anzol.storage.face import Probe
from anzol.storage.postgres import migrations
from anzol.storage.postgres.work import Work

if TYPE_CHECKING:
    from asyncpg import Record


async def prepare(work: Work, deployment: str) -> None:
    """Check the schema and the mark; set the mark where there is none."""
    await migrations.check(work)
    row = await work.one("deployment")
    if row is None:
        await work.run("deployment_new", mark=deployment, canary=marks.seal(work.vault, deployment))
        row = await work.the("deployment", "mark")
    marks.judge(work.vault, deployment, *row)


async def probe(work: Work) -> Probe:
    """Write a row and take it away again, which is a commit like any other; look who works and what waits."""
    standing = await migrations.check(work)
    await work.run("probe_undone", me=(await work.the("probe_write", "number"))[0])
    workers, accepted, lane, left, now = await work.the("probe", "probe")
    marked = await work.one("deployment")
    return Probe(
        schema_version=standing.version,
        schema_wanted=migrations.newest(),
        mark=None if marked is None else marked[0],
        workers=workers,
        waits_since=min((since for since in (accepted, lane, left) if since is not None), default=None),
        now=now,
    )


# --- a database changes hands


async def withdraw_claims(work: Work) -> None:
    """Take what workers of elsewhere hold: they are not here, or the database is no longer theirs."""
    await migrations.check(work)
    await work.run("claims_lost")
    await work.run("workers_lost")


async def withdraw_page(work: Work, limit: int) -> int:
    """Cancel one page of what waits; return how many deliveries or messages that were."""
    values = {"state": int(ends(Cause.WITHDRAWN)), "cause": int(Cause.WITHDRAWN), "most": limit}
    return await work.run("pending_withdrawn", **values) or await work.run("outbox_withdrawn", most=limit)


async def adopt(work: Work, deployment: str) -> None:
    """Write the mark; with a key that does not open the database, what it sealed is lost."""
    await migrations.check(work)
    row = await work.one("deployment_locked")
    if row is not None and not marks.opens(work.vault, *row):
        for query in ("endpoints_lost", "lanes_lost", "secrets_lost", "outbox_sources_lost"):
            await work.run(query)
    await mark(work, deployment)


async def mark(work: Work, deployment: str) -> None:
    """Write the mark."""
    await work.run("deployment_mark", mark=deployment, canary=marks.seal(work.vault, deployment))


# --- keys are changed


async def rekey_mark(work: Work) -> int:
    """Seal with the first key what belongs to no endpoint: the mark's canary, the URLs of outboxes; count those."""
    count = 0
    for digest, url in await work.all("outbox_source_locked"):
        if not work.vault.current(url):
            sealed = work.vault.seal(work.vault.open(url, "outbox", digest), "outbox", digest)
            count += await work.run("outbox_source_sealed", digest=digest, url=sealed)
    marked, canary = await work.the("deployment_locked", "deployment")
    if not work.vault.current(canary):
        await mark(work, marked)
    return count


async def rekey_endpoints(work: Work, after: bytes, limit: int) -> tuple[bytes | None, int]:
    """Seal one page of endpoints' secrets and headers with the first key.

    Returns:
        Where the next page begins (None: there is none), and how many were sealed anew.
    """
    rows = await work.all("endpoints_sealed", after=after, most=limit)
    places = {raw: (environment, customer, raw) for raw, customer, environment, _ in rows}
    secrets = await work.all("secrets_sealed", endpoints=list(places))
    headers = [(raw, sealed) for raw, _, _, sealed in rows if sealed is not None]
    count = await seal_headers(work, places, headers) + await seal_secrets(work, places, secrets)
    return (bytes(rows[-1][0]) if len(rows) == limit else None), count


Places = dict[bytes, tuple[str, bytes, bytes]]  # of each endpoint, what its sealing is bound to


async def seal_headers(work: Work, places: Places, headers: list[tuple[bytes, bytes]]) -> int:
    """Seal headers with the first key; return how many were not."""
    stale = {
        raw: again(work, sealed, "headers", places[raw]) for raw, sealed in headers if not work.vault.current(sealed)
    }
    if stale:
        await work.run("headers_sealed_anew", endpoints=list(stale), values=list(stale.values()))
    return len(stale)


async def seal_secrets(work: Work, places: Places, secrets: list[Record]) -> int:
    """Seal secrets with the first key; return how many were not."""
    stale = {
        version: again(work, sealed, "secret", places[raw], version)
        for version, raw, sealed in secrets
        if not work.vault.current(sealed)
    }
    if stale:
        await work.run("secrets_sealed_anew", versions=list(stale), values=list(stale.values()))
    return len(stale)


def again(work: Work, sealed: bytes, what: str, place: tuple[str, bytes, bytes], *version: int) -> bytes:
    """Return what is sealed, sealed with the first key.

    Raises:
        VaultError: no key opens it; it names the endpoint.
    """
    try:
        opened = work.vault.open(sealed, what, *place, *version)
    except VaultError as cause:
        raise VaultError(f"{ids.show(ids.ENDPOINT, place[-1])}: {cause}") from cause
    return work.vault.seal(opened, what, *place, *version)
