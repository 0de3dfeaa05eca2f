"""The story of one attempt: prepare, sign, send, judge, report."""

from __future__ import annotations

import logging
from random import Random
from typing import Final, Protocol

from anzol import ids, telemetry
from anzol.addresses import Policy
from anzol.circuit import HEALTHY
from anzol.clock import Clock
from anzol.errors import AddressRefused
from anzol.lane import Lane
from anzol.letter import Letter
from anzol.lifecycle import Cause, Disabled, Incident, Outcome
from anzol.retry import Verdict, judge
from anzol.rules import DeliveryRules
from anzol.sender import Reply, Request, Timing
from anzol.storage.face import AttemptRecord, Claim, NewIncident, Settled

log = logging.getLogger("anzol.worker")

AGAIN_AFTER_OUR_FAULT: Final = 60_000_000  # microseconds


class Sends(Protocol):
    """What the executor needs of a sender: one request in, one reply out, never an error."""

    async def send(self, request: Request) -> Reply: ...


class Executor:
    """Makes attempts for one worker."""

    def __init__(self, sender: Sends, *, policy: Policy, clock: Clock, chance: Random, rules: DeliveryRules) -> None:
        self._sender = sender
        self._policy = policy
        self._clock = clock
        self._chance = chance
        self._rules = rules
        self.attempts = 0

    async def attempt(self, lane: Lane, claim: Claim) -> None:
        """Try a claim once, and hand over what came of it."""
        began = self._clock.micros()
        try:
            reply = await self._reply(lane, claim, began)
            now = self._clock.micros()
            verdict = self._judge(lane, claim, reply, now)
            self._note(lane, claim, reply, now)
        except Exception:
            log.exception("A fault of ours kept a message from its endpoint; it is tried again in a minute.")
            self._put_off(lane, claim, began)
            return
        self._settle(lane, claim, reply, verdict, began)
        self._report(lane, claim, reply, verdict)

    async def _reply(self, lane: Lane, claim: Claim, now: int) -> Reply:
        """Send, and return what came of it; what may not be sent is answered by us."""
        try:
            request = self._prepare(lane, claim, now)
        except AddressRefused as error:
            return refused(error)
        finally:
            self.attempts += 1
        return await self._sender.send(request)

    def _prepare(self, lane: Lane, claim: Claim, now: int) -> Request:
        letter = lane.letter
        if letter is None:
            letter = lane.letter = Letter(
                lane.profile,
                self._policy,
                deadline=self._rules.timeout.total_seconds(),
                connect_timeout=self._rules.connect_timeout.total_seconds(),
            )
        return letter.request(claim.content, now // 1_000_000)

    def _judge(self, lane: Lane, claim: Claim, reply: Reply, now: int) -> Verdict:
        return judge(
            reply.outcome,
            reply.status,
            reply.headers,
            step=claim.step,
            attempt=claim.attempt,
            schedule=lane.schedule,
            now=now,
            chance=self._chance,
            spread=self._rules.spread,
        )

    def _put_off(self, lane: Lane, claim: Claim, now: int) -> None:
        """Give a claim back that a fault of ours kept from being sent, or being judged."""
        lane.answered(claim, self._clock.monotonic())
        lane.tenure.return_claim(lane, claim, now + AGAIN_AFTER_OUR_FAULT)

    # How the endpoint stands

    def _note(self, lane: Lane, claim: Claim, reply: Reply, now: int) -> None:
        """Draw the conclusions for the lane."""
        took = lane.answered(claim, self._clock.monotonic())
        if reply.outcome is Outcome.OK:
            self._succeeded(lane, claim)
        elif reply.outcome is not Outcome.PROXY_ERROR:
            self._failed(lane, claim, reply, now)
        if lane.slow and took < self._rules.slow_after and reply.status is not None:
            lane.tenure.quick(lane)

    def _succeeded(self, lane: Lane, claim: Claim) -> None:
        lane.concurrency.succeeded()
        if lane.circuit is HEALTHY:
            return
        was_open = lane.circuit.open_until is not None
        lane.circuit = HEALTHY
        message_id, again = claim.content.message_id, "It answers again."
        told = [incident(Incident.ENDPOINT_RECOVERED, lane, again, message_id)] if was_open else []
        lane.tenure.settlement.add_health(lane, *told)

    def _failed(self, lane: Lane, claim: Claim, reply: Reply, now: int) -> None:
        lane.concurrency.failed(reply.outcome, reply.status)
        was_closed = lane.circuit.open_until is None
        lane.circuit = lane.circuit.failed(now, self._rules.circuit, self._chance)
        told = []
        if was_closed and lane.circuit.open_until is not None:
            message_id = claim.content.message_id
            told.append(incident(Incident.ENDPOINT_FAILING, lane, failing(lane, reply), message_id))
        because = self._disabled(lane, reply, now)
        if because is not None and lane.active:
            lane.active = False
            lane.disabling = because
            told.append(incident(Incident.ENDPOINT_DISABLED, lane, reply.detail))
        lane.tenure.settlement.add_health(lane, *told)
        if lane.disabling is not None:
            lane.tenure.settlement.afterwards(lambda: setattr(lane, "disabling", None))
        if not lane.active:
            lane.tenure.give_back(lane)
        elif lane.circuit.open_until is not None:
            lane.tenure.give_back(lane, lane.circuit.open_until)

    def _disabled(self, lane: Lane, reply: Reply, now: int) -> Disabled | None:
        """Say whether this reply is the one that disables the endpoint."""
        if reply.status == 410 and reply.outcome is Outcome.HTTP_STATUS:
            return Disabled.GONE
        most = self._rules.disable_after
        return Disabled.FAILING if most is not None and lane.circuit.failing_for(now) >= most else None

    # What is written and told

    def _settle(self, lane: Lane, claim: Claim, reply: Reply, verdict: Verdict, began: int) -> None:
        settlement = lane.tenure.settlement
        attempt = record(reply, began)
        if verdict.due_at is not None:
            lane.tenure.due(lane, verdict.due_at)
        settlement.add(lane, Settled(claim.id, verdict.cause, verdict.due_at, verdict.step, attempt))
        if lane.profile.fifo and lane.behind:
            lane.tenure.wake.set()  # a round in the same transaction as this result claims the next in order
        if verdict.cause is Cause.GAVE_UP:
            settlement.add_incident(incident(Incident.MESSAGE_EXHAUSTED, lane, reply.detail, claim.content.message_id))

    def _report(self, lane: Lane, claim: Claim, reply: Reply, verdict: Verdict) -> None:
        """Tell who listens; what goes wrong there is theirs, and goes no further."""
        if not telemetry.wanted():
            return
        try:
            telemetry.emit(facts(lane, claim, reply, verdict))
        except Exception:
            log.exception("An attempt could not be told of.")


def incident(kind: Incident, lane: Lane, detail: str, message_id: bytes | None = None) -> NewIncident:
    """Make what is to be told about a lane's endpoint."""
    return NewIncident(kind, lane.endpoint_id, message_id, detail)


def failing(lane: Lane, reply: Reply) -> str:
    """Say how an endpoint fails."""
    return f"{lane.circuit.failures} attempts in a row failed; the last: {reply.detail or reply.outcome.label}"


def refused(error: AddressRefused) -> Reply:
    """Return the reply to a request that may not be made."""
    timing = Timing(None, None, None, None, 0)
    return Reply(Outcome.ADDRESS_REFUSED, None, (), b"", str(error), "", timing, False, "", sent=False)


def record(reply: Reply, began: int) -> AttemptRecord:
    """Turn a reply into the attempt that is stored."""
    timing = reply.timing
    return AttemptRecord(
        ids.new(began),
        reply.outcome,
        reply.status,
        reply.detail,
        reply.note,
        began,
        timing.resolve_us,
        timing.connect_us,
        timing.tls_us,
        timing.first_byte_us,
        timing.total_us,
        reply.headers,
        reply.body,
    )


def facts(lane: Lane, claim: Claim, reply: Reply, verdict: Verdict) -> dict[str, telemetry.Fact]:
    """Return what is told of an attempt: ids, numbers, the host; nothing of what was said."""
    profile, timing, content = lane.profile, reply.timing, claim.content
    return {
        "event": "attempt",
        "environment": profile.environment,
        "customer": profile.customer,
        "endpoint_id": ids.show(ids.ENDPOINT, claim.endpoint_id),
        "message_id": ids.show(ids.MESSAGE, content.message_id),
        "event_type": content.event_type,
        "host": lane.letter.target.authority if lane.letter is not None else None,
        "number": claim.attempt + 1,
        "manual": claim.manual,
        "outcome": reply.outcome.label,
        "status": reply.status,
        "ended": None if verdict.cause is None else verdict.cause.name.lower(),
        "due_at": None if verdict.due_at is None else verdict.due_at / 1_000_000,
        "resolve_ms": milliseconds(timing.resolve_us),
        "connect_ms": milliseconds(timing.connect_us),
        "tls_ms": milliseconds(timing.tls_us),
        "first_byte_ms": milliseconds(timing.first_byte_us),
        "total_ms": milliseconds(timing.total_us),
        "reused": reply.reused,
        "request_bytes": len(content.body),
        "failures": lane.circuit.failures,
        "circuit": "closed" if lane.circuit.open_until is None else "open",
        "concurrency": lane.limit,
    }


def milliseconds(micros: int | None) -> float | None:
    """Return milliseconds with three decimals."""
    return None if micros is None else round(micros / 1000, 3)
