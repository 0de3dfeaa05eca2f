"""API keys: what other programs call the API with; shown once, stored as digests."""

# Annotations are real objects here: FastAPI reads them.
import hashlib
from base64 import urlsafe_b64encode
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Path, Request
from pydantic import Field

from anzol.api.access import KEY, Asking, Credentials, Environment, Scope
from anzol.api.ground import Place
from anzol.api.paging import NewestFirst, listed
from anzol.api.problems import Problem, fault
from anzol.api.routes import ACCESS, Resource
from anzol.api.shapes import Listed, Moment, Out, Shape, Text
from anzol.clock import from_micros
from anzol.errors import InvalidValue, NotFound
from anzol.model import ApiKey, Page
from anzol.storage.books import NewApiKey

router = Resource("API key", prefix="/auth/api-token")
RANDOM: Final = 32  # bytes of a key
HINT: Final = 4  # characters of it that are kept

Scopes = Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]


class ApiTokenIn(Shape):
    """An API key to be made."""

    name: Annotated[Text, Field(min_length=1, max_length=256)]
    scopes: Annotated[
        Scopes | None,
        Field(description="What it allows: `read`, `publish`, `manage`, `access`; else what its maker may."),
    ] = None
    expires_at: Annotated[Moment | None, Field(description="Not valid from then on; else for good.")] = None


class ApiTokenCard(Out):
    """An API key, without its text."""

    id: str
    name: str
    hint: Annotated[str, Field(description="The last characters of its text.")]
    scopes: list[str]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: Annotated[datetime | None, Field(description="Noted once in a minute.")]


class ApiTokenOut(ApiTokenCard):
    """An API key that was just made, with its text: this is the only time that it is shown."""

    token: str


def card_of(key: ApiKey) -> ApiTokenCard:
    """Return a key as it is shown."""
    return ApiTokenCard(**shown(key))


def shown(key: ApiKey) -> dict[str, Any]:
    """Return what of a key is shown."""
    names = ("id", "name", "hint", "created_at", "created_by", "expires_at", "revoked_at", "used_at")
    return {name: getattr(key, name) for name in names} | {"scopes": list(key.scopes)}


@router.operation("POST", "", may=ACCESS, operation_id="v1.api-token.create", status=201, response_model=ApiTokenOut)
async def create_api_token(given: ApiTokenIn, place: Environment, caller: Asking) -> Any:
    """Make an API key of this environment; its text is in this answer and nowhere else."""
    scopes = frozenset(given.scopes) if given.scopes is not None else caller.scopes
    if not scopes <= caller.scopes:
        raise Problem("insufficient_access", "A key allows no more than what its maker may.")
    check_future(place, given.expires_at)
    text = KEY + urlsafe_b64encode(place.ground.random(RANDOM)).decode().rstrip("=")
    new = NewApiKey(
        digest=hashlib.sha256(text.encode()).digest(),
        name=given.name,
        hint=text[-HINT:],
        scopes=tuple(scope.value for scope in Scope if scope in scopes),
        created_by=caller.actor,
        expires_at=given.expires_at,
    )
    key = await (await place.storage()).create_api_key(place.environment, new)
    return ApiTokenOut(**shown(key), token=text)


def check_future(place: Place, moment: datetime | None) -> None:
    """Refuse an end that has passed; raises Problem."""
    if moment is not None and moment <= from_micros(place.ground.clock.micros()):
        raise fault("expiresAt", "It has passed already.")


@router.operation("GET", "", may=ACCESS, operation_id="v1.api-token.list", response_model=Listed[ApiTokenCard])
async def list_api_tokens(place: Environment, paging: NewestFirst) -> Any:
    """List the API keys of this environment, those that are worth nothing any more among them."""
    storage = await place.storage()

    async def read(after: str | None, limit: int, oldest_first: bool) -> Page[ApiKey]:
        return await storage.api_keys(place.environment, after=after, limit=limit, oldest_first=oldest_first)

    return await listed(paging, read, card_of)


@router.operation("POST", "/{key_id}/expire", may=ACCESS, operation_id="v1.api-token.expire", status=204)
async def expire_api_token(
    key_id: Annotated[str, Path(description="The key's id.", max_length=300)], place: Environment, request: Request
) -> None:
    """Make an API key worth nothing, everywhere within five seconds."""
    try:
        await (await place.storage()).revoke_api_key(place.environment, key_id)
    except (NotFound, InvalidValue):
        raise Problem("not_found", f"There is no API key {key_id!r}.") from None
    credentials: Credentials = request.app.state.credentials
    credentials.forget()
