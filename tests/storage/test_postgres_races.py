"""Rounds of several workers against each other, held open where work could be lost.

A transaction that a test opens by hand holds a row; the engine's own statements run into it, and are seen to wait; then
it ends. Which shapes of these statements lose work was found out before the first of them was written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from anzol import ids
from anzol.clock import SystemClock
from anzol.errors import StorageUnreachable
from anzol.lifecycle import State
from anzol.storage.face import Dispatched, EndpointChanges
from anzol.storage.postgres import accept, leases, recovery
from anzol.storage.postgres.engine import PostgresStorage
from anzol.storage.postgres.leases import Dead
from anzol.storage.vault import Vault
from tests.contract.conftest import ENVIRONMENT, KEY, SECOND, Scene, Worker, beside, raw
from tests.storage.stage import LONG, TERM, Hand, Stage, begin

ACME = ids.derive(ENVIRONMENT, "acme")
WAITING = """
select pid, pg_blocking_pids(pid) from pg_stat_activity
 where wait_event_type = 'Lock' and position($1 in query) > 0 order by query_start"""


@dataclass(slots=True)
class Play:
    """Two processes, a worker in each, and hands beside them. ``one`` and ``other`` know the same customer."""

    stage: Stage
    here: Scene
    there: Scene
    one: Worker
    other: Worker

    async def waiting(self, count: int) -> list[tuple[int, set[int]]]:
        """Wait until so many wait for locks; return who, and for whom."""
        async with asyncio.timeout(LONG):
            while True:
                found = await self.stage.connection.fetch(WAITING, f'"{self.stage.storage.place.schema}"')
                if len(found) == count:
                    return [(pid, set(blockers)) for pid, blockers in found]
                await asyncio.sleep(0.005)

    async def endpoints(self, count: int, **fields: Any) -> list[str]:
        """Register endpoints; return them in the order in which lanes are locked."""
        return sorted([(await self.here.endpoint(**fields)).id for _ in range(count)], key=raw)

    async def held(self, count: int = 1) -> list[str]:
        """Have the one worker hold lanes in which nothing is left."""
        endpoints = await self.endpoints(count)
        await self.here.accept()
        await self.one.settle((await self.one.round()).claims)
        assert self.one.lanes == {raw(shown) for shown in endpoints}
        return endpoints

    async def expand(self, worker: Worker) -> Dispatched:
        """Fan out and nothing else."""
        return await worker.round(take=0, idle_lanes=False, look=())

    async def hold_lane(self, hand: Hand, shown: str) -> None:
        await hand.run("select from anzol.lane where endpoint_id = $1 for update", raw(shown))

    async def hold_customer(self, hand: Hand) -> None:
        """Be the first to make the customer's row: fan-out waits for it when all else is written."""
        await self.stage.ask("delete from anzol.customer")
        await hand.run(
            "insert into anzol.customer (id, environment, uid, created_at, updated_at) values ($1, $2, 'acme', 0, 0)",
            ACME,
            ENVIRONMENT,
        )

    async def lanes(self) -> list[tuple[Any, ...]]:
        return await self.stage.ask("select holder, turn_at from anzol.lane order by endpoint_id")


@pytest.fixture
async def play(stage: Stage) -> AsyncIterator[Play]:
    here = Scene(stage.storage, stage.clock)
    async with beside(here) as there:
        yield Play(stage, here, there, await here.worker(), await there.worker())


def messages(found: Dispatched) -> set[bytes]:
    return {claim.content.message_id for claim in found.claims}


# --- touching, releasing, taking ------------------------------------------------------------------------------------


