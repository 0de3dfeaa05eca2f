"""Results and leases against each other, on several connections, held open where it hurts.

One side's transaction is opened by hand and stays open; the other side is asked meanwhile, and is seen to wait (or not
to); then the first one commits.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import Any

import pytest

from anzol import ids
from anzol.lifecycle import Cause, Disabled, Incident, Outcome
from anzol.storage.face import LaneHealth, NewIncident, Reaped, Settled
from anzol.storage.postgres import leases, register, settle
from anzol.storage.postgres.leases import Dead
from anzol.storage.postgres.settle import Batch
from anzol.storage.postgres.work import FARTHEST, Work
from tests.storage.stage import LONG, SECOND, TERM, Stage, begin, record

# --- who has lost a claim ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "due again"])
async def test_who_settles_while_another_takes_over_is_fenced(stage: Stage, ended: bool) -> None:
    late, heir = await stage.worker(), await stage.worker()
    claim = await stage.claim(late)
    result = stage.accepted(claim) if ended else stage.failed(claim)
    async with stage.open() as takeover:
        await takeover.run("update anzol.pending set holder = $1 where id = $2", heir, claim.id)
        settling = begin(stage.storage.settle(late, [result]))
        await takeover.blocks(settling)
        await takeover.run("update anzol.lane set holder = $1", heir)
        await takeover.commit()

        assert list(await settling) == [claim.id]

    assert await stage.pending() == [(claim.id, heir, 0, stage.now)]
    assert await stage.attempts() == []
    assert await stage.lanes() == [(heir, None, 0)]


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "due again"])
async def test_who_settles_while_he_is_reaped_is_fenced(stage: Stage, ended: bool) -> None:
    late = await stage.worker()
    claim = await stage.claim(late)
    result = stage.accepted(claim) if ended else stage.failed(claim)
    stage.later(2 * TERM)
    async with stage.open() as reaper:
        reaped = await leases.reap(reaper.work, Dead(late, "here", 7, ended=False), 3)
        settling = begin(stage.storage.settle(late, [result]))
        await reaper.blocks(settling)
        await reaper.commit()

        assert (reaped, list(await settling)) == (Reaped(1, 1, 0), [claim.id])

    assert await stage.pending() == [(claim.id, None, 1, stage.now)]
    assert await stage.attempts() == [(Outcome.INTERRUPTED, 1)]


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "due again"])
async def test_a_reaper_passes_by_a_worker_whose_results_are_being_written(stage: Stage, ended: bool) -> None:
    slow = await stage.worker()
    claim = await stage.claim(slow)
    result = stage.accepted(claim) if ended else stage.failed(claim)
    stage.later(2 * TERM)
    async with stage.open() as settling:
        batch = Batch(slow, [result], (), (), 0)
        if ended:
            await settle.end(settling.work, batch, batch.settled)
        else:
            await settle.settle(settling.work, batch)
        meanwhile = await stage.reap()
        await settling.commit()

    assert (meanwhile, await stage.reap()) == (Reaped(), Reaped(1, 0, 0))
    assert await stage.attempts() == [(Outcome.OK, 1)]
    assert await stage.lanes() == [(None, None if ended else max(stage.now, result.due_at or 0), 0)]


async def test_a_reaper_passes_by_a_worker_in_the_middle_of_a_round_and_comes_back(stage: Stage) -> None:
    slow = await stage.worker()
    lane = await stage.lane(slow)
    stage.later(2 * TERM)
    async with stage.open() as fan_out:
        await fan_out.hold(slow)
        await fan_out.run(
            "insert into anzol.pending (endpoint_id, message_id, due_at, holder) values ($1, $2, 0, $3)",
            lane,
            ids.new(stage.now),
            slow,
        )
        meanwhile = await stage.reap()
        await fan_out.commit()

    assert (meanwhile, await stage.reap()) == (Reaped(), Reaped(1, 1, 0))
    assert [holder for _, holder, _, _ in await stage.pending()] == [None]
    assert await stage.attempts() == [(Outcome.INTERRUPTED, 1)]


async def test_a_worker_that_stands_still_in_the_middle_of_a_transaction_is_reaped_when_the_server_ends_that(
    stage: Stage,
) -> None:
    frozen = await stage.worker()
    claim = await stage.claim(frozen)
    stage.later(2 * TERM)
    async with stage.open() as stopped:
        await stopped.run("set local idle_in_transaction_session_timeout = '500ms'")
        await stopped.hold(frozen)
        meanwhile = await stage.reap()
        async with asyncio.timeout(LONG):
            while (reaped := await stage.reap()) == Reaped():
                await asyncio.sleep(0.01)

    assert (meanwhile, reaped) == (Reaped(), Reaped(1, 1, 0))
    assert await stage.storage.settle(frozen, [stage.accepted(claim)]) == (claim.id,)


async def test_of_two_reapers_one_reaps(stage: Stage) -> None:
    dead = await stage.worker()
    await stage.claim(dead)
    stage.later(2 * TERM)
    async with stage.open() as first:
        await leases.reap(first.work, Dead(dead, "here", 7, ended=False), 3)
        second = await stage.reap()
        await first.commit()

    assert (second, await stage.reap()) == (Reaped(), Reaped())
    assert await stage.attempts() == [(Outcome.INTERRUPTED, 1)]


async def test_who_resigns_gives_back_what_a_last_round_still_claims(stage: Stage) -> None:
    leaving = await stage.worker()
    lane = await stage.lane(leaving)
    async with stage.open() as last_round:
        await last_round.hold(leaving)
        resigning = begin(stage.storage.resign(leaving))
        await last_round.blocks(resigning)
        await last_round.run(
            "insert into anzol.pending (endpoint_id, message_id, due_at, holder) values ($1, $2, $3, $4)",
            lane,
            ids.new(stage.now),
            stage.now,
            leaving,
        )
        await last_round.commit()
        await resigning

    assert [holder for _, holder, _, _ in await stage.pending()] == [None]
    assert await stage.lanes() == [(None, stage.now, 0)]


async def test_a_heart_beats_while_results_are_written_and_lists_are_read(stage: Stage) -> None:
    worker = await stage.worker()
    async with stage.open() as busy:
        await busy.hold(worker)
        await busy.run("select pg_advisory_xact_lock(4711)")
        lists = [begin(stage.storage.look(wait_for_4711)) for _ in range(3)]
        await busy.blocks(lists[0])
        async with asyncio.timeout(LONG):
            alive = await stage.storage.beat(worker, TERM)
        await busy.commit()
        await asyncio.gather(*lists)

    assert alive


async def wait_for_4711(work: Work) -> None:
    await work.connection.execute("select pg_advisory_xact_lock_shared(4711)")


async def test_a_claim_that_is_handed_out_again_before_its_settler_hears_stays_known(stage: Stage) -> None:
    worker = await stage.worker()
    claim = await stage.claim(worker)
    known = stage.storage.claims_of_worker[worker] = Counter([claim.id])
    async with stage.open() as slow:
        await slow.run("select from anzol.lane for update")
        settling = begin(stage.storage.settle(worker, [stage.failed(claim)]))
        await slow.blocks(settling)
        known.update([claim.id])
        await slow.commit()
        await settling

    assert known == {claim.id: 1}
    await stage.storage.settle(worker, [stage.failed(claim)])
    assert known == {}


# --- lanes ------------------------------------------------------------------------------------------------------------


async def test_a_lane_released_while_a_result_is_written_wakes_when_that_is_due(stage: Stage) -> None:
    worker = await stage.worker()
    claim = await stage.claim(worker)
    async with stage.open() as release:
        await release.work.column("lanes_lock", lanes=[claim.endpoint])
        settling = begin(stage.storage.settle(worker, [stage.failed(claim)]))
        await release.blocks(settling)
        # Its snapshot is from before the result.
        await release.work.run("lanes_free", me=worker, lanes=[claim.endpoint], farthest=FARTHEST)
        await release.commit()
        await settling

    assert await stage.lanes() == [(None, stage.now + 5 * SECOND, 0)]


async def test_a_lane_is_released_after_the_result_that_was_being_written(stage: Stage) -> None:
    worker = await stage.worker()
    claim = await stage.claim(worker)
    async with stage.open() as settling:
        await settle.settle(settling.work, Batch(worker, [stage.failed(claim)], (), (), 0))
        releasing = begin(release_lane(stage, worker, claim.endpoint))
        await settling.blocks(releasing)
        await settling.commit()
        await releasing

    assert await stage.lanes() == [(None, stage.now + 5 * SECOND, 0)]


async def release_lane(stage: Stage, worker: int, lane: bytes) -> None:
    async with stage.open() as release:
        await release.work.column("lanes_lock", lanes=[lane])
        await release.work.run("lanes_free", me=worker, lanes=[lane], farthest=FARTHEST)
        await release.commit()


async def test_results_in_any_order_of_lanes_do_not_wait_for_each_other_in_a_ring(stage: Stage) -> None:
    one, other = await stage.worker(), await stage.worker()
    first, second = sorted([await stage.lane(one), await stage.lane(other)])
    mine, theirs = await stage.claim(one, first), await stage.claim(one, second)
    async with stage.open() as touching:  # as fan-out does: in order of endpoint
        await touching.run("select from anzol.lane where endpoint_id = $1 for update", first)
        settling = begin(stage.storage.settle(one, [stage.failed(theirs), stage.failed(mine)]))
        await touching.blocks(settling)
        await touching.run("select from anzol.lane where endpoint_id = $1 for update nowait", second)
        await touching.run("update anzol.lane set holder = $2, turn_at = 0 where endpoint_id = $1", second, one)
        await touching.run("update anzol.lane set holder = $2, turn_at = 0 where endpoint_id = $1", first, one)
        await touching.commit()

        assert list(await settling) == []

    assert await stage.lanes() == [(one, 0, 0), (one, 0, 0)]


# --- endpoints that change under the results --------------------------------------------------------------------------


async def test_what_people_disabled_meanwhile_is_not_disabled_again(stage: Stage) -> None:
    worker = await stage.worker()
    claim = await stage.claim(worker)
    shown = ids.show(ids.ENDPOINT, claim.endpoint)
    gone = LaneHealth(claim.endpoint, 1, stage.now, None, 0, Disabled.GONE)
    told = NewIncident(Incident.ENDPOINT_DISABLED, claim.endpoint, claim.message, "410")
    async with stage.open() as person:
        await person.run(
            "insert into anzol.customer (id, environment, uid, created_at, updated_at) values ($1, 'production', 'acme', 0, 0)",
            bytes(16),
        )
        await register.disable_endpoint(person.work, "production", shown, Disabled.BY_OPERATOR)
        settling = begin(stage.storage.settle(worker, [stage.failed(claim)], [gone], [told]))
        await person.blocks(settling)
        await person.commit()
        await settling

    assert await stage.ask("select disabled from anzol.endpoint") == [(Disabled.BY_OPERATOR,)]
    assert await stage.lanes() == [(worker, stage.now, 1)]
    assert await stage.storage.take_incidents(10) == ()


@pytest.mark.parametrize("flag", [1, 2, 4], ids=["disabled", "paused", "deleted"])
async def test_a_lane_parked_while_a_result_is_written_stays_parked(stage: Stage, flag: int) -> None:
    worker = await stage.worker()
    claim = await stage.claim(worker)
    async with stage.open() as person:
        await person.run(PARKING[flag], claim.endpoint)
        await person.run("update anzol.lane set parked = parked | $1::smallint, turn_at = $2", flag, stage.now)
        settling = begin(
            stage.storage.settle(worker, [stage.failed(claim)], [LaneHealth(claim.endpoint, 3, 1, None, 0)])
        )
        await person.blocks(settling)
        await person.commit()

        assert list(await settling) == []

    assert await stage.lanes() == [(worker, stage.now, flag)]
    assert await stage.ask("select failures, failing_since from anzol.lane") == [(3, 1)]
    assert await stage.pending() == [(claim.id, None, 1, stage.now + 5 * SECOND)]


PARKING = {
    1: "update anzol.endpoint set disabled = 1 where id = $1",
    2: "insert into anzol.pause_rule (environment, endpoint_id, created_at, actor) values ('production', $1, 0, '')",
    4: "update anzol.endpoint set deleted_at = 1 where id = $1",
}


# --- much of it -------------------------------------------------------------------------------------------------------


async def test_thousands_of_claims_are_reaped_in_a_few_statements(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = await stage.worker()
    lanes = [await stage.lane(dead) for _ in range(20)]
    many = 5000
    await stage.ask(
        "insert into anzol.pending (endpoint_id, message_id, due_at, holder, interruptions, attempt)"
        " select e, m, 0, $3, 2 * (i % 2), 2 from unnest($1::uuid[], $2::uuid[]) with ordinality g (e, m, i)",
        [lanes[number % 20] for number in range(many)],
        [os.urandom(16) for _ in range(many)],
        dead,
    )
    stage.later(2 * TERM)
    asked: list[str] = []
    monkeypatch.setattr(Work, "_ready", noting(asked))

    assert await stage.reap() == Reaped(1, many // 2, many // 2)

    assert len(asked) < 10
    assert await stage.ask("select outcome, number, count(*) from anzol.attempt group by 1, 2") == [(10, 3, many)]
    assert await stage.ask("select state, cause, attempts, count(*) from anzol.delivery group by 1, 2, 3") == [
        (2, Cause.INTERRUPTED, 3, many // 2)
    ]
    assert await stage.ask("select holder, attempt, interruptions, count(*) from anzol.pending group by 1, 2, 3") == [
        (None, 3, 1, many // 2)
    ]
    assert await stage.ask("select count(*) from anzol.incident") == [(many // 2,)]


def noting(asked: list[str]) -> Any:
    ready = Work._ready

    def noted(work: Work, name: str, *more: Any, **how: Any) -> Any:
        asked.append(name)
        return ready(work, name, *more, **how)

    return noted


@pytest.mark.parametrize("goes_on", [False, True], ids=["ended", "due again"])
async def test_of_two_results_of_one_claim_the_last_is_written_and_the_others_are_too(
    stage: Stage, goes_on: bool
) -> None:
    worker = await stage.worker()
    twice, other = await stage.claim(worker), await stage.claim(worker)
    last = stage.failed(twice) if goes_on else stage.accepted(twice)

    fenced = await stage.storage.settle(worker, [stage.gave_up(twice), stage.accepted(other), last])

    assert fenced == ()
    assert await stage.attempts() == [(Outcome.OK, 1)] * 2
    assert [number for number, *_ in await stage.pending()] == ([twice.id] if goes_on else [])


async def test_what_a_receiver_says_is_stored_whatever_it_is(stage: Stage) -> None:
    worker = await stage.worker()
    odd = "a\0b\ud800ü€"
    made = record(stage.now, detail=odd, note=odd, response_headers=((b"x", b"\0\xff"),), response_body=b"\0\xff")
    claim, again = await stage.claim(worker), await stage.claim(worker)
    told = NewIncident(Incident.MESSAGE_EXHAUSTED, claim.endpoint, claim.message, odd)

    await stage.storage.settle(worker, [Settled(claim.id, Cause.GAVE_UP, None, 0, made)], (), [told])
    await stage.storage.settle(worker, [Settled(again.id, None, stage.now, 0, record(stage.now, detail=odd))])

    kept = "a\N{REPLACEMENT CHARACTER}b?ü€"
    assert {detail for (detail,) in await stage.ask("select detail from anzol.attempt")} == {kept}
    assert await stage.ask("select detail from anzol.incident") == [(kept,)]
