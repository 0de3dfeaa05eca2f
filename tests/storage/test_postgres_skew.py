"""A machine whose clock is not the database's: what is stored is right all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from anzol.clock import SystemClock
from anzol.storage.face import LaneHealth
from anzol.storage.postgres.connections import connect
from anzol.storage.postgres.engine import PostgresStorage
from anzol.storage.postgres.migrating import migrate
from anzol.storage.postgres.skew import Skew
from anzol.storage.vault import Vault
from tests.postgres import Server
from tests.storage.stage import SECOND, TERM, Stage

HOUR = 3600 * SECOND
MINUTE = 60 * SECOND


class FastClock(SystemClock):
    """A machine's clock that is an hour ahead."""

    def micros(self) -> int:
        return super().micros() + HOUR


@pytest.fixture
async def stage(postgres: Server, schema: str) -> AsyncIterator[Stage]:
    await migrate(postgres.uri(), schema)
    clock = FastClock()
    storage = PostgresStorage(postgres.uri(), schema=schema, clock=clock, vault=Vault(["k" * 43]))
    made = Stage(storage, clock, await connect(storage.place))
    yield made
    await storage.close()
    await made.connection.close()


async def test_what_is_due_again_is_due_by_the_databases_clock(stage: Stage) -> None:
    worker = await stage.worker()
    claim = await stage.claim(worker)
    failed = stage.failed(claim, after=600)
    open_until = stage.now + 600 * SECOND

    await stage.storage.settle(worker, [failed], [LaneHealth(claim.endpoint, 1, stage.now, open_until, 0)])

    ((due_in, open_for, since, started),) = await stage.ask(
        "with now as (select extract(epoch from clock_timestamp())::bigint * 1000000 as now)"
        " select due_at - now, circuit_open_until - now, now - failing_since, now - started_at"
        " from now, anzol.pending, anzol.lane, anzol.attempt"
    )
    assert 9 * MINUTE < due_in < 11 * MINUTE
    assert 9 * MINUTE < open_for < 11 * MINUTE
    assert -MINUTE < since < MINUTE
    assert -MINUTE < started < MINUTE
    (profile,) = await stage.storage.profiles([claim.endpoint])
    assert profile.circuit_open_until == open_until


async def test_a_lease_lasts_a_term_by_the_databases_clock(stage: Stage) -> None:
    worker = await stage.worker()

    assert await stage.storage.beat(worker, TERM)
    assert (await stage.reap()).workers == 0


def test_an_answer_in_time_changes_nothing() -> None:
    skew = Skew()
    skew.learn(100, 110, 120)
    assert skew.ahead == 0


def test_an_answer_from_another_time_is_learned_and_kept_while_it_fits() -> None:
    skew = Skew()
    skew.learn(100, 1110, 120)
    skew.learn(1000, 2001, 1900)
    assert skew.ahead == 1000


def test_a_clock_that_was_set_is_learned_anew() -> None:
    skew = Skew()
    skew.learn(100, 1110, 120)
    skew.learn(3100, 110, 3120)
    assert skew.ahead == -3000
