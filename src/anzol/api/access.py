"""Who is asking, and what they may: a token or an API key in, a `Caller` out.

What was found out about a credential is believed for `FRESH` seconds, so that a revocation holds everywhere
within five; one that is made in this process holds in it at once.
"""

# Annotations are real objects here: FastAPI reads them.
import asyncio
import hashlib
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

from fastapi import Depends, Path, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from anzol.api.ground import Ground, Place
from anzol.api.limits import GUESSES, MOST_GUESSES, Buckets, network_of, slower, spread
from anzol.api.problems import Problem
from anzol.api.tokens import Capability, Token, TokenRefused, organization_of, read
from anzol.clock import from_micros
from anzol.errors import NotFound, StorageError
from anzol.model import OPERATIONAL, Customer

FRESH: Final = 2.0  # seconds that a credential's standing is believed
REMEMBERED: Final = 4096  # credentials
KEY: Final = "sk_"  # begins every API key
LONGEST_NAME: Final = 300  # characters of an id or uid
NOTE_EVERY: Final = 60.0  # seconds between notes of a key's use


class Scope(StrEnum):
    """What an API key allows; a token of an environment allows all of it."""

    READ = "read"
    PUBLISH = "publish"
    MANAGE = "manage"
    ACCESS = "access"  # secrets of endpoints, tokens, keys, links


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking. ``customer`` (a uid) is None for those who act for an environment.

    ``credential`` is a digest of the token or key: answers and rates are kept by it; ``seal`` is another one, which
    nothing stores: what is kept for this caller is sealed with it. ``actor`` goes into the audit.
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
    feature_flags: tuple[str, ...] = ()
    seal: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class May:
    """What an operation asks for. ``capability`` None: it is for environments alone; ``scope`` None: for any key."""

    scope: Scope | None
    capability: Capability | None = None

    def check(self, caller: Caller) -> None:
        """Refuse a caller who may not.

        Raises:
            Problem: ``insufficient_access``.
        """
        if caller.customer is None:
            if self.scope is not None and self.scope not in caller.scopes:
                raise Problem("insufficient_access", f"This needs a key with the scope `{self.scope.value}`.")
        elif self.capability is None:
            raise Problem("insufficient_access", "A customer's token does not allow this.")
        elif self.capability not in caller.capabilities:
            raise Problem("insufficient_access", f"This needs a token with the capability `{self.capability.value}`.")


@dataclass(frozen=True, slots=True)
class Known:
    """A credential that was good: until when that is believed, by the process's own clock, if nothing is revoked."""

    caller: Caller
    until: float
    revoked: int


