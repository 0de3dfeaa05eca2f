"""The mark in a database that says whose it is: a copy of production must not deliver from anywhere else."""

from __future__ import annotations

from typing import Final

from anzol import ids
from anzol.errors import VaultError
from anzol.storage import marks
from anzol.storage.face import Probe
from anzol.storage.sqlite.migrations import apply, newest
from anzol.storage.sqlite.migrations import version as version_of
from anzol.storage.sqlite.work import Work

KEY_FILE: Final = "anzol.key"
NOBODY: Final = -1  # no worker has this number


def prepare(work: Work, deployment: str) -> None:
    """Apply missing migrations; check the mark, set it where there is none."""
    apply(work.connection, work.now)
    row = work.one("deployment")
    if row is None:
        mark(work, deployment)
    else:
        marks.judge(work.vault, deployment, *row, key_file=KEY_FILE)


def mark(work: Work, deployment: str) -> None:
    """Write the mark."""
    work.run("deployment_mark", mark=deployment, canary=marks.seal(work.vault, deployment))


def probe(work: Work) -> Probe:
    """Write a row and take it away again, which is a commit like any other; look who works and what waits."""
    work.run("probe_write", nobody=NOBODY)
    work.run("worker_gone", me=NOBODY)
    workers, accepted, lane, left = work.the("probe", "probe", now=work.now)
    marked = work.one("deployment")
    return Probe(
        schema_version=version_of(work.connection),
        schema_wanted=newest(),
        mark=None if marked is None else marked[0],
        workers=workers,
        waits_since=min((since for since in (accepted, lane, left) if since is not None), default=None),
        now=work.now,
    )


def adopt(work: Work, deployment: str, withdraw_pending: bool) -> int:
    """Make the database this deployment's; return how many deliveries and messages were withdrawn.

    With a key that does not open it, secrets and headers are lost: endpoints are disabled until they have new ones.
    """
    apply(work.connection, work.now)
    row = work.one("deployment")
    if row is not None and not marks.opens(work.vault, *row):
        for query in ("secrets_lost", "endpoints_lost", "lanes_lost", "outbox_sources_lost"):
            work.run(query, now=work.now)
    withdrawn = 0
    if withdraw_pending:
        work.run("claims_lost")
        work.run("workers_lost")
        withdrawn += work.run("pending_withdrawn_history", now=work.now)
        work.run("pending_withdrawn")
        withdrawn += work.run("outbox_withdrawn")
    mark(work, deployment)
    return withdrawn


def rekey_mark(work: Work) -> int:
    """Seal with the first key what belongs to no endpoint: the mark's canary, the URLs of outboxes; count those."""
    count = 0
    for digest, url in work.all("outbox_sources"):
        if not work.vault.current(url):
            opened = work.vault.open(url, "outbox", digest)
            count += work.run("outbox_source_sealed", digest=digest, url=work.vault.seal(opened, "outbox", digest))
    marked, canary = work.the("deployment", "deployment")
    if not work.vault.current(canary):
        mark(work, marked)
    return count


def rekey_endpoints(work: Work, after: int, limit: int) -> tuple[int | None, int]:
    """Seal one page of endpoints' secrets and headers with the first key.

    Returns:
        Where the next page begins (None: there is none), and how many were sealed anew.
    """
    count = 0
    rows = work.all("endpoints_sealed", after=after, most=limit)
    for row in rows:
        try:
            count += rekey_endpoint(work, *row)
        except VaultError as cause:
            raise VaultError(f"{ids.show(ids.ENDPOINT, row[1])}: {cause}") from cause
    return rows[-1][0] if len(rows) == limit else None, count


def rekey_endpoint(work: Work, seq: int, raw: bytes, customer: bytes, environment: str, headers: bytes | None) -> int:
    """Seal one endpoint's secrets and headers with the first key; return how many were not."""
    where, count = (environment, customer, raw), 0
    if headers is not None and not work.vault.current(headers):
        opened = work.vault.open(headers, "headers", *where)
        work.run("endpoint_set_headers", seq=seq, value=work.vault.seal(opened, "headers", *where))
        count += 1
    for version, value in work.all("secrets_sealed", endpoint=seq):
        if not work.vault.current(value):
            opened = work.vault.open(value, "secret", *where, version)
            work.run("secret_sealed", id=version, value=work.vault.seal(opened, "secret", *where, version))
            count += 1
    return count
