"""Trying a URL before it is registered: one small signed request, from here, through the guard.

It is no port scanner. Only open ports of open addresses are asked; whoever is not answered over HTTP is told one thing,
after one time, whatever it was: nobody there, nobody listening, no TLS, no answer. And there are few of them a minute.
"""

# Annotations are real objects here: FastAPI reads them.
import time
from asyncio import sleep
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from pydantic import Field
from starlette.requests import Request as Incoming

from anzol import ids
from anzol.addresses import check_url
from anzol.api.access import Environment, OwnCustomer
from anzol.api.ground import Place
from anzol.api.limits import Buckets, slower
from anzol.api.problems import fault
from anzol.api.routes import MANAGE_ENDPOINT, Resource
from anzol.api.shapes import Out, Shape, Text
from anzol.api.writing import rfc3339, write
from anzol.clock import from_micros
from anzol.headers import header_lines, signed_headers
from anzol.lifecycle import Outcome
from anzol.registry.values import check_secret
from anzol.sender import Reply, Request
from anzol.signing import SigningKey, signature_header

router = Resource("Endpoint", prefix="/app/{app_id}/endpoint")

OF_CUSTOMER: Final = 10  # probes a minute
OF_ENVIRONMENT: Final = 60
MINUTE: Final = 60.0
DEADLINE: Final = 5.0  # seconds; who does not answer is told of so long after
EVENT_TYPE: Final = "endpoint.probe"
ANSWERED: Final = frozenset({Outcome.OK, Outcome.HTTP_STATUS})
UNANSWERED: Final = "Nobody answered over HTTP: look at the name, the port, the certificate, and what is in between."


class ProbeIn(Shape):
    """The URL to try."""

    url: Annotated[Text, Field(max_length=2048)]
    secret: Annotated[
        Text | None, Field(max_length=256, description="Signs the request; if none is given, one that nobody knows.")
    ] = None


class ProbeOut(Out):
    """What came of it."""

    ok: Annotated[bool, Field(description="It answered with 2xx, as a webhook's receiver does.")]
    answered: Annotated[bool, Field(description="It answered over HTTP.")]
    status_code: int | None
    duration_ms: Annotated[int | None, Field(description="Until the answer; null: there was none.")]
    detail: str


@dataclass(slots=True)
class Rates:
    """How many probes there may be in this process."""

    of_customer: Buckets = field(default_factory=lambda: Buckets(OF_CUSTOMER / MINUTE, OF_CUSTOMER))
    of_environment: Buckets = field(default_factory=lambda: Buckets(OF_ENVIRONMENT / MINUTE, OF_ENVIRONMENT))

    def check(self, environment: str, customer_id: str) -> None:
        """Count one more; raises Problem if that is too many."""
        # The customer's first: who asks too often takes nothing from the others.
        wait = self.of_customer.take((environment, customer_id)) or self.of_environment.take(environment)
        if wait:
            raise slower(wait, f"{OF_CUSTOMER} probes a minute are the most, {OF_ENVIRONMENT} of all applications.")


def rates_of(request: Incoming) -> Rates:
    """Return the rates of the application that is asked."""
    state = request.app.state
    if not hasattr(state, "probes"):
        state.probes = Rates()
    found: Rates = state.probes
    return found


@router.operation("POST", "/probe", may=MANAGE_ENDPOINT, operation_id="v1.endpoint.probe", response_model=ProbeOut)
async def probe(given: ProbeIn, request: Incoming, customer: OwnCustomer, place: Environment) -> Any:
    """Send one small signed request to a URL, and say whether it was answered.

    The request has the event type `endpoint.probe`. What was answered is not shown, but for its status.
    """
    rates_of(request).check(place.environment, customer.id)
    await place.kept.check_target(given.url)
    ask = asking(place, given)
    storage = await place.storage()
    host = ask.target.host
    await storage.note(place.environment, "endpoint.probed", customer.id, customer=customer.uid, host=host)
    return told(await in_constant_time(lambda: reply_to(place, ask)))


def asking(place: Place, given: ProbeIn) -> Request:
    """Return the request to be sent."""
    ground = place.ground
    now = ground.clock.micros()
    key = SigningKey.parse(check_secret(given.secret, ground.random(32)))
    message_id, timestamp = ids.show(ids.MESSAGE, ids.new(now)), now // 1_000_000
    body = write({"type": EVENT_TYPE, "timestamp": rfc3339(from_micros(now)), "data": {}})
    head = signed_headers(message_id, timestamp, signature_header([key], message_id, timestamp, body))
    lines = header_lines([("webhook-event", EVENT_TYPE), ("content-type", "application/json")])
    target = check_url(given.url, ground.settings().policy)
    return Request(target, "POST", head + lines, body, DEADLINE, DEADLINE)


async def reply_to(place: Place, ask: Request) -> Reply:
    """Send a request on a connection of its own."""
    sender = place.ground.sender()
    try:
        return await sender.send(ask)
    finally:
        await sender.close()


async def in_constant_time(send: Callable[[], Awaitable[Reply]]) -> Reply:
    """Return a reply; that there is none only after the deadline, so that the time says nothing."""
    began = time.monotonic()
    reply = await send()
    if reply.outcome not in ANSWERED:
        await sleep(began + DEADLINE - time.monotonic())
    return reply


def told(reply: Reply) -> ProbeOut:
    """Say what came of it; raises Problem for an address that is not open."""
    if reply.outcome is Outcome.ADDRESS_REFUSED:
        raise fault("url", reply.detail)
    if reply.outcome not in ANSWERED:
        return ProbeOut(ok=False, answered=False, status_code=None, duration_ms=None, detail=UNANSWERED)
    fine = reply.outcome is Outcome.OK
    detail = "" if fine else "Answer with 2xx: everything else counts as a failure, redirections too."
    duration = reply.timing.total_us // 1000
    return ProbeOut(ok=fine, answered=True, status_code=reply.status, duration_ms=duration, detail=detail)
