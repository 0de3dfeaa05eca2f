"""Access for customers: links to the portal, their exchange for a token, and taking tokens back."""

# Annotations are real objects here: FastAPI reads them.
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import Path, Request, Response
from pydantic import Field

from anzol.api.access import Asking, Credentials, Environment, OwnCustomer, address_of, ground_of
from anzol.api.application import ApplicationIn
from anzol.api.ground import Place
from anzol.api.handing import exchanged, portal_link
from anzol.api.problems import Problem
from anzol.api.resolving import customer_or_made
from anzol.api.routes import ACCESS, ANYBODY, Resource
from anzol.api.shapes import Out, Shape, Text
from anzol.api.tokens import Capability, Token, mint, organization_of
from anzol.clock import from_micros
from anzol.errors import NotFound
from anzol.model import Customer

router = Resource("Authentication", prefix="/auth")
WEEK: Final = 7 * 24 * 60 * 60  # seconds
HOUR: Final = 60 * 60
FOR_GOOD: Final = timedelta(days=3650)  # longer than tokens of customers are made to last

SessionId = Annotated[Text, Field(min_length=1, max_length=256)]


class AppPortalAccessIn(Shape):
    """Whom the link lets in, to what, and for how long."""

    application: Annotated[
        ApplicationIn | None, Field(description="Makes the application of the path if it is not there; else ignored.")
    ] = None
    capabilities: Annotated[
        list[Capability] | None,
        Field(max_length=20, description="What the token allows beside looking (`ViewBase`); else everything."),
    ] = None
    read_only: Annotated[bool | None, Field(description="Looking only, whatever the capabilities.")] = None
    expiry: Annotated[int | None, Field(ge=HOUR, le=WEEK, description="Seconds that the token lasts.")] = WEEK
    session_id: Annotated[SessionId | None, Field(description="By which the tokens of a session are taken back.")] = (
        None
    )
    feature_flags: Annotated[list[Annotated[Text, Field(max_length=256)]] | None, Field(max_length=50)] = None

    @property
    def granted(self) -> frozenset[Capability]:
        """What the token is to allow."""
        if self.read_only:
            return frozenset({Capability.VIEW})
        if self.capabilities is None:
            return frozenset(Capability)
        return frozenset({Capability.VIEW, *self.capabilities})


class AppPortalAccessOut(Out):
    """A link that lets its first visitor in, within an hour; and a token, for those who embed the portal."""

    url: str
    token: str


class OneTimeTokenIn(Shape):
    """A code from a link's fragment."""

    one_time_token: Annotated[str, Field(min_length=1, max_length=256)]


class OneTimeTokenOut(Out):
    """The token that a code stood for."""

    token: str


class ApplicationTokenExpireIn(Shape):
    """Which tokens are to be worth nothing, and when."""

    expiry: Annotated[int | None, Field(ge=0, le=WEEK, description="Seconds until then; else at once.")] = None
    session_ids: Annotated[
        list[SessionId] | None, Field(max_length=100, description="Only tokens of these sessions; else all.")
    ] = None


@router.operation(
    "POST",
    "/app-portal-access/{app_id}",
    may=ACCESS,
    operation_id="v1.authentication.app-portal-access",
    response_model=AppPortalAccessOut,
)
async def create_portal_access(
    app_id: Annotated[str, Path(description="The application's id or uid.", max_length=300)],
    given: AppPortalAccessIn,
    place: Environment,
    caller: Asking,
    request: Request,
) -> Any:
    """Let somebody of an application into its portal: a link that works once, within an hour, and a token."""
    customer = await customer_or_made(place, caller, app_id, given.application)
    token = await token_for(place, customer, given)
    base = place.ground.settings().public_url or base_of(request)
    url = await portal_link(place.ground, place.environment, token, base)
    storage = await place.storage()
    await storage.note(
        place.environment,
        "access.granted",
        customer.id,
        customer=customer.uid,
        capabilities=sorted(token.capabilities),
        session=token.session,
    )
    return AppPortalAccessOut(url=url, token=mint(token, place.ground.jwt_secrets()[0]))


