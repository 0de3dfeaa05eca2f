"""Lists of messages, deliveries and attempts, whatever is selected: which index leads to the keys, then their rows.

Each goes either way, and a page's cursors are keys: so they are places for both ways.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from anzol import ids
from anzol.clock import to_micros
from anzol.lifecycle import Outcome, State
from anzol.model import Attempt, Delivery, Page, StoredMessage
from anzol.storage import rows
from anzol.storage.face import Selection
from anzol.storage.postgres.read import customer_id_of, endpoint_key, message_key, read_cursor, write_cursor
from anzol.storage.postgres.search import (
    FIRST,
    LAST,
    NEWEST_FIRST,
    SCANNED,
    Key,
    Source,
    Stretch,
    Way,
    cut,
    merged,
    search,
)
from anzol.storage.postgres.texts import refuse_nul
from anzol.storage.postgres.work import Work

FEW: Final = 500  # endpoints that are looked into side by side
ROUNDS: Final = 5  # searches for one page of messages, if their deliveries are many
EARLIER: Final = 3_600_000_000  # microseconds by which a message's id may be older, or newer, than its acceptance
SET_BACK: Final = 2_000 * ids.SET_BACK  # as much for attempts: theirs are of the clock that said when they began
UNDELIVERED: Final = frozenset({State.EXHAUSTED, State.CANCELLED})
# How an attempt was answered: the first figure of its status, 0 if it has none. With an offset it is asked for one row
# after another; without, of all the attempts that there are at once.
DELIVERY_ANSWERED: Final = """exists (
       select from anzol.attempt a
        where a.message_id = x.message_id and a.endpoint_id = x.endpoint_id
          and coalesce(a.status / 100, 0) = :status_class offset 0)"""
MESSAGE_ANSWERED: Final = """exists (
       select from anzol.attempt a
        where a.message_id = m.id and coalesce(a.status / 100, 0) = :status_class offset 0)"""
ATTEMPT_ANSWERED: Final = "coalesce(x.status / 100, 0) = :status_class"


@dataclass(slots=True)
class Filter:
    """A selection as conditions on ``m`` (message) and ``x`` (pending, delivery or attempt), their values, and bounds.

    ``first`` and ``last`` are the least and the greatest id that a selected message may have.
    """

    selection: Selection
    conditions: list[str] = field(default_factory=lambda: ["m.environment = :environment"])
    values: dict[str, Any] = field(default_factory=dict)
    first: bytes = FIRST
    last: bytes = LAST
    way: Way = NEWEST_FIRST

    @property
    def begin(self) -> bytes:
        """The first id that may be meant, on the list's way."""
        return self.first if self.way.oldest_first else self.last

    @property
    def through(self) -> bytes:
        """The last id that may be meant, on the list's way."""
        return self.last if self.way.oldest_first else self.first

    def add(self, condition: str, **value: object) -> None:
        self.conditions.append(condition)
        self.values |= value

    def source(self, query: str, *conditions: str, width: int = 2, groups: int = 0, **values: object) -> Source:
        """Return a query for what is selected."""
        given = {**self.values, "through": self.through, **values}
        return Source(query, [*self.conditions, *conditions], given, width, groups, self.way)


async def filter_of(
    work: Work,
    environment: str,
    selection: Selection,
    *,
    way: Way = NEWEST_FIRST,
    answered: str = DELIVERY_ANSWERED,
) -> Filter:
    """Return the conditions of a selection, but for its states.

    Args:
        answered: The condition of a class of statuses.

    Raises:
        NotFound: it names a message or endpoint that is not there.
    """
    refuse_nul(
        customer=selection.customer, event_types=selection.event_types, channel=selection.channel, tag=selection.tag
    )
    found = Filter(selection, values={"environment": environment}, way=way)
    await name_things(work, environment, found)
    if selection.event_types:
        found.add("m.event_type = any(:event_types::text[])", event_types=list(selection.event_types))
    if selection.channel is not None:
        found.add(":channel = any(m.channels)", channel=selection.channel)
    if selection.tag is not None:
        found.add(":tag = any(m.tags)", tag=selection.tag)
    if selection.status_class is not None:
        found.add(answered, status_class=selection.status_class)
    bound_times(found, selection)
    return found


