"""Connections that are cut, a server that crashes, settings and rights that are in the way: nothing is lost or doubled.

Where a connection is cut is not left to chance: a wire stands between the storage and its server, and cuts every
exchange of a message's life once, before the server hears of it or after it has answered.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

import pytest

from anzol import ids
from anzol.clock import SystemClock
from anzol.errors import StorageError, StorageUnreachable
from anzol.storage.face import Accepted, Claim
from anzol.storage.postgres.engine import PostgresStorage
from anzol.storage.postgres.migrating import migrate
from anzol.storage.vault import Vault
from tests.contract.conftest import ENVIRONMENT, KEY, Scene, Worker, beside
from tests.postgres import Server, running_postgres
from tests.storage.stage import LONG, Hand, Stage, begin
from tests.storage.stage import TERM as LEASE
from tests.storage.wire import COMMIT, Wire

T = TypeVar("T")
BOTH = pytest.mark.parametrize("passed_on", [True, False], ids=["the answer is lost", "the question is lost"])


@pytest.fixture
def scene(wired: Stage) -> Scene:
    clock = wired.clock
    return Scene(wired.storage, clock)  # type: ignore[arg-type]  # the stage's is a test's own


async def insistent(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again after a connection was lost, as a worker does."""
    for _ in range(4):
        try:
            return await ask()
        except StorageUnreachable:
            continue
    return await ask()


# --- taking messages in ---------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("key", [None, "k-1"], ids=["plain", "with a key"])
async def test_a_message_whose_commit_was_cut_is_stored_once_and_no_duplicate(
    scene: Scene, wired: Stage, wire: tuple[Wire, str], passed_on: bool, key: str | None
) -> None:
    await scene.accept(key="another")
    await scene.accept()
    message = scene.message(key=key)
    wire[0].cut_at(COMMIT if key else message.id, passed_on=passed_on)

    answer = await scene.storage.accept(message)

    assert (answer, wire[0].cuts) == (Accepted(message.id), 1)
    assert await wired.ask("select count(*) from anzol.message where id = $1", message.id) == [(1,)]
    assert await wired.ask("select count(*) from anzol.accepted where message_id = $1", message.id) == [(1,)]


async def test_many_messages_whose_commit_was_cut_are_each_answered_exactly(
    scene: Scene, wired: Stage, wire: tuple[Wire, str]
) -> None:
    first = await scene.accept(key="used")
    batch = [scene.message(key=key) for key in (None, "used", "new", "new")]
    wire[0].cut_at(COMMIT)

    answers = await scene.storage.accept_many(batch)

    assert wire[0].cuts == 1
    assert answers == [
        Accepted(batch[0].id),
        Accepted(first.id, duplicate=True),
        Accepted(batch[2].id),
        Accepted(batch[2].id, duplicate=True),
    ]
    assert await wired.ask("select count(*) from anzol.accepted") == [(3,)]


async def test_a_key_that_another_takes_while_the_question_is_lost_is_the_others(
    scene: Scene, wire: tuple[Wire, str]
) -> None:
    async with beside(scene) as there:
        await scene.accept(key="another")
        others: list[Accepted] = []

        async def taken() -> None:
            others.append(await there.accept(key="k-1"))

        wire[0].cut_at(COMMIT, passed_on=False, meanwhile=taken)
        answer = await scene.accept(key="k-1")

    assert (answer, wire[0].cuts) == (Accepted(others[0].id, duplicate=True), 1)


async def test_a_message_in_doubt_that_then_has_to_wait_for_another_key_is_no_duplicate_of_itself(
    scene: Scene, wired: Stage, wire: tuple[Wire, str]
) -> None:
    await scene.accept(key="another")
    customer, mine, theirs = ids.derive(ENVIRONMENT, "acme"), scene.message(key="mine"), scene.message(key="theirs")
    async with wired.open() as other:

        async def locked() -> None:
            # Somebody takes the second key back and uses it again, and does not say yet whether that holds.
            await other.run("delete from anzol.message_key where message_id = $1", theirs.id)
            await other.run(
                "insert into anzol.message_key (customer_id, key, message_id, digest, created_at)"
                " values ($1, 'theirs', $2, '', 0)",
                customer,
                ids.new(wired.now),
            )

        wire[0].cut_at(COMMIT, meanwhile=locked)
        sending = begin(scene.storage.accept_many([mine, theirs]))
        await waits_of(wired, other, 2)  # together with the other, and then by itself
        await other.connection.execute("rollback")
        answers = await sending

    assert (answers, wire[0].cuts) == ([Accepted(mine.id), Accepted(theirs.id)], 1)


