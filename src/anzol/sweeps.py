"""Changes to many deliveries, and counts over many messages, done page by page: what each kind needs, how it goes on.

A scope is JSON, so that it can be kept: times as ISO 8601, states by name. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from anzol import ids
from anzol.errors import InvalidValue
from anzol.lifecycle import State, SweepState
from anzol.model import UNNAMED
from anzol.storage.books import NewSweep
from anzol.storage.face import Progress, Selection

RECOVER: Final = "recover"  # resend what was given up
REPLAY_MISSING: Final = "replay-missing"  # make the deliveries that an endpoint would have had
BULK_REPLAY: Final = "bulk-replay"  # resend whatever has ended
CANCEL: Final = "cancel"
APP_STATS: Final = "stats.app"
EVENT_TYPE_STATS: Final = "stats.event-types"

SELECTED: Final = frozenset({"since", "until", "states", "event_types", "channel", "tag", "status_class", "message_id"})
NEEDS: Final[Mapping[str, frozenset[str]]] = {
    RECOVER: SELECTED,
    REPLAY_MISSING: frozenset({"since", "until"}),
    BULK_REPLAY: SELECTED,
    CANCEL: SELECTED - {"states", "status_class"},
    APP_STATS: frozenset({"since", "until", "customers"}),
    EVENT_TYPE_STATS: frozenset({"since", "until"}),
}  # what the scope of each kind may hold
OF_AN_ENDPOINT: Final = frozenset({REPLAY_MISSING, BULK_REPLAY})
COUNTS: Final = frozenset({APP_STATS, EVENT_TYPE_STATS})
GIVEN_UP: Final = (State.EXHAUSTED,)
TIMES: Final = ("since", "until")
LISTS: Final = ("states", "event_types", "customers")
TEXTS: Final = ("channel", "tag", "message_id")
CLASSES: Final = range(6)  # of status codes; 0: no answer
MOST: Final = 1000  # names in a list
MICRO: Final = timedelta(microseconds=1)


# --- scopes ---------------------------------------------------------------------------------------------------------


def scope_of(selection: Selection, customers: Sequence[str] = ()) -> dict[str, Any]:
    """Write a selection, without its customer and endpoint, as the scope of a sweep; *customers* are uids."""
    known: dict[str, Any] = {
        "since": None if selection.since is None else shown(selection.since),
        "until": None if selection.until is None else shown(selection.until),
        "states": [state.name.lower() for state in selection.states],
        "event_types": list(selection.event_types),
        "channel": selection.channel,
        "tag": selection.tag,
        "status_class": selection.status_class,
        "message_id": selection.message_id,
        "customers": list(customers),
    }
    return {name: value for name, value in known.items() if value is not None and value != []}


def selection_of(scope: Mapping[str, Any], customer: str | None, endpoint_id: str | None) -> Selection:
    """Read what `scope_of` wrote."""
    return Selection(
        customer=customer,
        endpoint_id=endpoint_id,
        message_id=scope.get("message_id"),
        event_types=tuple(scope.get("event_types", ())),
        states=tuple(State[name.upper()] for name in scope.get("states", ())),
        since=time_of(scope, "since"),
        until=time_of(scope, "until"),
        tag=scope.get("tag"),
        channel=scope.get("channel"),
        status_class=scope.get("status_class"),
    )


def shown(when: datetime) -> str:
    """Write a time as ISO 8601 in UTC."""
    return when.astimezone(UTC).isoformat()


def time_of(scope: Mapping[str, Any], name: str) -> datetime | None:
    """Read a time of a scope; None: it names none."""
    text = scope.get(name)
    return None if text is None else datetime.fromisoformat(text)


def begun(sweep: NewSweep, now: datetime) -> dict[str, Any]:
    """Return the scope that a sweep is stored with: whole, and bounded by the time at which it begins.

    What is sent, or ends, while it goes on is not part of it.

    Raises:
        InvalidValue: the kind is none, or the scope is not one of this kind.
    """
    check(sweep)
    scope = {name: value for name, value in sweep.scope.items() if value is not None and value != []}
    scope.setdefault("until", shown(now + MICRO))
    if sweep.kind == RECOVER:
        scope.setdefault("states", [state.name.lower() for state in GIVEN_UP])
    return scope


def check(sweep: NewSweep) -> None:
    """Refuse what no worker could do.

    Raises:
        InvalidValue: the kind is none, or the scope is not one of this kind.
    """
    known = NEEDS.get(sweep.kind)
    if known is None:
        raise InvalidValue(f"{sweep.kind!r} is no kind of sweep.", field="kind", do=f"There are: {', '.join(NEEDS)}.")
    if sweep.kind in OF_AN_ENDPOINT and sweep.endpoint_id is None:
        raise InvalidValue(f"{sweep.kind!r} is of one endpoint, and none is named.", field="endpoint_id")
    for name, value in sweep.scope.items():
        if name not in known:
            do = f"It may have: {', '.join(sorted(known))}."
            raise InvalidValue(f"The scope of {sweep.kind!r} has no {name!r}.", field=name, do=do)
        if value is not None:
            check_part(name, value)
    since, until = (time_of(sweep.scope, name) for name in TIMES)
    if since is not None and until is not None and since >= until:
        raise InvalidValue("The time that it begins with is not before the one that it ends with.", field="until")


def check_part(name: str, value: Any) -> None:
    """Refuse a part of a scope that is not what it should be.

    Raises:
        InvalidValue: it says which.
    """
    if name in TIMES:
        check_time(name, value)
    elif name in LISTS:
        check_list(name, value)
    elif name in TEXTS and not (isinstance(value, str) and value):
        raise InvalidValue(f"{name!r} is not a text: {value!r}.", field=name)
    elif name == "status_class" and (type(value) is not int or value not in CLASSES):
        raise InvalidValue(f"{value!r} is no class of status codes.", field=name, do="Take 2 for 2xx, 0 for no answer.")


def check_time(name: str, value: Any) -> None:
    """Refuse what is no time with a zone."""
    try:
        zoned = datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError) as cause:
        do = "One looks like 2026-01-31T09:30:00Z."
        raise InvalidValue(f"{value!r} is not a time.", field=name, do=do) from cause
    if not zoned:
        raise InvalidValue(f"The time {value!r} is of no zone.", field=name, do="Write Z behind it if it is UTC.")


def check_list(name: str, value: Any) -> None:
    """Refuse what is no list of names, or names a state that is none."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value):
        raise InvalidValue(f"{name!r} is not a list of texts: {value!r}.", field=name)
    if len(value) > MOST:
        raise InvalidValue(f"{name!r} has {len(value):,} entries, and {MOST:,} is the most.", field=name)
    states = [state.name.lower() for state in State]
    if name == "states" and not set(value) <= set(states):
        raise InvalidValue(f"{value!r} names a state that is none.", field=name, do=f"There are: {', '.join(states)}.")


