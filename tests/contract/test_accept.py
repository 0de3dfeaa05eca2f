"""Taking messages in: durable, each caller with its own answer, one message for each key."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest

from anzol import ids
from anzol.errors import KeyConflict, NotFound, RequestConflict
from anzol.storage.face import Accepted, Request, Retention, Selection
from tests.contract.conftest import ENVIRONMENT, SECOND, Scene, beside


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


# --- requests that may be made again --------------------------------------------------------------------------------

HALF_A_DAY = 12 * 3600


def asked(slot: str = "slot", what: str = "this") -> Request:
    return Request(slot, what.encode().ljust(32))


async def count(scene: Scene) -> int:
    return len((await scene.storage.messages(ENVIRONMENT, Selection(), limit=250)).items)


async def test_a_request_that_is_made_again_has_the_first_ones_message(scene: Scene) -> None:
    first = await scene.accept(request=asked())
    again = await scene.accept(request=asked())

    assert first == Accepted(first.id)
    assert again == Accepted(first.id, duplicate=True)
    assert await count(scene) == 1


async def test_another_request_with_the_same_slot_is_a_conflict_whoever_it_is_for(scene: Scene) -> None:
    first = await scene.accept(request=asked())

    for customer in ("acme", "globex"):
        with pytest.raises(RequestConflict, match=ids.show(ids.MESSAGE, first.id)) as caught:
            await scene.accept(customer=customer, request=asked(what="that"))
        assert "idempotency key" in str(caught.value)
        assert caught.value.do

    assert await count(scene) == 1
    assert await scene.accept(request=asked()) == Accepted(first.id, duplicate=True)


async def test_requests_with_slots_of_their_own_are_messages_of_their_own(scene: Scene) -> None:
    answers = [await scene.accept(request=asked(slot)) for slot in ("one", "other")]

    assert not any(answer.duplicate for answer in answers)
    assert await count(scene) == 2


async def test_a_request_is_remembered_for_12_hours(scene: Scene) -> None:
    first = await scene.accept(request=asked())
    scene.later(HALF_A_DAY - 1)
    still = await scene.accept(request=asked())
    scene.later(1)
    anew = await scene.accept(request=asked(what="that"))

    assert still == Accepted(first.id, duplicate=True)
    assert anew.id != first.id
    assert not anew.duplicate
    with pytest.raises(RequestConflict):
        await scene.accept(request=asked())
    scene.later(HALF_A_DAY - 1)
    assert await scene.accept(request=asked(what="that")) == Accepted(anew.id, duplicate=True)


async def test_a_request_counts_from_its_own_time_not_the_messages(scene: Scene) -> None:
    early = scene.now - 13 * 3600 * SECOND
    (first,) = await scene.storage.accept_many([scene.message(request=asked(), created_at=early)])

    assert isinstance(first, Accepted)
    assert await scene.accept(request=asked()) == Accepted(first.id, duplicate=True)


async def test_old_requests_are_cleaned_away_and_keys_stay(scene: Scene) -> None:
    first = await scene.accept(request=asked(), key="k")
    for number in range(5):
        await scene.accept(request=asked(f"{number}"))
    scene.later(HALF_A_DAY)
    young = await scene.accept(request=asked("young"))

    pieces = [await scene.storage.clean(Retention(), limit=4) for _ in range(3)]

    assert pieces == [4, 2, 0]
    assert await scene.accept(request=asked("young")) == Accepted(young.id, duplicate=True)
    assert await scene.accept(key="k") == Accepted(first.id, duplicate=True)


async def test_of_a_request_and_a_key_the_request_is_looked_at_first(scene: Scene) -> None:
    of_request = await scene.accept(request=asked(), body=b"one")
    of_key = await scene.accept(key="k", body=b"other")

    answer = await scene.accept(request=asked(), key="k", body=b"third")

    assert answer == Accepted(of_request.id, duplicate=True)
    assert of_key.id != of_request.id
    with pytest.raises(RequestConflict):
        await scene.accept(request=asked(what="that"), key="k", body=b"other")


async def test_a_fresh_request_with_a_used_key_is_remembered_with_that_message(scene: Scene) -> None:
    first = await scene.accept(key="k")

    answers = [await scene.accept(request=asked(), key="k") for _ in range(2)]

    assert answers == [Accepted(first.id, duplicate=True)] * 2
    assert await scene.accept(request=asked()) == Accepted(first.id, duplicate=True)
    with pytest.raises(RequestConflict):
        await scene.accept(request=asked(what="that"))
    assert await count(scene) == 1


async def test_a_request_whose_key_conflicts_leaves_its_slot_free(scene: Scene) -> None:
    await scene.accept(key="k", body=b"other")

    for _ in range(2):
        with pytest.raises(KeyConflict):
            await scene.accept(request=asked(), key="k")

    assert not (await scene.accept(request=asked(what="that"))).duplicate
    assert await count(scene) == 2


async def test_equal_requests_made_at_once_make_one_message(scene: Scene) -> None:
    answers = await asyncio.gather(*(scene.accept(request=asked()) for _ in range(50)))

    assert len({answer.id for answer in answers}) == 1
    assert Counter(answer.duplicate for answer in answers) == {False: 1, True: 49}
    assert await count(scene) == 1


async def test_equal_requests_made_by_two_processes_at_once_make_one_message(scene: Scene) -> None:
    async with beside(scene) as there:
        answers = await asyncio.gather(
            *(one.accept(request=asked(f"{number}")) for number in range(20) for one in (scene, there))
        )

    assert len({answer.id for answer in answers}) == 20
    assert Counter(answer.duplicate for answer in answers) == {False: 20, True: 20}
    assert await count(scene) == 20


async def test_a_request_can_be_made_without_a_loop(scene: Scene) -> None:
    first = await asyncio.to_thread(scene.storage.accept_sync, scene.message(request=asked()))
    again = await asyncio.to_thread(scene.storage.accept_sync, scene.message(request=asked()))

    assert (first.duplicate, again) == (False, Accepted(first.id, duplicate=True))


async def test_many_messages_of_one_request_each_have_a_slot(scene: Scene) -> None:
    batch = [scene.message(request=asked(f"slot:{index}")) for index in range(100)]
    again = [scene.message(request=asked(f"slot:{index}")) for index in range(100)]

    first = await scene.storage.accept_many(batch)
    second = await scene.storage.accept_many(again)

    assert list(first) == [Accepted(message.id) for message in batch]
    assert list(second) == [Accepted(message.id, duplicate=True) for message in batch]
    assert await count(scene) == 100


async def test_of_many_each_is_answered_by_its_own_request_and_key(scene: Scene) -> None:
    known = await scene.accept(request=asked("known"))
    keyed = await scene.accept(key="k")
    batch = [
        scene.message(request=asked("a")),
        scene.message(request=asked("a")),
        scene.message(request=asked("a", "that")),
        scene.message(request=asked("known")),
        scene.message(request=asked("known", "that")),
        scene.message(request=asked("b"), key="k"),
        scene.message(request=asked("c"), key="k", body=b"other"),
        scene.message(request=asked("d"), key="new"),
        scene.message(request=asked("e"), key="new"),
        scene.message(key="new"),
        scene.message(),
    ]

    answers = list(await scene.storage.accept_many(batch))

    assert [type(answers.pop(place)) for place in (6, 4, 2)] == [KeyConflict, RequestConflict, RequestConflict]
    ids_and_twins = [(answer.id, answer.duplicate) for answer in answers if isinstance(answer, Accepted)]
    (new,) = {answer[0] for answer in ids_and_twins[4:7]}
    assert new in {batch[place].id for place in (7, 8, 9)}
    assert ids_and_twins[:4] == [(batch[0].id, False), (batch[0].id, True), (known.id, True), (keyed.id, True)]
    assert sorted(duplicate for _, duplicate in ids_and_twins[4:7]) == [False, True, True]
    assert ids_and_twins[7:] == [(batch[10].id, False)]
    assert await count(scene) == 5


async def test_a_message_with_a_request_handed_over_twice_is_a_duplicate_of_itself(scene: Scene) -> None:
    message = scene.message(request=asked())

    answers = [*await scene.storage.accept_many([message, message]), *await scene.storage.accept_many([message])]

    assert answers == [Accepted(message.id), *[Accepted(message.id, duplicate=True)] * 2]


async def test_a_message_does_not_show_its_request(scene: Scene) -> None:
    shown = await scene.send(request=asked())

    message = await scene.storage.message(ENVIRONMENT, shown)

    assert message.key is None


async def test_a_request_of_a_deleted_customer_makes_no_message_again(scene: Scene) -> None:
    first = await scene.accept(request=asked())
    await scene.endpoint()
    await scene.storage.delete_customer(ENVIRONMENT, "acme")

    again = await scene.accept(request=asked())

    assert again == Accepted(first.id, duplicate=True)
    assert await count(scene) == 0
