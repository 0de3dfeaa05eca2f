"""The hot routes: one message, or many, in; each request goes by FastAPI's machinery, and is in its document.

A request is read once, judged, and stored by one call, which shares its commit with those of other requests.
"""

# Annotations are real objects here: FastAPI reads them.
import hashlib
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

from fastapi import Path, Query
from pydantic import Field
from pydantic_core import to_json
from starlette.requests import Request as WebRequest
from starlette.responses import Response

from anzol import ids
from anzol.api.access import Caller, Credentials, address_of
from anzol.api.application import ApplicationIn
from anzol.api.ground import Ground
from anzol.api.message_shapes import MessageOut, message_of
from anzol.api.paging import MOST
from anzol.api.problems import Problem, problem_of
from anzol.api.publish import BatchIn, Fault, Faults, Given, MessageIn, Place, read_batch, read_message
from anzol.api.reading import text_of
from anzol.api.resolving import JSON, Form, Forms, Names, customer_or_made
from anzol.api.routes import KEY, PUBLISH, Operation, Resource, check_key, slot_of
from anzol.api.shapes import Out
from anzol.api.validation import Validator
from anzol.api.writing import write
from anzol.clock import from_micros
from anzol.errors import InvalidValue
from anzol.model import StoredMessage
from anzol.outbox import check_due
from anzol.registry.customers import TURNOVER
from anzol.storage.face import Accepted, NewMessage, Request

