"""Each workload at a tiny size, on each engine: it measures, verifies, and leaves nothing behind."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from anzol.bench.figures import Figures
from anzol.bench.measuring import measure
from anzol.bench.receivers import free_port
from anzol.bench.sizes import Size
from anzol.errors import BenchError, InvalidValue
from tests.bench.conftest import TINY, Heard
from tests.postgres import Server


def nothing_lost(figures: Figures, messages: int) -> bool:
    counts = (figures.accepted, figures.delivered, figures.lost, figures.duplicates, figures.unrecorded)
    return counts == (messages, messages, 0, 0, 0)


def measured(name: str, heard: Heard, url: str | None, size: Size = TINY) -> list[Figures]:
    return list(measure([name], size, heard, database=url, with_receiver="own"))


def test_deliver_has_a_row_for_each_number_of_endpoints(url: str, heard: Heard) -> None:
    rows = measured("deliver", heard, url)

    assert [row.variant for row in rows] == ["1 endpoint", "3 endpoints"]
    for row in rows:
        assert nothing_lost(row, 40)
        assert row.engine == url.partition(":")[0]
        assert row.rate is not None
        assert row.limit is not None
        assert row.ratio == pytest.approx(row.rate / row.limit, abs=0.01)
        assert row.limit == min(row.requests_limit, row.inserts_limit)
        assert row.cpu_us is not None
        assert row.p50_ms is row.p99_ms is row.memory_mb is None


def test_deliver_with_workers_in_processes_of_their_own(url: str, heard: Heard) -> None:
    rows = measured("deliver", heard, url, replace(TINY, endpoints=(3,), processes=(2, 3)))

    assert [row.variant for row in rows] == ["3 endpoints, 2 processes", "3 endpoints, 3 processes"]
    assert all(nothing_lost(row, 40) for row in rows)


def test_latency_is_measured_at_a_steady_rate(url: str, heard: Heard) -> None:
    (row,) = measured("latency", heard, url)

    assert nothing_lost(row, 30)
    assert row.receiver == "own"
    assert row.limit is row.ratio is row.accept_rate is None
    assert None not in (row.p50_ms, row.p99_ms, row.send_p50_ms, row.send_p99_ms, row.post_p50_ms)


def test_drain_knows_the_memory_of_its_worker(url: str, heard: Heard) -> None:
    (row,) = measured("drain", heard, url)

    assert nothing_lost(row, 40)
    assert row.variant == "40 over 3 endpoints"
    assert row.memory_mb is not None
    assert 10 < row.memory_mb < 1000
    assert heard.counts[-1] <= 80


def test_fan_out_counts_each_delivery_and_how_others_fared(url: str, heard: Heard) -> None:
    before, meanwhile, wide = measured("fan-out", heard, url)

    assert [row.variant for row in (before, meanwhile, wide)] == ["others, before", "others, meanwhile", "30 endpoints"]
    assert nothing_lost(wide, 30)
    assert (before.lost, meanwhile.lost, before.duplicates, meanwhile.duplicates) == (0, 0, 0, 0)
    assert None not in (before.p50_ms, before.p99_ms, meanwhile.p99_ms, wide.rate, wide.memory_mb, wide.send_p50_ms)


def test_progress_is_told(heard: Heard) -> None:
    measured("drain", heard, None)

    assert heard.steps == ["limits: the receiver, and the bare driver", "drain, 40 over 3 endpoints"]
    assert heard.counts[:3] == [1, 2, 3]


def test_a_file_that_is_named_is_left_alone(tmp_path: Path, heard: Heard) -> None:
    path = tmp_path / "named.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table kept (x)")
    connection.close()
    before = path.read_bytes()
    measured("drain", heard, f"sqlite:///{path}")

    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_every_schema_is_dropped(postgres: Server, postgres_database: str, heard: Heard) -> None:
    postgres.execute("create schema anzol; create table anzol.message (x int)", database=postgres_database)
    measured("deliver", heard, postgres_database)
    schemas = postgres.execute(
        "select nspname::text from pg_namespace where nspname like 'anzol%'", database=postgres_database
    )

    assert schemas == [("anzol",)]
    assert postgres.execute("select count(*) from anzol.message", database=postgres_database) == [(0,)]


def test_settings_of_the_users_application_have_no_say(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = {"ANZOL_DATABASE_URL": f"sqlite:///{tmp_path / 'production.db'}", "ANZOL_PROXY_URL": "http://127.0.0.1:9"}
    for name, value in users.items():
        monkeypatch.setenv(name, value)
    (row,) = measured("drain", heard, None)

    assert nothing_lost(row, 40)
    assert list(tmp_path.iterdir()) == []
    assert {name: os.environ[name] for name in users} == users


def test_an_unknown_workload_is_refused_before_anything_is_started(heard: Heard) -> None:
    with pytest.raises(InvalidValue, match=r"no workload 'delivr'. There are: deliver, latency, drain, fan-out."):
        list(measure(["drain", "delivr"], TINY, heard))

    assert heard.steps == []


def test_a_run_that_comes_to_a_halt_is_given_up(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anzol.bench.application.STILL", 0.5)
    monkeypatch.setattr("anzol.bench.receivers.Receiver.url", f"http://127.0.0.1:{free_port()}/nobody")

    with pytest.raises(BenchError, match=r"0 of 40 arrived, 40 wait"):
        measured("drain", heard, None)


def test_ingest_posts_one_by_one_and_in_batches(url: str, heard: Heard) -> None:
    rows = measured("ingest", heard, url)

    assert [row.variant for row in rows] == ["one by one", "batches of 100"]
    assert [nothing_lost(row, count) for row, count in zip(rows, (40, 200), strict=True)] == [True, True]
    for row in rows:
        assert row.requests_by == "a bare application"
        assert row.limit == min(row.requests_limit, row.inserts_limit)
        assert None not in (row.cpu_us, row.send_p50_ms, row.send_p99_ms)