@pytest.mark.parametrize("touched", [False, True], ids=["untouched", "touched before"])
async def test_a_touch_that_waits_for_a_release_leaves_the_lane_due(play: Play, touched: bool) -> None:
    first, last = await play.held(2)
    if touched:
        await play.here.storage.update_endpoint(ENVIRONMENT, first, EndpointChanges(url="https://new.example"))
    sent = await play.there.send(only_endpoint=raw(first))
    async with play.stage.open() as hand:
        await play.hold_lane(hand, last)
        releasing = begin(play.one.release())
        await hand.blocks(releasing)
        fanning = begin(play.expand(play.other))
        await play.waiting(2)
        await hand.commit()
        await asyncio.gather(releasing, fanning)

    assert await play.lanes() == [(None, play.stage.now), (None, None)]
    assert messages(await play.other.round()) == {raw(sent)}


async def test_a_release_that_waits_for_a_fan_out_leaves_the_lane_due(play: Play) -> None:
    await play.held()
    sent = await play.there.send()
    async with play.stage.open() as hand:
        await play.hold_customer(hand)
        fanning = begin(play.expand(play.other))
        await hand.blocks(fanning)
        releasing = begin(play.one.release())
        await play.waiting(2)
        await hand.commit()
        await asyncio.gather(releasing, fanning)

    assert await play.lanes() == [(None, play.stage.now)]
    assert messages(await play.other.round()) == {raw(sent)}


async def test_what_comes_while_a_lane_is_taken_is_found_by_the_same_round(play: Play) -> None:
    await play.endpoints(1)
    first = await play.there.send()
    await play.expand(play.other)
    async with play.stage.open() as hand:
        await hand.run("select from anzol.worker where id = $1 for update", play.one.me)
        taking = begin(play.one.round(fan_out=0))
        await hand.blocks(taking)
        second = await play.there.send()
        await play.expand(play.other)
        await hand.commit()

        assert messages(await taking) == {raw(first), raw(second)}


async def test_a_touch_while_touches_are_cleared_is_left_for_the_next_round(play: Play) -> None:
    (endpoint,) = await play.held()
    await play.here.storage.update_endpoint(ENVIRONMENT, endpoint, EndpointChanges(url="https://new.example"))
    sent = await play.there.send()
    async with play.stage.open() as hand:
        await play.hold_customer(hand)
        fanning = begin(play.expand(play.other))
        await hand.blocks(fanning)
        async with asyncio.timeout(LONG):
            during = await play.one.round(fan_out=0, look=())
        await hand.commit()
        await fanning

    assert (during.claims, during.profiles) == ([], [])
    found = await play.one.round(fan_out=0, look=())
    assert messages(found) == {raw(sent)}
    assert [profile.url for profile in found.profiles] == ["https://new.example"]


async def test_of_two_takers_neither_waits_and_each_has_its_own(play: Play) -> None:
    await play.endpoints(5)
    await play.there.send()
    await play.expand(play.other)
    async with play.stage.open() as hand:
        ((theirs, _),) = [await hand.work.the("lanes_take", "lane", me=play.other.me, most=2)]
        async with asyncio.timeout(LONG):
            found = await play.one.round(fan_out=0)
        await hand.commit()

    mine = {claim.endpoint_id for claim in found.claims}
    assert (len(mine), len(theirs), mine & {*theirs}) == (3, 2, set())


async def test_an_idle_lane_that_another_has_taken_meanwhile_is_only_touched(play: Play) -> None:
    (endpoint,) = await play.endpoints(1)
    sent = await play.here.send()
    async with play.stage.open() as hand:
        await hand.run("update anzol.lane set holder = $1 where endpoint_id = $2", play.other.me, raw(endpoint))
        fanning = begin(play.one.round())
        await hand.blocks(fanning)
        await hand.commit()
        found = await fanning

    play.other.lanes.add(raw(endpoint))
    assert (found.claims, found.profiles, found.next_turn_at) == ([], [], None)
    assert messages(await play.other.round(fan_out=0)) == {raw(sent)}