async def name_things(work: Work, environment: str, found: Filter) -> None:
    """Add the customer, message and endpoint of a selection."""
    selection = found.selection
    if selection.customer is not None:
        customer_id = await customer_id_of(work, environment, selection.customer)
        found.add("m.customer_id = :customer_id", customer_id=customer_id)
    if selection.message_id is not None:
        found.first = found.last = await message_key(work, environment, selection.message_id)
        found.add("m.id = :message", message=found.first)
    if selection.endpoint_id is not None:
        endpoint = await endpoint_key(work, environment, selection.endpoint_id)
        found.add("x.endpoint_id = :endpoint", endpoint=endpoint)


def bound_times(found: Filter, selection: Selection) -> None:
    """Add the times of a selection; ids are as old as messages, or nearly."""
    if selection.since is not None:
        since = to_micros(selection.since)
        found.add("m.created_at >= :since", since=since)
        found.first = max(found.first, ids.first_at(max(0, since - EARLIER)))
    if selection.until is not None:
        until = to_micros(selection.until)
        found.add("m.created_at < :until", until=until)
        found.last = min(found.last, ids.first_at(max(0, until + EARLIER)))


def in_states(states: Sequence[State]) -> str:
    """Return the condition that a delivery is in one of these states."""
    return f"x.state in ({', '.join(str(int(state)) for state in states)})"


async def few_endpoints(work: Work, environment: str, found: Filter) -> list[bytes] | None:
    """Return the endpoints of the selected customer, or of the environment; None if they are many."""
    conditions = [] if found.selection.customer is None else ["e.customer_id = :customer_id"]
    values = {**found.values, "environment": environment, "most": FEW + 1}
    endpoints = [row[0] for row in await work.listed("endpoints_of", conditions, **values)]
    return endpoints if len(endpoints) <= FEW else None


# --- messages


async def messages(
    work: Work, environment: str, selection: Selection, after: str | None, limit: int, oldest_first: bool
) -> Page[StoredMessage]:
    """List messages; of an endpoint or in certain states: those with such a delivery."""
    way = Way(oldest_first)
    (cursor,) = read_cursor(after, 1, way.start)
    plain = selection.endpoint_id is None and not selection.states
    answered = MESSAGE_ANSWERED if plain else DELIVERY_ANSWERED
    found = await filter_of(work, environment, selection, way=way, answered=answered)
    place = way.farther(cursor, way.before(found.begin))
    if plain:
        query = "messages_keys" if selection.customer is None else "messages_keys_of_customer"
        seen = await search(work, found.source(query, width=1), (place,), limit + 1)
    else:
        seen = await with_deliveries(work, environment, found, place, limit + 1)
    keys, next_key = cut(seen, limit)
    found_rows = await work.all("messages", messages=[key[0] for key in keys])
    return page_of([rows.message_of(row) for row in found_rows], keys, next_key)


def page_of(items: Sequence[Any], keys: Sequence[Key], next_key: Key | None) -> Page[Any]:
    """Return a page of items, each of which has its key."""
    places = (next_key, keys[0] if keys else None, keys[-1] if keys else None)
    return Page(tuple(items), *(None if place is None else write_cursor(*place) for place in places))


async def with_deliveries(work: Work, environment: str, found: Filter, after: bytes, most: int) -> Stretch:
    """Look for messages by their deliveries."""
    known: dict[bytes, None] = {}
    way = found.way
    place: Key = (after, way.end)
    rounds = 0
    while True:
        rounds += 1
        seen = await find_deliveries(work, environment, found, place, most)
        known.update(dict.fromkeys(key[0] for key in seen.keys))
        if seen.end is None:
            return listed(known, None)
        message, endpoint = seen.end
        whole = message in known or endpoint == way.end
        if len(known) >= most or len(seen.keys) < most or rounds >= ROUNDS:
            # Pages of messages end between two; one that was seen in part, and was not met yet, is looked at again.
            if whole:
                return listed(known, message)
            if way.comes_after(way.before(message), place[0]):
                return listed(known, way.before(message))
        place = (message, way.end) if whole else seen.end


