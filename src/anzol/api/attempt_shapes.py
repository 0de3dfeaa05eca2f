"""What attempts and deliveries look like to the API's callers."""

# Annotations are real objects here: Pydantic reads them.
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Annotated, Final

from pydantic import Field

from anzol.api.filters import MessageStatus, shown, status_of
from anzol.api.message_shapes import EMPTY, MessageOut, message_of
from anzol.api.shapes import Out
from anzol.api.writing import Written
from anzol.lifecycle import Outcome
from anzol.model import Attempt, Delivery, Endpoint, StoredMessage, Timing

MILLISECOND: Final = timedelta(milliseconds=1)

Number = Annotated[int, Field(description="0 successful, 1 pending, 2 failed, 3 being sent, 4 cancelled.")]


class Trigger(IntEnum):
    """Why an attempt was made."""

    SCHEDULED = 0
    MANUAL = 1


class TimingOut(Out):
    """Where the time went, in milliseconds; null: it did not come to that. First byte and total from the start."""

    resolve: float | None
    connect: float | None
    tls: float | None
    first_byte: float | None
    total: float


class AttemptOut(Out):
    """One HTTP request of a delivery, with its reply."""

    id: str
    msg_id: str
    endpoint_id: str
    url: Annotated[str, Field(description="The endpoint's URL, as it is now.")]
    timestamp: Annotated[datetime, Field(description="When it began.")]
    status: Number
    status_text: str
    trigger_type: Annotated[Trigger, Field(description="0 by the schedule, 1 by hand.")]
    response: Annotated[str, Field(description="The body of the reply as text; what is no UTF-8 is replaced.")]
    response_status_code: Annotated[int, Field(description="0: there was no reply.")]
    response_duration_ms: int
    response_headers: Annotated[
        list[tuple[str, str]] | None, Field(description="As they came, in their order; null without content.")
    ]
    number: Annotated[int, Field(description="The delivery's first attempt is 1.")]
    outcome: Annotated[
        str, Field(description="`ok`, or how it failed.", json_schema_extra={"enum": [one.label for one in Outcome]})
    ]
    detail: Annotated[str, Field(description="How it failed, in words.")]
    note: Annotated[str, Field(description="`body_incomplete`, `body_cut`, or nothing.")]
    timing: TimingOut
    msg: MessageOut | None = None


def attempt_of(
    attempt: Attempt, endpoint: Endpoint | None, *, with_content: bool, message: StoredMessage | None = None
) -> dict[str, object]:
    """Return an attempt as it is shown; the names are those of `AttemptOut`."""
    status = status_of_attempt(attempt)
    told: dict[str, object] = {
        "id": attempt.id,
        "msgId": attempt.message_id,
        "endpointId": attempt.endpoint_id,
        "url": "" if endpoint is None else endpoint.url,
        "timestamp": attempt.started_at,
        "status": int(status),
        "statusText": status.text,
        "triggerType": int(Trigger.MANUAL if attempt.manual else Trigger.SCHEDULED),
        "response": text_of(attempt.response_body) if with_content else "",
        "responseStatusCode": attempt.status or 0,
        "responseDurationMs": attempt.timing.total // MILLISECOND,
        "responseHeaders": headers_of(attempt) if with_content else None,
        "number": attempt.number,
        "outcome": attempt.outcome.label,
        "detail": attempt.detail,
        "note": attempt.note,
        "timing": timing_of(attempt.timing),
    }
    return told if message is None else {**told, "msg": message_of(message, with_content=False)}


def status_of_attempt(attempt: Attempt) -> MessageStatus:
    """Say how an attempt has ended."""
    return MessageStatus.SUCCESS if attempt.outcome is Outcome.OK else MessageStatus.FAIL


def text_of(body: bytes) -> str:
    """Return what a receiver answered as text: some of it may be lost."""
    return body.decode("utf-8", "replace")


