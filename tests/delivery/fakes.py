"""Stand-ins at the seams of the engine: storage in memory, and a sender that follows a script."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from anzol import ids
from anzol.addresses import Policy
from anzol.clock import Clock
from anzol.grants import share
from anzol.lifecycle import Cause, Incident, Outcome
from anzol.model import Report
from anzol.sender import Reply, Request, Timing
from anzol.storage.face import (
    Accepted,
    Claim,
    Content,
    Dispatched,
    Grant,
    LaneHealth,
    NewIncident,
    NewMessage,
    Order,
    Profile,
    Reaped,
    Settled,
    Unannounced,
)

POLICY = Policy.allowing("127.0.0.0/8")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECOND = 1_000_000


def reply(status: int | None = 200, outcome: Outcome | None = None, *headers: tuple[bytes, bytes]) -> Reply:
    """A reply as a sender makes it."""
    if outcome is None:
        assert status is not None
        outcome = Outcome.OK if 200 <= status < 300 else Outcome.HTTP_STATUS
    detail = "" if outcome is Outcome.OK else f"It went wrong: {outcome.label} {status or ''}".rstrip()
    return Reply(outcome, status, headers, b"", detail, "", Timing(None, None, None, None, 1000), False, "", sent=True)


OK = reply(204)
TIMEOUT = reply(None, Outcome.TIMEOUT)
Answer = Callable[[Request], Awaitable[Reply]]


@dataclass
class Script:
    """A sender: answers each host as told, and writes down what it was asked for and when."""

    clock: Clock
    default: Reply = OK
    answers: dict[str, list[Reply] | Reply | Answer] = field(default_factory=dict)
    sent: list[tuple[float, Request]] = field(default_factory=list)

    async def send(self, request: Request) -> Reply:
        self.sent.append((self.clock.monotonic(), request))
        answer = self.answers.get(request.target.host, self.default)
        if isinstance(answer, list):
            return answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Reply):
            return answer
        return await answer(request)

    def hosts(self) -> list[str]:
        return [request.target.host for _, request in self.sent]

    def bodies(self, host: str) -> list[bytes]:
        return [request.body for _, request in self.sent if request.target.host == host]


def after(seconds: float, answer: Reply) -> Answer:
    """Answer so many seconds later; a deadline that is nearer ends it with a timeout."""

    async def slowly(request: Request) -> Reply:
        await asyncio.sleep(min(seconds, request.deadline))
        return answer if seconds < request.deadline else TIMEOUT

    return slowly


@dataclass
class Pending:
    """One pending delivery."""

    claim: Claim
    holder: int | None = None


class Memory:
    """The queue in memory, with the promises of storage's face that the engine leans on. Counts calls."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.calls: Counter[str] = Counter()
        self.profiles_: dict[bytes, Profile] = {}
        self.pending: dict[int, Pending] = {}
        self.lanes: dict[bytes, int | None] = {}
        self.touched: set[bytes] = set()
        self.fresh: set[bytes] = set()  # lanes that got something new, which fan-out claims for their holder
        self.workers: dict[int, int] = {}
        self.attempts: list[tuple[int, Settled]] = []
        self.ended: dict[int, Cause] = {}
        self.incidents: list[NewIncident] = []
        self.telling: list[Report] = []
        self.unannounced_: list[Unannounced] = []
        self.accepted: list[NewMessage] = []
        self.refused: dict[str, Exception] = {}  # by event type
        self.swept_by: list[int] = []
        self.pages = 0  # of sweeps, left
        self.fenced: list[int] = []
        self.forgotten: list[int] = []
        self.failing: list[Exception] = []
        self.nudges: list[Callable[[], None]] = []
        self.granted: dict[bytes, tuple[int | None, int | None]] = {}
        self._number = 0

    # For the test

    def endpoint(self, host: str, **more: object) -> bytes:
        raw = ids.new(self.clock.micros())
        fields = {
            "endpoint_id": raw, "customer": "acme", "environment": "default", "url": f"http://{host}/in", "secrets": (SECRET,),
            "headers": (), "header_prefix": None, "throttle": None, "fifo": False, "schedule": None, "active": True,
            "failures": 0, "failing_since": None, "circuit_open_until": None, "circuit_step": 0, "secrets_change_at": None,
        }  # fmt: skip
        self.profiles_[raw] = Profile(**(fields | more))  # type: ignore[arg-type]  # fields by name
        self.lanes[raw] = None
        return raw

    def change(self, endpoint: bytes, **fields: object) -> None:
        self.profiles_[endpoint] = replace(self.profiles_[endpoint], **fields)  # type: ignore[arg-type]  # by name
        self.touched.add(endpoint)

    def put(self, endpoint: bytes, body: bytes = b"{}", **more: object) -> int:
        """Make one delivery pending and due, and nudge."""
        self._number += 1
        self.fresh.add(endpoint)
        now = self.clock.micros()
        content = Content(ids.new(now), "invoice.paid", "POST", "application/json", (), "", body, now)
        fields = {"attempt": 0, "step": 0, "due_at": now, "manual": False, "content": content} | more
        self.pending[self._number] = Pending(Claim(self._number, endpoint, **fields))  # type: ignore[arg-type]  # by name
        for nudge in self.nudges:
            nudge()
        return self._number

    def due(self) -> int:
        return sum(one.claim.due_at <= self.clock.micros() for one in self.pending.values())

    # Deliver

    async def enlist(self, *, host: str, pid: int, version: str, term: timedelta) -> int:
        self._number += 1
        self.workers[self._number] = self.clock.micros() + term // timedelta(microseconds=1)
        return self._number

    async def beat(self, me: int, term: timedelta) -> bool:
        self._called("beat")
        if me not in self.workers:
            return False
        self.workers[me] = self.clock.micros() + term // timedelta(microseconds=1)
        return True

    async def resign(self, me: int) -> None:
        self._called("resign")
        self._free(me)

    def _free(self, me: int) -> None:
        self.workers.pop(me, None)
        for one in self.pending.values():
            if one.holder == me:
                one.holder = None
        for endpoint, holder in self.lanes.items():
            if holder == me:
                self.lanes[endpoint] = None

    async def reap(self, *, most_interruptions: int) -> Reaped:
        self._called("reap")
        dead = [worker for worker, until in self.workers.items() if until <= self.clock.micros()]
        held = [one for one in self.pending.values() if one.holder in dead]
        for one in held:
            one.claim = replace(one.claim, attempt=one.claim.attempt + 1)
        for worker in dead:
            self._free(worker)
        return Reaped(len(dead), len(held), 0)

    async def dispatch(self, me: int, order: Order) -> Dispatched:
        self._called("dispatch")
        await asyncio.sleep(0.001)
        now = self.clock.micros()
        if self.workers.get(me, 0) <= now:
            return Dispatched(lost=True)
        for endpoint in order.release:
            assert not any(one.holder == me for one in self._of(endpoint)), "a lane was released with claims"
            del self.lanes[endpoint]
            self.lanes[endpoint] = None  # at the tail
        waiting = [one for one, holder in self.lanes.items() if holder is None and self._dues(one, now)]
        taken = waiting[: order.take]
        self.lanes |= dict.fromkeys(taken, me)
        touched = {one for one in self.touched if self.lanes[one] == me}
        self.touched -= touched
        rooms = {**order.rooms, **dict.fromkeys(taken, order.new_room)}
        claims, behind = [], set()
        fresh: set[bytes] = set()
        if order.fan_out:
            fresh, self.fresh = self.fresh, fresh
        for endpoint in {*order.look, *touched, *taken, *fresh}:
            found = self._dues(endpoint, now) if self.lanes.get(endpoint) == me else []
            got = found[: rooms.get(endpoint, 0)]
            for one in got:
                one.holder = me
            claims += [one.claim for one in got]
            if len(found) > len(got):
                behind.add(endpoint)
        dues = [self._turn(endpoint) for endpoint, holder in self.lanes.items() if holder is None]
        return Dispatched(
            claims,
            [self.profiles_[one] for one in {*taken, *touched}],
            frozenset(behind),
            min((due for due in dues if due is not None), default=None),
            len(taken) < len(waiting),
            grants=[self._grant(me, customer, wanted) for customer, wanted in order.wants.items()],
        )

    def _grant(self, me: int, customer: bytes, wanted: int) -> Grant:
        (rate,) = {one.customer_throttle for one in self.profiles_.values() if one.customer_id == customer}
        until, to = self.granted.get(customer, (None, None))
        assert rate is not None
        slots = share(rate, until, now=self.clock.micros(), wanted=wanted, again=to == me)
        if slots.count:
            self.granted[customer] = slots.next_at, me
        return Grant(customer, slots.first, slots.gap, slots.count, slots.again_at)

    def _turn(self, endpoint: bytes) -> int | None:
        """When a free lane is due."""
        profile = self.profiles_[endpoint]
        ours = self._of(endpoint)[: 1 if profile.fifo else None]
        due = min((one.claim.due_at for one in ours), default=None)
        return None if due is None or not profile.active else max(due, profile.circuit_open_until or 0)

    def _of(self, endpoint: bytes) -> list[Pending]:
        return [one for one in self.pending.values() if one.claim.endpoint_id == endpoint]

    def _dues(self, endpoint: bytes, now: int) -> list[Pending]:
        profile, ours = self.profiles_[endpoint], self._of(endpoint)
        if not profile.active:
            return []
        if profile.fifo:
            ours = [] if any(one.holder for one in ours) else ours[:1]
        return [one for one in ours if one.holder is None and one.claim.due_at <= now]

    async def held(self) -> dict[int, int]:
        self._called("held")
        return {worker: [*self.lanes.values()].count(worker) for worker in self.workers}

    async def profiles(self, endpoints: Sequence[bytes]) -> Sequence[Profile]:
        self._called("profiles")
        return [self.profiles_[one] for one in endpoints]

    async def settle(
        self,
        me: int,
        settled: Sequence[Settled],
        health: Sequence[LaneHealth] = (),
        incidents: Sequence[NewIncident] = (),
    ) -> Sequence[int]:
        self._called("settle")
        await asyncio.sleep(0.001)
        if self.failing:
            raise self.failing.pop(0)
        fenced = []
        for one in settled:
            row = self.pending.get(one.id)
            if row is None or row.holder != me:
                fenced.append(one.id)
                continue
            self._settle(row, one)
        for one in health:
            if self.lanes[one.endpoint_id] == me:
                self._stand(one)
        self.incidents += incidents
        self.telling += [self._report(one) for one in incidents]
        self.fenced += fenced
        return fenced

    def _settle(self, row: Pending, one: Settled) -> None:
        if one.attempt is not None:
            self.attempts.append((one.id, one))
        if one.cause is not None:
            del self.pending[one.id]
            self.ended[one.id] = one.cause
            return
        row.holder = None
        row.claim = replace(
            row.claim,
            attempt=row.claim.attempt + (one.attempt is not None),
            step=one.step,
            due_at=row.claim.due_at if one.due_at is None else one.due_at,
        )

    def _stand(self, one: LaneHealth) -> None:
        profile = self.profiles_[one.endpoint_id]
        self.profiles_[one.endpoint_id] = replace(
            profile,
            failures=one.failures,
            failing_since=one.failing_since,
            circuit_open_until=one.circuit_open_until,
            circuit_step=one.circuit_step,
            active=profile.active and one.disable is None,
        )

    def _report(self, one: NewIncident) -> Report:
        from anzol.clock import from_micros

        self._number += 1
        profile = self.profiles_[one.endpoint_id]
        shown = ids.show(ids.MESSAGE, one.message_id) if one.message_id else None
        return Report(
            self._number, one.kind, from_micros(self.clock.micros()), profile.customer,
            ids.show(ids.ENDPOINT, one.endpoint_id), profile.url, None, shown, one.detail,
        )  # fmt: skip

    async def take_incidents(self, limit: int) -> Sequence[Report]:
        self._called("take_incidents")
        taken, self.telling = self.telling[:limit], self.telling[limit:]
        return taken

    async def tell_incidents(self, told: Sequence[int]) -> None:
        self._called("tell_incidents")
        self.forgotten += told

    async def unannounced(self, limit: int) -> Sequence[Unannounced]:
        self._called("unannounced")
        return self.unannounced_[:limit]

    async def announced(self, sent: Sequence[int]) -> None:
        self._called("announced")
        self.unannounced_ = [one for one in self.unannounced_ if one.id not in sent]

    async def accept_many(self, messages: Sequence[NewMessage]) -> Sequence[Accepted | Exception]:
        self._called("accept_many")
        answers = [self.refused.get(one.event_type) or Accepted(one.id) for one in messages]
        accepted = zip(messages, answers, strict=True)
        self.accepted += [message for message, answer in accepted if isinstance(answer, Accepted)]
        return answers

    async def advance_sweep(self, me: int, *, limit: int, term: timedelta) -> bool:
        self._called("advance_sweep")
        self.swept_by.append(me)
        self.pages -= (had := self.pages > 0)
        return had

    async def clean(self, *_: object, limit: int) -> int:
        self._called("clean")
        return 0

    def listen(self, nudge: Callable[[], None]) -> Callable[[], None]:
        self.nudges.append(nudge)
        return lambda: self.nudges.remove(nudge)

    def _called(self, name: str) -> None:
        self.calls[name] += 1

    # For assertions

    def told(self, kind: Incident) -> list[str]:
        return [one.detail for one in self.incidents if one.kind is kind]
