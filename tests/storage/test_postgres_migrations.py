"""Migrations of a PostgreSQL database: once, whole or not at all, in nobody's way, beside the version before."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import psycopg
import pytest

from anzol.errors import SchemaNewer, SchemaOutdated, StorageBusy, StorageError
from anzol.storage.postgres import migrations
from anzol.storage.postgres.migrating import Patience, migrate
from anzol.storage.postgres.migrations import Standing
from tests.pooler import found_pooler, running_pooler
from tests.postgres import Server

FIRST = (1, "first", "create table anzol.message (id bigint, key text);")
IMPATIENT = Patience(lock=0.2, tries=2, pause=0.0, turn=5.0, alone=5.0)
Files = Callable[..., None]


@pytest.fixture
def schema(postgres: Server) -> Iterator[str]:
    with postgres.schema() as name:
        yield name


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Files:
    """Have these migrations instead of Anzol's own."""

    def have(*scripts: str) -> None:
        more = tuple((number, f"change {number}", text) for number, text in enumerate(scripts, start=2))
        monkeypatch.setattr(migrations, "migrations", lambda: (FIRST, *more))

    have()
    return have


def applied(postgres: Server, schema: str) -> list[int]:
    return [row[0] for row in postgres.execute(f"select version from {schema}.migration order by version")]


def until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("it did not come to that")


# --- once, in order


async def test_what_is_missing_is_applied_in_order(postgres: Server, schema: str, files: Files) -> None:
    assert await migrate(postgres.uri(), schema) == (1,)
    files("alter table anzol.message add a int;", "alter table anzol.message alter a set default 1;")

    assert await migrate(postgres.uri(), schema) == (2, 3)
    assert await migrate(postgres.uri(), schema) == ()
    assert applied(postgres, schema) == [1, 2, 3]


async def test_of_ten_that_migrate_at_once_one_does_it(postgres: Server, schema: str, files: Files) -> None:
    files("-- no transaction\ncreate index concurrently message_key on anzol.message (key);")

    done = await asyncio.gather(*(migrate(postgres.uri(), schema) for _ in range(10)))

    assert sorted(done) == [()] * 9 + [(1, 2)]


async def test_through_a_pooler_it_goes_as_well(postgres: Server, schema: str, files: Files) -> None:
    files("-- no transaction\ncreate index concurrently message_key on anzol.message (key);")

    done = await asyncio.gather(*(migrate(postgres.uri(), schema, pooler=True) for _ in range(3)))

    assert sorted(done) == [(), (), (1, 2)]


async def test_our_own_migrations_apply_in_any_schema(postgres: Server, schema: str) -> None:
    assert list(await migrate(postgres.uri(), schema)) == [number for number, _, _ in migrations.migrations()]
    assert postgres.execute(f"select count(*) from {schema}.lane") == [(0,)]


# --- whole or not at all


async def test_a_migration_that_fails_leaves_nothing_and_the_next_run_finishes(
    postgres: Server, schema: str, files: Files
) -> None:
    files("alter table anzol.message add a int;", "alter table anzol.message add b int; select 1 / 0;")

    with pytest.raises(StorageError, match=r"Migration 3 \(change 3\) was not applied: division by zero"):
        await migrate(postgres.uri(), schema)

    assert applied(postgres, schema) == [1, 2]
    files("alter table anzol.message add a int;", "alter table anzol.message add b int;")
    assert await migrate(postgres.uri(), schema) == (3,)


async def test_a_process_killed_in_the_middle_leaves_nothing_and_the_next_run_finishes(
    postgres: Server, schema: str, files: Files
) -> None:
    program = f"""
        import asyncio
        from anzol.storage.postgres import migrations
        from anzol.storage.postgres.migrating import migrate

        scripts = {FIRST!r}, (2, "slow", "alter table anzol.message add a int; select pg_sleep(600);")
        migrations.migrations = lambda: scripts
        asyncio.run(migrate({postgres.uri()!r}, {schema!r}))
    """
    asleep = f"select pid from pg_stat_activity where query like '%{schema}%pg_sleep%' and wait_event = 'PgSleep'"
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)]) as process:
        until(lambda: postgres.execute(asleep))
        process.send_signal(signal.SIGKILL)

    files("alter table anzol.message add a int;")
    assert await migrate(postgres.uri(), schema) == (2,)
    assert applied(postgres, schema) == [1, 2]


