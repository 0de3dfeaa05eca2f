"""What a message must be that comes in through the API, and what is stored of it."""

# Annotations are real objects here: Pydantic reads them.
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, NamedTuple, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from anzol import ids
from anzol.api.application import ApplicationIn
from anzol.api.problems import Problem
from anzol.api.reading import Number, Value, items_at, members_at, read_object
from anzol.api.shapes import EventTypeName, Moment, Shape, Text, Uid
from anzol.outbox import MAX_LABEL, MAX_LABELS, is_label

Place = tuple[str | int, ...]  # in a request, such as ``("body", "messages", 3)``
Fault = tuple[Place, str, str]
JSON: Final = "application/json"
MOST_MESSAGES: Final = 1000  # of a batch
MOST_FAULTS: Final = 50  # that one answer tells
LONGEST_NUMBER: Final = 30  # characters
PAYLOAD: Final = ("payload", "data")
TYPE: Final = r"^[a-zA-Z0-9!#$&^_.+-]+/[a-zA-Z0-9!#$&^_.+-]+( *;[ -~]*)?$"


def label(text: str) -> str:
    """Refuse what is no channel or tag."""
    if not is_label(text):
        raise ValueError(f"it has 1 to {MAX_LABEL} printable characters, and no blanks at the ends")
    return text


def key(text: str) -> str:
    """Refuse what would be taken for a message's id."""
    if text.startswith(ids.MESSAGE):
        raise ValueError(f"it begins with {ids.MESSAGE}, as ids of messages do")
    return text


Label = Annotated[Text, AfterValidator(label)]
Labels = Annotated[list[Label], Field(max_length=MAX_LABELS)]


class MessageIn(Shape):
    """A message to be sent."""

    event_type: EventTypeName
    event_id: Annotated[
        Annotated[Uid, AfterValidator(key)] | None,
        Field(description="Its id in your own system: the same id and body again is the same message, and no second."),
    ] = None
    payload: Annotated[
        Any,
        Field(description="What is sent: any JSON but null, kept and sent as it is written here, to the last blank."),
    ] = None
    data: Annotated[Any, Field(description="As `payload`; one of them is given.")] = None
    channels: Annotated[
        Labels | None, Field(description="Only endpoints on one of these channels, or on none in particular, get it.")
    ] = None
    tags: Annotated[Labels | None, Field(description="For finding it again.")] = None
    deliver_at: Annotated[
        Moment | None, Field(description="Not before this time; at most half of how long messages are kept ahead.")
    ] = None
    application: Annotated[
        ApplicationIn | None, Field(description="Makes the application of the path if it is not there; else ignored.")
    ] = None
    payload_retention_period: Annotated[
        int | None,
        Field(ge=1, le=90, description="Days. Less than the server keeps its messages is refused, more is as long."),
    ] = None
    payload_retention_hours: Annotated[
        int | None, Field(ge=1, le=2160, description="As `payloadRetentionPeriod`, in hours; one of them is given.")
    ] = None
    transformations_params: Annotated[
        dict[str, Any] | None,
        Field(
            description="There are no transformations. `rawPayload` (a text) is sent instead of the payload, of the "
            "type in `headers.content-type`; everything else is ignored."
        ),
    ] = None

    @model_validator(mode="after")
    def one_of_two(self) -> Self:
        """Refuse what is given twice, or not at all."""
        if (self.payload is None) == (self.data is None):
            raise ValueError("payload is given, or data is; one of them, and not null")
        if self.payload_retention_period is not None and self.payload_retention_hours is not None:
            raise ValueError("payloadRetentionHours is given, or payloadRetentionPeriod; not both")
        return self

    @property
    def retention(self) -> timedelta | None:
        """How long its sender wants it kept."""
        if self.payload_retention_hours is not None:
            return timedelta(hours=self.payload_retention_hours)
        return None if self.payload_retention_period is None else timedelta(days=self.payload_retention_period)


class BatchIn(Shape):
    """Messages to be sent, all to one application."""

    messages: Annotated[list[MessageIn], Field(min_length=1, max_length=MOST_MESSAGES)]


class RawPayload(Shape):
    """What of the parameters of transformations is acted on: a body that is sent as it is."""

    raw_payload: str | None = None
    headers: dict[str, Any] = Field(default_factory=dict)


