"""The event types that an application declares, and how their messages are encoded.

Made by `anzol.declarations` from FastAPI's routes; knows Pydantic, not FastAPI.
"""

# Annotations are real objects here: Pydantic reads those of Envelope.
import difflib
import inspect
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MethodType
from typing import Any, Generic, TypeVar

from pydantic import AwareDatetime, BaseModel

from anzol.encoding import Body, Misfit, Pair, Parameter, header_pairs, query_text, refuse
from anzol.errors import UnknownWebhook
from anzol.schemas import sent_schema

T = TypeVar("T")

# The order in which a method is chosen for a function that is declared under several.
METHODS = ("POST", "PUT", "PATCH", "DELETE")


class Envelope(BaseModel, Generic[T]):
    """The payload of Standard Webhooks: what happened, when, and its data.

    Declare ``body: Envelope[Invoice]`` to have the event's name and time inside the signed body; the ``webhook-event``
    header alone is not signed. `Catalog.envelope` fills in the name.
    """

    type: str
    timestamp: AwareDatetime
    data: T


@dataclass(frozen=True, slots=True)
class EventType:
    """One declared webhook: a name, a method, and how its request is made from arguments.

    ``operation_id`` is the one declared, or ``""``. ``examples`` are candidate bodies as declared. ``documented`` is
    False when it was declared with ``include_in_schema=False``. ``media_type`` is empty when no body is declared.
    ``plain``: one positional argument is the whole request.
    """

    name: str
    method: str
    media_type: str
    summary: str
    description: str
    operation_id: str
    tags: tuple[str, ...]
    deprecated: bool
    documented: bool
    examples: tuple[Any, ...]
    function: Callable[..., Any]
    signature: inspect.Signature
    body: Body | None
    headers: tuple[Parameter, ...]
    query: tuple[Parameter, ...]
    body_default: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    plain: bool = False

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Give every declared parameter its argument or its default; raises Misfit."""
        try:
            arguments = dict(self.signature.bind(*args, **kwargs).arguments)
        except TypeError as error:
            raise Misfit([("", f"{error}; declared is {self.usage}")]) from None
        for parameter in (*self.headers, *self.query):
            if parameter.name not in arguments and parameter.default is not None:
                arguments[parameter.name] = parameter.default()
        for name, default in self.body_default.items():
            if name not in arguments:
                arguments[name] = default()
        missing = [name for name in self.signature.parameters if name not in arguments]
        if missing:
            raise Misfit((name, f"missing; declared is {self.usage}") for name in missing)
        return arguments

    @property
    def usage(self) -> str:
        """How the declared function's parameters read: ``invoice_paid(body, page=...)``."""
        optional = {part.name for part in (*self.headers, *self.query) if part.default} | self.body_default.keys()
        names = (f"{name}=..." if name in optional else name for name in self.signature.parameters)
        return f"{called(self.function)}({', '.join(names)})"


@dataclass(frozen=True, slots=True)
class Encoded:
    """One message's request, as it is stored: what every endpoint gets.

    ``headers`` are the declared ones. ``content_type`` is empty, and so is ``body``, when no body is declared.
    ``query`` is percent-encoded, without the ``?``.
    """

    event_type: str
    method: str
    content_type: str
    body: bytes
    headers: tuple[Pair, ...] = ()
    query: str = ""


