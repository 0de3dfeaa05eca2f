"""The server of the tests: a crash keeps what was committed, and nothing stays behind whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from tests.postgres import NoServer, Server, found_binaries, running_postgres

ROOT = Path(__file__).resolve().parents[2]
KILLED = """
import os, signal
from tests.postgres import running_postgres
with running_postgres() as server:
    print(server.folder, server.process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def gone(pid: int, folder: Path) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return not folder.exists()
    return False


def test_what_was_committed_is_there_after_a_crash() -> None:
    with running_postgres() as server:
        server.execute("create table kept (number int)")
        server.execute("insert into kept values (%s)", 7)

        server.restart(signal.SIGQUIT)

        assert server.execute("select number from kept") == [(7,)]


def test_a_killed_run_leaves_neither_a_server_nor_its_files() -> None:
    run = subprocess.run([sys.executable, "-c", KILLED], cwd=ROOT, capture_output=True, text=True, check=False)
    folder, pid = run.stdout.split()

    assert run.returncode == -signal.SIGKILL
    end = time.monotonic() + 30
    while not gone(int(pid), Path(folder)):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_connections_that_are_cut_know_it(postgres: Server) -> None:
    with postgres.database() as uri:
        connection = psycopg.connect(uri)

        assert postgres.kill_backends(uri) == 1
        with pytest.raises(psycopg.OperationalError), connection:
            connection.execute("select 1")


def test_a_server_may_listen_on_loopback() -> None:
    with running_postgres(tcp=True, fsync="off") as server:
        assert "@127.0.0.1:" in server.uri()
        assert server.execute("show fsync") == [("off",)]


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("POSTGRES_BIN", str(tmp_path))

    with pytest.raises(NoServer, match="no initdb"):
        found_binaries()
