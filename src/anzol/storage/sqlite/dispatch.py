"""One round of a dispatcher: release, take, fan out, clear touches, look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from anzol.grants import share
from anzol.storage.backlogs import Backlogs
from anzol.storage.face import Claim, Content, Dispatched, Grant, Order, Profile
from anzol.storage.pages import Pages
from anzol.storage.placing import Placing
from anzol.storage.rows import profile_of
from anzol.storage.sqlite.fanout import claimed_rows, fan_out
from anzol.storage.sqlite.work import Work, encode, give_back

IN_FLIGHT: Final = 1  # on FIFO lanes: the one before has not ended
MORE: Final = 2  # on FIFO lanes: others wait behind the first
LARGE: Final = 64 * 1024  # bytes of a body that is read by itself, not as hexadecimal among others


@dataclass(slots=True)
class Memory:
    """What one process keeps between rounds: endpoints' numbers never change; whose turn fan-out is."""

    seqs: dict[bytes, int] = field(default_factory=dict)
    ids: dict[int, bytes] = field(default_factory=dict)
    after: bytes = b""
    pages: Pages = field(default_factory=Pages)
    backlogs: Backlogs[int] = field(default_factory=Backlogs)

    def learn(self, rows: Iterable[tuple[int, bytes]]) -> None:
        """Remember endpoints; only of committed rows."""
        for seq, raw in rows:
            self.seqs[raw] = seq
            self.ids[seq] = raw


def alive(work: Work, me: int) -> bool:
    """Say whether a worker's lease still holds; one that ends further ahead than two terms does not count."""
    return work.one("worker_alive", me=me, now=work.now) is not None


def dispatch(work: Work, me: int, order: Order, memory: Memory) -> Dispatched:
    """Do one round of a dispatcher."""
    if not alive(work, me):
        return Dispatched(lost=True)
    know(work, memory, (*order.release, *order.rooms, *order.look))
    release(work, me, [memory.seqs[raw] for raw in order.release if raw in memory.seqs])
    rooms = {memory.seqs[raw]: room for raw, room in order.rooms.items() if raw in memory.seqs}
    taken = take(work, me, order.take)
    rooms |= dict.fromkeys(taken, order.new_room)
    placing, fanned_out, fresh = expand(work, me, order, rooms, order.take - len(taken), memory)
    taken += placing.taken
    touched = clear_touches(work, me)
    asked = {memory.seqs[raw] for raw in order.look if raw in memory.seqs}
    found, behind = look(work, me, rooms, asked | placing.look | set(touched) | set(taken))
    know_seqs(work, memory, {endpoint for _, endpoint, *_ in (*fresh, *found)} | behind | set(taken))
    next_turn_at, backlog = ahead(work, me)
    return Dispatched(
        claims=fresh_claims(work, fresh, memory) + found_claims(work, found, memory),
        profiles=profiles(work, {*touched, *taken}),
        behind=frozenset(memory.ids[seq] for seq in behind),
        next_turn_at=next_turn_at,
        waiting=backlog,
        fanned_out=fanned_out,
        grants=grant(work, me, order.wants),
    )


def know(work: Work, memory: Memory, endpoints: Iterable[bytes]) -> None:
    """Learn the numbers of endpoints that were never met."""
    unknown = [(raw,) for raw in {*endpoints} if raw not in memory.seqs]
    memory.learn((seq, bytes.fromhex(shown)) for seq, shown in work.gathered_for("endpoint_seqs", unknown))


def know_seqs(work: Work, memory: Memory, seqs: Iterable[int]) -> None:
    """Learn the ids of endpoints that were never met."""
    unknown = [seq for seq in seqs if seq not in memory.ids]
    if unknown:
        memory.learn((seq, bytes.fromhex(shown)) for seq, shown in work.gathered("endpoint_ids", seqs=encode(unknown)))


def release(work: Work, me: int, lanes: Sequence[int]) -> None:
    """Give lanes back; they are due when their next delivery is, and not before now: at the tail, not at the head."""
    if lanes:
        work.run("lanes_unclaim", me=me, lanes=encode(lanes))
        give_back(work, me, lanes)


def take(work: Work, me: int, most: int) -> list[int]:
    """Take free lanes whose turn it is, the longest waiting first."""
    lanes = work.gathered("lanes_due", most=most, now=work.now) if most > 0 else []
    if lanes:
        work.run("lanes_hold", me=me, lanes=encode(lanes))
    return lanes


def expand(
    work: Work, me: int, order: Order, rooms: dict[int, int], take: int, memory: Memory
) -> tuple[Placing[int], int, list[Any]]:
    """Fan out; return what was decided, how many outbox rows, and what was claimed as it was made."""
    if order.fan_out < 1:
        return Placing[int](me, work.now, rooms, 0, 0), 0, []
    placing, fanned_out, memory.after = fan_out(
        work, me, order, rooms, take, memory.after, memory.pages, memory.backlogs
    )
    return placing, fanned_out, claimed_rows(placing, work.number_given("anzol_pending", len(placing.rows)))


def clear_touches(work: Work, me: int) -> list[int]:
    """Clear the touches of held lanes, and return these: what was written before is looked at after."""
    touched = work.gathered("lanes_touched", me=me, now=work.now)
    if touched:
        work.run("lanes_hold", me=me, lanes=encode(touched))
    return touched


