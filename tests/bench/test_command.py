"""`anzol bench` as a user runs it: what it prints, what it refuses, and that it cleans up when it is interrupted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from anzol.bench.children import until
from anzol.cli import measuring
from anzol.cli.program import program
from tests.bench.conftest import TINY
from tests.postgres import Server

ANZOL = Path(sys.executable).with_name("anzol")
PROMISED = {
    "workload", "variant", "engine", "rate", "limit", "ratio", "cpu_us", "p50_ms", "p99_ms", "accepted", "delivered",
    "lost", "duplicates", "seconds", "machine",
}  # fmt: skip


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anzol.bench.sizes.SHORT", TINY)


def called(*arguments: str) -> Result:
    return CliRunner().invoke(program, ["bench", "--receiver", "own", *arguments])


def test_alone_it_does_every_workload_and_prints_a_table() -> None:
    result = called()

    assert result.exit_code == 0, result.output
    for name in ("deliver", "latency", "drain", "1 endpoint", "3 endpoints", "40 over 3 endpoints"):
        assert name in result.stdout
    assert "limits" in result.stderr
    assert "Limits without Anzol" in result.stderr


def test_json_is_a_list_of_objects_and_nothing_else_on_stdout(url: str) -> None:
    result = called("latency", "drain", "--database", url, "--json")

    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [row["workload"] for row in rows] == ["latency", "drain"]
    for row in rows:
        assert row.keys() >= PROMISED
        assert row["lost"] == row["duplicates"] == 0
    assert rows[0]["limit"] is rows[0]["ratio"] is None
    assert rows[1]["p50_ms"] is None


def test_the_size_can_be_given() -> None:
    more = ("--messages", "10", "--endpoints", "2", "--processes", "1", "--processes", "2", "--json")
    result = called("deliver", "drain", *more)

    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [row["variant"] for row in rows] == ["2 endpoints", "2 endpoints, 2 processes", "10 over 3 endpoints"]
    assert [row["accepted"] for row in rows] == [10, 10, 10]


def test_something_lost_is_an_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    from collections import Counter

    from anzol.bench.receivers import Arrivals

    monkeypatch.setattr(Arrivals, "often", lambda _: Counter[str]())
    monkeypatch.setattr("anzol.bench.receivers.FLUSHED", 0.1)
    result = called("drain", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)[0]["lost"] == 40


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["delivr"], 2, "There is no workload 'delivr'. There are: deliver, latency, drain, fan-out, ingest."),
        (["--receiver", "apache"], 2, "There is no receiver 'apache'. There are: nginx, own."),
        (["--database", "sqlite:////nowhere/at/all/anzol.db"], 2, "The folder /nowhere/at/all of the database is not"),
        (["--database", "mysql://localhost/x"], 2, "is not the URL of a database"),
        (["--database", "postgresql://127.0.0.1:1/x"], 5, "The database does not answer"),
        (["--database", "postgresql://127.0.0.1:wrong/x"], 2, "has a host or port that cannot be read"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments: list[str], code: int, said: str) -> None:
    result = called(*arguments)

    assert result.exit_code == code
    assert said in " ".join(result.stderr.split())


def test_a_user_who_may_not_make_a_schema_is_told_so(postgres: Server, postgres_database: str) -> None:
    postgres.execute("create role reader login", database=postgres_database)
    try:
        result = called("drain", "--database", postgres_database.replace("postgres@", "reader@"))
    finally:
        postgres.execute("drop role reader", database=postgres_database)

    assert result.exit_code == 5
    assert "The user reader may not make a schema in the database" in " ".join(result.stderr.split())


def test_without_asyncpg_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    result = called("drain", "--database", "postgresql:///x")

    assert result.exit_code == 2
    assert 'pip install "anzol[postgres]"' in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("number", "started_with"),
    [
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, signal.default_int_handler),
        (signal.SIGTERM, signal.SIG_IGN),  # as a script starts what it puts into its background
    ],
)
def test_interrupted_it_drops_its_schema_and_ends_its_processes(
    number: signal.Signals, started_with: Any, postgres: Server, postgres_database: str
) -> None:
    command = [ANZOL, "bench", "deliver", "--database", postgres_database, "--messages", "1000000", "--processes", "2"]
    before = signal.signal(signal.SIGINT, started_with)  # what is ignored is inherited
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)

    def works() -> bool:
        found = postgres.execute(
            "select count(*) from pg_stat_activity where datname = current_database()"
            " and pid <> pg_backend_pid() and query like '%anzol_bench_%.attempt%'",
            database=postgres_database,
        )
        return bool(found[0][0]) or running.poll() is not None

    assert until(works, seconds=60)
    assert running.poll() is None, running.communicate()
    started = children(running.pid)
    running.send_signal(number)
    _, said = running.communicate(timeout=60)

    assert running.returncode != 0
    assert "Traceback" not in said
    assert schemas(postgres, postgres_database) == []
    assert started
    assert until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started), seconds=10)


def schemas(postgres: Server, database: str) -> list[str]:
    found = postgres.execute("select nspname::text from pg_namespace", database=database)
    return [name for (name,) in found if name.startswith("anzol_bench_")]


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]


def test_on_a_terminal_bars_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(quiet=True)) as drawn:
        bars = measuring.Bars(drawn)
        bars.step("limits", 3)
        bars.done(1)
        bars.step("drain", 80)
        monkeypatch.setattr(measuring.time, "monotonic", lambda: 1e12)
        bars.done(40)

        assert [(task.description, task.completed) for task in drawn.tasks] == [("limits", 3), ("drain", 40)]
