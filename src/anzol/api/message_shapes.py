"""What a message looks like to the API's callers; its payload is the stored JSON, byte for byte."""

# Annotations are real objects here: Pydantic reads them.
from base64 import b64encode
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import Field
from pydantic_core import from_json

from anzol.api.shapes import Out
from anzol.api.writing import Written
from anzol.model import StoredMessage

EMPTY: Final = Written(b"{}")
BLANK: Final = b" \t\r\n"
RawPayload = Annotated[str | None, Field(description="The body, where it is no JSON object; `payload` is `{}` then.")]
RawEncoding = Annotated[
    str | None, Field(description="`utf-8`: `rawPayload` is the body's text; `base64`: it is its bytes.")
]


class MessageOut(Out):
    """A message. Its payload has the order of keys and the digits of numbers that were given."""

    id: str
    event_id: Annotated[str | None, Field(description="The message's key: its id in your own system.")]
    event_type: str
    payload: Annotated[dict[str, Any], Field(description="`{}` where contents were not asked for, or are erased.")]
    channels: list[str] | None
    tags: list[str] | None
    deliver_at: datetime | None
    timestamp: datetime
    content_type: str
    raw_payload: RawPayload = None
    raw_payload_encoding: RawEncoding = None
    erased: Annotated[bool, Field(description="Whether its body was erased.")]


def message_of(message: StoredMessage, *, with_content: bool) -> dict[str, object]:
    """Return a message as it is shown, to be written with `anzol.api.writing`; the names are those of `MessageOut`."""
    return {
        "id": message.id,
        "eventId": message.key,
        "eventType": message.event_type,
        **content_of(message.body if with_content else None),
        "channels": message.channels or None,
        "tags": message.tags or None,
        "deliverAt": message.deliver_at,
        "timestamp": message.created_at,
        "contentType": message.content_type,
        "erased": message.body is None,
    }


def content_of(body: bytes | None) -> dict[str, object]:
    """Return what is shown of a body: a JSON object as its bytes, anything else as text.

    Clients take a payload for an object, so that a list or a number is no payload to them.
    """
    if body is None:
        return {"payload": EMPTY}
    if is_object(body):
        return {"payload": Written(body.strip(BLANK))}
    text, encoding = text_of(body)
    return {"payload": EMPTY, "rawPayload": text, "rawPayloadEncoding": encoding}


def is_object(body: bytes) -> bool:
    """Whether *body* is a JSON object: one that is not must not get into the middle of an answer."""
    if not body.lstrip(BLANK).startswith(b"{"):
        return False
    try:
        from_json(body, allow_inf_nan=False, cache_strings="none")
    except ValueError:
        return False
    return True


def text_of(body: bytes) -> tuple[str, str]:
    """Return a body as text, and how that is to be read: ``utf-8`` or ``base64``."""
    try:
        return body.decode(), "utf-8"
    except UnicodeDecodeError:
        return b64encode(body).decode(), "base64"