async def test_an_idle_fifo_lane_in_which_something_is_held_back_claims_nothing_before_that(play: Play) -> None:
    (endpoint,) = await play.endpoints(1, fifo=True)
    await play.here.storage.pause(ENVIRONMENT, customer=None, event_type="bad", endpoint_id=None, actor="me")
    await play.here.send(event_type="bad")
    await play.here.send()
    async with play.stage.open() as hand:
        await play.hold_lane(hand, endpoint)  # so that what stood there before is not what is judged by
        fanning = begin(play.one.round(fan_out=1))
        await hand.blocks(fanning)
        await hand.commit()
        await fanning

    assert (await play.one.round()).claims == []
    assert (await play.other.round()).claims == []


# --- order of locks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["fan-out", "release"])
async def test_lanes_are_locked_in_one_order_by_everybody(play: Play, first: str) -> None:
    endpoints = await play.held(6)
    await play.there.send()
    async with play.stage.open() as hand:
        await play.hold_lane(hand, endpoints[-1])
        backwards = tuple(raw(shown) for shown in reversed(endpoints))
        release = {"release": backwards, "take": 0, "fan_out": 0, "rooms": {}, "look": ()}
        acts = [lambda: play.expand(play.other), lambda: play.one.round(**release)]
        if first == "release":
            acts.reverse()
        earlier = begin(acts[0]())
        await hand.blocks(earlier)
        later = begin(acts[1]())
        (earlier_pid, before_it), (_, before_later) = await play.waiting(2)
        holding = hand.connection.get_server_pid()
        await hand.commit()
        await asyncio.gather(earlier, later)

    # Who comes second waits for the first lane, which the first has; if he had another one, each could wait for the other.
    assert before_it == {holding}
    assert before_later == {earlier_pid}


async def test_two_fan_outs_to_the_same_lanes_both_end(play: Play) -> None:
    endpoints = await play.endpoints(6)
    third = await play.there.worker()
    for _ in range(4):
        await play.here.send()
    async with play.stage.open() as hand:
        await play.hold_lane(hand, endpoints[3])
        rounds = [begin(worker.round(take=0, fan_out=1, idle_lanes=False)) for worker in (play.one, third)]
        await play.waiting(2)
        await hand.commit()
        done = await asyncio.gather(*rounds)

    assert [found.fanned_out for found in done] == [1, 1]
    assert len(await play.here.states()) == 12


async def test_a_look_leaves_what_somebody_has_in_hand(play: Play) -> None:
    await play.held()
    for _ in range(3):
        await play.there.send()
    await play.expand(play.other)
    async with play.stage.open() as hand:
        await hand.run("select from anzol.pending order by id limit 1 for update")
        async with asyncio.timeout(LONG):
            found = await play.one.round(fan_out=0)
        await hand.commit()

    assert len(found.claims) == 2
    assert len((await play.one.round(fan_out=0)).claims) == 1


# --- messages that are committed late -------------------------------------------------------------------------------


async def accept_late(play: Play, hand: Hand) -> bytes:
    """Accept a message in a transaction that stays open."""
    message = play.here.message()
    await accept.accept(hand.work, [message], fresh=False)
    return message.id


async def let_the_mark_pass(play: Play) -> None:
    """Fan out, until the mark is behind all that there is."""
    for _ in range(5):
        await play.here.accept()
        await play.one.settle((await play.one.round()).claims)
        play.here.later(0.3)


async def test_a_message_committed_late_is_found_within_a_second(play: Play) -> None:
    await play.held()
    async with play.stage.open() as hand:
        late = await accept_late(play, hand)
        await let_the_mark_pass(play)
        await hand.commit()

    found: set[bytes] = set()
    for _ in range(5):
        play.here.later(0.2)
        found |= messages(await play.one.round())
    assert found == {late}


async def test_done_rows_are_not_read_over_again(play: Play) -> None:
    await play.held()
    await let_the_mark_pass(play)
    low = play.here.storage._memories[play.one.me].outbox.low  # type: ignore[attr-defined]

    ((newest,),) = await play.stage.ask("select last_value from anzol.accepted_id_seq")
    assert newest - 3 <= low.mark(play.here.clock.monotonic()) <= newest