async def test_an_index_that_was_cut_off_is_made_again(postgres: Server, schema: str, files: Files) -> None:
    await migrate(postgres.uri(), schema)
    postgres.execute(f"insert into {schema}.message values (1, 'a'), (2, 'a')")
    files("-- no transaction\ncreate unique index concurrently message_key on anzol.message (key);")

    with pytest.raises(StorageError, match=r"Migration 2 .*could not create unique index"):
        await migrate(postgres.uri(), schema)
    broken = f"select count(*) from pg_index where indrelid = '{schema}.message'::regclass and not indisvalid"
    assert postgres.execute(broken) == [(1,)]

    postgres.execute(f"delete from {schema}.message where id = 2")
    assert await migrate(postgres.uri(), schema) == (2,)
    assert postgres.execute(broken) == [(0,)]


async def test_a_partition_that_was_half_detached_is_detached(postgres: Server, schema: str, files: Files) -> None:
    await migrate(postgres.uri(), schema)
    postgres.execute(
        f"create table {schema}.log (id int) partition by range (id);"
        f"create table {schema}.log_1 partition of {schema}.log for values from (0) to (10)"
    )
    files("-- no transaction\nalter table anzol.log detach partition anzol.log_1 concurrently;")
    with postgres.connect(autocommit=False) as reader:
        reader.execute(f"select * from {schema}.log")
        with pytest.raises(StorageBusy, match=r"idle in transaction.*select \* from"):
            await migrate(postgres.uri(), schema, patience=Patience(lock=0.2, tries=1, alone=0.5))

    pending = f"select inhdetachpending from pg_inherits where inhrelid = '{schema}.log_1'::regclass"
    assert postgres.execute(pending) == [(True,)]
    assert await migrate(postgres.uri(), schema) == (2,)
    assert postgres.execute(pending) == []


# --- in nobody's way


async def test_who_holds_a_lock_through_every_try_is_named(postgres: Server, schema: str, files: Files) -> None:
    await migrate(postgres.uri(), schema)
    files("alter table anzol.message add a int;")

    with postgres.connect(autocommit=False, application_name="reports") as other:
        process = other.info.backend_pid
        other.execute(f"select count(*) from {schema}.message")
        with pytest.raises(StorageBusy) as caught:
            await migrate(postgres.uri(), schema, patience=IMPATIENT)

    said = str(caught.value)
    assert f"process {process} (postgres, reports, idle in transaction" in said
    assert "after 2 tries" in said
    assert f"select count(*) from {schema}.message" in said
    assert await migrate(postgres.uri(), schema) == (2,)


async def test_it_gives_way_and_tries_again(postgres: Server, schema: str, files: Files) -> None:
    await migrate(postgres.uri(), schema)
    files("alter table anzol.message add a int;")
    other = postgres.connect(autocommit=False)
    other.execute(f"select count(*) from {schema}.message")

    patience = Patience(lock=0.05, tries=1000, pause=0.01)
    migrating = asyncio.create_task(migrate(postgres.uri(), schema, patience=patience))
    rejected = (
        f"select 1 from pg_stat_database where datname = current_database() and xact_rollback > {rollbacks(postgres)}"
    )
    await asyncio.to_thread(until, lambda: postgres.execute(rejected))
    other.close()

    assert await migrating == (2,)


def rollbacks(postgres: Server) -> int:
    return int(postgres.execute("select xact_rollback from pg_stat_database where datname = current_database()")[0][0])


async def test_who_waits_too_long_for_his_turn_is_told(postgres: Server, schema: str, files: Files) -> None:
    files("select pg_sleep(600);")
    first = asyncio.create_task(migrate(postgres.uri(), schema))
    asleep = f"select pid from pg_stat_activity where wait_event = 'PgSleep' and query like '%{schema}%' or query = 'select pg_sleep(600);'"
    (pid,) = (await asyncio.to_thread(until, lambda: postgres.execute(asleep)))[0]

    with pytest.raises(StorageBusy, match="Another process has been migrating"):
        await migrate(postgres.uri(), schema, patience=Patience(turn=0.2))

    postgres.execute("select pg_cancel_backend(%s)", pid)
    with pytest.raises(StorageError, match="canceling statement"):
        await first


# --- beside the version before


