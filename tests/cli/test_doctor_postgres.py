"""`anzol doctor` on PostgreSQL: every finding on facts that call for it; then on real servers that are as bad as that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from anzol.cli.serverfacts import OldTransaction, Server, free, look_at_server
from anzol.cli.serverfindings import CHECKS
from anzol.storage.places import PostgresPlace, place_of
from tests.cli.conftest import World
from tests.pooler import found_pooler, running_pooler
from tests.postgres import Server as Postgres
from tests.postgres import running_postgres


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A server in which doctor finds nothing to say: that of the other tests does not wait for the disk."""
    with running_postgres() as server:
        yield server


KEY = "a key of which nobody has thought before"
SOUND = Server(
    version=180001,
    role="app",
    schema="anzol",
    first_schema="public",
    pooler=False,
    pooled=False,
    read_only="",
    unsafe=(),
    unvacuumed=(),
    free=90,
    skew=timedelta(milliseconds=3),
    oldest=None,
    broken_indexes=(),
    heard=True,
    lacked=(),
    schema_version=1,
    works_with=1,
    started=True,
)
UNSOUND: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "an old version": ({"version": 130011}, ("error", "server-version")),
    "a standby": ({"read_only": "a standby"}, ("error", "read-only")),
    "fsync off": ({"unsafe": ("fsync", "synchronous_commit")}, ("warning", "durability")),
    "missing rights": ({"lacked": ("lane: update",)}, ("error", "rights")),
    "a pooler that nobody speaks of": ({"pooled": True, "heard": None}, ("error", "pooler")),
    "no pooler": ({"pooler": True, "heard": None}, ("note", "pooler")),
    "no wake-ups": ({"heard": False}, ("warning", "listen")),
    "few connections": ({"free": 3}, ("warning", "connections")),
    "no autovacuum": ({"unvacuumed": ("lane",)}, ("warning", "autovacuum")),
    "an old transaction": (
        {"oldest": OldTransaction(7, "app, idle in transaction", timedelta(hours=3))},
        ("warning", "old-transaction"),
    ),
    "a clock ahead": ({"skew": timedelta(minutes=2)}, ("warning", "clock")),
    "a clock behind": ({"skew": timedelta(minutes=-2)}, ("warning", "clock")),
    "a broken index": ({"broken_indexes": ("lane_due",)}, ("warning", "index")),
    "our schema is everybody's": ({"first_schema": "anzol"}, ("warning", "search-path")),
    "never started": ({"started": False}, ("note", "never-started")),
}


def found(server: Server) -> list[tuple[str, str]]:
    return [(finding.level.value, finding.check) for check in CHECKS for finding in check(server)]


def test_a_sound_server_has_nothing_to_mend() -> None:
    assert found(SOUND) == []


@pytest.mark.parametrize("name", UNSOUND)
def test_what_is_wrong_with_a_server_is_found(name: str) -> None:
    changes, expected = UNSOUND[name]
    server = replace(SOUND, **changes)

    assert found(server) == [expected]
    assert all(finding.what and finding.do for check in CHECKS for finding in check(server))


def test_every_question_has_a_test() -> None:
    asked = {check for changes, _ in UNSOUND.values() for check in CHECKS if list(check(replace(SOUND, **changes)))}

    assert set(CHECKS) == asked


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({}, 40),
        ({"of_role": 20}, 15),
        ({"of_database": 12}, 2),
        ({"of_role": 5, "taken_by_role": 9}, 0),
    ],
)
def test_the_tightest_limit_counts(limits: dict[str, int], left: int) -> None:
    row = {"places": 97, "taken": 57, "taken_by_role": 5, "taken_in_database": 10, "of_role": None, "of_database": None}

    assert free(row | limits) == left


# --- real ones