async def test_on_a_fifo_endpoint_what_was_sent_after_a_late_commit_comes_after_it(play: Play) -> None:
    await play.endpoints(1, fifo=True)
    await play.here.accept()
    await play.one.settle((await play.one.round()).claims)
    async with play.stage.open() as hand:
        late = await accept_late(play, hand)
        await let_the_mark_pass(play)
        await hand.commit()
    after = raw(await play.here.send())

    order = []
    for _ in range(5):
        found = await play.one.round()
        order += [claim.content.message_id for claim in found.claims]
        await play.one.settle(found.claims)
    assert order == [late, after]


async def test_on_a_fifo_endpoint_nothing_overtakes_what_another_worker_has_in_hand(play: Play) -> None:
    await play.endpoints(1, fifo=True)
    await play.here.accept()
    await play.one.settle((await play.one.round()).claims)
    first = raw(await play.here.send())
    async with play.stage.open() as hand:
        await play.hold_customer(hand)
        fanning = begin(play.other.round(take=0, fan_out=1, idle_lanes=False))
        await hand.blocks(fanning)
        second = raw(await play.here.send())
        async with asyncio.timeout(LONG):
            during = await play.one.round()
        await hand.commit()
        await fanning

    order = []
    for _ in range(3):
        found = await play.one.round()
        order += [claim.content.message_id for claim in found.claims]
        await play.one.settle(found.claims)
    assert (during.claims, during.waiting) == ([], True)
    assert order == [first, second]


# --- rules that hold back -------------------------------------------------------------------------------------------


async def test_a_pause_of_an_event_type_waits_for_a_fan_out(play: Play) -> None:
    await play.held()
    await play.here.send(event_type="bad")
    async with play.stage.open() as hand:
        await play.hold_customer(hand)
        fanning = begin(play.one.round())
        await hand.blocks(fanning)
        pausing = begin(
            play.there.storage.pause(ENVIRONMENT, customer=None, event_type="bad", endpoint_id=None, actor="me")
        )
        await play.waiting(2)
        await hand.commit()
        claims = (await fanning).claims
        await pausing

    await play.here.storage.settle(play.one.me, [play.here.failed(claim, after=0) for claim in claims])
    assert len(claims) == 1
    assert (await play.one.round()).claims == []  # the rules of every snapshot say the rest


async def test_a_fan_out_waits_for_a_pause_of_an_event_type(play: Play) -> None:
    await play.held()
    sent = await play.here.send(event_type="bad")
    async with play.stage.open() as hand:
        await recovery.pause(hand.work, ENVIRONMENT, None, "bad", None, "me")
        fanning = begin(play.one.round())
        await hand.blocks(fanning)
        await hand.commit()

        assert (await fanning).claims == []

    assert await play.here.states(message_id=sent) == [State.PENDING]


# --- workers that die -----------------------------------------------------------------------------------------------


async def test_a_worker_is_not_reaped_in_the_middle_of_a_fan_out(play: Play) -> None:
    await play.held()
    await play.here.send()
    async with play.stage.open() as hand:
        await play.hold_customer(hand)
        fanning = begin(play.one.round())
        await hand.blocks(fanning)
        play.here.later(2 * TERM.total_seconds())
        during = await play.there.reap()
        await hand.commit()
        claims = (await fanning).claims

    after = await play.there.reap()
    assert (during.workers, during.interrupted) == (1, 0)  # the other one, who did nothing
    assert (after.workers, after.interrupted) == (1, len(claims))
    assert len(claims) == 1


