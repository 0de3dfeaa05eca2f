"""Who is asking, and what they may: a token or an API key in, a `Caller` out.

What was found out about a credential is believed for `FRESH` seconds, so that a revocation holds everywhere
within five.
"""

# Annotations are real objects here: FastAPI reads them.
import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

from fastapi import Depends, Path, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from anzol.api.ground import Ground, Place
from anzol.api.problems import Problem
from anzol.api.tokens import Capability, Token, TokenRefused, organization_of, read
from anzol.clock import from_micros
from anzol.errors import NotFound
from anzol.model import OPERATIONAL, Customer

FRESH: Final = 2.0  # seconds that a credential's standing is believed
REMEMBERED: Final = 4096  # credentials
KEY: Final = "sk_"  # begins every API key


class Scope(StrEnum):
    """What an API key allows; a token of an environment allows all of it."""

    READ = "read"
    PUBLISH = "publish"
    MANAGE = "manage"
    ACCESS = "access"  # secrets of endpoints, tokens, keys, links


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking. ``customer`` (a uid) is None for those who act for an environment.

    ``credential`` is a digest of the token or key: answers and rates are kept by it. ``actor`` goes into the audit.
    """

    environment: str
    credential: bytes = field(repr=False)
    actor: str
    scopes: frozenset[Scope] = frozenset()
    customer: str | None = None
    customer_id: str | None = None
    capabilities: frozenset[Capability] = frozenset()
    session: str | None = None
    expires_at: datetime | None = None
    key_id: str | None = None


@dataclass(frozen=True, slots=True)
class May:
    """What an operation asks for. ``capability`` None: it is for environments alone."""

    scope: Scope
    capability: Capability | None = None

    def check(self, caller: Caller) -> None:
        """Refuse a caller who may not.

        Raises:
            Problem: ``insufficient_access``.
        """
        if caller.customer is None:
            if self.scope not in caller.scopes:
                raise Problem("insufficient_access", f"This needs a key with the scope `{self.scope.value}`.")
        elif self.capability is None:
            raise Problem("insufficient_access", "A customer's token does not allow this.")
        elif self.capability not in caller.capabilities:
            raise Problem("insufficient_access", f"This needs a token with the capability `{self.capability.value}`.")


@dataclass(frozen=True, slots=True)
class Known:
    """A credential that was good, and until when that is believed, by the process's own clock."""

    caller: Caller
    until: float