def headers_of(attempt: Attempt) -> list[tuple[str, str]]:
    """Return the reply's headers; every byte is a character."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in attempt.response_headers]


def timing_of(timing: Timing) -> dict[str, float | None]:
    """Return where the time went."""
    return {
        "resolve": millis(timing.resolve),
        "connect": millis(timing.connect),
        "tls": millis(timing.tls),
        "firstByte": millis(timing.first_byte),
        "total": millis(timing.total),
    }


def millis(span: timedelta | None) -> float | None:
    """Return milliseconds with three decimals."""
    return None if span is None else round(span / MILLISECOND, 3)


# --- deliveries


class Standing(Out):
    """How a delivery stands."""

    status: Number
    status_text: str
    next_attempt: Annotated[datetime | None, Field(description="When it is due, if it waits for its turn.")]


class EndpointMessageOut(MessageOut, Standing):
    """A message, and how its delivery to the endpoint stands."""


class MessageEndpointOut(Standing):
    """An endpoint that a message went, or is to go, to, and how that delivery stands."""

    id: str
    uid: str | None
    url: str
    description: str
    throttle_rate: int | None
    event_types: list[str] | None
    channels: list[str] | None
    disabled: bool
    created_at: datetime
    updated_at: datetime


class DeliveryOut(Standing):
    """One message to one endpoint."""

    msg_id: str
    endpoint_id: str
    app_uid: Annotated[str | None, Field(description="Of the application that both belong to.")]
    event_type: str
    state: Annotated[str, Field(json_schema_extra={"enum": ["pending", "delivered", "exhausted", "cancelled"]})]
    cause: Annotated[str | None, Field(description="Why it is in this state.")]
    attempts: int
    in_flight: bool
    parked: Annotated[str, Field(description="Why it is not tried: `disabled`, `paused`, or nothing.")]
    due_at: datetime | None
    timestamp: Annotated[datetime, Field(description="When the message was accepted.")]
    ended_at: datetime | None


def standing_of(delivery: Delivery, *, expanded: bool = True) -> dict[str, object]:
    """Return how a delivery stands."""
    status = shown(status_of(delivery), expanded=expanded)
    waits = status is MessageStatus.PENDING and not delivery.parked
    return {
        "status": int(status),
        "statusText": status.text,
        "nextAttempt": delivery.due_at if waits else None,
    }


def delivery_of(delivery: Delivery, uid: str | None) -> dict[str, object]:
    """Return a delivery as it is shown."""
    return {
        **standing_of(delivery),
        "msgId": delivery.message_id,
        "endpointId": delivery.endpoint_id,
        "appUid": uid,
        "eventType": delivery.event_type,
        "state": delivery.state.name.lower(),
        "cause": None if delivery.cause is None else delivery.cause.name.lower(),
        "attempts": delivery.attempts,
        "inFlight": delivery.in_flight,
        "parked": delivery.parked,
        "dueAt": delivery.due_at,
        "timestamp": delivery.created_at,
        "endedAt": delivery.ended_at,
    }


def endpoint_message_of(
    delivery: Delivery, messages: Mapping[str, StoredMessage], *, with_content: bool, expanded: bool
) -> dict[str, object]:
    """Return the message of a delivery, and how that stands."""
    message = messages.get(delivery.message_id)
    told = gone(delivery) if message is None else message_of(message, with_content=with_content)
    return {**told, **standing_of(delivery, expanded=expanded)}


def gone(delivery: Delivery) -> dict[str, object]:
    """Return what is left of a message that was forgotten while somebody looked."""
    payload: Written = EMPTY
    return {
        "id": delivery.message_id,
        "eventId": None,
        "eventType": delivery.event_type,
        "payload": payload,
        "channels": None,
        "tags": None,
        "deliverAt": None,
        "timestamp": delivery.created_at,
        "contentType": "",
        "erased": True,
    }


def message_endpoint_of(delivery: Delivery, endpoint: Endpoint) -> dict[str, object]:
    """Return the endpoint of a delivery, and how that stands."""
    return {
        **standing_of(delivery),
        "id": endpoint.id,
        "uid": endpoint.uid,
        "url": endpoint.url,
        "description": endpoint.description,
        "throttleRate": endpoint.throttle,
        "eventTypes": list_or_all(endpoint.event_types),
        "channels": list_or_all(endpoint.channels),
        "disabled": not endpoint.enabled,
        "createdAt": endpoint.created_at,
        "updatedAt": endpoint.updated_at,
    }


def list_or_all(names: Sequence[str]) -> list[str] | None:
    """Return names; None: all of them."""
    return list(names) or None