async def waits_of(stage: Stage, hand: Hand, count: int) -> None:
    """Wait until so many connections have waited for a transaction."""
    asked = "select pid from pg_stat_activity where $1 = any(pg_blocking_pids(pid))"
    seen: set[int] = set()
    async with asyncio.timeout(LONG):
        while len(seen) < count:
            seen |= {pid for (pid,) in await stage.ask(asked, hand.connection.get_server_pid())}
            await asyncio.sleep(0.002)


async def test_while_the_server_is_away_every_sender_is_told_soon_and_afterwards_all_goes_on(
    scene: Scene, wired: Stage, wire: tuple[Wire, str]
) -> None:
    await scene.accept()

    async def gone() -> None:
        wire[0].down = True

    wire[0].cut_at(b"", passed_on=False, meanwhile=gone)
    answers = await asyncio.gather(*(scene.accept(key=None) for _ in range(100)), return_exceptions=True)
    refused = await asyncio.gather(*(scene.accept(key=str(n)) for n in range(100)), return_exceptions=True)
    wire[0].down = False
    after = await scene.accept(key="1")

    assert {type(answer) for answer in [*answers, *refused]} == {StorageUnreachable}
    assert not after.duplicate
    assert await wired.ask("select count(*) from anzol.message") == [(2,)]


# --- a whole life, cut at every place -------------------------------------------------------------------------------


@dataclass(slots=True)
class Life:
    """One message after another, each asked about until it is answered."""

    scene: Scene
    worker: Worker

    async def live(self) -> bytes:
        """Accept a message, deliver it, give its lane back; return its id."""
        message = self.scene.message()
        assert await self.scene.storage.accept(message) == Accepted(message.id)
        (claim,) = await self.claimed()
        assert claim.content.message_id == message.id
        results = [self.scene.result(claim)]
        assert list(await insistent(lambda: self.scene.storage.settle(self.worker.me, results))) == []
        await insistent(self.worker.release)
        return message.id

    async def claimed(self) -> list[Claim]:
        for _ in range(5):
            found = await insistent(self.worker.round)
            if found.claims:
                assert list((await insistent(self.worker.round)).claims) == []  # handed out once
                return list(found.claims)
        raise AssertionError("it was never handed out")


@BOTH
async def test_wherever_a_connection_is_cut_a_message_is_delivered_once(
    scene: Scene, wired: Stage, wire: tuple[Wire, str], passed_on: bool
) -> None:
    await scene.endpoint()
    life = Life(scene, await scene.worker())
    lived = [await life.live()]
    for place in count():
        wire[0].cut_at(b"", passed_on=passed_on, after=place)
        lived.append(await life.live())
        if wire[0].cuts <= place:
            break

    assert wire[0].cuts > 15
    assert await wired.pending() == []
    assert await wired.ask("select message_id from anzol.attempt order by message_id") == [(one,) for one in lived]
    assert await wired.ask("select holder, turn_at from anzol.lane") == [(None, None)]


@BOTH
async def test_wherever_a_connection_is_cut_leases_are_kept_and_given_back(
    scene: Scene, wired: Stage, wire: tuple[Wire, str], passed_on: bool
) -> None:
    await scene.endpoint()
    for place in count():
        wire[0].cut_at(b"", passed_on=passed_on, after=place)
        worker = await insistent(scene.worker)
        await scene.accept()
        await insistent(worker.round)
        alive = await insistent(lambda me=worker.me: scene.storage.beat(me, 2 * LEASE))  # type: ignore[misc]
        await insistent(lambda me=worker.me: scene.storage.resign(me))  # type: ignore[misc]
        assert alive
        if wire[0].cuts <= place:
            break

    scene.later(10 * LEASE.total_seconds())
    reaped = await scene.reap()  # enlisted, and nobody heard the number
    assert wire[0].cuts > 10
    assert (reaped.interrupted, reaped.exhausted) == (0, 0)
    assert await wired.ask("select count(*) from anzol.worker") == [(0,)]
    assert {holder for _, holder, _, _ in await wired.pending()} == {None}


