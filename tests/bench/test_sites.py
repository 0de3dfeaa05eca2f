"""Where a run keeps its data: what is found out about a place before anything is measured there."""

from __future__ import annotations

import logging
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from anzol.bench.sites import site
from tests.postgres import Server


def test_a_server_that_does_not_flush_is_described_as_such(postgres: Server, postgres_database: str) -> None:
    name = urlsplit(postgres_database).path.removeprefix("/")
    postgres.execute(f"alter database {name} set synchronous_commit = off")

    with site(postgres_database) as where:
        assert where.described.startswith("PostgreSQL ")
        assert where.described.endswith(", synchronous_commit off")


def test_what_another_run_has_left_is_told_of_and_not_touched(
    postgres: Server, postgres_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    postgres.execute("create schema anzol_bench_0123; create schema anzolxbenchx1", database=postgres_database)

    with caplog.at_level(logging.WARNING, "anzol.bench"), site(postgres_database):
        pass

    assert [record.message for record in caplog.records] == [
        "There is anzol_bench_0123, of another run. If none is under way: drop schema anzol_bench_0123 cascade"
    ]
    found = postgres.execute(
        "select 1 from pg_namespace where nspname = 'anzol_bench_0123'", database=postgres_database
    )
    assert found == [(1,)]


def test_a_fresh_schema_is_gone_after_an_error(postgres: Server, postgres_database: str) -> None:
    with site(postgres_database) as where, pytest.raises(ZeroDivisionError), where.fresh() as database:
        assert database.attempts() == 0
        raise ZeroDivisionError
    names = postgres.execute("select nspname::text from pg_namespace", database=postgres_database)

    assert not [name for (name,) in names if name.startswith("anzol_bench_")]


def test_a_fresh_file_is_gone_after_an_error(tmp_path: Path) -> None:
    with site(f"sqlite:///{tmp_path}/named.db") as where, pytest.raises(ZeroDivisionError), where.fresh() as database:
        database.commit_times(1)
        assert list(tmp_path.rglob("*.db"))
        raise ZeroDivisionError

    assert list(tmp_path.iterdir()) == []


def test_bare_drivers_measure_what_they_store(url: str) -> None:
    with site(url) as where, where.fresh() as database:
        assert database.insert_rate(messages=64, batch=8) > 0
        assert all(took > 0 for took in database.commit_times(5))