class Catalog:
    """All event types of one application; does not change once made.

    Args:
        event_types: In the order of their declaration. Of two with the same name and method the later one counts, as
            in FastAPI's document.
    """

    def __init__(self, event_types: Iterable[EventType] = ()) -> None:
        self._all = {(event.name, event.method): event for event in event_types}
        self._by_name: dict[str, list[EventType]] = {}
        self._by_function: dict[Hashable, list[EventType]] = {}
        for event in self._all.values():
            self._by_name.setdefault(event.name, []).append(event)
            self._by_function.setdefault(identity(event.function), []).append(event)

    def __iter__(self) -> Iterator[EventType]:
        return iter(self._all.values())

    def __len__(self) -> int:
        return len(self._all)

    @property
    def names(self) -> tuple[str, ...]:
        """Every event type's name once, in the order of declaration."""
        return tuple(self._by_name)

    def find(self, webhook: str | Callable[..., Any], *, method: str | None = None) -> EventType:
        """Return the event type that a name or a declared function stands for; raises UnknownWebhook.

        Args:
            method: Needed for a name that is declared under several methods.
        """
        if isinstance(webhook, str):
            return self._named(webhook, method)
        found = self._by_function.get(identity(webhook))
        if found is not None and len(found) == 1 and method is None:
            return found[0]
        return self._declared(webhook, found or [], method)

    def encode(
        self,
        webhook: str | Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        method: str | None = None,
    ) -> Encoded:
        """Validate the arguments and encode the request, once; raises UnknownWebhook and InvalidPayload."""
        event = self.find(webhook, method=method)
        try:
            if event.plain and len(args) == 1 and not kwargs:
                body = event.body.encode_value(args[0])  # type: ignore[union-attr]  # plain: there is a body
                return Encoded(event.name, event.method, event.media_type, body)
            return encode(event, event.bind(args, kwargs or {}))
        except Misfit as misfit:
            raise refuse(event.name, misfit) from None  # a cause would show the values in a log

    def envelope(self, webhook: str | Callable[..., Any], data: T, *, timestamp: datetime) -> Envelope[T]:
        """Put *data* into an `Envelope` that carries the event's name."""
        return Envelope(type=self.find(webhook).name, timestamp=timestamp, data=data)

    def schema(self, webhook: str | Callable[..., Any], *, method: str | None = None) -> dict[str, Any]:
        """Return the JSON Schema of the sent body; ``{}`` for one without a body."""
        event = self.find(webhook, method=method)
        return sent_schema(event.body.adapter) if event.body else {}

    def example(self, webhook: str | Callable[..., Any], *, method: str | None = None) -> Encoded:
        """Encode an example: the first declared one that fits, else one made from the declared types."""
        from anzol.examples import arguments

        event = self.find(webhook, method=method)
        try:
            return encode(event, arguments(event))
        except Misfit as misfit:
            raise refuse(event.name, misfit) from None  # a cause would show the values in a log

    def _named(self, name: str, method: str | None) -> EventType:
        found = self._by_name.get(name)
        if found is None:
            raise UnknownWebhook(f"No webhook is named {name!r}.", do=meant(name, self.names))
        if method is None and len(found) == 1:
            return found[0]
        methods = ", ".join(event.method for event in found)
        if not isinstance(method, str):
            raise UnknownWebhook(f"Webhook {name!r} is declared for {methods}.", do="Say which with method=.")
        event = self._all.get((name, method.upper()))
        if event is None:
            raise UnknownWebhook(f"Webhook {name!r} is declared for {methods}, not for {method.upper()}.")
        return event

    def _declared(self, function: Callable[..., Any], found: list[EventType], method: str | None) -> EventType:
        wrapped = getattr(function, "__wrapped__", None)
        if not found and wrapped is not None:  # by a decorator above the declaration
            return self.find(wrapped, method=method)
        if not found and (inspect.isclass(function) or not callable(function)):  # the body in the webhook's place
            raise UnknownWebhook(
                f"{called(function)} is no webhook: that is a declared function, or its name.",
                do="Write .send(declared_function, body).",
            )
        if not found:
            raise UnknownWebhook(
                f"{called(function)} is not among this application's webhooks: its router is not part of app.webhooks.",
                do="Declare it with @app.webhooks.post(...), or app.webhooks.include_router(...) its router.",
            )
        names = sorted({event.name for event in found})
        if len(names) > 1:
            raise UnknownWebhook(
                f"{called(function)} is declared as {' and '.join(names)}.", do="Send by name instead."
            )
        if method is not None:
            return self._named(names[0], method)
        return min(found, key=lambda event: METHODS.index(event.method))


def identity(function: Callable[..., Any]) -> Hashable:
    """Return what tells one declared function from another; a method is a new object whenever it is looked up."""
    if isinstance(function, MethodType):
        return id(function.__self__), id(function.__func__)
    return id(function)


def called(function: Callable[..., Any]) -> str:
    """Return a declared function's name; of an object without one, such as a partial, its class's."""
    return str(getattr(function, "__name__", type(function).__name__))


def encode(event: EventType, arguments: Mapping[str, Any]) -> Encoded:
    """Encode the request of *event* from one argument for each parameter; raises Misfit."""
    return Encoded(
        event_type=event.name,
        method=event.method,
        content_type=event.media_type,
        body=event.body.encode(arguments) if event.body else b"",
        headers=header_pairs(event.headers, arguments),
        query=query_text(event.query, arguments),
    )


def meant(name: str, names: tuple[str, ...]) -> str:
    """Say which of *names* was probably meant."""
    near = difflib.get_close_matches(name, names, n=1) or [
        known for known in names if known.casefold().replace("_", "-") == name.casefold().replace("_", "-")
    ]
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Declared are: {', '.join(names)}." if names else "None is declared."
