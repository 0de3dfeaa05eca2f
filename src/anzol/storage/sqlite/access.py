"""Who may call the REST API: keys, revocations, one-time codes, and answers to requests that may be made again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from anzol import ids
from anzol.clock import to_micros
from anzol.errors import NotFound
from anzol.model import ApiKey, Page
from anzol.storage.access import MICRO, api_key_of, customer_in, kept_of, known_digest, revocation_of
from anzol.storage.auditing import write_detail
from anzol.storage.books import Kept, NewApiKey, Revocation
from anzol.storage.keys import REQUESTS_KEPT
from anzol.storage.paging import page_of, read_number
from anzol.storage.sqlite.read import environment_number
from anzol.storage.sqlite.register import read_id
from anzol.storage.sqlite.work import Work, encode, note


def environments(work: Work) -> Sequence[str]:
    """Return the names of all environments, A to Z."""
    return sorted(name for (name,) in work.all("environments"))


# --- keys


def create_api_key(work: Work, environment: str, key: NewApiKey, key_id: bytes) -> ApiKey:
    """Store a key."""
    made = work.run(
        "api_key_new",
        id=key_id,
        environment=work.environment(environment),
        digest=key.digest,
        title=key.name,
        hint=key.hint,
        scopes=encode(key.scopes),
        now=work.now,
        created_by=key.created_by,
        expires_at=None if key.expires_at is None else to_micros(key.expires_at),
    )
    if not made:
        raise known_digest()
    shown = ids.show(ids.API_KEY, key_id)
    detail = write_detail({"name": key.name, "scopes": list(key.scopes)})
    note(work, environment, "api-key.created", shown, detail=detail)
    return api_key_of(work.the("api_key_by_digest", "API key", digest=key.digest))


def api_key(work: Work, digest: bytes) -> ApiKey | None:
    """Return the key with this digest."""
    row = work.one("api_key_by_digest", digest=digest)
    return None if row is None else api_key_of(row)


def api_keys(work: Work, environment: str, after: str | None, limit: int, oldest_first: bool) -> Page[ApiKey]:
    """List keys."""
    place = read_number(after, oldest_first=oldest_first)
    values = {"environment": environment_number(work, environment), "after": place, "most": limit + 1}
    return page_of(work.listed("api_keys", (), oldest_first=oldest_first, **values), limit, api_key_of)


def revoke_api_key(work: Work, environment: str, key_id: str) -> None:
    """Make a key worth nothing from now on."""
    raw = read_id(ids.API_KEY, key_id, "API key")
    what = f"API key {key_id!r} in {environment!r}"
    row = work.the("api_key_revoked", what, id=raw, environment=environment_number(work, environment), now=work.now)
    note(work, environment, "api-key.revoked", key_id, detail=write_detail({"name": row[0]}))


def note_api_keys(work: Work, used: Mapping[str, datetime]) -> None:
    """Note when keys were used last."""
    for shown, time in used.items():
        work.run("api_key_used", id=ids.read(ids.API_KEY, shown), used_at=to_micros(time))


# --- revocations and codes


def revoke(
    work: Work, environment: str, subject: str, issued_through: datetime, effective_at: datetime, keep_until: datetime
) -> None:
    """Store a revocation."""
    work.run(
        "revocation_new",
        environment=work.environment(environment),
        subject=subject,
        issued_through=to_micros(issued_through),
        effective_at=to_micros(effective_at),
        keep_until=to_micros(keep_until),
    )
    detail = write_detail({"issued_through": to_micros(issued_through), "effective_at": to_micros(effective_at)})
    note(work, environment, "access.revoked", subject, customer_in(subject), detail)


def revocations(work: Work, environment: str, subjects: Sequence[str]) -> Sequence[Revocation]:
    """Return the revocations of these subjects."""
    values = {"environment": environment_number(work, environment), "subjects": encode(subjects), "now": work.now}
    return [revocation_of(row) for row in work.all("revocations", **values)]


def add_portal_code(work: Work, digest: bytes, environment: str, claims: str, expires_at: datetime) -> None:
    """Store a one-time code."""
    values = {"environment": work.environment(environment), "claims": claims, "expires_at": to_micros(expires_at)}
    work.run("portal_code_new", digest=digest, **values)


def take_portal_code(work: Work, digest: bytes) -> tuple[str, str]:
    """Use a code up."""
    row = work.one("portal_code_taken", digest=digest, now=work.now)
    if row is None:
        raise NotFound("There is no such code: it was used, or it has expired.")
    return row[0], row[1]


# --- answers


def begin_request(work: Work, slot: bytes, request: bytes, lease: timedelta) -> Kept | None:
    """Claim a slot; if it is another's, say what is known of that."""
    values = {"request": request, "lease": lease // MICRO, "kept": REQUESTS_KEPT, "now": work.now}
    if work.run("answer_begun", slot=slot, **values):
        return None
    return kept_of(work.the("answer", "answer", slot=slot), request)


def keep_answer(work: Work, slot: bytes, status: int, body: bytes) -> None:
    """Keep the answer of a claimed request."""
    work.run("answer_kept", slot=slot, status=status, body=body, now=work.now)


def drop_request(work: Work, slot: bytes) -> None:
    """Free a slot that has no answer."""
    work.run("answer_dropped", slot=slot)