# --- settings and rights that are in the way ------------------------------------------------------------------------

# As an administrator may set them for a role, a database or the whole server.
HOSTILE = {
    "statement_timeout": "1ms",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "1ms",
    "idle_session_timeout": "1ms",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "search_path": "nowhere",
    "bytea_output": "escape",
    "timezone": "Pacific/Chatham",
    "datestyle": "SQL, DMY",
    "synchronous_commit": "off",
    "enable_indexscan": "off",
    "quote_all_identifiers": "on",
}


@asynccontextmanager
async def living_as(stage: Stage, role: str, *, pooler: bool = False) -> AsyncIterator[Life]:
    """Live as a role in the stage's schema, with connections of one's own."""
    place = stage.storage.place
    url = place.url.replace("postgres@", f"{role}@")
    storage = PostgresStorage(url, schema=place.schema, clock=stage.clock, vault=stage.storage.vault, pooler=pooler)
    scene = Scene(storage, stage.clock)  # type: ignore[arg-type]  # the stage's clock is a test's own
    try:
        yield Life(scene, await scene.worker())
    finally:
        await storage.close()


@pytest.fixture
def role(postgres: Server, stage: Stage) -> Iterator[str]:
    """A role that may write in the stage's schema."""
    schema = stage.storage.place.schema
    name = f"role_{schema}"
    postgres.execute(
        f"create role {name} login; grant usage on schema {schema} to {name};"
        f" grant all on all tables in schema {schema} to {name}; grant all on all sequences in schema {schema} to {name}"
    )
    yield name
    postgres.execute(f"drop owned by {name}; drop role {name}")


@pytest.mark.parametrize("setting", HOSTILE)
async def test_whatever_a_role_is_set_to_messages_are_delivered(
    stage: Stage, postgres: Server, role: str, setting: str
) -> None:
    postgres.execute(f"alter role {role} set {setting} = '{HOSTILE[setting]}'")
    async with living_as(stage, role) as life:
        await life.scene.endpoint()
        lived = [await life.live() for _ in range(3)]

    assert await stage.ask("select message_id from anzol.attempt order by message_id") == [(one,) for one in lived]