class RawHeaders(Shape):
    """The one header that it may set."""

    content_type: Annotated[str, Field(alias="content-type", max_length=256, pattern=TYPE)] = JSON


class Given(NamedTuple):
    """A message as it came: what was said of it, and its body. ``place`` and ``body_place`` are where, for problems.

    ``json`` is the body's text where that is JSON, for whoever checks it.
    """

    said: MessageIn
    body: bytes
    content_type: str
    json: str | None
    place: Place
    body_place: Place
    is_object: bool


def read_message(text: str) -> Given:
    """Read the body of a request that sends one message; raises Problem."""
    return given(read_object(text), ("body",))


def read_batch(text: str) -> list[Given]:
    """Read the body of a request that sends several; raises Problem, with the faults of all of them."""
    members = read_object(text, {"messages": lambda text, at: items_at(text, at, members_at)})
    messages: list[dict[str, Value]] | None = members["messages"].read if "messages" in members else None
    if messages is None:
        raise Problem("validation_error", faults=[(("body", "messages"), "Field required", "missing")])
    if not 0 < len(messages) <= MOST_MESSAGES:
        why = f"A batch has 1 to {MOST_MESSAGES} messages, not {len(messages)}."
        raise Problem("validation_error", faults=[(("body", "messages"), why, "value_error")])
    found, faults = [], Faults()
    for number, one in enumerate(messages):
        with faults:
            found.append(given(one, ("body", "messages", number)))
    faults.check()
    return found


class Faults:
    """Gathers what does not fit of several things: ``with faults:`` around each, then `check`."""

    def __init__(self) -> None:
        self._found: list[Fault] = []

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Problem) or error.code != "validation_error":
            return False
        self._found.extend(error.faults)
        if len(self._found) >= MOST_FAULTS:
            self.check()
        return True

    def check(self) -> None:
        """Refuse all together; raises Problem."""
        if self._found:
            raise Problem("validation_error", faults=self._found)


def given(members: Mapping[str, Value], place: Place) -> Given:
    """Judge a message's members; raises Problem."""
    values = {name: plain(value.read) for name, value in members.items() if name not in PAYLOAD}
    payload, here = None, place
    for name in PAYLOAD:
        if name in members and members[name].read is not None:
            payload = members[name]
            values[name] = True  # it is there: no more need be known of it
            here = (*place, name)
    said = said_of(values, place)
    assert payload is not None  # or it would have been refused
    raw = said.transformations_params
    if raw is not None and raw.get("rawPayload") is not None:
        return raw_given(said, raw, place)
    text = payload.written
    return Given(said, encoded(text, here), JSON, text, place, here, is_object=type(payload.read) is dict)


def said_of(values: Mapping[str, Any], place: Place) -> MessageIn:
    """Return what is said of a message; raises Problem."""
    try:
        return MessageIn.model_validate(values)
    except ValidationError as error:
        raise unfit(error, place) from None


def unfit(error: ValidationError, place: Place) -> Problem:
    """Return the problem of values that do not fit a shape."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return Problem("validation_error", faults=[((*place, *one["loc"]), one["msg"], one["type"]) for one in faults])


def plain(value: Any) -> Any:
    """Return a value with its numbers read."""
    if type(value) is Number:
        return number(value)
    if type(value) is list:
        return [plain(item) for item in value]
    if type(value) is dict:
        return {name: plain(inner) for name, inner in value.items()}
    return value


def number(text: Number) -> int | float:
    """Read a number; one that is longer than any that is asked for is not a whole one."""
    return int(text) if len(text) <= LONGEST_NUMBER and text.lstrip("-").isdigit() else float(text)


def raw_given(said: MessageIn, parameters: Mapping[str, Any], place: Place) -> Given:
    """Return a message whose body is a text that is sent as it is, whatever it is; raises Problem."""
    here = (*place, "transformationsParams")
    try:
        raw = RawPayload.model_validate(parameters)
        content_type = RawHeaders.model_validate(raw.headers).content_type
    except ValidationError as error:
        raise unfit(error, here) from None
    text = raw.raw_payload
    assert text is not None  # or it would not have come here
    body = encoded(text, there := (*here, "rawPayload"))
    return Given(said, body, content_type, text if content_type == JSON else None, place, there, is_object=False)


def encoded(text: str, place: Place) -> bytes:
    """Return a text as it goes on the wire; raises Problem."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Problem("validation_error", faults=[(place, "It has half a character.", "value_error")]) from None