def listed(messages: Iterable[bytes], end: bytes | None) -> Stretch:
    """Return messages that were found."""
    return Stretch([(one,) for one in messages], None if end is None else (end,))


# --- deliveries


async def deliveries(
    work: Work, environment: str, selection: Selection, after: str | None, limit: int, oldest_first: bool
) -> Page[Delivery]:
    """List deliveries, pending and ended, by message."""
    way = Way(oldest_first)
    message, endpoint = read_cursor(after, 2, way.start)
    found = await filter_of(work, environment, selection, way=way)
    place: Key = way.farther((message, endpoint), (found.begin, way.start))
    keys, next_key = cut(await find_deliveries(work, environment, found, place, limit + 1), limit)
    return page_of(await deliveries_of(work, keys), keys, next_key)


async def deliveries_of(work: Work, keys: Sequence[Key]) -> list[Delivery]:
    """Return deliveries by (message, endpoint)."""
    listed = await work.all("deliveries", messages=[key[0] for key in keys], endpoints=[key[1] for key in keys])
    return [rows.delivery_of(row) for row in listed]


async def find_deliveries(work: Work, environment: str, found: Filter, after: Key, most: int) -> Stretch:
    """Look for (message, endpoint) of deliveries."""
    selection, states = found.selection, frozenset(found.selection.states)
    if selection.endpoint_id is not None:
        return await find_in_endpoints(work, found, [found.values["endpoint"]], after, most)
    rare = bool(states) and states <= UNDELIVERED | {State.PENDING} and selection.message_id is None
    if rare and selection.customer is None:
        return await find_rare(work, found, after, most)
    if rare:
        endpoints = await few_endpoints(work, environment, found)
        if endpoints is not None:
            return await find_in_endpoints(work, found, endpoints, after, most)
    return await search(work, by_messages(found), after, most)


def by_messages(found: Filter) -> Source:
    """Return the search through all deliveries of messages, one message after another."""
    states = found.selection.states
    query = "deliveries_keys" if found.selection.customer is None else "deliveries_keys_of_customer"
    return found.source(query, *([in_states(states)] if states else []))


async def find_rare(work: Work, found: Filter, after: Key, most: int) -> Stretch:
    """Look for deliveries in states that are rare, in the order of all."""
    states = found.selection.states
    sources = [found.source("deliveries_keys_undelivered", state=int(state)) for state in UNDELIVERED & {*states}]
    if State.PENDING in states:
        sources.append(found.source("deliveries_keys_pending"))
    return merged(found.way, [await search(work, source, after, most) for source in sources])


async def find_in_endpoints(work: Work, found: Filter, endpoints: Sequence[bytes], after: Key, most: int) -> Stretch:
    """Look for deliveries of these endpoints."""
    states = frozenset(found.selection.states) or frozenset(State)
    given: dict[str, Any] = {"groups": len(endpoints), "endpoints": endpoints}
    seen = []
    if State.DELIVERED in states:
        ended = [] if states >= frozenset(State) else [in_states(sorted(states))]
        seen.append(
            await search(work, found.source("deliveries_keys_ended_of_endpoints", *ended, **given), after, most)
        )
    else:
        for state in states & UNDELIVERED:
            source = found.source("deliveries_keys_undelivered_of_endpoints", state=int(state), **given)
            seen.append(await search(work, source, after, most))
    if State.PENDING in states:
        seen.append(await find_pending(work, found, endpoints, after, most))
    return merged(found.way, seen)


