"""Looking on while transactions are open: what one of them has written is told of when it is committed."""

from __future__ import annotations

from datetime import timedelta

from anzol import ids
from anzol.storage.books import Recorded
from tests.contract.conftest import ENVIRONMENT, Scene
from tests.storage.stage import Stage

COPY = """
insert into anzol.attempt
select $1::uuid, (select id from anzol.message), endpoint_id, number + 1, outcome, status, detail, note, manual, started_at, resolve,
       connect, tls, first_byte, total, response_headers, response_body
  from anzol.attempt limit 1"""


async def recorded(stage: Stage, mark: str | None) -> Recorded:
    return await stage.storage.recorded(ENVIRONMENT, customer=None, mark=mark, reach=timedelta(minutes=5), limit=100)


def of(page: Recorded) -> list[bytes]:
    return [ids.read(ids.ATTEMPT, attempt.id) for attempt, _ in page.items]


async def one_attempt(stage: Stage) -> None:
    """Have a message, and an attempt to copy."""
    await stage.storage.accept(Scene(stage.storage, stage.clock).message())
    worker = await stage.worker()
    await stage.storage.settle(worker, [stage.accepted(await stage.claim(worker))])


async def test_what_an_open_transaction_wrote_is_told_of_once_it_is_committed(stage: Stage) -> None:
    await one_attempt(stage)
    mark = (await recorded(stage, None)).mark
    late, early, other = ids.new(stage.now), ids.new(stage.now), ids.new(stage.now)

    async with stage.open() as slow:
        await slow.run(COPY, late)
        await stage.ask(COPY, early)
        meanwhile = await recorded(stage, mark)
        await slow.commit()
    afterwards = await recorded(stage, meanwhile.mark)
    await stage.ask(COPY, other)
    at_last = await recorded(stage, afterwards.mark)

    assert [of(page) for page in (meanwhile, afterwards, at_last)] == [[early], [late], [other]]
    assert [of(await recorded(stage, one)) for _, one in meanwhile.items] == [[]]
    assert sorted(of(await recorded(stage, mark))) == sorted([late, early, other])


async def test_what_was_taken_back_is_never_told_of(stage: Stage) -> None:
    await one_attempt(stage)
    mark = (await recorded(stage, None)).mark

    async with stage.open() as hand:
        await hand.run(COPY, ids.new(stage.now))
        await hand.run("rollback")
    there = ids.new(stage.now)
    await stage.ask(COPY, there)

    assert of(await recorded(stage, mark)) == [there]