@pytest.mark.parametrize("setting", ["default_transaction_isolation", "search_path"])
async def test_whatever_a_role_is_set_to_behind_a_pooler_messages_are_delivered(
    stage: Stage, postgres: Server, role: str, setting: str
) -> None:
    postgres.execute(f"alter role {role} set {setting} = '{HOSTILE[setting]}'")
    async with living_as(stage, role, pooler=True) as life:
        await life.scene.endpoint()
        lived = [await life.live() for _ in range(3)]

    assert await stage.ask("select message_id from anzol.attempt order by message_id") == [(one,) for one in lived]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What an administrator or the machine may put in the way of everybody who connects from then on.

    ``role`` in the statements is the role, ``schema`` the schema. ``cut``: connections that are there are cut too.
    """

    put: str
    taken_away: str
    said: str
    cut: bool = False


FULL = """
create function {schema}.full() returns trigger language plpgsql as
$$begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end$$;
create trigger full_1 before insert or update on {schema}.accepted execute function {schema}.full();
create trigger full_2 before insert or update or delete on {schema}.pending execute function {schema}.full();
create trigger full_3 before insert or update on {schema}.lane execute function {schema}.full();
create trigger full_4 before insert or update on {schema}.worker execute function {schema}.full();
"""
OBSTACLES = {
    "read-only": Obstacle(
        "alter role {role} set default_transaction_read_only = on",
        "alter role {role} reset default_transaction_read_only",
        "is read-only",
        cut=True,
    ),
    "no rights": Obstacle(
        "revoke all on all tables in schema {schema} from {role}",
        "grant all on all tables in schema {schema} to {role}",
        "does not allow it: permission denied.*grant",
    ),
    "no usage": Obstacle(
        "revoke usage on schema {schema} from {role}",
        "grant usage on schema {schema} to {role}",
        "does not allow it: permission denied.*grant",
    ),
    "no login": Obstacle("alter role {role} nologin", "alter role {role} login", "not permitted to log in", cut=True),
    "no connections": Obstacle(
        "alter role {role} connection limit 0",
        "alter role {role} connection limit -1",
        "too many connections",
        cut=True,
    ),
    "disk full": Obstacle(FULL, "drop function {schema}.full() cascade", "run out of something.*No space left.*disk"),
}


@pytest.mark.parametrize("name", OBSTACLES)
async def test_what_stands_in_the_way_is_said_nothing_is_lost_and_once_it_is_gone_all_goes_on(
    stage: Stage, postgres: Server, role: str, name: str
) -> None:
    obstacle, schema = OBSTACLES[name], stage.storage.place.schema
    async with living_as(stage, role) as life:
        scene, storage = life.scene, life.scene.storage
        await scene.endpoint()
        before = [await life.live()]
        kept = await scene.accept()
        (claim,) = await life.claimed()
        postgres.execute(obstacle.put.format(role=role, schema=schema))
        if obstacle.cut:
            postgres.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", role)

        for refused in (
            lambda: scene.accept(),
            lambda: scene.accept(key="k-1"),
            lambda: life.worker.round(),
            lambda: storage.settle(life.worker.me, [scene.result(claim)]),
            lambda: storage.beat(life.worker.me, LEASE),
        ):
            with pytest.raises(StorageError, match=obstacle.said):
                await refused()
        assert await stage.ask("select count(*) from anzol.message") == [(2,)]
        assert len(await stage.attempts()) == 1

        postgres.execute(obstacle.taken_away.format(role=role, schema=schema))
        assert await storage.beat(life.worker.me, LEASE)
        assert list(await storage.settle(life.worker.me, [scene.result(claim)])) == []
        after = await life.live()

    lived = [(before[0],), (kept.id,), (after,)]
    assert await stage.ask("select message_id from anzol.attempt order by message_id") == lived


# --- a server that crashes ------------------------------------------------------------------------------------------


async def test_wake_ups_are_heard_again_after_every_connection_was_cut_and_the_server_has_crashed() -> None:
    heard = asyncio.Event()
    with running_postgres() as server:
        await migrate(server.uri(), "anzol")
        listening, telling = (PostgresStorage(server.uri(), vault=Vault([KEY])) for _ in range(2))
        end = listening.listen(heard.set)
        try:
            for hurt in (lambda: 0, server.kill_backends, lambda: server.restart(signal.SIGQUIT), server.kill_backends):
                await asyncio.to_thread(hurt)
                heard.clear()
                await telling_until(telling, heard)
        finally:
            end()
            await listening.close()
            await telling.close()


def test_what_was_asked_on_a_workers_loop_a_moment_before_it_ended_is_answered(postgres: Server, schema: str) -> None:
    asyncio.run(migrate(postgres.uri(), schema))
    storage = PostgresStorage(postgres.uri(), schema=schema, vault=Vault([KEY]))
    scene = Scene(storage, SystemClock())  # type: ignore[arg-type]  # no test's own: nothing is timed

    async def live() -> None:
        end = storage.listen(lambda: None)
        asked.append(others.submit(storage.accept_sync, scene.message()))
        asked.append(others.submit(asyncio.run, storage.status(ENVIRONMENT)))
        time.sleep(0.02)  # the loop stands still meanwhile
        end()
        await storage.homes.left_here()

    asked: list[Future[object]] = []
    with ThreadPoolExecutor() as others:
        for _ in range(20):
            asyncio.run(live())
        answers = [one.result(LONG) for one in asked]
    asyncio.run(storage.close())

    assert len(answers) == 40


async def telling_until(storage: PostgresStorage, heard: asyncio.Event) -> None:
    """Send until that is heard; a wake-up may be lost, and it is told once more when listening begins."""
    scene = Scene(storage, SystemClock())  # type: ignore[arg-type]  # no test's own: nothing is timed
    async with asyncio.timeout(LONG):
        while not heard.is_set():
            await insistent(scene.accept)
            await asyncio.sleep(0.01)
