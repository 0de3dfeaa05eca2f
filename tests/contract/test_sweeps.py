"""Changes to many: begun, looked at, called off, and carried on by any worker, page by page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from anzol import ids
from anzol.actors import acting
from anzol.addresses import Policy
from anzol.clock import from_micros
from anzol.errors import InvalidValue, NotFound, StorageBusy, StorageError
from anzol.lifecycle import Cause, Disabled, Outcome, State, SweepState
from anzol.model import OPERATIONAL, Endpoint, Sweep
from anzol.storage.books import NewSweep
from anzol.storage.postgres import work as postgres
from anzol.storage.sqlite import work as sqlite
from anzol.worker import Worker as Deliverer
from tests.contract.conftest import ENVIRONMENT, TERM, Scene, Worker, beside, raw
from tests.delivery.fakes import Script


async def begin(
    scene: Scene,
    kind: str,
    scope: Mapping[str, Any] | None = None,
    *,
    customer: str | None = None,
    endpoint: Endpoint | None = None,
) -> Sweep:
    endpoint_id = None if endpoint is None else endpoint.id
    return await scene.storage.begin_sweep(ENVIRONMENT, NewSweep(kind, scope or {}, customer, endpoint_id))


async def advance(scene: Scene, me: int, limit: int = 100) -> bool:
    return await scene.storage.advance_sweep(me, limit=limit, term=TERM)


async def done(scene: Scene, me: int, sweep: Sweep, limit: int = 100) -> Sweep:
    """Advance whatever runs until nothing does; return how it ended."""
    while await advance(scene, me, limit):
        pass
    return await scene.storage.sweep(ENVIRONMENT, sweep.id)


async def exhausted(scene: Scene, worker: Worker, count: int = 1, customer: str = "acme", **fields: Any) -> list[str]:
    """Messages whose only delivery was given up."""
    sent = [await scene.send(customer, **fields) for _ in range(count)]
    found = await worker.round(room=100)
    for claim in found.claims:
        await worker.settle([claim], cause=Cause.GAVE_UP, attempt=scene.record(Outcome.HTTP_STATUS, 500))
    return sent


async def delivered(scene: Scene, worker: Worker, count: int = 1, **fields: Any) -> list[str]:
    sent = [await scene.send(**fields) for _ in range(count)]
    found = await worker.round(room=100)
    await worker.settle(found.claims)
    return sent


def shown(scene: Scene, seconds: float = 0) -> str:
    return (from_micros(scene.now) + timedelta(seconds=seconds)).isoformat()


# --- as things of their own


async def test_a_sweep_that_was_begun_is_there_to_be_looked_at(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    with acting("key:Billing"):
        sweep = await begin(scene, "recover", {"event_types": ["a"]}, endpoint=endpoint)

    found = await scene.storage.sweep(ENVIRONMENT, sweep.id)

    assert found == sweep
    assert (found.kind, found.customer, found.endpoint_id) == ("recover", "acme", endpoint.id)
    assert (found.state, found.changed, found.result, found.error) == (SweepState.RUNNING, 0, {}, "")
    assert (found.actor, found.created_at) == ("key:Billing", from_micros(scene.now))
    assert found.scope["event_types"] == ["a"]
    assert found.scope["states"] == ["exhausted"]


async def test_a_sweep_of_what_is_not_there_is_refused(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    await scene.endpoint("globex")

    for given in ({"customer": "nobody"}, {"customer": "globex", "endpoint": endpoint}):
        with pytest.raises(NotFound):
            await begin(scene, "recover", **given)
    await scene.storage.delete_endpoint(ENVIRONMENT, endpoint.id)
    with pytest.raises(NotFound):
        await begin(scene, "recover", endpoint=endpoint)
    assert (await scene.storage.sweeps(ENVIRONMENT)).items == ()


@pytest.mark.parametrize(
    ("kind", "scope", "field"),
    [
        ("destroy", {}, "kind"),
        ("bulk-replay", {}, "endpoint_id"),
        ("recover", {"colour": "red"}, "colour"),
        ("recover", {"since": "yesterday"}, "since"),
        ("recover", {"since": "2026-01-01T00:00:00"}, "since"),
        ("recover", {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "until"),
        ("recover", {"states": ["lost"]}, "states"),
        ("recover", {"event_types": "a"}, "event_types"),
        ("recover", {"status_class": 7}, "status_class"),
        ("cancel", {"tag": ""}, "tag"),
        ("stats.app", {"customers": ["x"] * 1001}, "customers"),
    ],
)
async def test_a_scope_that_no_worker_could_do_is_refused(
    scene: Scene, kind: str, scope: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        await begin(scene, kind, scope)

    assert refused.value.field == field


async def test_sweeps_are_listed_both_ways_and_by_whose_what_and_how_they_stand(scene: Scene) -> None:
    await scene.endpoint()
    await scene.endpoint("globex")
    begun = [await begin(scene, "cancel", customer=name) for name in ("acme", "globex", "acme", "acme")]
    begun.append(await begin(scene, "stats.app"))
    await scene.storage.call_off_sweep(ENVIRONMENT, begun[0].id)

    async def listed(**how: Any) -> list[str]:
        return [one.id for one in (await scene.storage.sweeps(ENVIRONMENT, **how)).items]

    newest = [one.id for one in reversed(begun)]
    first = await scene.storage.sweeps(ENVIRONMENT, limit=2)
    second = await scene.storage.sweeps(ENVIRONMENT, limit=2, after=first.next)
    back = await scene.storage.sweeps(ENVIRONMENT, limit=2, after=second.first, oldest_first=True)

    assert [one.id for page in (first, second) for one in page.items] == newest[:4]
    assert first.next == first.last
    assert [one.id for one in reversed(back.items)] == newest[:2]
    assert await listed(oldest_first=True) == newest[::-1]
    assert await listed(customer="acme") == [begun[3].id, begun[2].id, begun[0].id]
    assert await listed(state=SweepState.CANCELLED) == [begun[0].id]
    assert await listed(kind="stats.app") == [begun[4].id]
    assert (await scene.storage.sweeps("sandbox")).items == ()


async def test_one_that_is_not_there_is_not_found(scene: Scene) -> None:
    with pytest.raises(NotFound):
        await scene.storage.sweep(ENVIRONMENT, ids.show(ids.SWEEP, bytes(16)))
    with pytest.raises(NotFound):
        await scene.storage.call_off_sweep(ENVIRONMENT, "nonsense")


async def test_what_is_called_off_keeps_the_pages_that_are_done(scene: Scene) -> None:
    await scene.endpoint()
    worker = await scene.worker()
    await exhausted(scene, worker, 5)
    sweep = await begin(scene, "recover", customer="acme")
    await advance(scene, worker.me, limit=2)

    called_off = await scene.storage.call_off_sweep(ENVIRONMENT, sweep.id)
    more = await advance(scene, worker.me)

    assert (called_off.state, called_off.changed, more) == (SweepState.CANCELLED, 2, False)
    assert sorted(await scene.states()) == [State.PENDING] * 2 + [State.EXHAUSTED] * 3


async def test_what_has_ended_is_not_called_off(scene: Scene) -> None:
    await scene.endpoint()
    worker = await scene.worker()
    sweep = await begin(scene, "recover", customer="acme")
    await done(scene, worker.me, sweep)

    assert (await scene.storage.call_off_sweep(ENVIRONMENT, sweep.id)).state is SweepState.FINISHED


# --- whose it is


async def test_no_two_live_workers_carry_on_one_sweep(scene: Scene) -> None:
    await scene.endpoint()
    one, other = await scene.worker(), await scene.worker()
    await exhausted(scene, one, 4)
    await begin(scene, "recover", customer="acme")

    turns = [
        await advance(scene, one.me, limit=1),
        await advance(scene, other.me),
        await advance(scene, one.me, limit=1),
    ]

    assert turns == [True, False, True]
    assert (await scene.states()).count(State.PENDING) == 2


async def test_the_sweep_of_a_dead_worker_is_carried_on_by_another(scene: Scene) -> None:
    await scene.endpoint()
    one = await scene.worker()
    sent = await exhausted(scene, one, 5)
    sweep = await begin(scene, "recover", customer="acme")
    await advance(scene, one.me, limit=2)
    await one.release()
    scene.later(31)
    await scene.reap()
    other = await scene.worker()

    ended = await done(scene, other.me, sweep, limit=2)

    assert (ended.state, ended.changed) == (SweepState.FINISHED, 5)
    assert sorted(one.message_id for one in await scene.deliveries(states=(State.PENDING,))) == sorted(sent)


async def test_sweeps_take_turns(scene: Scene) -> None:
    await scene.endpoint()
    worker = await scene.worker()
    await exhausted(scene, worker, 6)
    long = await begin(scene, "recover", customer="acme")
    await advance(scene, worker.me, limit=1)
    scene.later(1)
    await advance(scene, worker.me, limit=1)
    short = await begin(scene, "stats.app")
    scene.later(1)

    await advance(scene, worker.me, limit=1)
    await advance(scene, worker.me, limit=1)

    states = [(await scene.storage.sweep(ENVIRONMENT, one.id)).state for one in (long, short)]
    assert states == [SweepState.RUNNING, SweepState.FINISHED]


async def test_two_processes_do_each_page_once(scene: Scene) -> None:
    await scene.endpoint()
    worker = await scene.worker()
    await exhausted(scene, worker, 9)
    sweep = await begin(scene, "recover", customer="acme")

    async with beside(scene) as elsewhere:
        other = await elsewhere.worker()
        await advance(scene, worker.me, limit=2)
        assert not await advance(elsewhere, other.me, limit=2)
        await scene.storage.resign(worker.me)
        ended = await done(elsewhere, other.me, sweep, limit=2)

    assert (ended.state, ended.changed) == (SweepState.FINISHED, 9)
    assert await scene.states() == [State.PENDING] * 9


async def test_a_page_whose_place_is_not_written_is_not_done(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = await scene.endpoint()
    worker = await scene.worker()
    await delivered(scene, worker, 3)
    sweep = await begin(scene, "bulk-replay", endpoint=endpoint)
    cut(monkeypatch, "sweep_moved", StorageError("It was cut off."))

    with pytest.raises(StorageError, match="cut off"):
        await advance(scene, worker.me)
    monkeypatch.undo()
    between = await scene.states()
    ended = await done(scene, worker.me, sweep)

    assert between == [State.DELIVERED] * 3
    assert (ended.state, ended.changed) == (SweepState.FINISHED, 3)


async def test_a_page_that_fails_for_now_is_done_later(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = await scene.endpoint()
    worker = await scene.worker()
    await delivered(scene, worker, 3)
    sweep = await begin(scene, "bulk-replay", endpoint=endpoint)
    cut(monkeypatch, "messages_wanted", StorageBusy("It was locked."))

    with pytest.raises(StorageBusy):
        await advance(scene, worker.me)
    monkeypatch.undo()
    ended = await done(scene, worker.me, sweep)

    assert (ended.state, ended.changed) == (SweepState.FINISHED, 3)


async def test_a_page_that_fails_for_good_ends_the_sweep_and_changes_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = await scene.endpoint()
    worker = await scene.worker()
    await delivered(scene, worker, 3)
    sweep = await begin(scene, "bulk-replay", endpoint=endpoint)
    other = await begin(scene, "stats.app")
    cut(monkeypatch, "messages_wanted", ValueError("That was not foreseen."))

    ended = await done(scene, worker.me, sweep)

    assert (ended.state, ended.changed) == (SweepState.FAILED, 0)
    assert "ValueError" in ended.error
    assert "That was not foreseen." in caplog.text
    assert await scene.states() == [State.DELIVERED] * 3
    assert (await scene.storage.sweep(ENVIRONMENT, other.id)).state is SweepState.FINISHED


def cut(monkeypatch: pytest.MonkeyPatch, query: str, error: Exception) -> None:
    """Have either engine fail where it comes to a query."""
    engines: tuple[Any, ...] = (sqlite.Work, postgres.Work)
    for work in engines:
        monkeypatch.setattr(work, "run", failing_at(work.run, query, error))


def failing_at(run: Callable[..., Any], query: str, error: Exception) -> Callable[..., Any]:
    def failing(self: Any, name: str, **values: Any) -> Any:
        if name == query:
            raise error
        return run(self, name, **values)

    return failing


async def test_a_worker_that_delivers_once_does_what_was_begun_and_delivers_what_comes_of_it(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    worker = await scene.worker()
    sent = await exhausted(scene, worker, 3)
    await worker.release()
    sweep = await begin(scene, "recover", endpoint=endpoint)
    sender = Script(scene.clock)
    deliverer = Deliverer(scene.storage, sender, policy=Policy(), clock=scene.clock)

    attempts = await deliverer.drain_once()
    await deliverer.close()

    ended = await scene.storage.sweep(ENVIRONMENT, sweep.id)
    assert (ended.state, ended.changed, attempts) == (SweepState.FINISHED, 3, 3)
    assert {one.message_id: one.state for one in await scene.deliveries()} == dict.fromkeys(sent, State.DELIVERED)


# --- recover, bulk-replay, cancel


async def test_recover_sends_again_what_was_given_up_of_one_endpoint_since_a_time(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    await scene.endpoint("globex")
    worker = await scene.worker()
    await exhausted(scene, worker)
    scene.later(10)
    since = shown(scene)
    sent = await exhausted(scene, worker, 3)
    await exhausted(scene, worker, 1, "globex")
    await delivered(scene, worker)
    sweep = await begin(scene, "recover", {"since": since}, endpoint=endpoint)

    ended = await done(scene, worker.me, sweep, limit=2)

    assert (ended.state, ended.changed) == (SweepState.FINISHED, 3)
    claims = (await worker.round()).claims
    assert [ids.show(ids.MESSAGE, claim.content.message_id) for claim in claims] == sent
    assert {claim.manual for claim in claims} == {True}


async def test_a_sweep_leaves_alone_what_ends_while_it_goes_on(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    worker = await scene.worker()
    (first, second) = await exhausted(scene, worker, 2)
    sweep = await begin(scene, "recover", endpoint=endpoint)
    await advance(scene, worker.me, limit=1)
    scene.later(1)
    (late,) = await exhausted(scene, worker)  # and the first one, once more

    ended = await done(scene, worker.me, sweep, limit=1)

    assert ended.changed == 2
    assert [one.message_id for one in await scene.deliveries(states=(State.PENDING,))] == [second]
    assert {one.message_id for one in await scene.deliveries(states=(State.EXHAUSTED,))} == {first, late}


async def test_bulk_replay_sends_again_whatever_has_ended_and_is_selected(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    worker = await scene.worker()
    wanted = [
        *await delivered(scene, worker, 1, event_type="a", channels=("blue",), tags=("x",)),
        *await exhausted(scene, worker, 1, event_type="a", channels=("blue",), tags=("x",)),
    ]
    for other in ({"event_type": "b"}, {"channels": ("red",)}, {"tags": ("y",)}):
        await delivered(scene, worker, 1, **({"event_type": "a", "channels": ("blue",), "tags": ("x",)} | other))
    scope = {"event_types": ["a", "c"], "channel": "blue", "tag": "x"}

    ended = await done(scene, worker.me, await begin(scene, "bulk-replay", scope, endpoint=endpoint))

    assert (ended.state, ended.changed) == (SweepState.FINISHED, 2)
    assert sorted(one.message_id for one in await scene.deliveries(states=(State.PENDING,))) == sorted(wanted)


@pytest.mark.parametrize(
    ("scope", "again"),
    [
        ({"states": ["delivered"]}, {"delivered"}),
        ({"states": ["exhausted", "cancelled"]}, {"exhausted", "cancelled"}),
        ({"states": ["pending"]}, set()),
        ({"status_class": 2}, {"delivered"}),
        ({"status_class": 5}, {"exhausted"}),
        ({}, {"delivered", "exhausted", "cancelled"}),
    ],
)
async def test_bulk_replay_by_how_it_ended(scene: Scene, scope: dict[str, Any], again: set[str]) -> None:
    endpoint = await scene.endpoint()
    worker = await scene.worker()
    sent = {
        "delivered": (await delivered(scene, worker))[0],
        "exhausted": (await exhausted(scene, worker))[0],
        "cancelled": await scene.send(),
    }
    found = await worker.round()
    await worker.settle(found.claims, cause=Cause.WITHDRAWN, attempt=None)

    ended = await done(scene, worker.me, await begin(scene, "bulk-replay", scope, endpoint=endpoint))

    assert ended.changed == len(again)
    pending = {one.message_id for one in await scene.deliveries(states=(State.PENDING,))}
    assert pending == {sent[name] for name in again}


async def test_cancel_takes_back_what_waits_and_is_selected(scene: Scene) -> None:
    await scene.endpoint()
    worker = await scene.worker()
    for event_type in ("a", "b", "a"):
        await scene.send(event_type=event_type)
    await worker.round(take=0, idle_lanes=False)
    sweep = await begin(scene, "cancel", {"event_types": ["a"]}, customer="acme")

    ended = await done(scene, worker.me, sweep, limit=1)

    assert (ended.state, ended.changed) == (SweepState.FINISHED, 2)
    assert [(one.event_type, one.state) for one in await scene.deliveries()] == [
        ("a", State.CANCELLED),
        ("b", State.PENDING),
        ("a", State.CANCELLED),
    ]


# --- replay-missing


async def test_replay_missing_makes_what_an_endpoint_wants_now_and_never_had(scene: Scene) -> None:
    worker = await scene.worker()
    early = await scene.send(event_type="a")
    await worker.round()
    scene.later(10)
    since = shown(scene)
    missed = [await scene.send(event_type="a") for _ in range(3)]
    await scene.send(event_type="b")
    await worker.round()
    scene.later(1)
    endpoint = await scene.endpoint(event_types=("a",))
    had = await delivered(scene, worker, 1, event_type="a")
    sweep = await begin(scene, "replay-missing", {"since": since}, endpoint=endpoint)

    ended = await done(scene, worker.me, sweep, limit=2)

    assert (ended.state, ended.changed) == (SweepState.FINISHED, 3)
    claims = (await worker.round()).claims
    assert [ids.show(ids.MESSAGE, claim.content.message_id) for claim in claims] == missed
    everything = {one.message_id for one in await scene.deliveries()}
    assert everything == {*missed, *had}
    assert early not in everything


async def test_replay_missing_twice_makes_nothing_twice(scene: Scene) -> None:
    worker = await scene.worker()
    for _ in range(3):
        await scene.send()
    await worker.round()
    scene.later(1)
    endpoint = await scene.endpoint()
    first = await done(scene, worker.me, await begin(scene, "replay-missing", endpoint=endpoint))
    found = await worker.round()
    await worker.settle(found.claims)

    second = await done(scene, worker.me, await begin(scene, "replay-missing", endpoint=endpoint))

    assert (first.changed, second.changed) == (3, 0)
    assert await scene.states() == [State.DELIVERED] * 3


async def test_replay_missing_and_fan_out_make_one_delivery(scene: Scene) -> None:
    worker = await scene.worker()
    before = await scene.send()
    scene.later(1)
    endpoint = await scene.endpoint()
    after = await scene.send()

    ended = await done(scene, worker.me, await begin(scene, "replay-missing", endpoint=endpoint))
    claims = (await worker.round()).claims

    assert ended.changed == 2
    assert [ids.show(ids.MESSAGE, claim.content.message_id) for claim in claims] == [before, after]


async def test_replay_missing_keeps_the_order_of_a_fifo_endpoint(scene: Scene) -> None:
    worker = await scene.worker()
    sent = [await scene.send() for _ in range(3)]
    await worker.round()
    scene.later(1)
    endpoint = await scene.endpoint(fifo=True)
    await done(scene, worker.me, await begin(scene, "replay-missing", endpoint=endpoint), limit=1)

    order = []
    for _ in range(3):
        (claim,) = (await worker.round()).claims
        await worker.settle([claim])
        order.append(ids.show(ids.MESSAGE, claim.content.message_id))

    assert order == sent


@pytest.mark.parametrize("held_back", ["disabled", "paused", "event type paused"])
async def test_what_replay_missing_makes_is_parked_as_usual(scene: Scene, held_back: str) -> None:
    worker = await scene.worker()
    await scene.send()
    await worker.round()
    scene.later(1)
    endpoint = await scene.endpoint()
    parts: dict[str, Any] = {"customer": None, "event_type": None, "endpoint_id": None}
    if held_back == "disabled":
        await scene.storage.disable_endpoint(ENVIRONMENT, endpoint.id, Disabled.BY_CUSTOMER)
    else:
        parts |= {"endpoint_id": endpoint.id} if held_back == "paused" else {"event_type": "invoice.paid"}
        await scene.storage.pause(ENVIRONMENT, **parts, actor="ops")
    ended = await done(scene, worker.me, await begin(scene, "replay-missing", endpoint=endpoint))

    during = (await worker.round()).claims
    if held_back == "disabled":
        await scene.storage.enable_endpoint(ENVIRONMENT, endpoint.id)
    else:
        await scene.storage.resume(ENVIRONMENT, **parts)
    after = (await worker.round()).claims

    assert (ended.changed, len(during), len(after)) == (1, 0, 1)


async def test_replay_missing_leaves_alone_what_is_for_another_endpoint_erased_or_of_another_channel(
    scene: Scene,
) -> None:
    worker = await scene.worker()
    other = await scene.endpoint()
    await scene.send(only_endpoint=raw(other.id))
    await scene.send(channels=("red",))
    mine = await scene.send(channels=("blue", "red"))
    await worker.round()
    scene.later(1)
    endpoint = await scene.endpoint(channels=("blue",))

    ended = await done(scene, worker.me, await begin(scene, "replay-missing", endpoint=endpoint))

    assert ended.changed == 1
    assert [one.message_id for one in await scene.deliveries(endpoint_id=endpoint.id)] == [mine]


# --- failing


async def test_a_sweep_whose_endpoint_is_deleted_fails_and_says_so(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    worker = await scene.worker()
    sweep = await begin(scene, "replay-missing", endpoint=endpoint)
    await scene.storage.delete_endpoint(ENVIRONMENT, endpoint.id)

    ended = await done(scene, worker.me, sweep)

    assert ended.state is SweepState.FAILED
    assert endpoint.id in ended.error


async def test_a_sweep_whose_customer_is_deleted_fails_and_others_go_on(scene: Scene) -> None:
    await scene.endpoint()
    worker = await scene.worker()
    lost = await begin(scene, "recover", customer="acme")
    other = await begin(scene, "stats.app")
    await scene.storage.delete_customer(ENVIRONMENT, "acme")

    await done(scene, worker.me, lost)

    found = await scene.storage.sweep(ENVIRONMENT, lost.id)
    assert (found.state, found.error) == (SweepState.FAILED, "The customer was deleted.")
    assert (await scene.storage.sweep(ENVIRONMENT, other.id)).state is SweepState.FINISHED


# --- counting


async def test_messages_and_deliveries_are_counted_by_customer(scene: Scene) -> None:
    worker = await scene.worker()
    for name in ("acme", "acme", "globex"):
        await scene.endpoint(name)
    await scene.endpoint(OPERATIONAL)
    await scene.send()
    scene.later(10)
    since = shown(scene)
    for name in ("acme", "globex", "acme", "initech", OPERATIONAL):
        await scene.send(name)
    found = await worker.round()
    await worker.settle(found.claims[:3])
    scene.later(10)
    until = shown(scene)
    await scene.send()
    sweep = await begin(scene, "stats.app", {"since": since, "until": until})

    ended = await done(scene, worker.me, sweep, limit=1)

    assert (ended.state, ended.changed) == (SweepState.FINISHED, 4)
    counts = {one["appUid"]: (one["messages"], one["messageDestinations"]) for one in ended.result["appStats"]}
    assert counts == {"acme": (2, 4), "globex": (1, 1), "initech": (1, 0)}
    acme = await scene.storage.customer(ENVIRONMENT, "acme")
    assert acme.id in {one["appId"] for one in ended.result["appStats"]}


async def test_of_customers_that_are_named_those_with_nothing_are_counted_too(scene: Scene) -> None:
    worker = await scene.worker()
    for name in ("acme", "globex", "initech"):
        await scene.endpoint(name)
    for name in ("acme", "initech"):
        await scene.send(name)
    await worker.round()

    sweep = await begin(scene, "stats.app", {"customers": ["acme", "globex", "nobody"]})
    ended = await done(scene, worker.me, sweep)

    counts = {one["appUid"]: one["messages"] for one in ended.result["appStats"]}
    assert counts == {"acme": 1, "globex": 0}


async def test_messages_are_counted_by_event_type_and_subscriptions_by_customer(scene: Scene) -> None:
    worker = await scene.worker()
    await scene.endpoint(event_types=("a", "b"))
    await scene.endpoint(event_types=("c",))
    await scene.endpoint("globex")
    await scene.endpoint(OPERATIONAL)
    for event_type in ("a", "b", "a"):
        await scene.send(event_type=event_type)
    await worker.round()

    ended = await done(scene, worker.me, await begin(scene, "stats.event-types"), limit=1)

    by_id = {
        (await scene.storage.customer(ENVIRONMENT, name)).id: name for name in ("acme", "globex")
    }  # fmt: skip
    assert ended.result["counts"] == {"a": 2, "b": 1}
    assert {
        by_id[one["appId"]]: (one["explicitlySubscribedEventTypes"], one["hasCatchAllEndpoint"])
        for one in ended.result["event_types"]
    } == {"acme": (["a", "b", "c"], False), "globex": ([], True)}


async def test_a_count_shows_nothing_before_its_end(scene: Scene) -> None:
    worker = await scene.worker()
    for _ in range(11):
        await scene.send()
    await worker.round()
    sweep = await begin(scene, "stats.app")
    await advance(scene, worker.me, limit=1)

    half = await scene.storage.sweep(ENVIRONMENT, sweep.id)
    ended = await done(scene, worker.me, sweep, limit=1)

    assert (half.state, half.changed, half.result) == (SweepState.RUNNING, 10, {})
    assert [one["messages"] for one in ended.result["appStats"]] == [11]
