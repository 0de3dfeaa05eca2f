"""Accepting: to whom, how and what; judged, encoded once, and stored, before `send` returns.

A `Recipient` says to whom and how. Its `send` is always awaited and its `send_sync` never, whatever session is passed,
so that a type checker sees a forgotten ``await``; one that slips by is logged when it is thrown away.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Protocol, TypeVar, overload
from uuid import UUID

from anzol import ids
from anzol.clock import Clock, from_micros, to_micros
from anzol.errors import InvalidCustomer, InvalidValue, PayloadTooLarge
from anzol.model import Message
from anzol.storage.face import Accept, Accepted, NewMessage

if TYPE_CHECKING:
    from anzol.catalog import Encoded

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])
Webhook = str | Callable[..., Any]
CustomerId = str | int | UUID

MAX_CUSTOMER: Final = 256
MAX_KEY: Final = 256
MAX_LABEL: Final = 128
MAX_LABELS: Final = 10

logger = logging.getLogger("anzol")


def awaited_by_frameworks(function: F) -> F:
    """Mark a function that returns a coroutine as one that is awaited, so that Starlette's background tasks do."""
    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(function)
    function._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]  # how 3.11 says it
    return function


class Sessions(Protocol):
    """Writing a message in a caller's own transaction; see `anzol.storage.foreign`."""

    async def write_async(self, session: Any, message: NewMessage) -> Accepted: ...

    def write(self, session: Any, message: NewMessage) -> Accepted: ...


@dataclass(frozen=True, slots=True)
class Intake:
    """What accepting needs. ``storage`` returns a database that is ready; it is opened on first use."""

    environment: str
    payload_limit: int
    farthest: timedelta  # that `deliver_at` may lie ahead: half of how long messages are kept
    clock: Clock
    encode: Callable[[Webhook, tuple[Any, ...], Mapping[str, Any], str | None], Encoded]
    storage: Callable[[], Awaitable[Accept]]
    storage_sync: Callable[[], Accept]
    sessions: Sessions


@dataclass(frozen=True, slots=True)
class Manner:
    """How a message is to be sent: judged already. ``deliver_at`` in microseconds since the Unix epoch."""

    customer: str
    session: Any = None
    key: str | None = None
    channels: tuple[str, ...] = ()
    deliver_at: int | None = None
    tags: tuple[str, ...] = ()