async def find_pending(work: Work, found: Filter, endpoints: Sequence[bytes], after: Key, most: int) -> Stretch:
    """Look for pending deliveries of endpoints: among all of theirs, or if these are many, in the order of messages."""
    if found.selection.message_id is None:
        source = found.source("deliveries_keys_pending_of_endpoints", endpoints=endpoints)
        listed = await work.listed(source.query, source.conditions, **source.values, each=SCANNED)
        if len(listed) < SCANNED:
            meant = [tuple(key) for *key, is_meant in listed if is_meant]
            return Stretch([key for key in meant if found.way.comes_after(key, after)])
    if found.selection.customer is not None and found.selection.endpoint_id is None:
        pending = replace(found, selection=replace(found.selection, states=(State.PENDING,)))
        return await search(work, by_messages(pending), after, most)
    return await search(work, found.source("deliveries_keys_pending"), after, most)


# --- attempts


async def attempts(
    work: Work,
    environment: str,
    selection: Selection,
    outcomes: Sequence[Outcome],
    started: Sequence[datetime | None],
    after: str | None,
    limit: int,
    oldest_first: bool,
) -> Page[Attempt]:
    """List attempts, by the time of their ids; *started* is since when and until when."""
    way = Way(oldest_first)
    (cursor,) = read_cursor(after, 1, way.start)
    found = await filter_of(work, environment, selection, way=way, answered=ATTEMPT_ANSWERED)
    bound_starts(found, *started)
    if outcomes:
        found.add(f"x.outcome in ({', '.join(str(int(outcome)) for outcome in outcomes)})")
    if selection.states:
        found.add(state_condition(selection.states))
    source = await attempts_source(work, environment, found, outcomes)
    seen = await search(work, source, (way.farther(cursor, way.before(found.begin)),), limit + 1)
    keys, next_key = cut(merged(way, [Stretch([key[:1] for key in seen.keys], seen.end and seen.end[:1])]), limit)
    listed = await work.all("attempts", attempts=[key[0] for key in keys])
    return page_of([rows.attempt_of(row) for row in listed], keys, next_key)


def bound_starts(found: Filter, since: datetime | None, until: datetime | None) -> None:
    """Add when attempts began, and the bounds of their ids, in place of their messages'.

    An attempt's id is of another machine's clock than its message's.
    """
    found.last = LAST
    accepted = found.selection.since
    found.first = FIRST if accepted is None else ids.first_at(max(0, to_micros(accepted) - EARLIER))
    if since is not None:
        found.add("x.started_at >= :started_since", started_since=to_micros(since))
        found.first = max(found.first, ids.first_at(max(0, to_micros(since) - SET_BACK)))
    if until is not None:
        found.add("x.started_at < :started_until", started_until=to_micros(until))
        found.last = ids.first_at(max(0, to_micros(until) + SET_BACK))


def state_condition(states: Sequence[State]) -> str:
    """Return the condition that an attempt's delivery is in one of these states."""
    numbers = ", ".join(str(int(state)) for state in states)
    state = "(select d.state from anzol.delivery d where d.message_id = x.message_id and d.endpoint_id = x.endpoint_id)"
    return f"coalesce({state}, {int(State.PENDING)}) in ({numbers})"


async def attempts_source(work: Work, environment: str, found: Filter, outcomes: Sequence[Outcome]) -> Source:
    """Return the search that leads to the selected attempts."""
    selection = found.selection
    if selection.message_id is not None:
        return found.source("attempts_keys_of_message")
    endpoints: list[bytes] | None
    if selection.endpoint_id is not None:
        endpoints = [found.values["endpoint"]]
    else:
        endpoints = await few_endpoints(work, environment, found)
    if endpoints is not None:
        return found.source("attempts_keys_of_endpoints", groups=len(endpoints), endpoints=endpoints)
    failed = (outcomes and Outcome.OK not in outcomes) or selection.status_class not in (None, 2)
    return found.source("attempts_keys_failed" if failed else "attempts_keys")