@pytest.mark.parametrize(
    ("found", "error"),
    [
        (Standing(0, 0), "has no schema of Anzol's. Run `anzol migrate`"),
        (Standing(2, 1), "has schema 2, this Anzol needs 3. Run `anzol migrate`"),
        (Standing(5, 4), "has schema 5, which needs an Anzol of schema 4 or newer; this one knows 3"),
    ],
)
def test_a_schema_that_does_not_fit_is_refused(found: Standing, error: str) -> None:
    with pytest.raises(SchemaOutdated if found.version < 3 else SchemaNewer, match=re.escape(error)):
        migrations.judge(found, 3)


@pytest.mark.parametrize("found", [Standing(3, 1), Standing(3, 3), Standing(5, 3), Standing(5, 1)])
def test_the_version_before_works_with_a_newer_schema_that_says_so(found: Standing) -> None:
    migrations.judge(found, 3)


async def test_what_each_migration_works_with_is_kept_in_the_database(
    postgres: Server, schema: str, files: Files
) -> None:
    files(
        "-- works with 1\nalter table anzol.message add a int;",
        "-- works with 2\nselect 1;",
        "-- works with 1\nselect 1;",
    )
    await migrate(postgres.uri(), schema)

    connection = await asyncpg.connect(postgres.uri())
    assert await migrations.standing(connection, schema) == Standing(4, 2)
    await connection.close()


def test_our_own_migrations_follow_the_rules() -> None:
    known = migrations.migrations()

    assert [number for number, _, _ in known] == list(range(1, migrations.newest() + 1))
    for number, name, text in known:
        assert re.fullmatch(r"[a-z0-9_]+", name)
        assert number == 1 or migrations.WORKS_WITH.search(text), f"{name} does not say which version it works with"
        assert migrations.works_with(number, text) <= number
        concurrent = [re.search(r"\bconcurrently\b", one) is not None for one in migrations.statements(text)]
        assert all(concurrent) if migrations.is_alone(text) else not any(concurrent), name


# --- with few rights


@pytest.fixture
def role(postgres: Server, postgres_database: str) -> Iterator[str]:
    name = f"role_{postgres_database.rpartition('test_')[2].partition('?')[0]}"
    postgres.execute(f"create role {name} login")
    yield name
    postgres.execute(f"drop owned by {name}", database=postgres_database)
    postgres.execute(f"drop role {name}")


def as_role(uri: str, role: str) -> str:
    return uri.replace("postgres@", f"{role}@", 1)


async def test_who_may_not_make_schemas_is_told_what_to_ask_for(postgres_database: str, role: str) -> None:
    with pytest.raises(StorageError, match=f'create schema "anzol" authorization "{role}"'):
        await migrate(as_role(postgres_database, role), "anzol")


async def test_a_schema_that_is_there_is_enough(postgres: Server, postgres_database: str, role: str) -> None:
    postgres.execute(f"create schema anzol authorization {role}", database=postgres_database)

    assert await migrate(as_role(postgres_database, role), "anzol")


async def test_who_may_not_change_the_schema_is_told_so(
    postgres: Server, postgres_database: str, role: str, files: Files
) -> None:
    await migrate(postgres_database, "anzol")
    postgres.execute(
        f"grant usage on schema anzol to {role}; grant select, insert on all tables in schema anzol to {role}",
        database=postgres_database,
    )

    assert await migrate(as_role(postgres_database, role), "anzol") == ()
    files("alter table anzol.message add a int;")
    with pytest.raises(StorageError, match=r"must be owner of table message.*anzol migrate --sql"):
        await migrate(as_role(postgres_database, role), "anzol")


async def test_no_connection_is_left_open(postgres: Server, postgres_database: str) -> None:
    await migrate(postgres_database, "anzol")

    with psycopg.connect(postgres_database, autocommit=True) as connection:
        count = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        until(lambda: connection.execute(count).fetchone() == (0,))


@pytest.mark.skipif(found_pooler() is None, reason="there is no pgbouncer on this machine")
async def test_behind_a_real_pooler_three_migrate_at_once(
    postgres: Server, postgres_database: str, files: Files
) -> None:
    files(
        "alter table anzol.message add a int;",
        "-- no transaction\ncreate index concurrently by_a on anzol.message (a);",
    )

    with running_pooler(postgres) as pooler:
        done = await asyncio.gather(*(migrate(pooler.uri(postgres_database), "anzol", pooler=True) for _ in range(3)))

    assert sorted(done) == [(), (), (1, 2, 3)]
    broken = "select count(*) from pg_index where not indisvalid"
    assert postgres.execute(broken, database=postgres_database) == [(0,)]
