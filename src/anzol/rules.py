"""All that a worker goes by, in one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from anzol.circuit import CircuitRules
from anzol.concurrency import BEGIN, CEILING
from anzol.retry import DEFAULT_SCHEDULE, SPREAD


@dataclass(frozen=True, slots=True)
class DeliveryRules:
    """How deliveries are made. Durations in seconds where no unit is named by the type.

    Args:
        schedule: The delay before each attempt, the first included; an endpoint's own takes its place.
        spread: How much of a delay chance may add or take away.
        timeout: The most that one attempt may take, from resolving to the end of the reply.
        disable_after: How long an endpoint may fail without one success before it is disabled; None: for ever.
        places: How many requests may be under way at once, all lanes together.
        slow_after: After how long without an answer a lane counts as slow: one place, and a share of half.
        lanes: How many lanes one worker holds at most.
        turn_claims, turn: When a lane goes to the tail if others wait for places.
        linger: How long a lane is kept after its last delivery.
        fan_out: How many messages are expanded in one round.
        backlog: How many deliveries may wait for one endpoint; more end at once, and can be recovered.
        most_queued: How many deliveries may be claimed and not yet started.
        most_held_bytes: Bytes of bodies, claimed or under way, from which on claims stop; one round may go beyond.
        most_unsettled: How many results may wait to be written before claims stop.
        gather, batch: How long results are gathered, and how many are written at most, in one transaction.
        term: How long a worker's lease lasts without a heartbeat.
        most_interruptions: How many workers may die under one delivery before it counts as poison.
        poll: How often an idle worker looks, when no nudge comes.
        drain: How long stopping may take beyond the timeout.
    """

    schedule: tuple[timedelta, ...] = DEFAULT_SCHEDULE
    spread: float = SPREAD
    timeout: timedelta = timedelta(seconds=15)
    connect_timeout: timedelta = timedelta(seconds=5)
    disable_after: timedelta | None = timedelta(days=5)
    circuit: CircuitRules = field(default_factory=CircuitRules)
    places: int = 1000
    begin: int = BEGIN
    ceiling: int = CEILING
    slow_after: float = 1.0
    lanes: int = 2000
    turn_claims: int = 100
    turn: float = 0.25
    linger: float = 3.0
    fan_out: int = 300
    backlog: int = 1_000_000
    most_queued: int = 2000
    most_held_bytes: int = 64 * 1024 * 1024
    most_unsettled: int = 4000
    gather: float = 0.010
    batch: int = 500
    term: timedelta = timedelta(seconds=30)
    most_interruptions: int = 3
    poll: float = 1.0
    drain: float = 5.0