@pytest.fixture
def url(world: World, postgres_database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ANZOL_DATABASE_URL", postgres_database)
    monkeypatch.setenv("ANZOL_SECRET_KEY", KEY)
    return postgres_database


@pytest.fixture
def ask(postgres: Postgres, postgres_database: str) -> Callable[..., list[tuple[object, ...]]]:
    return lambda statement, *values: postgres.execute(statement, *values, database=postgres_database)


@pytest.fixture
def role(postgres: Postgres, postgres_database: str) -> Iterator[str]:
    name = f"app_{postgres_database.rpartition('test_')[2].partition('?')[0]}"
    postgres.execute(f"create role {name} login")
    yield name
    postgres.execute(f"drop owned by {name}", database=postgres_database)
    postgres.execute(f"drop role {name}")


def checks(world: World) -> dict[str, str]:
    return {one["check"]: one["level"] for one in world.data("doctor")["findings"]}


def looked(url: str, **more: Any) -> Server:
    place = place_of(url)
    assert isinstance(place, PostgresPlace)
    return asyncio.run(look_at_server(place, **more))


def test_from_the_first_look_to_the_first_start(
    world: World, url: str, ask: Callable[..., list[tuple[object, ...]]]
) -> None:
    assert checks(world) == {"schema": "error"}
    assert ask("select to_regnamespace('anzol') is null") == [(True,)], "doctor changes nothing"

    world.call("migrate")
    assert checks(world) == {"never-started": "note"}
    assert ask("select count(*) from anzol.deployment") == [(0,)], "doctor changes nothing"

    world.call("status")
    assert checks(world) == {}
    assert world.call("doctor").exit_code == 0


def test_a_wrong_key_and_another_deployment_are_found(world: World, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world.call("migrate")
    world.call("status")

    with monkeypatch.context() as wrong:
        wrong.setenv("ANZOL_SECRET_KEY", "another key than the one that it was made with")
        assert checks(world) == {"storage": "error"}
    with monkeypatch.context() as missing:
        missing.delenv("ANZOL_SECRET_KEY")
        assert checks(world) == {"settings": "error"}
    with monkeypatch.context() as other:
        other.setenv("ANZOL_DEPLOYMENT", "staging")
        assert checks(world) == {"storage": "error"}


def test_missing_rights_are_named(
    world: World, url: str, role: str, ask: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.call("migrate")
    world.call("status")
    monkeypatch.setenv("ANZOL_DATABASE_URL", url.replace("postgres@", f"{role}@"))

    assert checks(world)["rights"] == "error"
    assert "schema anzol: usage" in world.call("doctor").stdout

    ask(f"grant usage on schema anzol to {role}; grant select on all tables in schema anzol to {role}")
    assert "attempt: delete, insert, update" in world.call("doctor").stdout.replace(
        "insert, update, delete", "delete, insert, update"
    )

    world.call("migrate", "--database", url, "--grant", role)
    assert checks(world) == {}


def test_a_newer_schema_is_sound_as_long_as_we_can_work_with_it(
    world: World, url: str, ask: Callable[..., object]
) -> None:
    world.call("migrate")
    world.call("status")
    ask("insert into anzol.migration values (1000, 'of a newer one', 1, 0)")
    assert checks(world) == {}

    ask("update anzol.migration set works_with = 1000 where version = 1000")
    assert checks(world) == {"schema": "error"}


def test_what_is_wrong_in_the_database_is_seen(
    world: World, postgres: Postgres, url: str, ask: Callable[..., object]
) -> None:
    world.call("migrate")
    assert looked(url).oldest is None
    ask(
        "alter table anzol.lane set (autovacuum_enabled = off);"
        "update pg_index set indisvalid = false where indexrelid = 'anzol.lane_due'::regclass;"
    )
    ask(f"alter database {url.split('/')[3].partition('?')[0]} set synchronous_commit = off")
    ask(f"alter database {url.split('/')[3].partition('?')[0]} set search_path = anzol")

    with postgres.connect(url, autocommit=False, application_name="reports") as other:
        other.execute("select 1")
        server = looked(url, long=timedelta(0))
        process = other.info.backend_pid

    assert server.unvacuumed == ("lane",)
    assert server.broken_indexes == ("lane_due",)
    assert server.unsafe == ("synchronous_commit",)
    assert server.first_schema == "anzol"
    assert server.oldest is not None
    assert (server.oldest.process, server.oldest.who) == (process, "postgres, reports, idle in transaction")


def test_a_server_that_answers_and_listens_is_seen_as_it_is(postgres: Postgres, url: str) -> None:
    server = looked(url)

    assert server.version >= 140000
    assert (server.heard, server.pooled, server.read_only) == (True, False, "")
    assert server.free is not None
    assert 0 < server.free < 300
    assert abs(server.skew) < timedelta(seconds=5)


def test_a_server_without_autovacuum_and_fsync_is_seen_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_postgres(autovacuum="off", fsync="off", default_transaction_read_only="on") as postgres:
        server = looked(postgres.uri())

    assert server.unsafe == ("fsync",)
    assert server.unvacuumed == ("every table",)
    assert server.read_only == "read-only"


@pytest.mark.skipif(found_pooler() is None, reason="there is no pgbouncer on this machine")
def test_a_pooler_is_seen_whatever_the_setting_says(
    world: World, postgres: Postgres, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.call("migrate")
    world.call("status")

    with running_pooler(postgres) as pooler:
        monkeypatch.setenv("ANZOL_DATABASE_URL", pooler.uri(url))
        assert checks(world)["pooler"] == "error"
        refused = world.call("status")
        assert (refused.exit_code, "set ANZOL_POOLER=true" in refused.stderr) == (5, True)

        monkeypatch.setenv("ANZOL_POOLER", "true")
        assert checks(world) == {}

    monkeypatch.setenv("ANZOL_DATABASE_URL", url)
    assert checks(world) == {"pooler": "note"}


def test_a_server_that_is_not_there_is_told_of(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANZOL_DATABASE_URL", f"postgresql://app:canary@/shop?host={world.folder}")

    result = world.call("doctor")

    assert result.exit_code == 1
    assert "does not answer" in result.stdout
    assert "canary" not in result.output