class Recipient:
    """One customer, and how messages are to reach it. `send` says what."""

    __slots__ = ("_intake", "_manner")

    def __init__(self, intake: Intake, manner: Manner) -> None:
        self._intake = intake
        self._manner = manner

    @overload
    def send(self, webhook: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, Message]:
        """Send a declared webhook; durable once awaited, or with ``session=`` once that session commits."""

    @overload
    def send(
        self, webhook: str, /, *args: Any, method: str | None = None, **kwargs: Any
    ) -> Coroutine[Any, Any, Message]:
        """Send a webhook by its name; its arguments are checked when it is called."""

    @awaited_by_frameworks
    def send(self, webhook: Webhook, /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Message]:
        """Send a declared webhook, given as its function or by its name; to be awaited.

        Args:
            args, kwargs: What the declared function takes: the body, declared headers and query parameters.
                By name also ``method``, for a name that is declared under several.

        Raises:
            UnknownWebhook: nothing declared has this name or function.
            InvalidPayload: the arguments do not fit; nothing was stored.
            PayloadTooLarge: the body is over ``ANZOL_PAYLOAD_LIMIT``.
            KeyConflict: the key was used before, with another body.
            OutboxMissing: the session's database has no table ``anzol_outbox``.
        """
        caller = sys._getframe(1)
        begin = partial(self._send, webhook, args, kwargs)
        return Sending(begin, webhook, caller.f_code.co_filename, caller.f_lineno)

    @overload
    def send_sync(self, webhook: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> Message:
        """Send a declared webhook from code without an event loop."""

    @overload
    def send_sync(self, webhook: str, /, *args: Any, method: str | None = None, **kwargs: Any) -> Message:
        """Send a webhook by its name, from code without an event loop."""

    def send_sync(self, webhook: Webhook, /, *args: Any, **kwargs: Any) -> Message:
        """As `send`, for scripts, ``def`` path operations and synchronous sessions; blocks until it is stored."""
        message = self._message(webhook, args, kwargs)
        if self._manner.session is not None:
            return self._answer(self._intake.sessions.write(self._manner.session, message))
        return self._answer(self._intake.storage_sync().accept_sync(message))

    async def _send(self, webhook: Webhook, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Message:
        message = self._message(webhook, args, kwargs)
        if self._manner.session is not None:
            return self._answer(await self._intake.sessions.write_async(self._manner.session, message))
        storage = await self._intake.storage()
        return self._answer(await storage.accept(message))

    def _message(self, webhook: Webhook, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NewMessage:
        method = kwargs.pop("method", None) if isinstance(webhook, str) else None
        encoded = self._intake.encode(webhook, args, kwargs, method)
        check_size(encoded, self._intake.payload_limit)
        return new_message(self._intake, encoded, self._manner)

    def _answer(self, accepted: Accepted) -> Message:
        return Message(ids.show(ids.MESSAGE, accepted.id), self._manner.key, accepted.duplicate)


class Outbox(Recipient):
    """A recipient that a path operation is given: its customer and session come from dependencies.

    Made by `Webhooks.outbox`; take it as ``Annotated[anzol.Outbox, Depends(webhooks.outbox(...))]``.
    """

    __slots__ = ()

    def options(
        self,
        *,
        key: str | None = None,
        channels: Iterable[str] = (),
        deliver_at: datetime | None = None,
        tags: Iterable[str] = (),
    ) -> Recipient:
        """Return a recipient of the same customer and session, with these options of `Webhooks.to`."""
        chosen = judged(
            self._intake, self._manner.customer, key=key, channels=channels, deliver_at=deliver_at, tags=tags
        )
        return Recipient(self._intake, replace(chosen, session=self._manner.session))


class Sending(Coroutine[Any, Any, Message]):
    """A send that has not begun: it begins when it is awaited, and complains when it is thrown away instead."""

    __slots__ = ("_begin", "_file", "_inner", "_line", "_webhook")

    def __init__(
        self, begin: Callable[[], Coroutine[Any, Any, Message]], webhook: Webhook, file: str, line: int
    ) -> None:
        self._inner: Coroutine[Any, Any, Message] | None = None
        self._begin = begin
        self._webhook = webhook
        self._file = file
        self._line = line

    def _started(self) -> Coroutine[Any, Any, Message]:
        if self._inner is None:
            self._inner = self._begin()
        return self._inner

    def __await__(self) -> Generator[Any, Any, Message]:
        return self._started().__await__()

    def send(self, value: Any) -> Any:
        return self._started().send(value)

    def throw(
        self,
        kind: type[BaseException] | BaseException,
        value: BaseException | object = None,
        traceback: TracebackType | None = None,
    ) -> Any:
        error = kind if isinstance(kind, BaseException) else value if isinstance(value, BaseException) else kind()
        return self._started().throw(error.with_traceback(traceback or error.__traceback__))

    def close(self) -> None:
        self._started().close()

    def __repr__(self) -> str:
        return f"<send of {called(self._webhook)} at {self._file}:{self._line}>"

    def __del__(self) -> None:
        if self._inner is None:
            logger.error(
                "Nothing was sent: send(%s, ...) at %s:%d was never awaited. Put `await` before it, or use send_sync.",
                called(self._webhook),
                self._file,
                self._line,
            )


def new_message(intake: Intake, encoded: Encoded, manner: Manner, only_endpoint: bytes | None = None) -> NewMessage:
    """Make the message that is stored: of now, with an id of now."""
    now = intake.clock.micros()
    return NewMessage(
        id=ids.new(now),
        environment=intake.environment,
        customer=manner.customer,
        event_type=encoded.event_type,
        method=encoded.method,
        content_type=encoded.content_type,
        body=encoded.body,
        created_at=now,
        headers=encoded.headers,
        query=encoded.query,
        channels=manner.channels,
        tags=manner.tags,
        key=manner.key,
        deliver_at=manner.deliver_at,
        only_endpoint=only_endpoint,
    )


async def send_example(intake: Intake, encoded: Encoded, customer: str, endpoint: str | None) -> Message:
    """Store an example for a customer, or for one endpoint of it, whatever that is subscribed to."""
    only = None if endpoint is None else ids.read(ids.ENDPOINT, endpoint)
    message = new_message(intake, encoded, Manner(customer, tags=("example",)), only)
    storage = await intake.storage()
    accepted = await storage.accept(message)
    return Message(ids.show(ids.MESSAGE, accepted.id))


def called(webhook: Webhook) -> str:
    """Return what a webhook is called in messages to the developer."""
    return repr(webhook) if isinstance(webhook, str) else getattr(webhook, "__name__", repr(webhook))


def judged(
    intake: Intake,
    customer: object,
    *,
    session: Any = None,
    key: str | None = None,
    channels: Iterable[str] = (),
    deliver_at: datetime | None = None,
    tags: Iterable[str] = (),
) -> Manner:
    """Judge everything that is said about to whom and how; raises InvalidCustomer and InvalidValue."""
    return Manner(
        customer=customer_id(customer),
        session=session,
        key=None if key is None else check_key(key),
        channels=check_labels(channels, "channels") if channels else (),
        deliver_at=None if deliver_at is None else check_due(deliver_at, intake.clock.micros(), intake.farthest),
        tags=check_labels(tags, "tags") if tags else (),
    )


def customer_id(customer: object) -> str:
    """Return the customer's id as text.

    Raises:
        InvalidCustomer: it is not an id: a model object, None, empty, over 256 characters, a boolean.
    """
    if isinstance(customer, str):
        return check_customer(customer.value if isinstance(customer, Enum) else customer)
    if isinstance(customer, UUID):
        return str(customer)
    if isinstance(customer, int) and not isinstance(customer, bool):
        return check_customer(digits(customer.value if isinstance(customer, Enum) else customer))
    raise InvalidCustomer(
        f"A customer is named by its id (str, int or UUID), not by {article(customer)}.", do=hint(customer)
    )


def digits(number: int) -> str:
    """Write a number; raises InvalidCustomer for one that is far too long for an id, and for Python."""
    if number.bit_length() > 4 * MAX_CUSTOMER:
        raise InvalidCustomer(f"A customer's id is a number of {number.bit_length()} bits; {MAX_CUSTOMER} digits fit.")
    return str(number)


def check_customer(text: str) -> str:
    """Return *text* once it can be a customer's id."""
    if not text:
        raise InvalidCustomer("A customer's id is empty.")
    if len(text) > MAX_CUSTOMER:
        raise InvalidCustomer(f"A customer's id has {len(text)} characters; {MAX_CUSTOMER} are the most.")
    if not text.isprintable() or text != text.strip():
        raise InvalidCustomer(f"{text!r} is no customer's id: it has control characters, or blanks at an end.")
    return text


def article(thing: object) -> str:
    """Name what was given instead of an id."""
    return "None" if thing is None else f"a {type(thing).__name__}"


def hint(customer: object) -> str:
    """Say what to write instead."""
    if customer is None:
        return "A new row has its id once it is flushed: await session.flush() first."
    kind = type(customer)
    places = (
        vars(kind),
        getattr(customer, "__dict__", {}),
        getattr(kind, "model_fields", {}),
        getattr(kind, "__slots__", ()),
    )
    if any("id" in place for place in places) or hasattr(kind, "id"):
        return f"Did you mean {kind.__name__.lower()}.id?"
    return ""


def check_key(key: object) -> str:
    """Return a message's key once it is 1 to 256 printable characters."""
    if not isinstance(key, str):
        raise InvalidValue(f"A message's key is text, not {article(key)}.", field="key")
    if not 0 < len(key) <= MAX_KEY:
        raise InvalidValue(f"A message's key has 1 to {MAX_KEY} characters, not {len(key)}.", field="key")
    if not key.isprintable():
        raise InvalidValue("A message's key has control characters.", field="key")
    return key


def check_labels(labels: Iterable[object], field: str) -> tuple[str, ...]:
    """Return channels or tags, each once, once all are 1 to 128 printable characters without blanks at the ends."""
    if isinstance(labels, str):
        raise InvalidValue(f"{field} is a list of texts, not one text.", field=field, do=f"Write [{labels!r}].")
    if not isinstance(labels, Iterable):
        raise InvalidValue(f"{field} is a list of texts, not {article(labels)}.", field=field)
    found: dict[str, None] = {}
    for label in labels:
        if not isinstance(label, str) or not is_label(label):
            raise InvalidValue(
                f"{label!r} in {field} is not a text of 1 to {MAX_LABEL} printable characters.", field=field
            )
        found[label] = None
    if len(found) > MAX_LABELS:
        raise InvalidValue(f"{len(found)} {field} are too many; {MAX_LABELS} are the most.", field=field)
    return tuple(found)


def is_label(text: str) -> bool:
    """Say whether *text* can be a channel or a tag."""
    return 0 < len(text) <= MAX_LABEL and text.isprintable() and text == text.strip()


def check_due(deliver_at: object, now: int, farthest: timedelta) -> int:
    """Return microseconds since the Unix epoch; a time that has passed is now.

    Raises:
        InvalidValue: it has no time zone, or is further ahead than messages are sure to be kept.
    """
    if not isinstance(deliver_at, datetime):
        raise InvalidValue(f"deliver_at is a datetime, not {article(deliver_at)}.", field="deliver_at")
    if deliver_at.utcoffset() is None:
        raise InvalidValue(
            "deliver_at has no time zone.",
            field="deliver_at",
            do="Write datetime.now(UTC) + timedelta(...), or .astimezone().",
        )
    due = to_micros(deliver_at)
    if due > now + farthest // timedelta(microseconds=1):
        latest = from_micros(now) + farthest
        raise InvalidValue(
            f"deliver_at is further ahead than {latest:%Y-%m-%d %H:%M} UTC, half of how long messages are kept.",
            field="deliver_at",
            do="Raise ANZOL_RETENTION to send later than that.",
        )
    return max(due, now)


def check_size(encoded: Encoded, limit: int) -> None:
    """Refuse a body that is over the limit."""
    size = len(encoded.body)
    if size > limit:
        raise PayloadTooLarge(
            f"The body of webhook {encoded.event_type!r} has {size} bytes; {limit} are the most.",
            size=size,
            limit=limit,
            do="Send an id and let the receiver fetch the rest, or raise ANZOL_PAYLOAD_LIMIT.",
        )
