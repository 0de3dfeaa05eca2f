"""Who may call the REST API: keys, revocations, one-time codes, and answers to requests that may be made again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from anzol import ids
from anzol.clock import to_micros
from anzol.errors import NotFound, StorageBusy
from anzol.model import ApiKey, Page
from anzol.storage.access import MICRO, api_key_of, customer_in, kept_of, known_digest, revocation_of
from anzol.storage.auditing import write_detail
from anzol.storage.books import Kept, NewApiKey, Revocation
from anzol.storage.keys import REQUESTS_KEPT
from anzol.storage.paging import page_of, read_number
from anzol.storage.postgres.register import read_id
from anzol.storage.postgres.texts import refuse_nul
from anzol.storage.postgres.work import Work, note

TRIES: Final = 3  # of a slot that is freed while we ask who has it


async def environments(work: Work) -> Sequence[str]:
    """Return the names of all environments, A to Z."""
    return sorted(await work.column("environments"))


# --- keys


async def create_api_key(work: Work, environment: str, key: NewApiKey, key_id: bytes) -> ApiKey:
    """Store a key."""
    refuse_nul(environment=environment, name=key.name, hint=key.hint, scopes=key.scopes, created_by=key.created_by)
    made = await work.run(
        "api_key_new",
        id=key_id,
        environment=environment,
        digest=key.digest,
        title=key.name,
        hint=key.hint,
        scopes=list(key.scopes),
        created_by=key.created_by,
        expires_at=None if key.expires_at is None else to_micros(key.expires_at),
    )
    if not made:
        raise known_digest()
    shown = ids.show(ids.API_KEY, key_id)
    detail = write_detail({"name": key.name, "scopes": list(key.scopes)})
    await note(work, environment, "api-key.created", shown, detail=detail)
    return api_key_of(await work.the("api_key_by_digest", "API key", digest=key.digest))


async def api_key(work: Work, digest: bytes) -> ApiKey | None:
    """Return the key with this digest."""
    row = await work.one("api_key_by_digest", digest=digest)
    return None if row is None else api_key_of(row)


async def api_keys(work: Work, environment: str, after: str | None, limit: int, oldest_first: bool) -> Page[ApiKey]:
    """List keys."""
    refuse_nul(environment=environment)
    values = {"environment": environment, "after": read_number(after, oldest_first=oldest_first), "most": limit + 1}
    return page_of(await work.listed("api_keys", (), oldest_first=oldest_first, **values), limit, api_key_of)


async def revoke_api_key(work: Work, environment: str, key_id: str) -> None:
    """Make a key worth nothing from now on."""
    refuse_nul(environment=environment)
    raw = read_id(ids.API_KEY, key_id, "API key")
    row = await work.the("api_key_revoked", f"API key {key_id!r} in {environment!r}", id=raw, environment=environment)
    await note(work, environment, "api-key.revoked", key_id, detail=write_detail({"name": row[0]}))


async def note_api_keys(work: Work, used: Mapping[str, datetime]) -> None:
    """Note when keys were used last."""
    raw = [ids.read(ids.API_KEY, shown) for shown in used]
    await work.run("api_keys_used", ids=raw, times=[to_micros(time) for time in used.values()])


# --- revocations and codes


async def revoke(
    work: Work, environment: str, subject: str, issued_through: datetime, effective_at: datetime, keep_until: datetime
) -> None:
    """Store a revocation."""
    refuse_nul(environment=environment, subject=subject)
    await work.run(
        "revocation_new",
        environment=environment,
        subject=subject,
        issued_through=to_micros(issued_through),
        effective_at=to_micros(effective_at),
        keep_until=to_micros(keep_until),
    )
    detail = write_detail({"issued_through": to_micros(issued_through), "effective_at": to_micros(effective_at)})
    await note(work, environment, "access.revoked", subject, customer_in(subject), detail)


async def revocations(work: Work, environment: str, subjects: Sequence[str]) -> Sequence[Revocation]:
    """Return the revocations of these subjects."""
    refuse_nul(environment=environment, subject=subjects)
    rows = await work.all("revocations", environment=environment, subjects=list(subjects))
    return [revocation_of(row) for row in rows]


async def add_portal_code(work: Work, digest: bytes, environment: str, claims: str, expires_at: datetime) -> None:
    """Store a one-time code."""
    refuse_nul(environment=environment, claims=claims)
    values = {"environment": environment, "claims": claims, "expires_at": to_micros(expires_at)}
    await work.run("portal_code_new", digest=digest, **values)


async def take_portal_code(work: Work, digest: bytes) -> tuple[str, str]:
    """Use a code up: of two at once one waits for the other, and finds it gone."""
    row = await work.one("portal_code_taken", digest=digest)
    if row is None:
        raise NotFound("There is no such code: it was used, or it has expired.")
    return row[0], row[1]


# --- answers


async def begin_request(work: Work, slot: bytes, request: bytes, lease: timedelta) -> Kept | None:
    """Claim a slot; if it is another's, say what is known of that."""
    for _ in range(TRIES):
        values = {"slot": slot, "request": request, "lease": lease // MICRO, "kept": REQUESTS_KEPT}
        if await work.run("answer_begun", **values):
            return None
        row = await work.one("answer", slot=slot)
        if row is not None:
            return kept_of(row, request)
    raise StorageBusy("An idempotency key is taken and freed all the time.", do="Make the request again.")


async def keep_answer(work: Work, slot: bytes, status: int, body: bytes) -> None:
    """Keep the answer of a claimed request."""
    await work.run("answer_kept", slot=slot, status=status, body=body)


async def drop_request(work: Work, slot: bytes) -> None:
    """Free a slot that has no answer."""
    await work.run("answer_dropped", slot=slot)
