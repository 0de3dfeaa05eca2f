"""Who may call the REST API, in users' words: from rows to the model."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Final

from anzol import ids
from anzol.clock import from_micros
from anzol.errors import Conflict
from anzol.model import ApiKey
from anzol.storage.books import Kept, Revocation
from anzol.storage.rows import Row, when

MICRO: Final = timedelta(microseconds=1)


def api_key_of(row: Row) -> ApiKey:
    """Return the key in a row of ``api_keys``."""
    raw, environment, name, hint, scopes, created_at, created_by, expires_at, revoked_at, used_at = row
    return ApiKey(
        id=ids.show(ids.API_KEY, raw),
        environment=environment,
        name=name,
        hint=hint,
        scopes=tuple(json.loads(scopes)),
        created_at=from_micros(created_at),
        created_by=created_by,
        expires_at=when(expires_at),
        revoked_at=when(revoked_at),
        used_at=when(used_at),
    )


def revocation_of(row: Row) -> Revocation:
    """Return the revocation in a row of ``revocations``."""
    subject, issued_through, effective_at = row
    return Revocation(subject, from_micros(issued_through), from_micros(effective_at))


def customer_in(subject: str) -> bytes | None:
    """Return the customer whose tokens a revocation is about, if they are one's."""
    kind, _, rest = subject.partition(":")
    if kind not in ("customer", "session"):
        return None
    return ids.read(ids.CUSTOMER, rest.partition(":")[0])


def kept_of(row: Row, request: bytes) -> Kept:
    """Return what a row of ``answer`` says to a request."""
    first, status, body = row
    return Kept(same=bytes(first) == request, status=status, body=body)


def known_digest() -> Conflict:
    """Return the error for a key that is stored already."""
    return Conflict("There is an API key with this text already.", do="Make another one.")
