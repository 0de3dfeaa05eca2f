"""Lists both ways, what they may be narrowed to, finding one thing by either of its names, and counting."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from anzol import ids
from anzol.clock import from_micros
from anzol.errors import InvalidValue, NotFound
from anzol.lifecycle import Cause, Outcome, State
from anzol.model import OPERATIONAL, Attempt, Customer, Delivery, Endpoint, Page, StoredMessage, Tally
from anzol.storage.face import EndpointChanges, Selection
from tests.contract.conftest import ENVIRONMENT, SECOND, Scene, Worker, raw

List = Callable[..., Awaitable[Page[Any]]]
MANY = 600
NOBODY = "ep_" + "0" * 22


def name_of(item: Any) -> object:
    """What tells an item from the others of its list."""
    return (item.message_id, item.endpoint_id) if isinstance(item, Delivery) else item.id


async def walk(listed: List, limit: int, **named: Any) -> list[Page[Any]]:
    """Every page of a list, from one end to the other."""
    found: list[Page[Any]] = []
    after = named.pop("after", None)
    while not found or found[-1].next is not None:
        page = await listed(limit=limit, after=after, **named)
        assert len(page.items) <= limit
        assert after is None or page.next != after
        found.append(page)
        after = page.next
    return found


def items_of(found: list[Page[Any]]) -> list[Any]:
    return [item for page in found for item in page.items]


async def whole(listed: List, limit: int = 50) -> list[Any]:
    """All items of a list, newest first; the other way round they are the same."""
    newest = items_of(await walk(listed, limit))
    oldest = items_of(await walk(listed, limit, oldest_first=True))
    assert oldest == newest[::-1]
    return newest


async def goes_both_ways(listed: List, limit: int) -> list[Any]:
    """Walk from either end, look behind at every page; return the items, newest first."""
    newest = await whole(listed, limit)
    for oldest_first in (False, True):
        items = newest[::-1] if oldest_first else newest
        place = 0
        for page in await walk(listed, limit, oldest_first=oldest_first):
            behind = place + len(page.items)
            assert list(page.items) == items[place:behind]
            await is_between(partial(listed, limit=limit), page, items[:place], items[behind:], oldest_first)
            place = behind
    assert len({name_of(item) for item in newest}) == len(newest)
    return newest


async def is_between(listed: List, page: Page[Any], before: list[Any], behind: list[Any], oldest_first: bool) -> None:
    """See the pages beside this one, by the cursors of its ends."""
    limit = listed.keywords["limit"]  # type: ignore[attr-defined]  # a partial
    assert page.first is not None
    assert page.last is not None
    previous = await listed(after=page.first, oldest_first=not oldest_first)
    following = await listed(after=page.last, oldest_first=oldest_first)
    assert list(previous.items) == before[::-1][:limit]
    assert (previous.next is None) == (len(before) <= limit)
    assert list(following.items) == behind[:limit]
    assert (following.next is None) == (len(behind) <= limit)


@dataclass(frozen=True, slots=True)
class Many:
    """600 messages for one endpoint, with an attempt each: every third is delivered, every third waits for a retry."""

    scene: Scene
    endpoint: Endpoint
    sent: list[str]


@pytest.fixture
async def many(scene: Scene) -> Many:
    endpoint = await scene.endpoint()
    messages = [scene.message() for _ in range(MANY)]
    await scene.storage.accept_many(messages)
    worker = await scene.worker()
    claims = (await worker.round(room=MANY, fan_out=MANY)).claims
    while len(claims) < MANY:
        more = (await worker.round(room=MANY, fan_out=MANY)).claims
        assert more
        claims = [*claims, *more]
    claims = sorted(claims, key=lambda claim: claim.content.message_id)
    await scene.storage.settle(
        worker.me,
        [
            (scene.result(claim), scene.failed(claim), scene.result(claim, Cause.GAVE_UP))[number % 3]
            for number, claim in enumerate(claims)
        ],
    )
    return Many(scene, endpoint, [ids.show(ids.MESSAGE, message.id) for message in messages])


@pytest.mark.parametrize("kind", ["messages", "deliveries", "attempts"])
@pytest.mark.parametrize("named", ["nothing", "customer", "endpoint"])
async def test_many_go_both_ways_page_by_page(many: Many, kind: str, named: str) -> None:
    selection = {
        "nothing": Selection(),
        "customer": Selection(customer="acme"),
        "endpoint": Selection(customer="acme", endpoint_id=many.endpoint.id),
    }[named]
    listed = partial(getattr(many.scene.storage, kind), ENVIRONMENT, selection)

    items = await goes_both_ways(listed, limit=70)

    found = [item.id if kind == "messages" else item.message_id for item in items]
    assert found == many.sent[::-1]


async def test_deliveries_of_a_message_go_both_ways(scene: Scene) -> None:
    endpoints = [(await scene.endpoint()).id for _ in range(7)]
    shown = await scene.send()
    await scene.send()
    worker = await scene.worker()
    claims = (await worker.round()).claims
    await worker.settle([claim for claim in claims if raw(endpoints[0]) < claim.endpoint_id < raw(endpoints[5])])

    for kind, count in (("deliveries", 7), ("attempts", 4), ("messages", 1)):
        listed = partial(getattr(scene.storage, kind), ENVIRONMENT, Selection(message_id=shown))
        assert len(await goes_both_ways(listed, limit=3)) == count


async def test_deliveries_in_chosen_states_go_both_ways(many: Many) -> None:
    for number, state in enumerate((State.DELIVERED, State.PENDING, State.EXHAUSTED)):
        for named in ({}, {"customer": "acme"}, {"endpoint_id": many.endpoint.id}):
            selection = Selection(states=(state,), **named)  # type: ignore[arg-type]  # fields by name
            listed = partial(many.scene.storage.deliveries, ENVIRONMENT, selection)
            messages = partial(many.scene.storage.messages, ENVIRONMENT, selection)

            found = [delivery.message_id for delivery in await whole(listed, 60)]

            assert found == many.sent[number::3][::-1]
            assert [message.id for message in await whole(messages, 60)] == found


async def test_customers_and_endpoints_go_both_ways(scene: Scene) -> None:
    customers = [(await scene.storage.put_customer(ENVIRONMENT, f"c{number}")).uid for number in range(25)]
    endpoints = [(await scene.endpoint(f"c{number % 2}")).id for number in range(25)]

    listed = await goes_both_ways(partial(scene.storage.customers, ENVIRONMENT), limit=4)
    all_endpoints = await goes_both_ways(partial(scene.storage.endpoints, ENVIRONMENT), limit=4)
    of_one = await goes_both_ways(partial(scene.storage.endpoints, ENVIRONMENT, customer="c1"), limit=4)

    assert [customer.uid for customer in listed] == customers[::-1]
    assert [endpoint.id for endpoint in all_endpoints] == endpoints[::-1]
    assert [endpoint.id for endpoint in of_one] == endpoints[1::2][::-1]


async def test_what_is_new_moves_no_page(scene: Scene) -> None:
    sent = [await scene.send() for _ in range(6)]
    page = await scene.storage.messages(ENVIRONMENT, Selection(), limit=3)
    new = await scene.send()

    following = await scene.storage.messages(ENVIRONMENT, Selection(), after=page.next, limit=3)
    previous = await scene.storage.messages(ENVIRONMENT, Selection(), after=page.first, oldest_first=True)

    assert [message.id for message in following.items] == sent[2::-1]
    assert [message.id for message in previous.items] == [new]


async def test_a_cursor_outlives_what_it_points_at(scene: Scene) -> None:
    for number in range(5):
        await scene.storage.put_customer(ENVIRONMENT, f"c{number}")
    page = await scene.storage.customers(ENVIRONMENT, limit=2)
    await scene.storage.delete_customer(ENVIRONMENT, "c3")

    following = await scene.storage.customers(ENVIRONMENT, after=page.last, limit=2)
    previous = await scene.storage.customers(ENVIRONMENT, after=page.last, limit=2, oldest_first=True)

    assert [customer.uid for customer in following.items] == ["c2", "c1"]
    assert [customer.uid for customer in previous.items] == ["c4"]


async def test_an_empty_page_has_no_ends(scene: Scene) -> None:
    storage = scene.storage
    for oldest_first in (False, True):
        for listed in (
            partial(storage.customers, ENVIRONMENT),
            partial(storage.endpoints, ENVIRONMENT),
            partial(storage.messages, ENVIRONMENT, Selection()),
            partial(storage.deliveries, ENVIRONMENT, Selection(customer="acme")),
            partial(storage.attempts, ENVIRONMENT, Selection(customer="acme")),
        ):
            assert await listed(oldest_first=oldest_first) == Page(())


@pytest.mark.parametrize("cursor", ["", "x", "1.2.3", "-1", "١"])
@pytest.mark.parametrize("kind", ["messages", "deliveries", "attempts"])
async def test_a_cursor_of_somebody_elses_is_refused_the_other_way_round_too(
    scene: Scene, cursor: str, kind: str
) -> None:
    with pytest.raises(InvalidValue) as caught:
        await getattr(scene.storage, kind)(ENVIRONMENT, Selection(), after=cursor, oldest_first=True)

    assert caught.value.field == "after"


# --- what a list is narrowed to


async def found(scene: Scene, **selection: Any) -> tuple[set[str], set[tuple[str, str]], int]:
    """Ids of selected messages, ids of selected deliveries, and how many attempts are selected."""
    chosen = Selection(**selection)
    storage = scene.storage
    messages: list[StoredMessage] = await whole(partial(storage.messages, ENVIRONMENT, chosen), 2)
    deliveries: list[Delivery] = await whole(partial(storage.deliveries, ENVIRONMENT, chosen), 2)
    attempts: list[Attempt] = await whole(partial(storage.attempts, ENVIRONMENT, chosen), 2)
    return {one.id for one in messages}, {(one.message_id, one.endpoint_id) for one in deliveries}, len(attempts)


async def test_lists_keep_to_a_channel_that_messages_carry(scene: Scene) -> None:
    endpoint = (await scene.endpoint()).id
    both = await scene.send(channels=("eu", "us"))
    one = await scene.send(channels=("us",))
    await scene.send()
    worker = await scene.worker()
    await worker.settle((await worker.round()).claims)

    assert await found(scene, channel="us") == ({both, one}, {(both, endpoint), (one, endpoint)}, 2)
    assert await found(scene, channel="eu", customer="acme") == ({both}, {(both, endpoint)}, 1)
    assert await found(scene, channel="eu", endpoint_id=endpoint) == ({both}, {(both, endpoint)}, 1)
    assert await found(scene, channel="e") == (set(), set(), 0)


async def test_lists_keep_to_several_event_types(scene: Scene) -> None:
    endpoint = (await scene.endpoint()).id
    a, b = await scene.send(event_type="a"), await scene.send(event_type="b")
    await scene.send(event_type="c")
    worker = await scene.worker()
    await worker.settle((await worker.round()).claims)

    assert await found(scene, event_types=("a", "b", "x")) == ({a, b}, {(a, endpoint), (b, endpoint)}, 2)
    assert await found(scene, event_types=("b",), endpoint_id=endpoint) == ({b}, {(b, endpoint)}, 1)
    assert await found(scene, event_types=("x",)) == (set(), set(), 0)


@dataclass(frozen=True, slots=True)
class Answered:
    """Two messages of one customer to two endpoints: what each answered is in the names."""

    scene: Scene
    worker: Worker
    one: str
    two: str
    first: str
    second: str


@pytest.fixture
async def answered(scene: Scene) -> Answered:
    """One: ended by 204 at the first endpoint, 500 and due again at the second; two: 503 at the first, none at the
    second; the second endpoint was then asked once more for one, and answered 404, the last time."""
    one, two = (await scene.endpoint()).id, (await scene.endpoint()).id
    first, second = await scene.send(), await scene.send()
    worker = await scene.worker()
    claims = {(claim.content.message_id, claim.endpoint_id): claim for claim in (await worker.round()).claims}
    due = scene.now + SECOND

    def settled(message: str, endpoint: str, cause: Cause | None, outcome: Outcome, status: int | None) -> Any:
        attempt = scene.record(outcome, status)
        return scene.result(claims[raw(message), raw(endpoint)], cause, None if cause else due, 1, attempt)

    await scene.storage.settle(
        worker.me,
        [
            settled(first, one, Cause.ACCEPTED, Outcome.OK, 204),
            settled(first, two, None, Outcome.HTTP_STATUS, 500),
            settled(second, one, Cause.GAVE_UP, Outcome.HTTP_STATUS, 503),
            settled(second, two, Cause.GAVE_UP, Outcome.TIMEOUT, None),
        ],
    )
    scene.later(2)
    (again,) = (await worker.round()).claims
    gone = scene.record(Outcome.HTTP_STATUS, 404)
    await scene.storage.settle(worker.me, [scene.result(again, Cause.GAVE_UP, attempt=gone)])
    return Answered(scene, worker, one, two, first, second)


async def test_lists_keep_to_how_attempts_were_answered(answered: Answered) -> None:
    scene, one, two, first, second = answered.scene, answered.one, answered.two, answered.first, answered.second

    assert await found(scene, status_class=2) == ({first}, {(first, one)}, 1)
    assert await found(scene, status_class=4) == ({first}, {(first, two)}, 1)
    assert await found(scene, status_class=5) == ({first, second}, {(first, two), (second, one)}, 2)
    assert await found(scene, status_class=0) == ({second}, {(second, two)}, 1)
    assert await found(scene, status_class=3) == (set(), set(), 0)


async def test_how_attempts_were_answered_is_asked_of_what_else_is_selected(answered: Answered) -> None:
    scene, one, two, first, second = answered.scene, answered.one, answered.two, answered.first, answered.second

    assert await found(scene, status_class=5, customer="acme", endpoint_id=one) == ({second}, {(second, one)}, 1)
    assert await found(scene, status_class=5, message_id=first) == ({first}, {(first, two)}, 1)
    assert await found(scene, status_class=2, endpoint_id=two) == (set(), set(), 0)
    assert await found(scene, status_class=5, states=(State.EXHAUSTED,)) == (
        {first, second},
        {(first, two), (second, one)},
        2,
    )
    assert await found(scene, status_class=5, states=(State.DELIVERED,)) == (set(), set(), 0)
    assert await found(scene, status_class=5, customer="globex") == (set(), set(), 0)


async def test_attempts_keep_to_when_they_were_started(scene: Scene) -> None:
    endpoint = (await scene.endpoint()).id
    worker = await scene.worker(timedelta(days=1))
    begun: list[datetime] = []
    for _ in range(4):
        await scene.send()
        begun.append(from_micros(scene.now))
        await worker.settle((await worker.round()).claims)
        scene.later(3600 * 5)

    async def started(named: dict[str, Any], **bounds: Any) -> list[datetime]:
        listed = partial(scene.storage.attempts, ENVIRONMENT, Selection(**named), **bounds)
        return [attempt.started_at for attempt in await whole(listed, 2)][::-1]

    for named in ({}, {"customer": "acme"}, {"endpoint_id": endpoint}):
        assert await started(named, started_since=begun[1]) == begun[1:]
        assert await started(named, started_until=begun[2]) == begun[:2]
        assert await started(named, started_since=begun[1], started_until=begun[3]) == begun[1:3]
        assert await started(named, started_since=begun[3] + timedelta(microseconds=1)) == []


# --- one thing, by either of its names


async def test_a_customer_is_found_by_its_id_or_its_uid(scene: Scene) -> None:
    made = await scene.storage.put_customer(ENVIRONMENT, "acme", name="Acme")
    like = await scene.storage.put_customer(ENVIRONMENT, "app_1")

    assert await scene.storage.find_customer(ENVIRONMENT, "acme") == made
    assert await scene.storage.find_customer(ENVIRONMENT, made.id) == made
    assert await scene.storage.find_customer(ENVIRONMENT, "app_1") == like
    for name in ("globex", "app_" + "0" * 22, "Acme", ""):
        with pytest.raises(NotFound):
            await scene.storage.find_customer(ENVIRONMENT, name)
    for name in ("acme", made.id):
        with pytest.raises(NotFound):
            await scene.storage.find_customer("sandbox", name)


async def test_a_deleted_customer_is_not_found(scene: Scene) -> None:
    made = await scene.storage.put_customer(ENVIRONMENT, "acme")
    await scene.storage.delete_customer(ENVIRONMENT, "acme")

    for name in ("acme", made.id):
        with pytest.raises(NotFound):
            await scene.storage.find_customer(ENVIRONMENT, name)


async def test_the_customer_of_operational_endpoints_is_shown_nowhere(scene: Scene) -> None:
    mine = await scene.endpoint()
    hidden = await scene.endpoint(OPERATIONAL, uid="ops")
    customer = await scene.storage.customer(ENVIRONMENT, OPERATIONAL)

    customers: list[Customer] = await whole(partial(scene.storage.customers, ENVIRONMENT))
    endpoints: list[Endpoint] = await whole(partial(scene.storage.endpoints, ENVIRONMENT))
    its_own: list[Endpoint] = await whole(partial(scene.storage.endpoints, ENVIRONMENT, customer=OPERATIONAL))

    assert [one.uid for one in customers] == ["acme"]
    assert endpoints == [mine]
    assert its_own == [hidden]
    assert await scene.storage.find_endpoint(ENVIRONMENT, OPERATIONAL, "ops") == hidden
    for name in (OPERATIONAL, customer.id):
        with pytest.raises(NotFound):
            await scene.storage.find_customer(ENVIRONMENT, name)


async def test_an_endpoint_is_found_by_its_id_or_its_uid_with_its_own_customer_only(scene: Scene) -> None:
    named = await scene.endpoint(uid="main")
    bare = await scene.endpoint()
    same = await scene.endpoint("globex", uid="main")
    storage = scene.storage

    assert await storage.find_endpoint(ENVIRONMENT, "acme", "main") == named
    assert await storage.find_endpoint(ENVIRONMENT, "acme", named.id) == named
    assert await storage.find_endpoint(ENVIRONMENT, "acme", bare.id) == bare
    assert await storage.find_endpoint(ENVIRONMENT, "globex", "main") == same
    for customer, name in (("globex", named.id), ("acme", "other"), ("acme", NOBODY), ("nobody", "main")):
        with pytest.raises(NotFound):
            await storage.find_endpoint(ENVIRONMENT, customer, name)
    with pytest.raises(NotFound):
        await storage.find_endpoint("sandbox", "acme", named.id)


async def test_a_deleted_endpoint_is_not_found_and_its_uid_is_free(scene: Scene) -> None:
    old = await scene.endpoint(uid="main")
    await scene.storage.delete_endpoint(ENVIRONMENT, old.id)
    for name in ("main", old.id):
        with pytest.raises(NotFound):
            await scene.storage.find_endpoint(ENVIRONMENT, "acme", name)

    new = await scene.endpoint(uid="main")

    assert await scene.storage.find_endpoint(ENVIRONMENT, "acme", "main") == new


async def test_headers_of_an_endpoint_are_given_with_their_values(scene: Scene) -> None:
    headers = (("X-Key", "s3cret"), ("X-Tenant", "schön"))
    with_some = await scene.endpoint(headers=headers)
    without = await scene.endpoint()

    assert await scene.storage.endpoint_headers(ENVIRONMENT, with_some.id) == headers
    assert await scene.storage.endpoint_headers(ENVIRONMENT, without.id) == ()
    changes = EndpointChanges(headers=(("X-New", "1"),))
    await scene.storage.update_endpoint(ENVIRONMENT, with_some.id, changes)
    assert await scene.storage.endpoint_headers(ENVIRONMENT, with_some.id) == (("X-New", "1"),)
    await scene.storage.delete_endpoint(ENVIRONMENT, with_some.id)
    for environment, endpoint in ((ENVIRONMENT, with_some.id), ("sandbox", without.id), (ENVIRONMENT, NOBODY)):
        with pytest.raises(NotFound):
            await scene.storage.endpoint_headers(environment, endpoint)


async def test_a_message_is_found_by_its_id_or_its_key_with_its_own_customer_only(scene: Scene) -> None:
    keyed = await scene.send(key="order-1")
    bare = await scene.send()
    same = await scene.send("globex", key="order-1")
    storage = scene.storage

    assert (await storage.find_message(ENVIRONMENT, "acme", "order-1")).id == keyed
    assert await storage.find_message(ENVIRONMENT, "acme", keyed) == await storage.message(ENVIRONMENT, keyed)
    assert (await storage.find_message(ENVIRONMENT, "acme", bare)).id == bare
    assert (await storage.find_message(ENVIRONMENT, "globex", "order-1")).id == same
    for customer, name in (("globex", bare), ("acme", "order-2"), ("acme", "msg_" + "0" * 22), ("nobody", "order-1")):
        with pytest.raises(NotFound):
            await storage.find_message(ENVIRONMENT, customer, name)
    for name in (keyed, "order-1"):
        with pytest.raises(NotFound):
            await storage.find_message("sandbox", "acme", name)


async def test_messages_are_given_by_their_ids(scene: Scene) -> None:
    sent = [await scene.send(tags=(f"t{number}",)) for number in range(250)]
    elsewhere = await scene.send(environment="sandbox")
    storage = scene.storage

    known = await storage.messages_of(ENVIRONMENT, sent)
    some = await storage.messages_of(ENVIRONMENT, [sent[7], elsewhere, "msg_" + "0" * 22, "nonsense", sent[3], sent[7]])

    assert set(known) == {*sent}
    assert known[sent[9]] == await storage.message(ENVIRONMENT, sent[9])
    assert {name: message.tags for name, message in some.items()} == {sent[7]: ("t7",), sent[3]: ("t3",)}
    assert dict(await storage.messages_of(ENVIRONMENT, [])) == {}


async def test_an_attempt_is_given_by_its_id(answered: Answered) -> None:
    storage = answered.scene.storage
    attempts = (await storage.attempts(ENVIRONMENT, Selection())).items

    assert len(attempts) == 5
    for attempt in attempts:
        assert await storage.attempt(ENVIRONMENT, attempt.id) == attempt
        with pytest.raises(NotFound):
            await storage.attempt("sandbox", attempt.id)
    for name in ("atmpt_" + "0" * 22, "nonsense", answered.first):
        with pytest.raises(NotFound):
            await storage.attempt(ENVIRONMENT, name)


# --- counting


async def test_deliveries_are_tallied_by_how_they_stand(scene: Scene) -> None:
    one, two = await scene.endpoint(), await scene.endpoint("globex")
    begun = from_micros(scene.now)
    for customer in ("acme", "acme", "acme", "acme", "acme", "globex"):
        await scene.send(customer)
    worker = await scene.worker()
    claims = (await worker.round()).claims
    acme = sorted((claim for claim in claims if claim.endpoint_id == raw(one.id)), key=lambda claim: claim.id)
    await worker.settle(acme[:1])
    await worker.settle(acme[1:2], cause=Cause.GAVE_UP)
    await worker.settle(acme[2:3], cause=Cause.WITHDRAWN, attempt=None)
    await scene.storage.settle(worker.me, [scene.failed(acme[3])])
    scene.later(10)
    ended = from_micros(scene.now)
    await scene.send()
    await worker.round(look=(), rooms=dict.fromkeys(worker.lanes, 0))

    async def tally(**named: Any) -> Tally:
        given: dict[str, Any] = {"since": begun, "until": ended, **named}
        return await scene.storage.tally(given.pop("environment", ENVIRONMENT), **given)

    mine = Tally(success=1, pending=1, sending=1, fail=1, cancelled=1)
    other = Tally(sending=1)
    assert await tally(customer="acme") == await tally(endpoint_id=one.id) == mine
    assert await tally(customer="acme", endpoint_id=one.id) == mine
    assert await tally(customer="globex") == await tally(endpoint_id=two.id) == other
    assert await tally() == Tally(success=1, pending=1, sending=2, fail=1, cancelled=1)
    assert await tally(since=ended, until=ended + timedelta(hours=1)) == Tally(pending=1)
    assert await tally(since=begun - timedelta(hours=1), until=begun) == Tally()
    assert await tally(customer="globex", endpoint_id=one.id) == Tally()
    assert await tally(customer="nobody") == await tally(environment="sandbox") == Tally()
    with pytest.raises(NotFound):
        await tally(endpoint_id=NOBODY)


async def test_attempts_of_an_endpoint_are_tallied_by_their_outcome(answered: Answered) -> None:
    scene, storage = answered.scene, answered.scene.storage
    now = from_micros(scene.now)
    begun = now - timedelta(seconds=2)
    soon = now + timedelta(seconds=1)

    assert await storage.tally_attempts(ENVIRONMENT, answered.one, since=begun, until=soon) == Tally(success=1, fail=1)
    assert await storage.tally_attempts(ENVIRONMENT, answered.two, since=begun, until=soon) == Tally(fail=3)
    assert await storage.tally_attempts(ENVIRONMENT, answered.two, since=begun, until=now) == Tally(fail=2)
    assert await storage.tally_attempts(ENVIRONMENT, answered.two, since=now, until=soon) == Tally(fail=1)
    for environment, endpoint in (("sandbox", answered.one), (ENVIRONMENT, NOBODY)):
        with pytest.raises(NotFound):
            await storage.tally_attempts(environment, endpoint, since=begun, until=soon)
