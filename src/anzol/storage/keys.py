"""What every engine does alike when it takes a message in: its key's rule, and what of it goes on the wire."""

from __future__ import annotations

from datetime import timedelta
from hashlib import blake2b
from typing import Final

from anzol import ids
from anzol.errors import KeyConflict, RequestConflict
from anzol.storage.face import Accepted, Content, NewMessage

Answer = Accepted | Exception
REQUESTS_KEPT: Final = timedelta(hours=12) // timedelta(microseconds=1)
NOBODY: Final = bytes(16)  # in the place of a customer: whose the slots of requests are among the keys
SLOT: Final = "\x1f"  # begins the key of a slot


def digest_of(message: NewMessage) -> bytes:
    """Return what two messages with the same key must have in common: event type and body."""
    return blake2b(message.event_type.encode() + b"\0" + message.body, digest_size=16).digest()


def answer_used(message: NewMessage, first: bytes, digest: bytes, own: bytes) -> Answer:
    """Answer a message whose key was used by the message *first*."""
    if digest == own:
        return Accepted(first, duplicate=True)
    shown = ids.show(ids.MESSAGE, first)
    return KeyConflict(
        f"The key {message.key!r} of customer {message.customer!r} was used by {shown}, for something else.",
        key=message.key or "",
        message_id=shown,
        do="Give each occurrence a key of its own.",
    )


def slot_of(message: NewMessage) -> str:
    """Return the key under which a message's request is remembered."""
    assert message.request is not None
    return SLOT + message.request.slot


def answer_asked(message: NewMessage, first: bytes, digest: bytes) -> Answer:
    """Answer a message whose request's slot was used by the message *first*."""
    assert message.request is not None
    if digest == message.request.digest:
        return Accepted(first, duplicate=True)
    return RequestConflict(
        f"The idempotency key was used in the last 12 hours by another request, which made"
        f" {ids.show(ids.MESSAGE, first)}.",
        do="Make a key for each request; use it again only to make the same request again.",
    )


def content_of(message: NewMessage) -> Content:
    """Return what goes on the wire for a message."""
    return Content(
        message.id,
        message.event_type,
        message.method,
        message.content_type,
        message.headers,
        message.query,
        message.body,
        message.created_at,
    )
