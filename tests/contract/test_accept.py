"""Taking messages in: durable, each caller with its own answer, one message for each key."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest

from anzol import ids
from anzol.errors import KeyConflict, NotFound
from anzol.storage.face import Accepted, Selection
from tests.contract.conftest import ENVIRONMENT, SECOND, Scene


async def test_an_accepted_message_is_kept_exactly(scene: Scene) -> None:
    sent = scene.message(
        body=b'{"b":1,\r\n"a":"\xc3\xa9\x00"}',
        headers=(("x-team", "é"),),
        query="a=1&b=%20",
        channels=("eu", "us"),
        tags=("first",),
        key="order-7",
        deliver_at=scene.now + 60 * SECOND,
    )

    accepted = await scene.storage.accept(sent)

    kept = await scene.storage.message(ENVIRONMENT, ids.show(ids.MESSAGE, sent.id))
    assert accepted == Accepted(sent.id)
    assert (kept.body, kept.headers, kept.query) == (sent.body, sent.headers, sent.query)
    assert (kept.customer, kept.event_type, kept.method) == ("acme", "invoice.paid", "POST")
    assert (kept.channels, kept.tags, kept.key) == (("eu", "us"), ("first",), "order-7")
    assert kept.deliver_at is not None
    assert (kept.deliver_at - kept.created_at).total_seconds() == 60


async def test_a_message_of_another_environment_is_not_found(scene: Scene) -> None:
    shown = await scene.send()

    with pytest.raises(NotFound):
        await scene.storage.message("sandbox", shown)


async def test_callers_together_each_get_their_own_answer(scene: Scene) -> None:
    sent = [scene.message(customer=f"c{n % 7}") for n in range(200)]

    answers = await asyncio.gather(*(scene.storage.accept(message) for message in sent))

    assert [answer.id for answer in answers] == [message.id for message in sent]
    page = await scene.storage.messages(ENVIRONMENT, Selection(), limit=500)
    assert {item.id for item in page.items} == {ids.show(ids.MESSAGE, message.id) for message in sent}


async def test_code_without_a_loop_can_send(scene: Scene) -> None:
    sent = scene.message()

    accepted = await asyncio.to_thread(scene.storage.accept_sync, sent)

    assert accepted.id == sent.id
    assert await scene.storage.message(ENVIRONMENT, ids.show(ids.MESSAGE, sent.id))


async def test_blocking_code_on_the_loop_itself_can_send(scene: Scene) -> None:
    sent = scene.message()

    accepted = scene.storage.accept_sync(sent)

    assert accepted.id == sent.id


async def test_a_used_key_with_the_same_body_is_the_first_message(scene: Scene) -> None:
    first = await scene.accept(key="k")
    again = await scene.accept(key="k")

    assert again == Accepted(first.id, duplicate=True)
    assert len((await scene.storage.messages(ENVIRONMENT, Selection())).items) == 1


@pytest.mark.parametrize("change", [{"body": b"other"}, {"event_type": "invoice.void"}])
async def test_a_used_key_with_something_else_is_a_conflict(scene: Scene, change: dict[str, object]) -> None:
    first = await scene.accept(key="k")

    with pytest.raises(KeyConflict) as caught:
        await scene.storage.accept(scene.message(**({"key": "k"} | change)))  # type: ignore[arg-type]  # fields by name

    assert caught.value.key == "k"
    assert caught.value.message_id == ids.show(ids.MESSAGE, first.id)
    assert len((await scene.storage.messages(ENVIRONMENT, Selection())).items) == 1


async def test_a_key_belongs_to_one_customer_of_one_environment(scene: Scene) -> None:
    answers = [
        await scene.accept(key="k"),
        await scene.accept(key="k", customer="globex"),
        await scene.accept(key="k", environment="sandbox"),
    ]

    assert not any(answer.duplicate for answer in answers)


async def test_equal_keys_sent_at_once_make_one_message(scene: Scene) -> None:
    answers = await asyncio.gather(*(scene.accept(key="k") for _ in range(50)))

    assert len({answer.id for answer in answers}) == 1
    assert Counter(answer.duplicate for answer in answers) == {False: 1, True: 49}


async def test_equal_keys_sent_from_threads_make_one_message(scene: Scene) -> None:
    answers: list[Accepted] = []
    ready = threading.Barrier(8)

    def send() -> None:
        ready.wait()
        answers.extend(scene.storage.accept_sync(scene.message(key=f"k{number}")) for number in range(20))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)

    assert len({answer.id for answer in answers}) == 20
    assert sum(not answer.duplicate for answer in answers) == 20


async def test_one_of_many_that_conflicts_spoils_no_other(scene: Scene) -> None:
    await scene.accept(key="k")
    batch = [
        scene.message(),
        scene.message(key="k", body=b"other"),
        scene.message(key="new"),
        scene.message(key="new"),
        scene.message(key="new", body=b"other"),
    ]

    answers = await scene.storage.accept_many(batch)

    assert answers[0] == Accepted(batch[0].id)
    assert isinstance(answers[1], KeyConflict)
    assert answers[2] == Accepted(batch[2].id)
    assert answers[3] == Accepted(batch[2].id, duplicate=True)
    assert isinstance(answers[4], KeyConflict)
    assert len((await scene.storage.messages(ENVIRONMENT, Selection())).items) == 3


async def test_a_message_handed_over_twice_is_a_duplicate_of_itself(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    first, second = scene.message(), scene.message(key="k")
    await scene.storage.accept_many([first, second])

    answers = await scene.storage.accept_many([second, first, scene.message(), first])

    assert [isinstance(answer, Accepted) and answer.duplicate for answer in answers] == [True, True, False, True]
    found = await (await scene.worker()).round()
    assert len(found.claims) == 3
    assert {claim.endpoint_id for claim in found.claims} == {ids.read(ids.ENDPOINT, endpoint.id)}


async def test_no_messages_are_no_work(scene: Scene) -> None:
    assert list(await scene.storage.accept_many([])) == []


async def test_a_sender_who_is_cancelled_disturbs_no_other(scene: Scene) -> None:
    tasks = [asyncio.create_task(scene.accept()) for _ in range(40)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()

    answers = await asyncio.gather(*tasks, return_exceptions=True)

    assert all(isinstance(answer, Accepted) for answer in answers[1::2])


async def test_a_nudge_comes_when_a_message_is_accepted(scene: Scene) -> None:
    nudged = threading.Event()
    end = scene.storage.listen(nudged.set)

    await scene.accept()

    assert nudged.wait(5)
    end()


async def test_the_customer_of_a_first_use_is_made_by_fan_out(scene: Scene) -> None:
    await scene.accept(customer="new")
    before = await scene.storage.customers(ENVIRONMENT)

    await (await scene.worker()).round()

    after = await scene.storage.customers(ENVIRONMENT)
    assert [customer.uid for customer in before.items] == []
    assert [customer.uid for customer in after.items] == ["new"]
