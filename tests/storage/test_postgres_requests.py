"""Requests that are made again by several processes at once, or after a connection was cut: one message each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from anzol.errors import NotFound, RequestConflict
from anzol.storage.face import Accepted, Request
from anzol.storage.keys import NOBODY, SLOT
from anzol.storage.postgres import accept
from tests.contract.conftest import ENVIRONMENT, Scene, beside
from tests.storage.stage import LONG, Stage, begin
from tests.storage.wire import COMMIT, Wire

PROCESSES = 4
HALF_A_DAY = timedelta(hours=12)
BOTH = pytest.mark.parametrize("passed_on", [True, False], ids=["the answer is lost", "the question is lost"])
KEYS = pytest.mark.parametrize("key", [None, "k-1"], ids=["without a key", "with a key"])


def asked(slot: str = "slot", what: str = "this") -> Request:
    return Request(slot, what.encode().ljust(32))


@pytest.fixture
async def processes(stage: Stage) -> AsyncIterator[list[Scene]]:
    """Storages on the same schema, each with connections of its own."""
    here = Scene(stage.storage, stage.clock)  # type: ignore[arg-type]  # the stage's is a test's own
    async with AsyncExitStack() as others:
        yield [here, *[await others.enter_async_context(beside(here)) for _ in range(PROCESSES - 1)]]


async def slots(stage: Stage) -> list[tuple[str, bytes]]:
    return [
        (key.removeprefix(SLOT), message)
        for key, message in await stage.ask(
            "select key, message_id from anzol.message_key where customer_id = $1 order by key", NOBODY
        )
    ]


async def messages(stage: Stage) -> set[bytes]:
    return {message for (message,) in await stage.ask("select id from anzol.message")}


# --- several at once ------------------------------------------------------------------------------------------------


@KEYS
async def test_one_request_made_by_several_processes_at_once_is_one_message(
    processes: list[Scene], stage: Stage, key: str | None
) -> None:
    answers = await asyncio.gather(*(scene.accept(request=asked(), key=key) for scene in processes for _ in range(20)))

    (first,) = {answer.id for answer in answers}
    assert Counter(answer.duplicate for answer in answers) == {False: 1, True: 20 * PROCESSES - 1}
    assert await messages(stage) == {first}
    assert await slots(stage) == [("slot", first)]


async def test_of_different_requests_with_one_slot_made_at_once_one_is_made(
    processes: list[Scene], stage: Stage
) -> None:
    answers = await asyncio.gather(
        *(scene.accept(request=asked(what=f"{place}")) for place, scene in enumerate(processes)),
        return_exceptions=True,
    )

    assert Counter(type(answer) for answer in answers) == {Accepted: 1, RequestConflict: PROCESSES - 1}
    assert len(await messages(stage)) == 1


async def test_different_requests_for_one_key_made_at_once_have_one_message(
    processes: list[Scene], stage: Stage
) -> None:
    answers = await asyncio.gather(
        *(scene.accept(request=asked(f"{place}"), key="k") for place, scene in enumerate(processes))
    )

    (first,) = {answer.id for answer in answers}
    assert Counter(answer.duplicate for answer in answers) == {False: 1, True: PROCESSES - 1}
    assert await slots(stage) == [(f"{place}", first) for place in range(PROCESSES)]


async def test_an_old_slot_is_taken_over_by_one(processes: list[Scene], stage: Stage) -> None:
    first = await processes[0].accept(request=asked())
    stage.later(HALF_A_DAY)

    answers = await asyncio.gather(*(scene.accept(request=asked()) for scene in processes for _ in range(5)))

    (second,) = {answer.id for answer in answers}
    assert second != first.id
    assert Counter(answer.duplicate for answer in answers) == {False: 1, True: 5 * PROCESSES - 1}
    assert await slots(stage) == [("slot", second)]


@pytest.mark.parametrize("commits", [True, False])
async def test_a_request_waits_for_its_twin_in_an_open_transaction_and_no_other_does(
    processes: list[Scene], stage: Stage, commits: bool
) -> None:
    here = processes[0]
    twin = here.message(request=asked())
    async with stage.open() as hand:
        await accept.accept_asked(hand.work, [twin], fresh=True)
        waiting = begin(here.accept(request=asked()))
        await hand.blocks(waiting)
        async with asyncio.timeout(LONG):
            beside_it = await asyncio.gather(here.accept(), here.accept(key="k"), here.accept(request=asked("free")))
        still = waiting.done()
        await hand.connection.execute("commit" if commits else "rollback")
        answer = await waiting

    assert not still
    assert not any(other.duplicate for other in beside_it)
    assert answer.duplicate == commits
    assert (answer.id == twin.id) == commits
    assert len(await messages(stage)) == 4


async def test_a_slot_is_taken_back_with_its_transaction_when_the_key_was_used(
    processes: list[Scene], stage: Stage
) -> None:
    here, there = processes[:2]
    first = await here.accept(key="k")
    async with stage.open() as hand:
        answers = await accept.accept_asked(hand.work, [here.message(request=asked(), key="k")], fresh=True)
        await hand.connection.execute("rollback")

    assert answers == [Accepted(first.id, duplicate=True)]
    assert await slots(stage) == []
    assert not (await there.accept(request=asked(what="that"))).duplicate


async def test_sends_of_many_processes_with_keys_and_requests_in_any_order_do_not_block_each_other(
    processes: list[Scene], stage: Stage
) -> None:
    async def send(scene: Scene, turn: int) -> list[Accepted | Exception]:
        batch = [scene.message(request=asked(f"{n % 7}"), key=f"k{n % 5}" if n % 2 else None) for n in range(20)]
        return list(await scene.storage.accept_many(batch[turn:] + batch[:turn]))

    answers = await asyncio.gather(*(send(scene, 3 * place) for place, scene in enumerate(processes)))

    assert all(isinstance(answer, Accepted) for answered in answers for answer in answered)
    made = {answer.id for answered in answers for answer in answered if isinstance(answer, Accepted)}
    assert await messages(stage) == made
    assert {message for _, message in await slots(stage)} <= made


async def test_of_many_processes_that_begin_a_request_one_makes_it(processes: list[Scene], stage: Stage) -> None:
    async def begun(scene: Scene) -> bool:
        kept = await scene.storage.begin_request(b"s" * 32, b"r" * 32, lease=timedelta(seconds=30))
        assert kept is None or (kept.same, kept.status) == (True, None)
        return kept is None

    first = await asyncio.gather(*(begun(scene) for scene in processes for _ in range(10)))
    stage.later(timedelta(seconds=30))
    second = await asyncio.gather(*(begun(scene) for scene in processes for _ in range(10)))

    assert (first.count(True), second.count(True)) == (1, 1)


async def test_a_request_that_was_dropped_meanwhile_is_begun_by_who_waited_for_it(
    processes: list[Scene], stage: Stage
) -> None:
    slot, lease = b"s" * 32, timedelta(seconds=30)
    await processes[0].storage.begin_request(slot, b"r" * 32, lease=lease)
    async with stage.open() as hand:
        await hand.run("delete from anzol.answer where slot = $1", slot)
        waiting = begin(processes[1].storage.begin_request(slot, b"o" * 32, lease=lease))
        await hand.blocks(waiting)
        await hand.commit()

        assert await waiting is None


async def test_of_many_processes_that_take_a_code_one_has_it(processes: list[Scene], stage: Stage) -> None:
    code, later = b"c" * 32, stage.clock.now() + timedelta(minutes=1)  # type: ignore[attr-defined]  # a test's own clock
    await processes[0].storage.add_portal_code(code, ENVIRONMENT, "{}", expires_at=later)

    answers = await asyncio.gather(
        *(scene.storage.take_portal_code(code) for scene in processes for _ in range(5)), return_exceptions=True
    )

    assert Counter(type(answer) for answer in answers) == {tuple: 1, NotFound: 5 * PROCESSES - 1}


# --- connections that are cut ---------------------------------------------------------------------------------------


@pytest.fixture
def cut(wired: Stage) -> Scene:
    return Scene(wired.storage, wired.clock)  # type: ignore[arg-type]  # the stage's is a test's own


@BOTH
@KEYS
async def test_a_request_whose_commit_was_cut_is_one_message_and_no_duplicate(
    cut: Scene, wired: Stage, wire: tuple[Wire, str], passed_on: bool, key: str | None
) -> None:
    await cut.accept(request=asked("another"), key="another")
    await cut.accept(request=asked("one more"))
    message = cut.message(request=asked(), key=key)
    wire[0].cut_at(COMMIT if key else message.id, passed_on=passed_on)

    answer = await cut.storage.accept(message)

    assert (answer, wire[0].cuts) == (Accepted(message.id), 1)
    assert await wired.ask("select count(*) from anzol.accepted where message_id = $1", message.id) == [(1,)]
    assert ("slot", message.id) in await slots(wired)


async def test_a_request_that_a_twin_made_while_the_question_was_lost_is_the_twins(
    cut: Scene, wired: Stage, wire: tuple[Wire, str]
) -> None:
    async with beside(cut) as there:
        await cut.accept(request=asked("another"))
        twins: list[Accepted] = []

        async def made() -> None:
            twins.append(await there.accept(request=asked()))

        message = cut.message(request=asked())
        wire[0].cut_at(message.id, passed_on=False, meanwhile=made)
        answer = await cut.storage.accept(message)

    assert (answer, wire[0].cuts) == (Accepted(twins[0].id, duplicate=True), 1)


async def test_many_requests_whose_statement_was_cut_are_each_answered_exactly(
    cut: Scene, wired: Stage, wire: tuple[Wire, str]
) -> None:
    first = await cut.accept(request=asked("used"))
    batch = [cut.message(request=asked(slot)) for slot in ("used", "new", "new", "newer")]
    wire[0].cut_at(batch[0].id)

    answers = await cut.storage.accept_many(batch)

    assert wire[0].cuts == 1
    assert answers == [
        Accepted(first.id, duplicate=True),
        Accepted(batch[1].id),
        Accepted(batch[1].id, duplicate=True),
        Accepted(batch[3].id),
    ]
    assert await slots(wired) == [("new", batch[1].id), ("newer", batch[3].id), ("used", first.id)]


async def test_what_was_stored_before_a_look_at_the_others_failed_is_no_duplicate_of_itself(
    cut: Scene, wired: Stage, wire: tuple[Wire, str]
) -> None:
    first = await cut.accept(request=asked("used"))
    await cut.accept(request=asked("used"))  # so that the look is prepared
    batch = [cut.message(request=asked(slot)) for slot in ("used", "new")]
    wire[0].cut_at(SLOT.encode() + b"used", after=1)

    answers = await cut.storage.accept_many(batch)

    assert wire[0].cuts == 1
    assert answers == [Accepted(first.id, duplicate=True), Accepted(batch[1].id)]
    assert len(await messages(wired)) == 2
