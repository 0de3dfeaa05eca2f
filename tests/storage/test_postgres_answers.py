"""A commit whose answer is lost: what was written is not written again, and nobody takes it for another's."""

from __future__ import annotations

import asyncio

import pytest

from anzol.errors import StorageUnreachable
from anzol.lifecycle import Cause, Incident, Outcome
from anzol.storage.face import LaneHealth, NewIncident, Settled
from tests.storage.stage import Stage
from tests.storage.wire import COMMIT, Wire


@pytest.fixture
async def stage(wired: Stage) -> Stage:
    """As everywhere, but the storage speaks through the wire."""
    return wired


async def test_deliveries_that_ended_are_known_again(stage: Stage, wire: tuple[Wire, str]) -> None:
    worker = await stage.worker()
    await stage.storage.settle(worker, [stage.accepted(await stage.claim(worker))])
    claims = [await stage.claim(worker) for _ in range(3)]
    wire[0].cut_at(b"")

    fenced = await stage.storage.settle(worker, [stage.accepted(claim) for claim in claims])

    assert (fenced, wire[0].cuts) == ((), 1)
    assert await stage.attempts() == [(Outcome.OK, 1)] * 4


@pytest.mark.parametrize("passed_on", [True, False], ids=["the answer", "the commit"])
async def test_a_transaction_that_lost_its_end_is_written_once(
    stage: Stage, wire: tuple[Wire, str], passed_on: bool
) -> None:
    worker = await stage.worker()
    ended, again, unstarted = [await stage.claim(worker) for _ in range(3)]
    lost = Settled(ended.id + 1000, Cause.GAVE_UP, None, 0, stage.accepted(ended).attempt)
    results = [stage.gave_up(ended), stage.failed(again), Settled(unstarted.id, None, None, 0, None), lost]
    told = [
        NewIncident(Incident.MESSAGE_EXHAUSTED, ended.endpoint, ended.message, "gave up"),
        NewIncident(Incident.ENDPOINT_FAILING, again.endpoint, again.message, "500"),
    ]
    wire[0].cut_at(COMMIT, passed_on=passed_on)

    fenced = await stage.storage.settle(worker, results, [LaneHealth(again.endpoint, 1, 1, None, 0)], told)

    assert (fenced, wire[0].cuts) == ((lost.id,), 1)
    assert len(await stage.attempts()) == 2
    assert [(number, holder, tries) for number, holder, tries, _ in await stage.pending()] == [
        (again.id, None, 1),
        (unstarted.id, None, 0),
    ]
    assert [one.kind for one in await stage.storage.take_incidents(10)] == [
        Incident.MESSAGE_EXHAUSTED,
        Incident.ENDPOINT_FAILING,
    ]


async def test_a_claim_that_was_given_back_and_taken_anew_meanwhile_stays_taken(
    stage: Stage, wire: tuple[Wire, str]
) -> None:
    worker = await stage.worker()
    again, unstarted = await stage.claim(worker), await stage.claim(worker)
    results = [stage.failed(again), Settled(unstarted.id, None, None, 0, None)]

    async def taken_anew() -> None:
        await stage.ask("update anzol.pending set holder = $1", worker)

    wire[0].cut_at(COMMIT, meanwhile=taken_anew)

    fenced = await stage.storage.settle(worker, results)

    assert (fenced, wire[0].cuts) == ((), 1)
    assert [(holder, tries) for _, holder, tries, _ in await stage.pending()] == [(worker, 1), (worker, 0)]
    assert len(await stage.attempts()) == 1


@pytest.mark.parametrize("goes_on", [False, True], ids=["ended", "due again"])
async def test_results_that_were_written_before_a_long_silence_are_known_after_it(
    stage: Stage, wire: tuple[Wire, str], goes_on: bool
) -> None:
    worker = await stage.worker()
    await stage.storage.settle(worker, [stage.accepted(await stage.claim(worker))])
    claim = await stage.claim(worker)
    results = [stage.failed(claim) if goes_on else stage.accepted(claim)]

    async def silence() -> None:
        wire[0].down = True

    wire[0].cut_at(COMMIT if goes_on else b"", meanwhile=silence)

    with pytest.raises(StorageUnreachable):
        await stage.storage.settle(worker, results)
    wire[0].down = False

    assert await stage.storage.settle(worker, results) == ()
    assert len(await stage.attempts()) == 2


async def test_a_transaction_that_the_server_has_not_ended_yet_is_waited_for(
    stage: Stage, wire: tuple[Wire, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await stage.worker()
    claim = await stage.claim(worker)
    results = [stage.failed(claim)]
    async with stage.open() as other:
        # Its commit stands still: it has to wait for somebody.
        await stage.ask(
            "create function anzol.wait() returns trigger language plpgsql as $$begin perform pg_advisory_xact_lock_shared(4712); return null; end$$"
        )
        await stage.ask(
            "create constraint trigger wait after update on anzol.pending deferrable initially deferred for each row execute function anzol.wait()"
        )
        await other.run("select pg_advisory_xact_lock(4712)")
        wire[0].cut_at(COMMIT, passed_on=True)
        settling = asyncio.ensure_future(stage.storage.settle(worker, results))
        await other.blocks(settling)
        wire[0].lose()
        with pytest.raises(StorageUnreachable, match="not ended"):
            await settling
        await other.commit()

    assert await stage.storage.settle(worker, results) == ()
    assert len(await stage.attempts()) == 1
