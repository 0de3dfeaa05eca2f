"""The commands on a PostgreSQL database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import psycopg
import pytest

from anzol.storage.postgres import migrations
from anzol.storage.postgres.script import made
from tests.cli.conftest import Receiver, World
from tests.postgres import Server

KEY = "a key of which nobody has thought before"
CANARY = "canary-password"


@pytest.fixture
def url(world: World, postgres_database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database that every command finds, reached with a password that must not be shown."""
    named = postgres_database.replace("postgres@", f"postgres:{CANARY}@", 1)
    monkeypatch.setenv("ANZOL_DATABASE_URL", named)
    monkeypatch.setenv("ANZOL_SECRET_KEY", KEY)
    return named


@pytest.fixture
def ask(postgres: Server, postgres_database: str) -> Callable[..., list[tuple[object, ...]]]:
    return lambda statement, *values: postgres.execute(statement, *values, database=postgres_database)


@pytest.fixture
def role(postgres: Server, postgres_database: str) -> Iterator[str]:
    name = f"app_{postgres_database.rpartition('test_')[2].partition('?')[0]}"
    postgres.execute(f"create role {name} login")
    yield name
    postgres.execute(f"drop owned by {name}", database=postgres_database)
    postgres.execute(f"drop role {name}")


def newer(works_with: int) -> str:
    return f"insert into anzol.migration values (1000, 'of a newer one', {works_with}, 0)"


# --- migrate


def test_migrate_makes_the_schema_and_check_says_whether_it_is_needed(world: World, url: str) -> None:
    before = world.call("migrate", "--check")
    assert (before.exit_code, "needs schema" in before.stdout) == (1, True)

    applied = world.data("migrate")

    assert applied["applied"] == [number for number, _, _ in migrations.migrations()]
    assert world.data("migrate")["applied"] == []
    after = world.call("migrate", "--check")
    assert (after.exit_code, "is up to date" in after.stdout) == (0, True)
    assert CANARY not in json.dumps(applied) + before.output + after.output


