"""Handing out access: tokens, and links to the portal with a one-time code. For the API, the command line and code."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from anzol.api.ground import Ground
from anzol.api.tokens import Capability, Token, mint, organization_of
from anzol.clock import from_micros
from anzol.outbox import CustomerId, customer_id

CODE_LASTS: Final = timedelta(hours=1)
PORTAL: Final = "/portal"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a customer's token is to allow, for how long, and in whose name."""

    lasting: timedelta = timedelta(days=7)
    capabilities: frozenset[Capability] = frozenset(Capability)
    session: str | None = None
    user: str | None = None


def environment_token(ground: Ground, *, lasting: timedelta) -> str:
    """Return a token of the environment that the settings name; it allows everything there."""
    now = seconds(ground)
    organization = organization_of(ground.settings().environment)
    return mint(Token(organization, None, now, now + whole(lasting)), ground.jwt_secrets()[0])


async def customer_token(ground: Ground, environment: str, customer: CustomerId, grant: Grant) -> str:
    """Return a token of one customer, who is made if need be."""
    return mint(await customer_claims(ground, environment, customer, grant), ground.jwt_secrets()[0])


async def customer_claims(ground: Ground, environment: str, customer: CustomerId, grant: Grant) -> Token:
    """Return what a customer's token says; the customer is made if need be."""
    storage = await ground.storage()
    made, _ = await storage.create_customer(environment, customer_id(customer), name="", metadata={}, throttle=None)
    now = seconds(ground)
    return Token(
        organization_of(environment),
        made.id,
        now,
        now + whole(grant.lasting),
        grant.capabilities,
        grant.session,
        grant.user,
    )


async def portal_link(ground: Ground, environment: str, token: Token, base: str) -> str:
    """Return a link that lets its first visitor in, within an hour; the code is in the fragment, so no server logs it.

    Args:
        token: What the visitor gets for the code.
        base: The server's address from outside.
    """
    code = urlsafe_b64encode(ground.random(32)).decode().rstrip("=")
    storage = await ground.storage()
    expires_at = from_micros(ground.clock.micros()) + CODE_LASTS
    await storage.add_portal_code(digest_of(code), environment, written(token), expires_at=expires_at)
    return f"{base.rstrip('/')}{PORTAL}#code={code}"


async def exchanged(ground: Ground, code: str) -> str:
    """Return the token that a code stands for, once.

    Raises:
        NotFound: the code is unknown, used up or expired.
    """
    storage = await ground.storage()
    _, claims = await storage.take_portal_code(digest_of(code))
    return mint(read_back(claims), ground.jwt_secrets()[0])


def digest_of(code: str) -> bytes:
    """Return what is stored of a code."""
    return hashlib.sha256(code.encode()).digest()


def written(token: Token) -> str:
    """Return a token as JSON."""
    return json.dumps(
        {
            "organization": token.organization,
            "customer_id": token.customer_id,
            "issued_at": token.issued_at,
            "expires_at": token.expires_at,
            "capabilities": sorted(token.capabilities),
            "session": token.session,
            "user": token.user,
            "feature_flags": token.feature_flags,
        }
    )


def read_back(text: str) -> Token:
    """Read what `written` wrote."""
    claims = json.loads(text)
    capabilities = frozenset(Capability(name) for name in claims.pop("capabilities"))
    flags = tuple(claims.pop("feature_flags"))
    return Token(**claims, capabilities=capabilities, feature_flags=flags)


def seconds(ground: Ground) -> float:
    """Return the time in seconds; with its fraction, so that what was taken back in this second is before it."""
    return ground.clock.micros() / 1_000_000


def whole(lasting: timedelta) -> int:
    """Return a duration in whole seconds."""
    return int(lasting.total_seconds())
