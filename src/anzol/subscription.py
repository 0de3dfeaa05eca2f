"""Does this endpoint want this message, and if not, why: the rule that the engines' SQL is held equal to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MATCHED: Final = "matched"
EVENT_TYPE: Final = "event_type"
CHANNEL: Final = "channel"
DISABLED: Final = "disabled"
DELETED: Final = "deleted"
CREATED_LATER: Final = "created_later"
OTHER_ENDPOINT: Final = "other_endpoint"


@dataclass(frozen=True, slots=True)
class Subscription:
    """What an endpoint wants. Empty ``event_types`` or ``channels``: all of them. Times in microseconds."""

    endpoint_id: bytes
    event_types: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    enabled: bool = True
    deleted: bool = False
    created_at: int = 0


@dataclass(frozen=True, slots=True)
class Occurrence:
    """What the rule must know of a message. ``only_endpoint`` narrows it to one, whatever that is subscribed to."""

    event_type: str
    created_at: int
    channels: tuple[str, ...] = ()
    only_endpoint: bytes | None = None


def wants(subscription: Subscription, message: Occurrence, now: int) -> str:
    """Return ``matched``, or the first reason why the endpoint does not get the message, judged at *now*.

    An endpoint with channels gets only messages that carry one of them; one without gets messages of any channel.
    """
    if message.only_endpoint not in (None, subscription.endpoint_id):
        return OTHER_ENDPOINT
    if subscription.deleted:
        return DELETED
    if not subscription.enabled:
        return DISABLED
    return MATCHED if message.only_endpoint is not None else chooses(subscription, message, now)


def chooses(subscription: Subscription, message: Occurrence, now: int) -> str:
    """Return whether a live endpoint is subscribed to a message, and if not why."""
    # One that seems to be made in the future was made before the clock was set back: it was there first.
    if message.created_at < subscription.created_at <= now:
        return CREATED_LATER
    if subscription.event_types and message.event_type not in subscription.event_types:
        return EVENT_TYPE
    if subscription.channels and not set(subscription.channels) & set(message.channels):
        return CHANNEL
    return MATCHED
