"""Leases: who has one may claim; who lost it loses everything; nothing stays in flight past its term."""

from __future__ import annotations

from datetime import timedelta

from anzol.lifecycle import Cause, Incident, Outcome, State
from anzol.storage.face import Order, Reaped, Selection
from tests.contract.conftest import ENVIRONMENT, TERM, Scene, raw


async def test_a_worker_is_seen_while_its_lease_holds(scene: Scene) -> None:
    await scene.endpoint()
    await scene.send()
    worker = await scene.worker()
    await worker.round()

    (card,) = (await scene.storage.status(ENVIRONMENT)).workers
    scene.later(31)
    after = (await scene.storage.status(ENVIRONMENT)).workers

    assert (card.id, card.host, card.pid, card.version) == (worker.me, "here", 7, "1")
    assert (card.lanes, card.in_flight) == (1, 1)
    assert card.expires_at - card.started_at == TERM
    assert after == ()


async def test_a_beat_renews(scene: Scene) -> None:
    worker = await scene.worker()
    scene.later(20)
    alive = await scene.storage.beat(worker.me, TERM)
    scene.later(20)

    found = await worker.round()

    assert (alive, found.lost) == (True, False)


async def test_a_lease_that_has_ended_is_not_renewed_and_takes_nothing(scene: Scene) -> None:
    await scene.endpoint()
    await scene.send()
    worker = await scene.worker()
    scene.later(30)

    assert not await scene.storage.beat(worker.me, TERM)
    found = await worker.round()

    assert found.lost
    assert (found.claims, found.fanned_out) == ((), 0)


async def test_a_lease_that_ends_beyond_two_terms_does_not_count(scene: Scene) -> None:
    worker = await scene.worker()
    scene.clock.advance(timedelta(hours=-5))

    found = await scene.storage.dispatch(worker.me, Order())
    beaten = await scene.storage.beat(worker.me, TERM)
    reaped = await scene.reap()

    assert (found.lost, beaten, reaped.workers) == (True, False, 1)


async def test_a_clock_set_back_a_little_does_no_harm(scene: Scene) -> None:
    worker = await scene.worker()
    scene.clock.advance(timedelta(seconds=-20))

    assert not (await worker.round()).lost
    assert (await scene.reap()).workers == 0


async def test_claims_of_a_dead_worker_become_attempts_and_are_due_again(scene: Scene) -> None:
    await scene.endpoint()
    shown = await scene.send()
    dead, heir = await scene.worker(), await scene.worker(timedelta(minutes=5))
    await dead.round()
    scene.later(31)

    reaped = await scene.reap()
    (claim,) = (await heir.round()).claims

    assert reaped == Reaped(workers=1, interrupted=1)
    assert (claim.attempt, claim.step) == (1, 0)
    (attempt,) = (await scene.storage.attempts(ENVIRONMENT, Selection(message_id=shown))).items
    assert (attempt.outcome, attempt.number, attempt.status) == (Outcome.INTERRUPTED, 1, None)


async def test_a_reaped_worker_that_settles_late_writes_nothing(scene: Scene) -> None:
    await scene.endpoint()
    await scene.send()
    dead = await scene.worker()
    claims = (await dead.round()).claims
    scene.later(31)
    await scene.reap()

    before = await dead.settle(claims)
    heir = await scene.worker()
    again = (await heir.round()).claims
    during = await dead.settle(claims, cause=Cause.GAVE_UP)
    await heir.settle(again)

    assert list(before) == list(during) == [claims[0].id]
    assert await scene.states() == [State.DELIVERED]
    numbers = [one.number for one in (await scene.storage.attempts(ENVIRONMENT, Selection())).items]
    assert numbers == [2, 1]


async def test_what_kills_workers_is_given_up(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    shown = await scene.send()
    for _ in range(2):
        await (await scene.worker()).round()
        scene.later(31)
        assert (await scene.reap(most_interruptions=3)).interrupted == 1
    await (await scene.worker()).round()
    scene.later(31)

    reaped = await scene.reap(most_interruptions=3)

    assert reaped == Reaped(workers=1, exhausted=1)
    (delivery,) = await scene.deliveries()
    assert (delivery.state, delivery.cause, delivery.attempts) == (State.EXHAUSTED, Cause.INTERRUPTED, 3)
    (report,) = await scene.storage.take_incidents(5)
    assert (report.kind, report.endpoint_id, report.message_id) == (Incident.MESSAGE_EXHAUSTED, endpoint.id, shown)


async def test_who_lives_is_not_reaped(scene: Scene) -> None:
    await scene.endpoint()
    await scene.send()
    worker = await scene.worker()
    claims = (await worker.round()).claims

    assert await scene.reap() == Reaped()
    assert list(await worker.settle(claims)) == []


async def test_resigning_leaves_everything_as_it_was(scene: Scene) -> None:
    await scene.endpoint()
    await scene.send()
    leaving, heir = await scene.worker(), await scene.worker()
    (claim,) = (await leaving.round()).claims

    await scene.storage.resign(leaving.me)
    (again,) = (await heir.round()).claims

    assert again == claim
    assert (await scene.storage.attempts(ENVIRONMENT, Selection())).items == ()
    assert (await leaving.round()).lost


async def test_a_lane_of_the_dead_sleeps_until_its_next_delivery(scene: Scene) -> None:
    await scene.endpoint()
    await scene.send()
    dead = await scene.worker()
    (claim,) = (await dead.round()).claims
    await scene.storage.settle(dead.me, [scene.failed(claim, after=600)])
    scene.later(31)
    await scene.reap()

    found = await (await scene.worker()).round()

    assert found.claims == []
    assert found.next_turn_at == scene.now + 569_000_000
    assert raw((await scene.deliveries())[0].endpoint_id) == claim.endpoint_id
