"""Results: what they make of a delivery, who may write them, and what they say of the endpoint."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from anzol import ids
from anzol.errors import StorageError
from anzol.lifecycle import Cause, Disabled, Incident, Outcome, State, ends
from anzol.storage.face import LaneHealth, NewIncident, Selection
from anzol.storage.postgres.engine import PostgresStorage
from anzol.storage.postgres.queries import in_schema
from anzol.storage.postgres.work import Work
from anzol.storage.sqlite.engine import SqliteStorage
from tests.contract.conftest import ENVIRONMENT, SECOND, Scene, raw

ENDINGS = [cause for cause in Cause if cause is not Cause.RESENT]


@pytest.mark.parametrize("cause", ENDINGS, ids=lambda cause: cause.name.lower())
async def test_a_delivery_ends_as_its_cause_says(scene: Scene, cause: Cause) -> None:
    await scene.endpoint()
    shown = await scene.send()
    worker = await scene.worker()

    await worker.settle((await worker.round()).claims, cause=cause)

    (delivery,) = await scene.deliveries(message_id=shown)
    assert (delivery.state, delivery.cause, delivery.attempts) == (ends(cause), cause, 1)
    assert (delivery.in_flight, delivery.due_at, delivery.parked) == (False, None, "")
    assert delivery.ended_at is not None


async def test_an_attempt_is_recorded_as_it_was(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    shown = await scene.send()
    worker = await scene.worker()
    made = scene.record(Outcome.HTTP_STATUS, 503, detail="503", note="slow", resolve=5, tls=7)

    await worker.settle((await worker.round()).claims, cause=Cause.GAVE_UP, attempt=made)

    (kept,) = (await scene.storage.attempts(ENVIRONMENT, Selection())).items
    assert (kept.id, kept.message_id, kept.endpoint_id) == (ids.show(ids.ATTEMPT, made.id), shown, endpoint.id)
    assert (kept.number, kept.outcome, kept.status) == (1, Outcome.HTTP_STATUS, 503)
    assert (kept.detail, kept.note, kept.manual) == ("503", "slow", False)
    assert kept.response_headers == ((b"server", b"caf\xe9"),)
    assert kept.response_body == b"\x00ok"
    assert kept.timing.resolve is not None
    assert kept.timing.resolve.microseconds == 5


async def test_a_failed_try_is_due_again(scene: Scene) -> None:
    await scene.endpoint()
    await scene.send()
    worker = await scene.worker()
    (claim,) = (await worker.round()).claims

    await scene.storage.settle(worker.me, [scene.failed(claim, after=5)])
    early = await worker.round()
    scene.later(5)
    (again,) = (await worker.round(look=())).claims

    assert (early.claims, early.next_turn_at) == ([], scene.now)
    assert (again.id, again.attempt, again.step, again.due_at) == (claim.id, 1, 1, scene.now)


async def test_a_claim_given_back_is_as_it_was(scene: Scene) -> None:
    await scene.endpoint()
    await scene.send()
    worker = await scene.worker()
    (claim,) = (await worker.round()).claims

    await worker.settle([claim], cause=None, attempt=None, step=claim.step)

    assert list((await worker.round()).claims) == [claim]
    assert (await scene.storage.attempts(ENVIRONMENT, Selection())).items == ()


async def test_what_another_holds_now_is_fenced_row_by_row(scene: Scene) -> None:
    await scene.endpoint()
    await scene.endpoint()
    await scene.send()
    late, other = await scene.worker(), await scene.worker()
    claims = (await late.round()).claims
    stolen, kept = claims
    await scene.storage.dispatch(late.me, _release(stolen.endpoint_id))
    await other.round()

    fenced = await scene.storage.settle(
        late.me, [scene.result(stolen), scene.result(kept), scene.result(stolen, Cause.GAVE_UP)]
    )

    assert list(fenced) == [stolen.id, stolen.id]
    by_endpoint = {raw(one.endpoint_id): one for one in await scene.deliveries()}
    assert by_endpoint[kept.endpoint_id].state is State.DELIVERED
    assert by_endpoint[stolen.endpoint_id].in_flight
    assert len((await scene.storage.attempts(ENVIRONMENT, Selection())).items) == 1


def _release(endpoint: bytes) -> object:
    from anzol.storage.face import Order

    return Order(release=(endpoint,))


async def test_a_settled_claim_cannot_be_settled_again(scene: Scene) -> None:
    await scene.endpoint()
    await scene.send()
    worker = await scene.worker()
    claims = (await worker.round()).claims

    first = await worker.settle(claims)
    second = await worker.settle(claims, cause=Cause.GAVE_UP)

    assert (list(first), list(second)) == ([], [claims[0].id])
    assert await scene.states() == [State.DELIVERED]


async def test_health_is_kept_with_the_endpoint(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    await scene.send()
    worker = await scene.worker()
    (claim,) = (await worker.round()).claims
    health = LaneHealth(claim.endpoint_id, 3, scene.now - SECOND, scene.now + SECOND, 2)

    await scene.storage.settle(worker.me, [scene.failed(claim)], [health])

    (profile,) = await scene.storage.profiles([claim.endpoint_id])
    assert (profile.failures, profile.failing_since, profile.circuit_step) == (3, scene.now - SECOND, 2)
    assert profile.circuit_open_until == scene.now + SECOND
    shown = await scene.storage.endpoint(ENVIRONMENT, endpoint.id)
    assert (shown.health.failures, shown.health.waiting) == (3, 1)


@pytest.mark.parametrize(("minutes", "waits"), [(36, True), (37, False)])
async def test_a_lane_waits_for_its_circuit_unless_a_clock_was_set_back(
    scene: Scene, minutes: int, waits: bool
) -> None:
    await scene.endpoint()
    await scene.send()
    worker = await scene.worker()
    (claim,) = (await worker.round()).claims
    open_until = scene.now + minutes * 60 * SECOND  # probes are 36 minutes apart at most
    await scene.storage.settle(worker.me, [scene.failed(claim)], [LaneHealth(claim.endpoint_id, 10, 0, open_until, 8)])
    await worker.release()
    scene.later(10)

    assert bool((await worker.round()).claims) is not waits


async def test_health_of_a_lane_held_by_nobody_or_another_is_left_alone(scene: Scene) -> None:
    await scene.endpoint()
    await scene.send()
    worker, other = await scene.worker(), await scene.worker()
    (claim,) = (await worker.round()).claims

    await scene.storage.settle(
        other.me,
        [],
        [LaneHealth(claim.endpoint_id, 9, None, None, 0, Disabled.FAILING)],
        [NewIncident(Incident.ENDPOINT_DISABLED, claim.endpoint_id, None, "")],
    )

    (profile,) = await scene.storage.profiles([claim.endpoint_id])
    assert (profile.failures, profile.active) == (0, True)
    assert list(await scene.storage.take_incidents(10)) == []


async def test_an_endpoint_is_disabled_and_told_of_once(scene: Scene) -> None:
    endpoint = await scene.endpoint(contact="ops@acme.example")
    for _ in range(3):
        await scene.send()
    worker = await scene.worker()
    claims = (await worker.round()).claims

    for claim in claims[:2]:
        await scene.storage.settle(
            worker.me,
            [scene.result(claim, Cause.REFUSED, attempt=scene.record(Outcome.HTTP_STATUS, 410))],
            [LaneHealth(claim.endpoint_id, 1, scene.now, None, 0, Disabled.GONE)],
            [NewIncident(Incident.ENDPOINT_DISABLED, claim.endpoint_id, claim.content.message_id, "410 Gone")],
        )

    shown = await scene.storage.endpoint(ENVIRONMENT, endpoint.id)
    assert (shown.enabled, shown.disabled_because) == (False, Disabled.GONE)
    (report,) = await scene.storage.take_incidents(10)
    assert (report.kind, report.customer, report.endpoint_id) == (Incident.ENDPOINT_DISABLED, "acme", endpoint.id)
    assert (report.contact, report.detail, report.url) == ("ops@acme.example", "410 Gone", endpoint.url)
    assert report.message_id == ids.show(ids.MESSAGE, claims[0].content.message_id)


async def test_an_incident_of_a_fenced_result_is_not_told(scene: Scene) -> None:
    await scene.endpoint()
    await scene.send()
    worker = await scene.worker()
    (claim,) = (await worker.round()).claims
    await worker.settle([claim])

    await scene.storage.settle(
        worker.me,
        [scene.result(claim, Cause.GAVE_UP)],
        (),
        [NewIncident(Incident.MESSAGE_EXHAUSTED, claim.endpoint_id, claim.content.message_id, "")],
    )

    assert list(await scene.storage.take_incidents(10)) == []


async def test_an_incident_is_kept_until_somebody_has_told_it(scene: Scene) -> None:
    await scene.endpoint()
    await scene.send()
    worker = await scene.worker()
    (claim,) = (await worker.round()).claims
    incident = NewIncident(Incident.MESSAGE_EXHAUSTED, claim.endpoint_id, claim.content.message_id, "gave up")
    await scene.storage.settle(worker.me, [scene.result(claim, Cause.GAVE_UP)], (), [incident])

    (taken,) = await scene.storage.take_incidents(10)
    meanwhile = await scene.storage.take_incidents(10)
    scene.later(61)
    (again,) = await scene.storage.take_incidents(10)
    await scene.storage.tell_incidents([again.id])
    scene.later(61)

    assert list(meanwhile) == []
    assert taken == again
    assert list(await scene.storage.take_incidents(10)) == []


async def test_results_of_one_lane_are_written_together(scene: Scene) -> None:
    await scene.endpoint()
    for _ in range(4):
        await scene.send()
    worker = await scene.worker(timedelta(minutes=5))
    late, soon, unstarted, ended = (await worker.round()).claims
    results = [
        scene.failed(late, after=60),
        scene.failed(soon, after=20),
        scene.result(unstarted, None, scene.now + 40 * SECOND, 0, None),
        scene.result(ended),
    ]

    fenced = await scene.storage.settle(worker.me, results, [LaneHealth(late.endpoint_id, 2, scene.now, None, 0)])
    next_turn_at = (await worker.round()).next_turn_at
    scene.later(60)
    again = (await worker.round()).claims

    assert (list(fenced), next_turn_at) == ([], scene.now - 40 * SECOND)
    assert [(claim.id, claim.attempt, claim.step) for claim in again] == [
        (soon.id, 1, 1),
        (unstarted.id, 0, 0),
        (late.id, 1, 1),
    ]
    (profile,) = await scene.storage.profiles([late.endpoint_id])
    assert profile.failures == 2


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "due again"])
@pytest.mark.parametrize("happened", ["disabled", "paused", "deleted"])
async def test_what_happens_to_an_endpoint_loses_no_result_of_what_is_in_flight(
    scene: Scene, happened: str, ended: bool
) -> None:
    endpoint = await scene.endpoint()
    await scene.send()
    worker = await scene.worker(timedelta(minutes=5))
    (claim,) = (await worker.round()).claims
    if happened == "disabled":
        await scene.storage.disable_endpoint(ENVIRONMENT, endpoint.id, Disabled.BY_OPERATOR)
    elif happened == "paused":
        await scene.storage.pause(ENVIRONMENT, customer=None, event_type=None, endpoint_id=endpoint.id, actor="me")
    else:
        await scene.storage.delete_endpoint(ENVIRONMENT, endpoint.id)

    fenced = await scene.storage.settle(worker.me, [scene.result(claim) if ended else scene.failed(claim)])
    scene.later(60)
    await worker.release()
    after = await worker.round()

    assert (list(fenced), list(after.claims)) == ([], [])
    assert await scene.states() == [State.DELIVERED if ended else State.PENDING]
    assert len((await scene.storage.attempts(ENVIRONMENT, Selection())).items) == 1


async def test_what_a_receiver_says_may_hold_any_character(scene: Scene) -> None:
    await scene.endpoint()
    await scene.send()
    worker = await scene.worker()
    made = scene.record(
        Outcome.BAD_RESPONSE, None, detail="bad\0\n\x7f", note="\0", response_headers=((b"x", bytes(range(1, 256))),)
    )

    await worker.settle((await worker.round()).claims, cause=Cause.GAVE_UP, attempt=made)

    (kept,) = (await scene.storage.attempts(ENVIRONMENT, Selection())).items
    assert kept.detail.startswith("bad")
    assert kept.response_headers == made.response_headers


async def test_the_database_refuses_a_state_that_cannot_be(scene: Scene) -> None:
    await scene.endpoint()
    await scene.send()
    worker = await scene.worker()
    await worker.settle((await worker.round()).claims)

    with pytest.raises((sqlite3.IntegrityError, StorageError), match=r"(?i)check constraint"):
        await by_hand(scene.storage, "update anzol.delivery set cause = 3")


async def by_hand(storage: object, statement: str) -> None:
    """Run a statement past the face; its tables are written as PostgreSQL's."""
    if isinstance(storage, PostgresStorage):
        await storage.change(run, in_schema(statement, storage.place.schema))
    else:
        assert isinstance(storage, SqliteStorage)
        with closing(sqlite3.connect(storage.path)) as connection:
            connection.execute(statement.replace("anzol.", "anzol_"))


async def run(work: Work, statement: str) -> None:
    await work.connection.execute(statement)