class Credentials:
    """Finds out who is asking; remembers it for a moment."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._known: OrderedDict[bytes, Known] = OrderedDict()
        self._environments: dict[str, str] = {}
        self._environments_at = 0.0
        self.used: dict[str, datetime] = {}  # API keys that were used since somebody wrote it down

    async def caller(self, authorization: str | None) -> Caller:
        """Return who is asking.

        Raises:
            Problem: ``authentication_failed``.
        """
        text = bearer(authorization)
        digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
        known = self._known.get(digest)
        now = self._now()
        if known is None or known.until <= time.monotonic():
            caller = await (self._of_key(digest, now) if text.startswith(KEY) else self._of_token(text, digest, now))
            self._remember(digest, caller)
        else:
            caller = known.caller
        if caller.expires_at is not None and caller.expires_at <= now:
            raise refused("The credential has expired.")
        if caller.key_id is not None:
            self.used[caller.key_id] = now
        return caller

    def forget(self) -> None:
        """Believe nothing any more: something was revoked here."""
        self._known.clear()

    def _now(self) -> datetime:
        return from_micros(self._ground.clock.micros())

    def _remember(self, digest: bytes, caller: Caller) -> None:
        self._known[digest] = Known(caller, time.monotonic() + FRESH)
        self._known.move_to_end(digest)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    async def _of_key(self, digest: bytes, now: datetime) -> Caller:
        storage = await self._ground.storage()
        key = await storage.api_key(digest)
        if key is None or key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
            raise refused("The API key is unknown, expired or revoked.")
        scopes = frozenset(scope for scope in Scope if scope.value in key.scopes)
        return Caller(
            key.environment, digest, f"key:{key.name or key.id}", scopes, expires_at=key.expires_at, key_id=key.id
        )

    async def _of_token(self, text: str, digest: bytes, now: datetime) -> Caller:
        try:
            token = read(text, self._ground.jwt_secrets(), now)
        except TokenRefused as error:
            raise refused(str(error)) from None
        environment = await self._environment(token.organization)
        await self._check_revoked(environment, token, digest, now)
        expires_at = datetime.fromtimestamp(token.expires_at, UTC)
        if token.customer_id is None:
            return Caller(environment, digest, "token", frozenset(Scope), expires_at=expires_at)
        customer = await self._customer(environment, token.customer_id)
        return Caller(
            environment,
            digest,
            f"customer:{token.user or customer.uid}",
            customer=customer.uid,
            customer_id=customer.id,
            capabilities=token.capabilities,
            session=token.session,
            expires_at=expires_at,
        )

    async def _environment(self, organization: str) -> str:
        """Return the environment that a token names; raises Problem."""
        if organization not in self._environments and self._environments_at <= time.monotonic() - 1:
            self._environments_at = time.monotonic()
            names = {self._ground.settings().environment, *await (await self._ground.storage()).environments()}
            self._environments = {organization_of(name): name for name in names}
        if organization not in self._environments:
            raise refused("The token is for another environment.")
        return self._environments[organization]

    async def _check_revoked(self, environment: str, token: Token, digest: bytes, now: datetime) -> None:
        storage = await self._ground.storage()
        issued = datetime.fromtimestamp(token.issued_at, UTC)
        for revocation in await storage.revocations(environment, subjects_of(token, digest)):
            if issued <= revocation.issued_through and revocation.effective_at <= now:
                raise refused("The token was revoked.")

    async def _customer(self, environment: str, customer_id: str) -> Customer:
        try:
            return await (await self._ground.storage()).find_customer(environment, customer_id)
        except NotFound:
            raise refused("The token is for an application that is not there any more.") from None


def subjects_of(token: Token, digest: bytes) -> list[str]:
    """Return what of a token may have been revoked."""
    subjects = [f"token:{digest.hex()}"]
    if token.customer_id is not None:
        subjects.append(f"customer:{token.customer_id}")
        if token.session is not None:
            subjects.append(f"session:{token.customer_id}:{token.session}")
    return subjects


def bearer(authorization: str | None) -> str:
    """Return the credential in a header; raises Problem."""
    kind, _, text = (authorization or "").partition(" ")
    if not text or kind.lower() != "bearer":
        raise refused("Send `Authorization: Bearer`, and a token or an API key.")
    return text.strip()


def refused(why: str) -> Problem:
    """Return the problem of a credential that is worth nothing."""
    return Problem("authentication_failed", why, headers={"www-authenticate": "Bearer"})


# --- what operations ask for


def ground_of(request: Request) -> Ground:
    """Return what the API stands on."""
    ground: Ground = request.app.state.ground
    return ground


async def caller_of(request: Request) -> Caller:
    """Return who is asking, found out once for each request."""
    known: Caller | None = getattr(request.state, "caller", None)
    if known is None:
        credentials: Credentials = request.app.state.credentials
        known = request.state.caller = await credentials.caller(request.headers.get("authorization"))
    return known


class Allowed(SecurityBase):
    """The dependency that every operation but health has: it gives the caller, if that one may."""

    def __init__(self, may: May) -> None:
        self.may = may
        self.model = HTTPBearer(description="A token or an API key.")
        self.scheme_name = "Bearer"

    async def __call__(self, request: Request) -> Caller:
        caller = await caller_of(request)
        self.may.check(caller)
        return caller


def place_of(request: Request, caller: Annotated[Caller, Depends(caller_of)]) -> Place:
    """Return the caller's environment."""
    return ground_of(request).of(caller.environment)


async def customer_of(
    app_id: Annotated[str, Path(description="The application's id or uid.", max_length=300)],
    caller: Annotated[Caller, Depends(caller_of)],
    place: Annotated[Place, Depends(place_of)],
) -> Customer:
    """Return the application that the path names, if it is there and the caller's.

    Raises:
        Problem: ``not_found``.
    """
    return await find_customer(place, caller, app_id)


async def find_customer(place: Place, caller: Caller, name: str) -> Customer:
    """Return a customer by id or uid; another one's is not there for a customer."""
    missing = Problem("not_found", f"There is no application {name!r}.")
    if caller.customer is not None and name not in (caller.customer, caller.customer_id):
        raise missing
    try:
        found = await (await place.storage()).find_customer(place.environment, name)
    except NotFound:
        raise missing from None
    if found.uid == OPERATIONAL or (caller.customer is not None and found.uid != caller.customer):
        raise missing
    return found


Environment = Annotated[Place, Depends(place_of)]
OwnCustomer = Annotated[Customer, Depends(customer_of)]
Asking = Annotated[Caller, Depends(caller_of)]
