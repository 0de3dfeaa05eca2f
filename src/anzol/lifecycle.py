"""The life of a delivery, as a table: which states there are, what leads from one to the next, and why.

*In flight* is no state: it is a holder on the pending row.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class State(IntEnum):
    """Where a delivery is in its life; the numbers are stored."""

    PENDING = 0
    DELIVERED = 1
    EXHAUSTED = 2
    CANCELLED = 3


class Cause(IntEnum):
    """Why a delivery is in its state; the numbers are stored."""

    ACCEPTED = 1  # the receiver answered 2xx
    REFUSED = 2  # the receiver answered 410: do not send this any more
    GAVE_UP = 3  # the schedule has ended
    INTERRUPTED = 4  # the worker died under it, too many times
    WITHDRAWN = 5  # the endpoint was deleted, or an operator or a filter cancelled it
    EXPIRED = 6  # parked for longer than messages are kept
    RESENT = 7  # asked for once more
    OVERFLOWED = 8  # as many deliveries as may wait for the endpoint waited already


TRANSITIONS: Final[dict[tuple[State, Cause], State]] = {
    (State.PENDING, Cause.ACCEPTED): State.DELIVERED,
    (State.PENDING, Cause.GAVE_UP): State.EXHAUSTED,
    (State.PENDING, Cause.REFUSED): State.EXHAUSTED,
    (State.PENDING, Cause.INTERRUPTED): State.EXHAUSTED,
    (State.PENDING, Cause.WITHDRAWN): State.CANCELLED,
    (State.PENDING, Cause.EXPIRED): State.CANCELLED,
    (State.PENDING, Cause.OVERFLOWED): State.CANCELLED,
    (State.DELIVERED, Cause.RESENT): State.PENDING,
    (State.EXHAUSTED, Cause.RESENT): State.PENDING,
    (State.CANCELLED, Cause.RESENT): State.PENDING,
}

ENDS: Final[dict[Cause, State]] = {
    cause: after for (before, cause), after in TRANSITIONS.items() if before is State.PENDING
}


def ends(cause: Cause) -> State:
    """Return the state in which *cause* leaves a pending delivery."""
    return ENDS[cause]


class Outcome(IntEnum):
    """What came of one attempt: one closed list of error classes; the numbers are stored, the names are shown."""

    OK = 0  # 2xx
    HTTP_STATUS = 1  # any other status
    DNS_ERROR = 2
    ADDRESS_REFUSED = 3
    CONNECT_TIMEOUT = 4
    CONNECTION_REFUSED = 5
    CONNECTION_CLOSED = 6
    TLS_ERROR = 7
    TIMEOUT = 8
    BAD_RESPONSE = 9
    INTERRUPTED = 10  # the worker died under it
    PROXY_ERROR = 11  # our own proxy's fault, not charged to the endpoint

    @property
    def label(self) -> str:
        """The name as users see it, such as ``connect_timeout``."""
        return self.name.lower()


class Incident(IntEnum):
    """What is told to the team, once each time; the numbers are stored, the labels are what handlers name."""

    ENDPOINT_FAILING = 1
    ENDPOINT_DISABLED = 2
    ENDPOINT_RECOVERED = 3
    MESSAGE_EXHAUSTED = 4
    ENDPOINT_FULL = 5
    ENDPOINT_CREATED = 6  # from here on only told to operational endpoints
    ENDPOINT_UPDATED = 7
    ENDPOINT_DELETED = 8
    ENDPOINT_ENABLED = 9

    @property
    def label(self) -> str:
        """The name as handlers give it, such as ``endpoint.failing``."""
        return self.name.lower().replace("_", ".")


class Disabled(IntEnum):
    """Why an endpoint gets nothing at present; the numbers are stored."""

    BY_CUSTOMER = 1
    BY_OPERATOR = 2
    GONE = 3  # it answered 410
    FAILING = 4  # it failed for longer than is borne


class Validation(IntEnum):
    """What is done with a payload that does not fit its event type's schema; the numbers are stored."""

    REFUSE = 0
    WARN = 1  # accepted, and said in the log
    OFF = 2

    @property
    def label(self) -> str:
        """The name as users see it."""
        return self.name.lower()


class SweepState(IntEnum):
    """How a change to many stands; the numbers are stored."""

    RUNNING = 0
    FINISHED = 1
    FAILED = 2
    CANCELLED = 3

    @property
    def label(self) -> str:
        """The name as users see it."""
        return self.name.lower()