def test_migrate_needs_no_secret_key(world: World, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANZOL_SECRET_KEY")

    assert world.call("migrate").exit_code == 0
    refused = world.call("status")
    assert (refused.exit_code, "token_urlsafe" in refused.stderr) == (2, True)


def test_check_knows_a_newer_schema_that_this_version_works_with(
    world: World, url: str, ask: Callable[..., object]
) -> None:
    world.call("migrate")
    ask(newer(works_with=1))

    found = world.call("migrate", "--check")
    assert (found.exit_code, "works with it" in found.stdout) == (0, True)
    assert world.call("status").exit_code == 0

    ask("update anzol.migration set works_with = 1000 where version = 1000")
    found = world.call("migrate", "--check")
    assert (found.exit_code, "install the newer" in found.stdout) == (1, True)
    assert world.call("migrate").exit_code == 5
    refused = world.call("status")
    assert (refused.exit_code, "needs an Anzol of schema 1000" in refused.stderr) == (5, True)


def test_the_printed_sql_is_what_migrate_does(
    world: World, url: str, ask: Callable[..., list[tuple[object, ...]]]
) -> None:
    sql = world.data("migrate", "--sql")["sql"]
    ask(sql)

    assert world.call("migrate", "--check").exit_code == 0
    by_hand = ask(COLUMNS)
    ask("drop schema anzol cascade")
    world.data("migrate")
    assert ask(COLUMNS) == by_hand
    assert "-- no migration is missing" in world.call("migrate", "--sql").stdout


COLUMNS = """select table_name, column_name, data_type, column_default, is_nullable from information_schema.columns
 where table_schema = 'anzol' order by 1, 2"""


def test_the_printed_sql_leaves_a_schema_alone_that_is_there(
    world: World, url: str, ask: Callable[..., object]
) -> None:
    assert 'create schema "anzol";' in world.call("migrate", "--sql").stdout

    ask("create schema anzol")

    assert "create schema" not in world.call("migrate", "--sql").stdout


def test_a_schema_may_have_another_name(
    world: World, url: str, ask: Callable[..., list[tuple[object, ...]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANZOL_SCHEMA", "hooks")

    assert "(schema hooks)" in world.data("migrate")["database"]
    assert ask("select to_regclass('hooks.lane') is not null, to_regclass('anzol.lane') is null") == [(True, True)]
    assert world.call("status").exit_code == 0


def test_without_a_schema_every_command_says_how_to_make_it(world: World, url: str) -> None:
    refused = world.call("status")

    assert refused.exit_code == 5
    assert "anzol migrate" in refused.stderr


def test_rights_are_given_to_a_role(
    world: World, url: str, role: str, ask: Callable[..., list[tuple[object, ...]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.data("migrate", "--grant", role)["granted"] == role

    rights = "select distinct table_name, privilege_type from information_schema.role_table_grants where grantee = %s"
    tables, views = made()
    expected = {(table, right) for table in tables for right in ("SELECT", "INSERT", "UPDATE", "DELETE")}
    assert set(ask(rights, role)) == expected | {(name, "SELECT") for name in ("migration", *views)}
    ask("create table anzol.later (id int)")
    assert {right for table, right in ask(rights, role) if table == "later"} == {"SELECT", "INSERT", "UPDATE", "DELETE"}

    monkeypatch.setenv("ANZOL_DATABASE_URL", url.replace(f"postgres:{CANARY}@", f"{role}@"))
    assert world.call("status").exit_code == 0


def test_a_role_without_rights_is_told_what_to_ask_for(
    world: World, url: str, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.call("migrate")
    monkeypatch.setenv("ANZOL_DATABASE_URL", url.replace(f"postgres:{CANARY}@", f"{role}@"))

    refused = world.call("status")

    assert refused.exit_code == 5
    assert "permission denied" in refused.stderr
    assert "anzol migrate --grant ROLE" in refused.stderr
    told = world.call("doctor").output
    assert "lacks rights" in told
    assert "schema is 0" not in told  # it is not known: nobody may look


def test_who_may_give_no_rights_is_told_that_none_were_given(
    world: World, url: str, role: str, ask: Callable[..., list[tuple[object, ...]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.call("migrate", "--grant", role)
    other = f"{role}_other"
    ask(f"create role {other}")
    try:
        monkeypatch.setenv("ANZOL_DATABASE_URL", url.replace(f"postgres:{CANARY}@", f"{role}@"))
        refused = world.call("migrate", "--grant", other)
    finally:
        ask(f"drop role {other}")

    assert refused.exit_code == 5
    assert f"{other} still lacks" in refused.stderr
    assert "owns the schema" in refused.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--check", "--sql"],
        ["--check", "--grant", "x"],
        ["--outbox", "sqlite:///x.db", "--grant", "x"],
        ["--register"],
        ["--outbox", "sqlite:///x.db", "--check", "--register"],
        ["--grant", "public"],
    ],
    ids=" ".join,
)
def test_migrate_ignores_no_option(world: World, url: str, options: list[str]) -> None:
    refused = world.call("migrate", *options)

    assert (refused.exit_code, refused.stderr.count("--") > 0) == (2, True)


@pytest.mark.parametrize("name", ['a"b', "", "x; drop"])
def test_what_is_no_role_is_refused(world: World, url: str, name: str) -> None:
    refused = world.call("migrate", "--grant", name)

    assert (refused.exit_code, "is not a role's name" in refused.stderr) == (2, True)


def test_grants_are_of_postgresql(world: World) -> None:
    refused = world.call("migrate", "--grant", "app")

    assert (refused.exit_code, "--grant is of PostgreSQL" in refused.stderr) == (2, True)


# --- who cannot be reached


def test_a_server_that_does_not_answer_is_named_without_the_password(world: World, tmp_path: object) -> None:
    url = f"postgresql://app:{CANARY}@/shop?host={tmp_path}"

    refused = world.call("migrate", "--database", url)

    assert refused.exit_code == 5
    assert CANARY not in refused.output
    assert "does not answer" in refused.stderr


# --- all the others


def test_people_look_and_mend(world: World, url: str) -> None:
    world.call("migrate")
    made = world.data("endpoints", "create", "-c", "acme", "--url", "https://acme.example/in")["endpoint"]["id"]
    sent = world.data("trigger", "new-subscription", "--customer", "acme")["id"]

    assert world.data("endpoints", "show", made)["enabled"] is True
    assert world.data("messages", sent)["message"]["id"] == sent
    assert world.data("status")["accepted_waiting"] == 1
    assert world.call("pause", "--customer", "acme", "--yes").exit_code == 0
    assert world.call("resume", "--customer", "acme", "--yes").exit_code == 0
    assert world.call("attempts").exit_code == 0
    assert world.call("cancel", "--customer", "acme", "--yes").exit_code == 0
    assert world.call("endpoints", "rotate", made).exit_code == 0
    assert world.call("endpoints", "delete", made, "--yes").exit_code == 0


def test_the_key_is_changed_while_it_runs(world: World, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world.call("migrate")
    made = world.data("endpoints", "create", "-c", "acme", "--url", "https://acme.example/in")
    monkeypatch.setenv("ANZOL_OLD_SECRET_KEYS", KEY)
    monkeypatch.setenv("ANZOL_SECRET_KEY", f"another: {KEY}")

    assert world.data("secrets", "rekey")["sealed"] == 1
    assert world.data("secrets", "rekey")["sealed"] == 0
    monkeypatch.delenv("ANZOL_OLD_SECRET_KEYS")

    assert world.data("endpoints", "show", made["endpoint"]["id"])["enabled"] is True


def test_a_copied_database_is_refused_until_it_is_adopted(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.call("migrate")
    world.data("trigger", "new-subscription", "--customer", "acme")
    monkeypatch.setenv("ANZOL_DEPLOYMENT", "staging")

    refused = world.call("messages")
    assert (refused.exit_code, "anzol adopt --withdraw-pending" in refused.stderr) == (5, True)
    shown = world.call("adopt", "--withdraw-pending")
    assert "add --yes" in shown.stdout
    assert CANARY not in shown.output
    assert world.data("adopt", "--withdraw-pending", "--yes")["withdrawn"] == 1
    assert world.call("messages").exit_code == 0


def test_dev_migrates_by_itself_and_shows_no_password(world: World, url: str) -> None:
    with world.dev(ANZOL_DATABASE_URL=url, ANZOL_SECRET_KEY=KEY) as dev:
        line = dev.line("links")
        assert line["database"] == url.replace(f":{CANARY}", "")
        assert dev.stop() == 0
    assert CANARY not in f"{dev.lines} {dev.said}"
    assert world.call("migrate", "--check").exit_code == 0


def test_a_server_starts_without_showing_the_password(world: World, url: str, caplog: pytest.LogCaptureFixture) -> None:
    world.call("migrate")
    with caplog.at_level("DEBUG"):
        assert world.call("status").exit_code == 0

    assert f"The database is {url.replace(f':{CANARY}', '')}." in caplog.text
    assert CANARY not in caplog.text


# --- with no more than the rights that are given


def test_what_is_granted_is_enough_to_accept_deliver_and_mend(
    world: World, url: str, role: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.call("migrate", "--grant", role)
    monkeypatch.setenv("ANZOL_DATABASE_URL", url.replace(f"postgres:{CANARY}@", f"{role}@"))
    monkeypatch.setenv("ANZOL_ALLOW_NETWORKS", "127.0.0.0/8")
    made = world.data("endpoints", "create", "-c", "acme", "--url", receiver.url)["endpoint"]["id"]

    sent = world.data("trigger", "new-subscription", "--customer", "acme")["id"]
    assert world.call("worker", "--once").exit_code == 0
    assert len(receiver.bodies) == 1
    assert world.call("resend", sent, made).exit_code == 0
    assert world.call("worker", "--once").exit_code == 0
    assert len(receiver.bodies) == 2

    assert len(world.data("attempts")["items"]) == 2
    for command in (
        ["recover", "--since", "1h", "--customer", "acme", "--yes"],
        ["pause", "--customer", "acme", "--yes"],
        ["resume", "--customer", "acme", "--yes"],
        ["cancel", "--customer", "acme", "--yes"],
        ["endpoints", "rotate", made],
        ["endpoints", "delete", made, "--yes"],
        ["secrets", "rekey"],
        ["adopt", "--withdraw-pending", "--yes"],
        ["doctor"],
    ):
        result = world.call(*command)
        assert result.exit_code == 0, result.output


def test_the_printed_script_run_by_hand_is_enough_too(
    world: World,
    url: str,
    role: str,
    receiver: Receiver,
    ask: Callable[..., list[tuple[object, ...]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ask(world.data("migrate", "--sql", "--grant", role)["sql"])
    monkeypatch.setenv("ANZOL_DATABASE_URL", url.replace(f"postgres:{CANARY}@", f"{role}@"))
    monkeypatch.setenv("ANZOL_ALLOW_NETWORKS", "127.0.0.0/8")

    world.call("endpoints", "create", "-c", "acme", "--url", receiver.url)
    world.call("trigger", "new-subscription", "--customer", "acme")
    assert world.call("worker", "--once").exit_code == 0
    assert len(receiver.bodies) == 1


def test_a_role_with_the_rights_changes_no_schema(
    world: World, url: str, role: str, ask: Callable[..., list[tuple[object, ...]]], postgres: Server
) -> None:
    world.call("migrate", "--grant", role)
    mine = url.replace(f"postgres:{CANARY}@", f"{role}@")

    for statement in ("drop table anzol.lane", "create table anzol.x (id int)", "alter table anzol.lane add x int"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), psycopg.connect(mine) as connection:
            connection.execute(statement.encode())


@pytest.mark.parametrize("driver", ["", "+psycopg", "+asyncpg"])
def test_an_outbox_is_made_in_another_postgresql_database(world: World, postgres_database: str, driver: str) -> None:
    url = postgres_database.replace("postgresql://", f"postgresql{driver}://")

    assert world.call("migrate", "--outbox", url, "--check").exit_code == 1
    assert "BYTEA" in world.call("migrate", "--outbox", url, "--sql").stdout
    assert world.data("migrate", "--outbox", url) == {"made": True}
    assert world.data("migrate", "--outbox", url) == {"made": False}
    assert world.call("migrate", "--outbox", url, "--check").exit_code == 0
