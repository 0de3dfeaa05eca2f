"""Through a pooler that lends connections by the transaction, everything works that needs no session of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from anzol.clock import OwnedClock
from anzol.lifecycle import State
from anzol.storage.postgres.engine import PostgresStorage
from anzol.storage.postgres.migrating import migrate
from anzol.storage.vault import Vault
from tests.contract.conftest import KEY, Scene
from tests.pooler import Pooler, found_pooler, running_pooler
from tests.postgres import Server, name_of

pytestmark = pytest.mark.skipif(
    found_pooler() is None, reason="there is no pgbouncer here: apt-get install pgbouncer, or brew install pgbouncer"
)
PROCESSES = 4
EACH = 25


@pytest.fixture(scope="module")
def pooler(postgres: Server) -> Iterator[Pooler]:
    with running_pooler(postgres) as pooler:
        yield pooler


@pytest.fixture
async def scenes(postgres: Server, pooler: Pooler) -> AsyncIterator[list[Scene]]:
    """The same tables as several processes see them, each by connections that it never gets twice."""
    clock = OwnedClock()
    with postgres.schema() as schema:
        await migrate(postgres.uri(), schema)
        made = [
            PostgresStorage(pooler.uri(), schema=schema, clock=clock, vault=Vault([KEY]), pooler=True)
            for _ in range(PROCESSES)
        ]
        for storage in made:
            await storage.prepare(deployment="test")
        yield [Scene(storage, clock) for storage in made]
        for storage in made:
            await storage.close()


async def test_messages_of_several_processes_are_accepted_and_delivered(scenes: list[Scene]) -> None:
    await scenes[0].endpoint()
    await asyncio.gather(*(scene.send(key=f"{number}") for scene in scenes for number in range(EACH)))
    worker = await scenes[1].worker()

    found = [await worker.round(room=PROCESSES * EACH) for _ in range(3)]
    claims = [claim for round_ in found for claim in round_.claims]
    await worker.settle(claims)

    assert await scenes[2].states() == [State.DELIVERED] * EACH  # a key is one message, whoever sent it
    await scenes[3].intact()


async def test_workers_share_what_there_is(scenes: list[Scene]) -> None:
    for customer in range(EACH):
        await scenes[0].endpoint(f"c{customer}")
        await scenes[0].send(f"c{customer}")
    workers = [await scene.worker() for scene in scenes]

    for _ in range(3):
        rounds = await asyncio.gather(*(worker.round() for worker in workers))
        pairs = zip(workers, rounds, strict=True)
        await asyncio.gather(*(worker.settle(round_.claims) for worker, round_ in pairs))

    assert await scenes[0].states() == [State.DELIVERED] * EACH
    await scenes[0].intact()


@pytest.mark.parametrize(("through", "said"), [(True, set()), (False, {"LISTEN", "pg_notify"})])
async def test_a_pooler_hears_no_listen_and_no_notify(
    postgres: Server, pooler: Pooler, through: bool, said: set[str]
) -> None:
    with postgres.database() as direct:
        postgres.execute(f"alter database {name_of(direct)} set log_statement = 'all'")
        await migrate(direct, "anzol")
        uri = pooler.uri(direct) if through else direct
        clock = OwnedClock()
        worker, sender = (PostgresStorage(uri, clock=clock, vault=Vault([KEY]), pooler=through) for _ in range(2))
        await sender.prepare(deployment="test")
        before = postgres.log.stat().st_size

        end = worker.listen(lambda: None)
        await Scene(sender, clock).send()
        await sender.close()
        async with asyncio.timeout(30):
            while not said <= words(postgres, before):
                await asyncio.sleep(0.01)
        end()
        await worker.close()

        assert words(postgres, before) == said


def words(server: Server, before: int) -> set[str]:
    """What of LISTEN and NOTIFY the server's log has since."""
    with server.log.open(encoding="utf-8") as log:
        log.seek(before)
        text = log.read()
    return {word for word in ("LISTEN", "pg_notify") if word in text}
