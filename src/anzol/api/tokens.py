"""Tokens: JSON Web Tokens under HMAC-SHA-256, of an environment or of one customer. Nothing is read or kept here."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import jwt

from anzol import ids

ALGORITHM: Final = "HS256"  # fixed: a token does not choose how it is checked
ISSUER: Final = "anzol"
LONGEST: Final = 8192  # characters of a token
LATEST: Final = 1 << 37  # seconds: what a datetime can say


class Capability(StrEnum):
    """What a customer's token allows."""

    VIEW = "ViewBase"
    VIEW_SECRET = "ViewEndpointSecret"  # noqa: S105 a name
    MANAGE_SECRET = "ManageEndpointSecret"  # noqa: S105 a name
    CREATE_ATTEMPTS = "CreateAttempts"
    MANAGE_ENDPOINT = "ManageEndpoint"
    MANAGE_TRANSFORMATIONS = "ManageTransformations"  # known to clients; there is nothing that it would allow


IMPLIED: Final = {
    Capability.MANAGE_SECRET: {Capability.VIEW_SECRET},
    Capability.MANAGE_ENDPOINT: {Capability.VIEW_SECRET, Capability.MANAGE_SECRET},
}


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says. ``customer_id`` is None for one of an environment. Times in seconds.

    ``issued_at`` has a fraction: a token that is made right after all were revoked is not one of those.
    """

    organization: str
    customer_id: str | None
    issued_at: float
    expires_at: float
    capabilities: frozenset[Capability] = frozenset(Capability)
    session: str | None = None
    user: str | None = None
    feature_flags: tuple[str, ...] = ()


class TokenRefused(Exception):
    """A token is worth nothing; the message says why, for the answer's detail."""


def organization_of(environment: str) -> str:
    """Return the id that an environment has in tokens, such as ``org_...``."""
    return ids.show(ids.ENVIRONMENT, ids.derive("environment", environment))


def mint(token: Token, secret: bytes) -> str:
    """Sign a token."""
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "sub": token.customer_id or token.organization,
        "iat": token.issued_at,
        "nbf": token.issued_at,
        "exp": token.expires_at,
    }
    if token.customer_id is not None:
        claims["org"] = token.organization
        claims["cap"] = sorted(capability.value for capability in token.capabilities)
    if token.session is not None:
        claims["sid"] = token.session
    if token.user is not None:
        claims["usr"] = token.user
    if token.feature_flags:
        claims["flg"] = list(token.feature_flags)
    return jwt.encode(claims, secret, algorithm=ALGORITHM)


def read(text: str, secrets: Sequence[bytes], now: datetime) -> Token:
    """Return what a token says, once its signature and times hold.

    Raises:
        TokenRefused: they do not.
    """
    claims = signed_claims(text, secrets)
    token = token_of(claims)
    moment = now.astimezone(UTC).timestamp()
    if token.expires_at <= moment:
        raise TokenRefused("The token has expired.")
    if number(claims.get("nbf", 0)) > moment + 60:
        raise TokenRefused("The token is not valid yet.")
    return token


def signed_claims(text: str, secrets: Sequence[bytes]) -> dict[str, Any]:
    """Return the claims of a token that one of *secrets* has signed; raises TokenRefused."""
    # The times are compared by the caller, by the clock that it is given.
    options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
    if len(text) > LONGEST:
        raise TokenRefused("The token is longer than any of this server's.")
    for secret in secrets:
        # Before the signature is looked at, the header is read as JSON: whatever somebody has put there.
        with suppress(jwt.PyJWTError, ValueError, TypeError, RecursionError):
            claims: dict[str, Any] = jwt.decode(text, secret, algorithms=[ALGORITHM], options=options)
            return claims
    raise TokenRefused("The token is none of this server's.")


def token_of(claims: dict[str, Any]) -> Token:
    """Return claims as a token; raises TokenRefused."""
    subject, organization, flags = claims.get("sub"), claims.get("org"), claims.get("flg")
    if not isinstance(subject, str) or "exp" not in claims:
        raise TokenRefused("The token says neither for whom it is nor until when.")
    issued_at, expires_at = number(claims.get("iat", 0)), number(claims["exp"])
    if subject.startswith(ids.ENVIRONMENT):
        return Token(subject, None, issued_at, expires_at)
    if subject.startswith(ids.CUSTOMER) and isinstance(organization, str):
        session, user = claims.get("sid"), claims.get("usr")
        return Token(
            organization,
            subject,
            issued_at,
            expires_at,
            capabilities=granted(claims.get("cap")),
            session=session if isinstance(session, str) else None,
            user=user if isinstance(user, str) else None,
            feature_flags=tuple(flag for flag in flags if isinstance(flag, str)) if isinstance(flags, list) else (),
        )
    raise TokenRefused("The token is for nobody that is known here.")


def number(value: object) -> float:
    """Return a time claim; raises TokenRefused."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < LATEST:
        raise TokenRefused("The token has a time that is none.")
    return value


def granted(names: object) -> frozenset[Capability]:
    """Return capabilities and what they imply; all of them where none are named."""
    if names is None:
        return frozenset(Capability)
    known = {capability.value: capability for capability in Capability}
    given = {known[name] for name in names if name in known} if isinstance(names, list) else set()
    for capability in list(given):
        given |= IMPLIED.get(capability, set())
    return frozenset(given | {Capability.VIEW}) if given else frozenset()
