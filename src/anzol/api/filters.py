"""What lists of messages, deliveries and attempts may be narrowed to, in the dialect's words."""

# Annotations are real objects here: FastAPI reads them.
import re
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Annotated, Any, Final

from fastapi import Depends, Query

from anzol.api.problems import fault
from anzol.api.shapes import NAME, Moment, Text
from anzol.errors import NotFound
from anzol.lifecycle import State
from anzol.model import Attempt, Customer, Delivery, Endpoint, StoredMessage
from anzol.storage.face import Selection, Storage

MOST_NAMES: Final = 250
ONE_NAME: Final = re.compile(NAME, re.ASCII)

Before = Annotated[Moment | None, Query(description="Only what is from before this time.")]
After = Annotated[Moment | None, Query(description="Only what is from this time on.")]
Tag = Annotated[Text | None, Query(max_length=256, description="Only messages with this tag.")]
Channel = Annotated[Text | None, Query(max_length=256, description="Only messages on this channel.")]
Names = Annotated[
    list[str] | None,
    Query(
        description="Only messages of these event types: repeated, or with commas between them.", max_length=MOST_NAMES
    ),
]
WithContent = Annotated[bool, Query(description="With what was sent, or answered.")]


class StatusCodeClass(IntEnum):
    """How an attempt was answered: 200 for 2xx, 0 where there was no answer."""

    NONE = 0
    INFORMATION = 100
    SUCCESS = 200
    REDIRECTION = 300
    CLIENT_ERROR = 400
    SERVER_ERROR = 500

    @property
    def figure(self) -> int:
        return int(self) // 100


class MessageStatus(IntEnum):
    """How a delivery, or an attempt, stands."""

    SUCCESS = 0
    PENDING = 1
    FAIL = 2
    SENDING = 3
    CANCELED = 4

    @property
    def text(self) -> str:
        return self.name.lower()


STATES: Final = {
    MessageStatus.SUCCESS: State.DELIVERED,
    MessageStatus.PENDING: State.PENDING,
    MessageStatus.FAIL: State.EXHAUSTED,
    MessageStatus.SENDING: State.PENDING,
    MessageStatus.CANCELED: State.CANCELLED,
}
Status = Annotated[
    MessageStatus | None,
    Query(description="Only those: 0 successful, 1 pending, 2 failed, 3 being sent, 4 cancelled."),
]
AnsweredWith = Annotated[
    StatusCodeClass | None, Query(description="Only what was answered so: 200 for 2xx ..., 0 for not at all.")
]
Expanded = Annotated[bool, Query(description="`false`: what was cancelled is shown as 0, for clients that know no 4.")]


def names_in(given: list[str] | None) -> tuple[str, ...]:
    """Return event types that were given one by one, or with commas; raises Problem."""
    names = tuple(dict.fromkeys(name for part in given or () for name in part.split(",") if name))
    if len(names) > MOST_NAMES:
        raise fault("event_types", f"{MOST_NAMES} names are the most.", place="query")
    for name in names:
        if len(name) > 256 or not ONE_NAME.fullmatch(name):
            raise fault("event_types", "It is no event type's name.", place="query")
    return names


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What a list is narrowed to."""

    before: datetime | None
    after: datetime | None
    event_types: tuple[str, ...]
    channel: str | None
    tag: str | None

    def selection(self, *, timed: bool = True, **more: Any) -> Selection:
        """Return it as storage's selection; not *timed*: the times are not those of the messages."""
        times: dict[str, Any] = {"since": self.after, "until": self.before} if timed else {}
        return Selection(event_types=self.event_types, channel=self.channel, tag=self.tag, **times, **more)


def narrowing(
    before: Before = None, after: After = None, event_types: Names = None, channel: Channel = None, tag: Tag = None
) -> Narrowing:
    """Return what a request narrows a list to."""
    return Narrowing(before, after, names_in(event_types), channel, tag)


Narrowed = Annotated[Narrowing, Depends(narrowing)]


def status_of(delivery: Delivery) -> MessageStatus:
    """Say how a delivery stands."""
    match delivery.state:
        case State.DELIVERED:
            return MessageStatus.SUCCESS
        case State.EXHAUSTED:
            return MessageStatus.FAIL
        case State.CANCELLED:
            return MessageStatus.CANCELED
        case State.PENDING:
            return MessageStatus.SENDING if delivery.in_flight else MessageStatus.PENDING


def shown(status: MessageStatus, *, expanded: bool) -> MessageStatus:
    """Return a status as the caller knows it."""
    return MessageStatus.SUCCESS if status is MessageStatus.CANCELED and not expanded else status


def states_of(status: MessageStatus | None) -> tuple[State, ...]:
    """Return the states that a status may mean."""
    return () if status is None else (STATES[status],)


async def find_endpoint(storage: Storage, environment: str, customer: Customer, name: str) -> Endpoint:
    """Return a customer's endpoint by id or uid; raises NotFound."""
    return await storage.find_endpoint(environment, customer.uid, name)


async def find_message(storage: Storage, environment: str, customer: Customer, name: str) -> StoredMessage:
    """Return a customer's message by id or event id; raises NotFound."""
    return await storage.find_message(environment, customer.uid, name)


async def find_attempt(storage: Storage, environment: str, message: StoredMessage, attempt_id: str) -> Attempt:
    """Return an attempt of a message; raises NotFound."""
    attempt = await storage.attempt(environment, attempt_id)
    if attempt.message_id != message.id:
        raise NotFound(f"The message {message.id} has no attempt {attempt_id!r}.")
    return attempt