def look(work: Work, me: int, rooms: Mapping[int, int], lanes: Iterable[int]) -> tuple[list[Any], set[int]]:
    """Claim what is due in held lanes, as far as there is room; return the claims, and which lanes have more."""
    by_room: dict[int, list[int]] = {}
    for lane in lanes:
        by_room.setdefault(rooms.get(lane, 0), []).append(lane)
    claimed: list[Any] = []
    behind: set[int] = set()
    for room, alike in by_room.items():
        # One more than there is room for: whether there is more.
        due = work.gathered("pending_due", me=me, lanes=encode(alike), most=room + 1, now=work.now)
        due += work.gathered("pending_due_fifo", me=me, lanes=encode(alike), now=work.now)
        counts: dict[int, int] = {}
        for row in sorted(due, key=lambda row: (row[2], row[0])):
            fifo, endpoint = row.pop(), row[1]
            counts[endpoint] = counts.get(endpoint, 0) + 1
            claimable = counts[endpoint] <= room and not fifo & IN_FLIGHT
            if claimable:
                claimed.append(row)
            if not claimable or fifo & MORE:
                behind.add(endpoint)
    if claimed:
        work.run("pending_claim", me=me, claims=encode([row[0] for row in claimed]))
    return claimed, behind


def grant(work: Work, me: int, wants: Mapping[bytes, int]) -> list[Grant]:
    """Grant starts of customers that have a throttle, each out of its one row."""
    granted = []
    for shown, rate, until, to in work.gathered_for("customers_throttled", [(one,) for one in wants]):
        customer = bytes.fromhex(shown)
        slots = share(rate, until, now=work.now, wanted=wants[customer], again=to == me)
        if slots.count:
            work.run("customer_granted", id=customer, until=slots.next_at, me=me)
        granted.append(Grant(customer, slots.first, slots.gap, slots.count, slots.again_at))
    return granted


def ahead(work: Work, me: int) -> tuple[int | None, bool]:
    """Return when the next lane is due, and whether anything waits already."""
    row = work.one("ahead", me=me)
    assert row is not None
    next_turn_at, outbox = row
    return next_turn_at, bool(outbox) or (next_turn_at is not None and next_turn_at <= work.now)


def fresh_claims(work: Work, rows: Sequence[Any], memory: Memory) -> list[Claim]:
    """Return claims made by fan-out: nothing was tried yet."""
    contents = contents_of(work, {row[2] for row in rows})
    return [
        Claim(pending, memory.ids[endpoint], 0, 0, due_at, False, contents[message])
        for pending, endpoint, message, due_at in rows
    ]


def found_claims(work: Work, rows: Sequence[Any], memory: Memory) -> list[Claim]:
    """Return claims found by looking."""
    contents = contents_of(work, {row[3] for row in rows})
    return [
        Claim(pending, memory.ids[endpoint], attempt, step, due_at, bool(manual), contents[message])
        for pending, endpoint, due_at, message, attempt, step, manual in rows
    ]


def contents_of(work: Work, messages: Iterable[int]) -> dict[int, Content]:
    """Return what goes on the wire, remembered or read."""
    found: dict[int, Content] = {}
    missing: list[int] = []
    for message in messages:
        content = work.content(message)
        if content is None:
            missing.append(message)
        else:
            found[message] = content
    for start in range(0, len(missing), 200):
        found |= read_contents(work, missing[start : start + 200])
    return found


def read_contents(work: Work, messages: Sequence[int]) -> dict[int, Content]:
    """Read contents as one JSON text; large bodies each by itself."""
    found = {}
    for row in work.gathered("contents", messages=encode(messages), large=LARGE):
        seq, shown, event_type, method, content_type, headers, query, created_at, body = row
        raw = work.the("body", "message", seq=seq)[0] if body is None else bytes.fromhex(body)
        pairs = tuple((name, value) for name, value in headers)
        found[seq] = Content(
            bytes.fromhex(shown), event_type, method, content_type, pairs, query, raw or b"", created_at
        )
    return found


def profiles(work: Work, lanes: Iterable[int]) -> list[Profile]:
    """Read what holders must know of their lanes' endpoints."""
    wanted = list(lanes)
    if not wanted:
        return []
    return [profile_of(row, work.vault) for row in work.gathered("profiles", lanes=encode(wanted), now=work.now)]


def profiles_of(work: Work, endpoints: Sequence[bytes]) -> list[Profile]:
    """Read the profiles of endpoints."""
    return profiles(work, [seq for seq, _ in work.gathered_for("endpoint_seqs", [(raw,) for raw in endpoints])])


def held(work: Work) -> dict[int, int]:
    """Return how many lanes each live worker holds."""
    return dict(work.all("lanes_shared", now=work.now))


def undo(work: Work, me: int, claims: Sequence[int], endpoints: Sequence[bytes]) -> None:
    """Give back claims that nobody knows of, and the lanes in which nothing else is in flight."""
    lanes = [seq for seq, _ in work.gathered_for("endpoint_seqs", [(raw,) for raw in {*endpoints}])]
    work.run("pending_unclaim", me=me, claims=encode(list(claims)))
    idle = work.gathered("lanes_idle", me=me, lanes=encode(lanes))
    work.run("lanes_look", lanes=encode(lanes), now=work.now)
    give_back(work, me, idle)
    work.nudging = True