async def token_for(place: Place, customer: Customer, given: AppPortalAccessIn) -> Token:
    """Return what the token says: it is issued after all that was taken back."""
    now = from_micros(place.ground.clock.micros())
    subjects = [f"customer:{customer.id}"]
    if given.session_id is not None:
        subjects.append(f"session:{customer.id}:{given.session_id}")
    # Another process's clock may be ahead: what was taken back there is behind this token all the same.
    taken_back = await (await place.storage()).revocations(place.environment, subjects)
    issued_at = max([now, *(one.issued_through + timedelta(microseconds=1) for one in taken_back)])
    return Token(
        organization_of(place.environment),
        customer.id,
        issued_at.timestamp(),
        now.timestamp() + (WEEK if given.expiry is None else given.expiry),
        given.granted,
        given.session_id,
        feature_flags=tuple(dict.fromkeys(given.feature_flags or ())),
    )


def base_of(request: Request) -> str:
    """Return where this API is, as the request has reached it."""
    url = request.url
    return f"{url.scheme}://{url.netloc}{request.scope.get('root_path', '')}"


@router.operation(
    "POST",
    "/one-time-token",
    may=None,
    operation_id="v1.authentication.exchange-one-time-token",
    response_model=OneTimeTokenOut,
    problems=("authentication_failed", "rate_limited"),
)
async def exchange_one_time_token(given: OneTimeTokenIn, request: Request) -> Any:
    """Exchange the code of a portal link for a token, once; Anzol's own. No credential is needed."""
    credentials: Credentials = request.app.state.credentials
    address = address_of(request)
    credentials.check_guesses(address)
    try:
        token = await exchanged(ground_of(request), given.one_time_token)
    except NotFound:
        credentials.count_guess(address)
        raise Problem("authentication_failed", "The code is unknown, was used, or has expired.") from None
    await credentials.caller(f"Bearer {token}", address)  # or it was taken back since
    return OneTimeTokenOut(token=token)


@router.operation(
    "POST", "/app/{app_id}/expire-all", may=ACCESS, operation_id="v1.authentication.expire-all", status=204
)
async def expire_all(
    customer: OwnCustomer, given: ApplicationTokenExpireIn, place: Environment, request: Request
) -> None:
    """Take back the tokens and links of an application that were made so far, everywhere within five seconds."""
    now = from_micros(place.ground.clock.micros())
    subjects = [f"session:{customer.id}:{session}" for session in given.session_ids or ()]
    for subject in subjects or [f"customer:{customer.id}"]:
        await revoke(place, subject, now, effective_at=now + timedelta(seconds=given.expiry or 0))
    forget(request)


@router.operation("POST", "/logout", may=ANYBODY, operation_id="v1.authentication.logout", status=204)
async def logout(caller: Asking, place: Environment, request: Request) -> Response:
    """Make the very token of this request worth nothing; an API key stays as it is."""
    if caller.key_id is None:
        now = from_micros(place.ground.clock.micros())
        until = caller.expires_at
        await revoke(place, f"token:{caller.credential.hex()}", now, effective_at=now, keep_until=until)
        forget(request)
    return Response(status_code=204)


async def revoke(
    place: Place, subject: str, now: datetime, *, effective_at: datetime, keep_until: datetime | None = None
) -> None:
    """Take back what was issued until now."""
    storage = await place.storage()
    await storage.revoke(
        place.environment,
        subject,
        issued_through=now,
        effective_at=effective_at,
        keep_until=now + FOR_GOOD if keep_until is None else keep_until,
    )


def forget(request: Request) -> None:
    """Have this process believe no credential without looking again."""
    credentials: Credentials = request.app.state.credentials
    credentials.forget()
