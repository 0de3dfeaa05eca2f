"""Contents that are taken away: a message's body, and what an endpoint answered."""

from __future__ import annotations

import pytest

from anzol.errors import Conflict, NotFound
from anzol.lifecycle import Cause, State
from anzol.storage.face import Selection
from tests.contract.conftest import ENVIRONMENT, Scene

NOWHERE = "msg_" + "0" * 22


async def test_the_body_is_gone_and_the_rest_stays(scene: Scene) -> None:
    await scene.endpoint()
    scene.later(1)
    message = await scene.send(tags=("t",), key="k")
    worker = await scene.worker()
    await worker.settle((await worker.round()).claims)

    await scene.storage.erase_message(ENVIRONMENT, message)

    stored = await scene.storage.message(ENVIRONMENT, message)
    assert stored.body is None
    assert (stored.event_type, stored.tags, stored.key) == ("invoice.paid", ("t",), "k")
    assert await scene.states(message_id=message) == [State.DELIVERED]
    assert (await scene.accept(key="k")).duplicate


async def test_what_waits_is_cancelled_and_the_others_go_on(scene: Scene) -> None:
    first = await scene.endpoint()
    second = await scene.endpoint()
    scene.later(1)
    erased, kept = await scene.send(), await scene.send()
    worker = await scene.worker()
    claims = (await worker.round()).claims
    await scene.storage.settle(worker.me, [scene.failed(claim, 5) for claim in claims])

    await scene.storage.erase_message(ENVIRONMENT, erased)
    scene.later(6)

    again = (await worker.round()).claims
    await worker.settle(again)
    ended = await scene.deliveries(message_id=erased)
    assert {(one.state, one.cause, one.attempts) for one in ended} == {(State.CANCELLED, Cause.WITHDRAWN, 1)}
    assert {one.endpoint_id for one in ended} == {first.id, second.id}
    assert await scene.states(message_id=kept) == [State.DELIVERED] * 2


async def test_what_was_not_fanned_out_never_is(scene: Scene) -> None:
    await scene.endpoint()
    scene.later(1)
    message = await scene.send()

    await scene.storage.erase_message(ENVIRONMENT, message)

    assert list((await (await scene.worker()).round()).claims) == []
    assert await scene.deliveries(message_id=message) == ()


async def test_what_is_in_flight_ends_and_is_not_due_again(scene: Scene) -> None:
    await scene.endpoint()
    scene.later(1)
    message = await scene.send()
    worker = await scene.worker()
    claims = (await worker.round()).claims

    await scene.storage.erase_message(ENVIRONMENT, message)
    fenced = await scene.storage.settle(worker.me, [scene.failed(claim) for claim in claims])
    scene.later(60)

    assert list(fenced) == [claim.id for claim in claims]
    assert list((await worker.round()).claims) == []
    assert await scene.states(message_id=message) == [State.CANCELLED]


async def test_an_erased_message_is_not_sent_again(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    scene.later(1)
    message = await scene.send()
    worker = await scene.worker()
    await worker.settle((await worker.round()).claims)
    await scene.storage.erase_message(ENVIRONMENT, message)

    with pytest.raises(Conflict, match="erased"):
        await scene.storage.resend(ENVIRONMENT, message, endpoint.id)
    await scene.storage.recover(ENVIRONMENT, Selection(message_id=message), after=None, limit=10)

    assert await scene.states(message_id=message) == [State.DELIVERED]
    assert list((await worker.round()).claims) == []


async def test_erasing_twice_is_as_once(scene: Scene) -> None:
    message = await scene.send()

    await scene.storage.erase_message(ENVIRONMENT, message)
    await scene.storage.erase_message(ENVIRONMENT, message)

    assert (await scene.storage.message(ENVIRONMENT, message)).body is None


async def test_a_message_of_another_environment_is_not_there(scene: Scene) -> None:
    message = await scene.send()

    for environment, name in (("staging", message), (ENVIRONMENT, NOWHERE), (ENVIRONMENT, "nonsense")):
        with pytest.raises(NotFound):
            await scene.storage.erase_message(environment, name)

    assert (await scene.storage.message(ENVIRONMENT, message)).body is not None


async def test_an_answer_is_taken_out_of_its_attempt(scene: Scene) -> None:
    await scene.endpoint()
    scene.later(1)
    await scene.send()
    await scene.send()
    worker = await scene.worker()
    await worker.settle((await worker.round()).claims)
    first, second = (await scene.storage.attempts(ENVIRONMENT, Selection())).items

    await scene.storage.erase_attempt(ENVIRONMENT, first.id)

    found = {one.id: one for one in (await scene.storage.attempts(ENVIRONMENT, Selection())).items}
    erased = found[first.id]
    assert (erased.response_headers, erased.response_body, erased.note) == ((), b"", "erased")
    assert (erased.status, erased.outcome, erased.timing) == (first.status, first.outcome, first.timing)
    assert found[second.id] == second


async def test_an_attempt_of_another_environment_is_not_there(scene: Scene) -> None:
    await scene.endpoint()
    scene.later(1)
    await scene.send()
    worker = await scene.worker()
    await worker.settle((await worker.round()).claims)
    (attempt,) = (await scene.storage.attempts(ENVIRONMENT, Selection())).items

    for environment, name in (("staging", attempt.id), (ENVIRONMENT, "atmpt_" + "0" * 22), (ENVIRONMENT, "nonsense")):
        with pytest.raises(NotFound):
            await scene.storage.erase_attempt(environment, name)

    assert (await scene.storage.attempts(ENVIRONMENT, Selection())).items == (attempt,)