class Credentials:
    """Finds out who is asking; remembers it for a moment, and holds up who asks too fast."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._known: OrderedDict[bytes, Known] = OrderedDict()
        self._revoked = 0
        self._environments: dict[str, str] = {}
        self._environments_at = -1.0
        self._guesses = Buckets(GUESSES, MOST_GUESSES)
        self._rates: tuple[Buckets, Buckets] | None = None
        self._noted: dict[str, float] = {}
        self._notes: set[asyncio.Task[None]] = set()

    async def caller(self, authorization: str | None, address: str = "") -> Caller:
        """Return who is asking, from which address.

        Raises:
            Problem: ``authentication_failed``; ``rate_limited``, also of an address that guesses.
        """
        try:
            caller = await self._found(authorization, address)
        except Problem as problem:
            if problem.code == "authentication_failed":
                self.count_guess(address)
            raise
        self._check_rate(caller)
        if caller.key_id is not None:
            self._note_use(caller.key_id)
        return caller

    def forget(self) -> None:
        """Believe nothing any more: something was revoked here."""
        self._revoked += 1

    def count_guess(self, address: str) -> None:
        """Count something worthless from an address; raises Problem when that was once too often."""
        wait = self._guesses.take(network_of(address))
        if wait:
            raise slower(wait, "There were too many worthless credentials from this address.") from None

    def check_guesses(self, address: str) -> None:
        """Refuse an address that has guessed too often lately; raises Problem."""
        wait = self._guesses.wait(network_of(address))
        if wait:
            raise slower(wait, "There were too many worthless credentials from this address.")

    # --- finding out

    async def _found(self, authorization: str | None, address: str) -> Caller:
        text = bearer(authorization)
        digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
        known = self._known.get(digest)
        now = self._now()
        if known is None or known.until <= time.monotonic() or known.revoked != self._revoked:
            # A key is looked up in the database, so not for those who guess. Who was let in before is not held up by
            # others behind the same proxy.
            if known is None and text.startswith(KEY):
                self.check_guesses(address)
            caller = await self._look_up(text, digest, now)
        else:
            caller = known.caller
        if caller.expires_at is not None and caller.expires_at <= now:
            raise refused("The credential has expired.")
        return caller

    async def _look_up(self, text: str, digest: bytes, now: datetime) -> Caller:
        since, revoked = time.monotonic(), self._revoked
        seal = hashlib.sha256(b"anzol-answer\0" + text.encode("utf-8", "surrogateescape")).digest()
        found = await (self._of_key(digest, now) if text.startswith(KEY) else self._of_token(text, digest, now))
        caller = replace(found, seal=seal)
        # What was revoked while it was looked up may not be in what was found.
        self._known[digest] = Known(caller, since + FRESH, revoked)
        self._known.move_to_end(digest)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return caller

    def _check_rate(self, caller: Caller) -> None:
        if self._rates is None:
            settings = self._ground.settings()
            self._rates = spread(settings.api_rate), spread(settings.portal_rate)
        mine, customers = self._rates
        wait = mine.take(caller.credential) if caller.customer is None else customers.take(caller.customer_id)
        if wait:
            raise slower(wait, "There were too many requests with this credential.")

    def _note_use(self, key_id: str) -> None:
        """Have a key's use written down, beside the request: once in a minute."""
        now = time.monotonic()
        if now - self._noted.get(key_id, -NOTE_EVERY) >= NOTE_EVERY:
            if len(self._noted) >= REMEMBERED:
                self._noted.clear()
            self._noted[key_id] = now
            note = asyncio.create_task(self._write_down(key_id, self._now()))
            self._notes.add(note)
            note.add_done_callback(self._notes.discard)

    async def _write_down(self, key_id: str, at: datetime) -> None:
        with suppress(StorageError):  # it is noted the next time
            await (await self._ground.storage()).note_api_keys({key_id: at})

    def _now(self) -> datetime:
        return from_micros(self._ground.clock.micros())

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
            feature_flags=token.feature_flags,
        )

    async def _environment(self, organization: str) -> str:
        """Return the environment that a token names; raises Problem."""
        if organization not in self._environments and self._environments_at <= time.monotonic() - 1:
            names = {self._ground.settings().environment, *await (await self._ground.storage()).environments()}
            self._environments = {organization_of(name): name for name in names}
            self._environments_at = time.monotonic()  # not before: others that come meanwhile look, too
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
        known = await credentials.caller(request.headers.get("authorization"), address_of(request))
        request.state.caller = known
    return known


def address_of(request: Request) -> str:
    """Return the address of the peer; empty on a Unix socket."""
    return request.client.host if request.client else ""


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
    missing = Problem("not_found", f"There is no application {name[:300]!r}.")
    if not may_be_named(name) or (caller.customer is not None and name not in (caller.customer, caller.customer_id)):
        raise missing
    try:
        found = await (await place.storage()).find_customer(place.environment, name)
    except NotFound:
        raise missing from None
    if found.uid == OPERATIONAL or (caller.customer is not None and found.uid != caller.customer):
        raise missing
    return found


def may_be_named(name: str) -> bool:
    """Say whether an application can have this id or uid: what no database can be asked for, none has."""
    return 0 < len(name) <= LONGEST_NAME and name.isprintable()


Environment = Annotated[Place, Depends(place_of)]
OwnCustomer = Annotated[Customer, Depends(customer_of)]
Asking = Annotated[Caller, Depends(caller_of)]
