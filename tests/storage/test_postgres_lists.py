"""Lists on PostgreSQL: the same rows whatever the pages, and no page looks at more than a bounded number of rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import asyncpg
import pytest

from anzol import ids
from anzol.clock import OwnedClock, from_micros
from anzol.lifecycle import Cause, Disabled, Outcome, State
from anzol.model import Delivery, Page
from anzol.storage.face import Selection
from anzol.storage.postgres import lists, read, search, tally
from anzol.storage.postgres.connections import learn_ids
from anzol.storage.postgres.queries import in_schema
from anzol.storage.postgres.work import Work
from anzol.storage.vault import Vault
from tests.contract.conftest import ENVIRONMENT, KEY, Scene
from tests.postgres import Server, running_postgres
from tests.storage import million
from tests.storage.stage import Stage

STATES = ((), (State.PENDING,), (State.EXHAUSTED,), (State.CANCELLED, State.PENDING), (State.DELIVERED,))
PLACES = ("", "customer", "endpoint", "message")


@dataclass(frozen=True, slots=True)
class History:
    """What was sent: messages with their fields, by id."""

    scene: Scene
    endpoints: list[str]
    messages: dict[str, dict[str, Any]]
    half: datetime

    def selection(self, place: str, states: tuple[State, ...], **others: Any) -> Selection:
        named: dict[str, Any] = {
            "": {},
            "customer": {"customer": "acme"},
            "endpoint": {"endpoint_id": self.endpoints[0]},
            "message": {"message_id": next(iter(self.messages))},
        }[place]
        return Selection(**named, states=states, **others)

    def fits(self, message: str, selection: Selection) -> bool:
        """Say whether a message is selected, but for its deliveries."""
        one = self.messages[message]
        return (
            selection.customer in (None, one["customer"])
            and selection.message_id in (None, message)
            and (not selection.event_types or one["event_type"] in selection.event_types)
            and (selection.channel is None or selection.channel in one["channels"])
            and (selection.tag is None or selection.tag in one["tags"])
            and (selection.since is None or one["at"] >= selection.since)
            and (selection.until is None or one["at"] < selection.until)
        )


def scene_of(stage: Stage) -> Scene:
    assert isinstance(stage.clock, OwnedClock)
    return Scene(stage.storage, stage.clock)


@pytest.fixture
async def history(stage: Stage) -> History:
    """Messages of two customers, to three endpoints each, in every state."""
    scene = scene_of(stage)
    endpoints = [(await scene.endpoint(customer)).id for customer in ("acme", "acme", "acme", "globex", "globex")]
    worker = await scene.worker()
    messages: dict[str, dict[str, Any]] = {}
    for number in range(24):
        fields = {"customer": "acme" if number % 3 else "globex", "event_type": "a" if number % 2 else "b"}
        tags = ("odd",) if number % 5 == 1 else ()
        channels = ("eu", "us") if number % 4 == 1 else ()
        sent = await scene.send(**fields, tags=tags, channels=channels)
        messages[sent] = {**fields, "tags": tags, "channels": channels, "at": from_micros(scene.now)}
        claims = (await worker.round(room=100)).claims
        causes = (Cause.ACCEPTED, Cause.GAVE_UP, None, Cause.WITHDRAWN)
        settled = []
        for place, claim in enumerate(sorted(claims, key=lambda claim: claim.endpoint_id)):
            cause = causes[(number + place) % 4]
            tried = scene.record() if cause is Cause.ACCEPTED else scene.record(Outcome.TIMEOUT, None)
            due_at = scene.now + 10**12 if cause is None else None
            settled.append(scene.result(claim, cause, due_at, 0, tried))
        await scene.storage.settle(worker.me, settled)
        scene.later(1)
    await scene.storage.disable_endpoint(ENVIRONMENT, endpoints[1], Disabled.BY_CUSTOMER)
    return History(scene, endpoints, messages, from_micros(scene.now - 12_000_000))


async def everything(call: Callable[..., Any], *given: Any, limit: int, **named: Any) -> list[Any]:
    """All pages of a list, one after the other; the other way round they hold the same."""
    newest = await pages(call, *given, limit=limit, **named)
    oldest = await pages(call, *given, limit=limit, oldest_first=True, **named)
    assert oldest == newest[::-1]
    return newest


async def pages(call: Callable[..., Any], *given: Any, limit: int, start: str | None = None, **named: Any) -> list[Any]:
    """All pages of a list behind a place, one after the other."""
    items: list[Any] = []
    after = start
    while True:
        page: Page[Any] = await call(ENVIRONMENT, *given, **named, after=after, limit=limit)
        assert len(page.items) <= limit
        items += page.items
        if page.next is None:
            return items
        assert page.next != after
        after = page.next


@pytest.fixture(params=["bounded", "many endpoints", "all at once"])
def bound(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How far a page looks, and what counts as few."""
    if request.param != "all at once":
        monkeypatch.setattr(search, "LEAST", 2)
        monkeypatch.setattr(search.search, "__defaults__", (7,))
        monkeypatch.setattr(lists, "SCANNED", 7)
    if request.param == "many endpoints":
        monkeypatch.setattr(lists, "FEW", 1)
    return str(request.param)


FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {"event_types": ("a", "c")},
    {"tag": "odd"},
    {"channel": "us"},
    {"since": 1},
    {"until": 1},
    {"status_class": 2},
    {"status_class": 0},
)


@pytest.mark.usefixtures("bound")
async def test_pages_hold_all_that_is_selected_once_and_in_order(history: History) -> None:
    storage = history.scene.storage
    whole = await everything(storage.deliveries, Selection(), limit=1000)
    tried = await everything(storage.attempts, Selection(), limit=1000)
    state_of = {(one.message_id, one.endpoint_id): one.state for one in whole}
    class_of = {(one.message_id, one.endpoint_id): (one.status or 0) // 100 for one in tried}
    assert len(state_of) == len(whole) == len(tried)

    for place, states, more in product(PLACES, STATES, FILTERS):
        others = {name: history.half if name in {"since", "until"} else value for name, value in more.items()}
        selection = history.selection(place, states, **others)

        def meant(key: tuple[str, str], chosen: Selection = selection) -> bool:
            return (
                history.fits(key[0], chosen)
                and chosen.endpoint_id in (None, key[1])
                and (not chosen.states or state_of[key] in chosen.states)
                and chosen.status_class in (None, class_of[key])
            )

        wanted = [one for one in whole if meant((one.message_id, one.endpoint_id))]
        assert await everything(storage.deliveries, selection, limit=3) == wanted, selection
        attempts = [one for one in tried if meant((one.message_id, one.endpoint_id))]
        assert await everything(storage.attempts, selection, limit=3) == attempts, selection
        messages = list(dict.fromkeys(one.message_id for one in wanted))
        assert [one.id for one in await everything(storage.messages, selection, limit=3)] == messages, selection


@pytest.mark.usefixtures("bound")
@pytest.mark.parametrize("kind", ["messages", "deliveries", "attempts"])
async def test_before_each_page_lies_what_came_before(history: History, kind: str) -> None:
    for place, states in product(PLACES, STATES):
        call = getattr(history.scene.storage, kind)
        selection = history.selection(place, states)
        seen: list[Any] = []
        after = None
        while True:
            page = await call(ENVIRONMENT, selection, after=after, limit=3)
            if page.items:
                before = await pages(call, selection, limit=4, oldest_first=True, start=page.first)
                assert before == seen[::-1], selection
            seen += page.items
            after = page.next
            if after is None:
                break


@pytest.mark.usefixtures("bound")
async def test_attempts_of_a_time_are_found_among_all(history: History) -> None:
    tried = await everything(history.scene.storage.attempts, Selection(), limit=1000)
    begin, end = history.half - timedelta(seconds=5), history.half + timedelta(seconds=5)

    for place in PLACES:
        selection = history.selection(place, ())
        chosen = await everything(history.scene.storage.attempts, selection, limit=1000)
        bounds = {"started_since": begin, "started_until": end}
        found = await everything(history.scene.storage.attempts, selection, **bounds, limit=4)
        assert found == [one for one in tried if begin <= one.started_at < end and one in chosen]


async def test_an_attempt_by_a_clock_that_is_behind_is_found_by_its_message(stage: Stage) -> None:
    scene = scene_of(stage)
    endpoint = await scene.endpoint()
    message = await scene.send()
    worker = await scene.worker()
    (claim,) = (await worker.round()).claims
    early = scene.now - 60_000_000
    tried = scene.record(id=ids.new(early), started_at=early)
    await scene.storage.settle(worker.me, [scene.result(claim, attempt=tried)])

    for selection in (Selection(message_id=message), Selection(endpoint_id=endpoint.id, message_id=message)):
        for oldest_first in (False, True):
            page = await scene.storage.attempts(ENVIRONMENT, selection, oldest_first=oldest_first)
            assert [one.id for one in page.items] == [ids.show(ids.ATTEMPT, tried.id)]


@pytest.mark.usefixtures("bound")
async def test_attempts_that_failed_are_found_among_all(history: History) -> None:
    tried = await everything(history.scene.storage.attempts, Selection(), limit=1000)

    for place in PLACES:
        selection = history.selection(place, ())
        found = await everything(history.scene.storage.attempts, selection, outcomes=(Outcome.TIMEOUT,), limit=4)
        chosen = await everything(history.scene.storage.attempts, selection, limit=1000)
        assert found == [one for one in tried if one.outcome is Outcome.TIMEOUT and one in chosen]


async def test_a_message_without_deliveries_is_no_end(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "LEAST", 2)
    scene = scene_of(stage)
    await scene.endpoint(event_types=("wanted",))
    first = await scene.send(event_type="wanted")
    for _ in range(20):
        await scene.send(event_type="nobody's")
    await (await scene.worker()).round()

    found = await everything(scene.storage.deliveries, Selection(customer="acme"), limit=1)

    assert [one.message_id for one in found] == [first]


# --- much


@pytest.fixture(scope="module")
def much() -> Iterator[Server]:
    """A database of 200,000 messages; a tenth of a percent was not delivered."""
    rows = 200_000
    with running_postgres(autovacuum="off", fsync="off") as server:
        million.make(server, "million")
        million.settle(server, "million")
        million.fill(server, "million", rows, indexes_last=True)
        undelivered = in_schema(
            "update anzol.delivery set state = 2, cause = 2 where ctid = any(array("
            "select ctid from anzol.delivery order by message_id offset 100 limit 200));"
            "update anzol.attempt set outcome = 8 where ctid = any(array("
            "select ctid from anzol.attempt order by id offset 100 limit 200))",
            "million",
        )
        server.execute(undelivered)
        server.execute("analyze")
        yield server


@pytest.fixture
async def looking(much: Server) -> AsyncIterator[Work]:
    connection = await asyncpg.connect(much.uri(), server_settings={"jit": "off"})
    await learn_ids(connection)
    await connection.execute("begin isolation level repeatable read, read only")
    yield Work(connection, "million", million.START + 10**12, Vault([KEY]))
    await connection.close()


async def rows_read(work: Work) -> int:
    """Rows that this transaction has got from tables, by whatever way."""
    asked = "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) from pg_stat_xact_user_tables"
    return int(await work.connection.fetchval(asked))


SELECTIONS: dict[str, dict[str, Any]] = {
    "everything": {},
    "a customer": {"customer": "c7"},
    "an event type that there is not": {"event_types": ("none",)},
    "an event type of a customer": {"customer": "c7", "event_types": ("none",)},
    "a tag": {"tag": "none"},
    "a channel": {"channel": "none"},
    "an answer that there is not": {"status_class": 3},
    "an answer of a customer": {"customer": "c7", "status_class": 3},
    "an answer to what waits": {"states": (State.PENDING,), "status_class": 3},
    "what waits": {"states": (State.PENDING,)},
    "what was not delivered": {"states": (State.EXHAUSTED,)},
    "what was not delivered to a customer": {"states": (State.EXHAUSTED,), "customer": "c7"},
    "what was delivered": {"states": (State.DELIVERED,)},
    "long ago": {"until": from_micros(million.START + 1000 * million.STEP)},
    "just now": {"since": from_micros(million.START + 199_990 * million.STEP)},
}
BOUND = 5 * search.SCANNED  # a key, its message and what else is asked of it


async def look(work: Work, what: str, environment: str, selection: Selection, oldest_first: bool) -> Page[Any]:
    """The first page of a list."""
    more = ((), (None, None)) if what == "attempts" else ()
    page: Page[Any] = await getattr(lists, what)(work, environment, selection, *more, None, 50, oldest_first)
    return page


@pytest.mark.parametrize("oldest_first", [False, True], ids=["newest", "oldest"])
@pytest.mark.parametrize("environment", [ENVIRONMENT, "sandbox"])
@pytest.mark.parametrize("what", ["messages", "deliveries", "attempts"])
@pytest.mark.parametrize("chosen", SELECTIONS)
async def test_a_page_looks_at_a_bounded_number_of_rows(
    looking: Work, what: str, environment: str, chosen: str, oldest_first: bool
) -> None:
    await look(looking, what, environment, Selection(**SELECTIONS[chosen]), oldest_first)

    assert await rows_read(looking) < BOUND


@pytest.mark.parametrize("oldest_first", [False, True], ids=["newest", "oldest"])
async def test_attempts_of_a_time_are_found_by_their_ids(looking: Work, oldest_first: bool) -> None:
    begin, end = (from_micros(million.START + place * million.STEP) for place in (70_000, 70_020))

    page = await lists.attempts(looking, ENVIRONMENT, Selection(), (), (begin, end), None, 50, oldest_first)

    while not page.items:  # the clock that made the ids may have been set back
        page = await lists.attempts(looking, ENVIRONMENT, Selection(), (), (begin, end), page.next, 50, oldest_first)
    assert len(page.items) == 20
    assert await rows_read(looking) < 2 * BOUND


TALLIED: dict[str, dict[str, Any]] = {"everything": {}, "a customer": {"customer": "c7"}, "an endpoint": {}}


@pytest.mark.parametrize("chosen", TALLIED)
async def test_a_tally_counts_the_newest_up_to_a_bound(
    looking: Work, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    monkeypatch.setattr(tally, "COUNTED", 50)
    span: dict[str, Any] = {"since": from_micros(million.START), "until": from_micros(million.START + 10**12)}
    if chosen == "an endpoint":
        span["endpoint_id"] = await an_endpoint(looking)

    found = await tally.deliveries(looking, ENVIRONMENT, Selection(**span, **TALLIED[chosen]))

    kinds = 2 if chosen == "an endpoint" else 1  # those that wait are counted apart
    assert 10 <= found.success + found.pending + found.sending + found.fail + found.cancelled <= 50 * kinds
    assert await rows_read(looking) < 50 * 10


async def test_a_tally_of_attempts_counts_the_newest_up_to_a_bound(
    looking: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "COUNTED", 5)
    begin, end = from_micros(million.START), from_micros(million.START + 10**12)

    found = await tally.attempts(looking, ENVIRONMENT, await an_endpoint(looking), begin, end)

    assert found.success + found.fail == 5
    assert await rows_read(looking) < 5 * 10


async def an_endpoint(work: Work) -> str:
    """Any endpoint that was sent something."""
    asked = in_schema("select endpoint_id from anzol.delivery order by message_id limit 1", "million")
    return ids.show(ids.ENDPOINT, await work.connection.fetchval(asked))


@pytest.mark.parametrize("oldest_first", [False, True], ids=["newest", "oldest"])
@pytest.mark.parametrize("states", [(), (State.PENDING,), (State.EXHAUSTED, State.CANCELLED)])
@pytest.mark.parametrize("table", ["endpoint", "message"])
@pytest.mark.parametrize("what", ["messages", "deliveries", "attempts"])
async def test_a_page_of_what_is_named_looks_at_a_bounded_number_of_rows(
    looking: Work, what: str, table: str, states: tuple[State, ...], oldest_first: bool
) -> None:
    raw = await looking.connection.fetchval(in_schema(f"select id from anzol.{table} order by id limit 1", "million"))
    prefix = {"endpoint": ids.ENDPOINT, "message": ids.MESSAGE}[table]
    named: dict[str, Any] = {f"{table}_id": ids.show(prefix, raw)}

    await look(looking, what, ENVIRONMENT, Selection(**named, states=states), oldest_first)

    assert await rows_read(looking) < BOUND


@pytest.mark.parametrize("oldest_first", [False, True], ids=["newest", "oldest"])
async def test_the_few_that_were_not_delivered_are_one_page(looking: Work, oldest_first: bool) -> None:
    selection = Selection(states=(State.EXHAUSTED,))

    page = await lists.deliveries(looking, ENVIRONMENT, selection, None, 100, oldest_first)
    found: list[Delivery] = list(page.items)

    assert (len(found), {one.state for one in found}) == (100, {State.EXHAUSTED})


@pytest.mark.parametrize("environment", [ENVIRONMENT, "sandbox"])
async def test_what_waits_is_estimated_when_it_is_much(looking: Work, environment: str) -> None:
    status = await read.status(looking, environment)

    exactly = "select (select count(*) from anzol.pending), (select count(*) from anzol.accepted)"
    ((pending, accepted),) = await looking.connection.fetch(in_schema(exactly, "million"))
    if environment == "sandbox":
        assert (status.pending, status.accepted_waiting, status.oldest_due) == (0, 0, None)
    else:
        assert status.pending == pytest.approx(pending, rel=0.5)
        assert status.accepted_waiting == pytest.approx(accepted, rel=0.5)
        assert status.oldest_due is not None
    assert status.in_flight == (400 if environment == ENVIRONMENT else 0)


async def test_a_status_looks_at_a_bounded_number_of_rows(looking: Work) -> None:
    before = await rows_read(looking)

    await read.status(looking, ENVIRONMENT)

    endpoints = 2 * million.ENDPOINTS  # with their lanes
    assert await rows_read(looking) - before < endpoints + 20 * read.COUNTED