@pytest.mark.parametrize("doing", ["take", "fan out", "look"])
async def test_a_round_of_a_worker_that_is_being_reaped_does_nothing(play: Play, doing: str) -> None:
    if doing == "take":
        await play.endpoints(1)
    else:
        await play.held()
    await play.there.send()
    if doing != "fan out":
        await play.expand(play.other)
    async with play.stage.open() as reaper:
        await leases.reap(reaper.work, Dead(play.one.me, "here", 7, ended=True), 3)
        dying = begin(play.one.round())
        await reaper.blocks(dying)
        await reaper.commit()
        found = await dying

    assert found.claims == []
    assert (await play.one.round()).lost
    assert len((await play.other.round()).claims) == 1


# --- replies that are lost ------------------------------------------------------------------------------------------


async def test_claims_of_a_round_whose_connection_was_lost_are_handed_out_by_the_next(play: Play) -> None:
    await play.here.storage.put_customer(ENVIRONMENT, "acme", throttle=100)
    endpoint = await play.here.endpoint()
    sent = await play.here.send()
    async with play.stage.open() as hand:
        await hand.run("select from anzol.customer for update")
        cut = begin(play.one.round(wants={ACME: 1}))  # claims, and then asks for starts
        await hand.blocks(cut)
        ((pid, _),) = await play.waiting(1)
        await play.stage.ask("select pg_terminate_backend($1)", pid)
        with pytest.raises(StorageUnreachable):
            await cut
        await hand.commit()

    ((holder, held),) = await play.stage.ask(
        "select l.holder, p.holder from anzol.lane l join anzol.pending p using (endpoint_id)"
    )
    known = await play.one.round()
    found = await play.one.round()
    assert (holder, held) == (play.one.me, play.one.me)
    assert [profile.endpoint_id for profile in known.profiles] == [raw(endpoint.id)]
    assert messages(found) == {raw(sent)}
    assert list(await play.one.settle(found.claims)) == []


async def test_claims_that_were_handed_out_are_not_given_back_with_those_that_were_not(play: Play) -> None:
    await play.held()
    await play.here.send()
    mine = (await play.one.round()).claims
    await play.here.send()
    cut = begin(play.one.round())
    await asyncio.sleep(0)
    cut.cancel()
    await asyncio.gather(cut, return_exceptions=True)

    found = (await play.one.round(look=())).claims

    assert (len(mine), len(found)) == (1, 1)
    assert {claim.id for claim in mine}.isdisjoint(claim.id for claim in found)
    assert list(await play.one.settle([*mine, *found])) == []


# --- what a round costs, and its time -------------------------------------------------------------------------------


async def test_a_round_that_finds_nothing_writes_nothing(play: Play) -> None:
    await play.held(3)
    asked = "select pg_snapshot_xmax(pg_current_snapshot())::text"

    before = await play.stage.ask(asked)
    for _ in range(3):
        await play.one.round()

    assert await play.stage.ask(asked) == before


class Slow(SystemClock):
    """A machine's clock that is an hour late."""

    def micros(self) -> int:
        return super().micros() - 3600 * SECOND


async def test_a_worker_with_another_clock_than_the_database_times_everything_by_its_own(stage: Stage) -> None:
    place = stage.storage.place
    storage = PostgresStorage(place.url, schema=place.schema, clock=Slow(), vault=Vault([KEY]))
    scene = Scene(storage, Slow())  # type: ignore[arg-type]  # only asked for the time
    await storage.put_customer(ENVIRONMENT, "acme", throttle=100)
    await scene.endpoint()
    later = SystemClock().micros() + 60 * SECOND
    await storage.accept(scene.message(deliver_at=later))
    await storage.accept(scene.message())
    worker = await scene.worker(timedelta(minutes=5))

    found = await worker.round(wants={ACME: 1})

    (claim,), (grant,) = found.claims, found.grants
    times = [claim.due_at, claim.content.created_at, grant.first, grant.again_at]
    assert max(abs(time - scene.now) for time in times) < 30 * SECOND
    assert found.next_turn_at is not None
    assert abs(found.next_turn_at - (later - 3600 * SECOND)) < SECOND
    await storage.close()