# --- pages ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Running:
    """A sweep between two pages: ``place`` is where its next page begins (None: with the first)."""

    environment: str
    kind: str
    customer: str | None
    endpoint_id: str | None
    scope: Mapping[str, Any]
    place: str | None
    result: Mapping[str, Any]

    @property
    def selection(self) -> Selection:
        return selection_of(self.scope, self.customer, self.endpoint_id)

    @property
    def span(self) -> tuple[datetime | None, datetime | None]:
        """The times that bound it; see `anzol.storage.face.Selection`."""
        return time_of(self.scope, "since"), time_of(self.scope, "until")


@dataclass(frozen=True, slots=True)
class Step:
    """What one page came to; it goes on at ``place``, unless it has ended."""

    changed: int = 0
    place: str | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    state: SweepState = SweepState.RUNNING
    error: str = ""


def after_page(sweep: Running, progress: Progress) -> Step:
    """Return how a sweep stands after a page of changes."""
    state = SweepState.FINISHED if progress.next is None else SweepState.RUNNING
    return Step(progress.changed, progress.next, sweep.result, state)


def failed(sweep: Running, why: str) -> Step:
    """Return how a sweep stands whose page cannot be done, now or later."""
    return Step(0, sweep.place, {}, SweepState.FAILED, why)


# --- counts ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Counted:
    """How many messages of one event type a customer (id in hexadecimal) was sent, and their deliveries."""

    customer: str
    event_type: str
    messages: int
    deliveries: int


@dataclass(frozen=True, slots=True)
class Subscribed:
    """What one endpoint of a customer (id in hexadecimal) is subscribed to; no event types: all of them."""

    customer: str
    event_types: tuple[str, ...]


# What is found so far, as it is kept between pages: ``apps``: [messages, deliveries] by customer; ``types``: messages
# by event type; ``wanted``: event types by customer, and ``all``: customers with an endpoint that wants all of them.


def with_counts(sweep: Running, page: Iterable[Counted]) -> dict[str, Any]:
    """Add a page of counts to what was found before."""
    apps = {customer: list(counts) for customer, counts in sweep.result.get("apps", {}).items()}
    types = dict(sweep.result.get("types", {}))
    for one in page:
        before = apps.get(one.customer, [0, 0])
        apps[one.customer] = [before[0] + one.messages, before[1] + one.deliveries]
        types[one.event_type] = types.get(one.event_type, 0) + one.messages
    return {"apps": apps} if sweep.kind == APP_STATS else {"types": types}


def with_subscribed(sweep: Running, page: Iterable[Subscribed]) -> dict[str, Any]:
    """Add a page of subscriptions to what was found before."""
    wanted = {customer: set(names) for customer, names in sweep.result.get("wanted", {}).items()}
    everything = set(sweep.result.get("all", ()))
    for one in page:
        wanted.setdefault(one.customer, set()).update(one.event_types)
        if not one.event_types:
            everything.add(one.customer)
    kept = {customer: sorted(names) for customer, names in wanted.items()}
    return {**sweep.result, "wanted": kept, "all": sorted(everything)}


def app_stats(found: Mapping[str, Any], named: Mapping[str, str]) -> dict[str, Any]:
    """Return the result of ``stats.app``; *named* are the uids of customers by their ids in hexadecimal."""
    apps = {**dict.fromkeys(named, (0, 0)), **found.get("apps", {})}
    return {
        "appStats": [
            {**identity(customer, named), "messages": messages, "messageDestinations": deliveries}
            for customer, (messages, deliveries) in sorted(apps.items())
        ]
    }


def event_type_stats(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of ``stats.event-types``."""
    everything = set(found.get("all", ()))
    return {
        "counts": dict(sorted(found.get("types", {}).items())),
        "event_types": [
            {
                "appId": ids.show(ids.CUSTOMER, bytes.fromhex(customer)),
                "explicitlySubscribedEventTypes": names,
                "hasCatchAllEndpoint": customer in everything,
            }
            for customer, names in sorted(found.get("wanted", {}).items())
        ],
    }


def identity(customer: str, named: Mapping[str, str]) -> dict[str, str | None]:
    """Return who a customer is in the words of the REST dialect; one that nobody named has no uid."""
    uid = named.get(customer)
    nobodys = uid is None or uid.startswith(UNNAMED)
    return {"appId": ids.show(ids.CUSTOMER, bytes.fromhex(customer)), "appUid": None if nobodys else uid}