YES: Final = frozenset({"true", "1", "yes", "on", "t", "y"})
USUAL: Final = {b"": True, b"with_content=true": True, b"with_content=false": False}
PIECE: Final = 2047  # bytes
KEPT: Final = b'{"status":202,"message":%b,"error":null}'
NO: Final = frozenset({"false", "0", "no", "off", "f", "n"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of a hot route, read to its end."""

    app_id: str
    path: str
    query: bytes
    body: bytes = field(repr=False)
    authorization: str | None = field(repr=False)
    key: str | None
    address: str


class Hot:
    """Answers the hot routes."""

    def __init__(self, ground: Ground, credentials: Credentials, validator: Validator) -> None:
        self._validator = validator
        self._ground = ground
        self._credentials = credentials
        self._names = Names()
        self._forms = Forms(ground)

    async def create(self, asked: Asked) -> bytes:
        """Store one message; return the answer of 202. Raises Problem, AnzolError."""
        caller = await self._caller(asked)
        with_content = with_content_of(asked.query)
        given = read_message(text_of(asked.body))
        customer = await self._customer(caller, asked.app_id, given.said.application)
        request = None if asked.key is None else Request(slot_of(caller, check_key(asked.key)).hex(), digest_of(asked))
        form = await self._form(caller.environment, given)
        message = await self._prepared(caller, customer, given, form, request)
        storage = await self._ground.storage()
        accepted = await storage.accept(message)
        if accepted.duplicate:
            (first,) = await self._firsts(caller.environment, [(message, accepted)], with_content)
            return first
        return shown(message, given, accepted, with_content)

    async def create_batch(self, asked: Asked) -> bytes:
        """Store several messages in one commit; return the answer of 202: what became of each."""
        caller = await self._caller(asked)
        with_content = with_content_of(asked.query)
        many = read_batch(text_of(asked.body))
        inline = next((one.said.application for one in many if one.said.application is not None), None)
        customer = await self._customer(caller, asked.app_id, inline)
        messages = await self._all_prepared(caller, customer, many, requests_of(caller, asked, len(many)))
        storage = await self._ground.storage()
        answers = await storage.accept_many(messages)
        again = [(m, a) for m, a in zip(messages, answers, strict=True) if isinstance(a, Accepted) and a.duplicate]
        firsts = iter(await self._firsts(caller.environment, again, with_content))
        told = [
            refused(answer)
            if isinstance(answer, Exception)
            else KEPT % (next(firsts) if answer.duplicate else shown(message, given, answer, with_content))
            for message, given, answer in zip(messages, many, answers, strict=True)
        ]
        return b'{"data":[%b]}' % b",".join(told)

    # --- who, and to whom

    async def _caller(self, asked: Asked) -> Caller:
        caller = await self._credentials.caller(asked.authorization, asked.address)
        PUBLISH.check(caller)
        return caller

    async def _customer(self, caller: Caller, name: str, inline: ApplicationIn | None) -> str:
        known = self._names.get(caller.environment, name)
        if known is not None:
            return known
        looked, turnover = time.monotonic(), TURNOVER.count
        uid = (await customer_or_made(self._ground.of(caller.environment), caller, name, inline)).uid
        self._names.put(caller.environment, name, uid, looked=looked, turnover=turnover)
        return uid

    # --- what is stored

    async def _all_prepared(
        self, caller: Caller, customer: str, many: Sequence[Given], requests: Iterable[Request | None]
    ) -> list[NewMessage]:
        messages, faults = [], Faults()
        forms: dict[str, Form] = {}
        for given, request in zip(many, requests, strict=True):
            with faults:
                name = given.said.event_type
                form = forms[name] = forms.get(name) or await self._form(caller.environment, given)
                messages.append(await self._prepared(caller, customer, given, form, request))
        faults.check()
        return messages

    async def _prepared(
        self, caller: Caller, customer: str, given: Given, form: Form, request: Request | None
    ) -> NewMessage:
        said, intake = given.said, self._ground.intake()
        if len(given.body) > intake.payload_limit:
            raise Problem("too_large", f"A payload has {len(given.body)} bytes; {intake.payload_limit} are the most.")
        await self._check_payload(caller.environment, given)
        self._check_retention(given)
        now = intake.clock.micros()
        return NewMessage(
            id=ids.new(now),
            environment=caller.environment,
            customer=customer,
            event_type=said.event_type,
            method=form.method,
            content_type=form.content_type if given.content_type == JSON else given.content_type,
            body=given.body,
            created_at=now,
            headers=form.headers,
            query=form.query,
            channels=tuple(dict.fromkeys(said.channels)) if said.channels else (),
            tags=tuple(dict.fromkeys(said.tags)) if said.tags else (),
            key=said.event_id,
            deliver_at=self._due(given, now),
            request=request,
        )

    async def _check_payload(self, environment: str, given: Given) -> None:
        if given.json is None:
            return
        try:
            await self._validator.check(environment, given.said.event_type, given.json)
        except Problem as problem:
            raise replace(problem, faults=[moved(one, given.body_place) for one in problem.faults]) from None

    async def _form(self, environment: str, given: Given) -> Form:
        try:
            return await self._forms.find(environment, given.said.event_type)
        except InvalidValue as error:
            raise unfit(given, "eventType", str(error)) from None

    def _due(self, given: Given, now: int) -> int | None:
        if given.said.deliver_at is None:
            return None
        try:
            return check_due(given.said.deliver_at, now, self._ground.intake().farthest)
        except InvalidValue as error:
            raise unfit(given, "deliverAt", str(error)) from None

    def _check_retention(self, given: Given) -> None:
        wanted, kept = given.said.retention, self._ground.settings().retention
        if wanted is not None and wanted < kept:
            name = "payloadRetentionHours" if given.said.payload_retention_hours else "payloadRetentionPeriod"
            why = f"Messages are kept for {kept} here, for all alike; a shorter time is not promised for one of them."
            raise unfit(given, name, why)

    # --- what is answered

    async def _firsts(
        self, environment: str, again: Sequence[tuple[NewMessage, Accepted]], content: bool
    ) -> list[bytes]:
        """Show the messages that others are again, in their order."""
        storage = await self._ground.storage()
        found: dict[str, StoredMessage] = {}
        names = [ids.show(ids.MESSAGE, accepted.id) for _, accepted in again]
        for start in range(0, len(names), MOST):
            found.update(await storage.messages_of(environment, names[start : start + MOST]))
        return [
            write(message_of(found.get(name) or as_stored(message, name, accepted), with_content=content))
            for name, (message, accepted) in zip(names, again, strict=True)
        ]


# --- small decisions


def with_content_of(query: bytes) -> bool:
    """Return whether payloads are to be in the answer; raises Problem."""
    if query in USUAL:
        return USUAL[query]
    given = [value for name, value in parse_qsl(query.decode("latin-1")) if name == "with_content"]
    chosen = given[-1].lower() if given else "true"
    if chosen not in YES | NO:
        raise Problem("validation_error", faults=[(("query", "with_content"), "It is true or false.", "bool_parsing")])
    return chosen in YES


def digest_of(asked: Asked) -> bytes:
    """Return what two requests with the same key must have in common: 32 bytes."""
    line = f"POST {asked.path}?".encode("utf-8", "surrogateescape")
    found, body = hashlib.sha256(line + asked.query + b"\n"), memoryview(asked.body)
    # In small pieces: for a larger one the interpreter's lock is given away, and having it back takes longer.
    for start in range(0, len(body), PIECE):
        found.update(body[start : start + PIECE])
    return found.digest()


def unfit(given: Given, field: str, why: str) -> Problem:
    """Return the problem of a message's field."""
    return Problem("validation_error", faults=[((*given.place, field), why, "value_error")])


def moved(fault: Fault, place: Place) -> Fault:
    """Return a fault of ``body.payload`` as one of the payload that stood at *place*."""
    (_, _, *within), why, kind = fault
    return (*place, *within), why, kind


def requests_of(caller: Caller, asked: Asked, count: int) -> list[Request | None]:
    """Return under what each message of a batch is remembered, if it may be sent again."""
    if asked.key is None:
        return [None] * count
    slot, digest = slot_of(caller, check_key(asked.key)).hex(), digest_of(asked)
    return [Request(f"{slot}:{number}", digest) for number in range(count)]


def shown(message: NewMessage, given: Given, accepted: Accepted, content: bool) -> bytes:
    """Return a message that has just come in as `MessageOut`: an object as it came, anything else as text."""
    head = to_json({"id": ids.show(ids.MESSAGE, message.id), "eventId": message.key, "eventType": message.event_type})
    tail = to_json(
        {
            "channels": message.channels or None,
            "tags": message.tags or None,
            "deliverAt": None if message.deliver_at is None else from_micros(message.deliver_at),
            "timestamp": from_micros(accepted.at or message.created_at),
            "contentType": message.content_type,
            "erased": False,
        }
    )
    payload, raw = (message.body if content and given.is_object else b"{}"), b""
    if content and not given.is_object:
        raw = b',"rawPayload":%b,"rawPayloadEncoding":"utf-8"' % to_json(message.body.decode())
    return b'%b,"payload":%b%b,%b' % (head[:-1], payload, raw, tail[1:])


def refused(error: Exception) -> bytes:
    """Return what is said of a message of a batch that was not stored."""
    problem = problem_of(error)
    return b'{"status":%d,"message":null,"error":%b}' % (problem.status, problem.body())


def as_stored(message: NewMessage, shown: str, accepted: Accepted) -> StoredMessage:
    """Return what is known of a message that is not there any more: what its twin says."""
    return StoredMessage(
        id=shown,
        customer=message.customer,
        event_type=message.event_type,
        method=message.method,
        content_type=message.content_type,
        body=None,
        headers=message.headers,
        query=message.query,
        channels=message.channels,
        tags=message.tags,
        key=message.key,
        deliver_at=None,
        created_at=from_micros(ids.millis(accepted.id) * 1000),
    )


# --- the routes, as FastAPI has them


class BatchItem(Out):
    """What became of one message of a batch."""

    status: Annotated[int, Field(description="202, or why it was not stored: 409.")]
    message: MessageOut | None
    error: dict[str, str] | None


class BatchOut(Out):
    """What became of each message, in their order."""

    data: list[BatchItem]


class HotOperation(Operation):
    """A route that is answered by `Hot`, also where middleware of the host's is around it."""

    def get_route_handler(self) -> Callable[[WebRequest], Coroutine[Any, Any, Response]]:
        batch = self.path_format.endswith("/batch")

        async def handled(request: WebRequest) -> Response:
            hot: Hot = request.app.state.hot
            asked = await asked_of(request)
            body = await (hot.create_batch(asked) if batch else hot.create(asked))
            return Response(body, 202, media_type=JSON)

        return handled


async def asked_of(request: WebRequest) -> Asked:
    """Read a request of FastAPI's."""
    return Asked(
        app_id=request.path_params["app_id"],
        path=request.scope["path"],
        query=request.scope["query_string"],
        body=await request.body(),
        authorization=request.headers.get("authorization"),
        key=request.headers.get(KEY),
        address=address_of(request),
    )


router = Resource("Message", prefix="/app/{app_id}/msg", route_class=HotOperation)
AppId = Annotated[str, Path(description="The application's id or uid.", max_length=300)]
WithContent = Annotated[bool, Query(description="Whether the answer has the payload; `{}` is in its place else.")]


@router.operation(
    "POST",
    "",
    may=PUBLISH,
    operation_id="v1.message.create",
    status=202,
    response_model=MessageOut,
    problems=("too_large", "unsupported_media_type"),
)
async def create_message(app_id: AppId, given: MessageIn, with_content: WithContent = True) -> None:
    """Send a message to an application's endpoints.

    It is stored once this answers. Sending the same `eventId` and payload again answers with the first one.
    """


@router.operation(
    "POST",
    "/batch",
    may=PUBLISH,
    operation_id="v1.message.create-batch",
    status=202,
    response_model=BatchOut,
    problems=("too_large", "unsupported_media_type"),
)
async def create_messages(app_id: AppId, given: BatchIn, with_content: WithContent = True) -> None:
    """Send up to 1000 messages to an application's endpoints, stored together; Anzol's own.

    What does not fit is told of all of them, and none is stored then. One whose `eventId` was used for something
    else spoils no other: it has its own error.
    """
