"""`anzol worker --processes N`: what dies is replaced, what ends drains, what cannot work ends the whole."""

from __future__ import annotations

import os
import pty
import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.processes.conftest import Program, World, alive, both, until

DIED = re.compile(r"Worker process (\d+) \((\d) of \d\) (.*); another one in (\d+\.\d) s\.")


def supervised(world: World, count: int = 2, **changes: str) -> tuple[Program, set[int]]:
    """Start so many under a supervisor; return it, and their process numbers."""
    supervisor = world.worker("--processes", str(count), **changes)
    supervisor.says("delivers from", times=count)
    until(lambda: len(world.workers()) == count, "all are enlisted")
    return supervisor, world.workers()


def deaths(supervisor: Program) -> list[tuple[str, ...]]:
    return [match.groups() for match in DIED.finditer(supervisor.said)]


# --- running and ending


@both
def test_all_of_them_work_and_a_signal_ends_them_in_good_order(world: World) -> None:
    world.register()
    supervisor, pids = supervised(world, 3)
    sent = world.send(60)
    until(world.quiet, "all is delivered")

    code = supervisor.end()

    assert code == 0
    assert len(pids) == 3
    assert supervisor.pid not in pids
    assert world.workers() == set()
    assert not any(alive(pid) for pid in pids)
    assert sorted(world.receiver.seen.elements()) == sorted(sent)


def test_a_signal_to_everybody_at_once_is_no_second_signal(world: World) -> None:
    world.register()
    world.receiver.hold()
    supervisor, pids = supervised(world, ANZOL_DELIVERY_TIMEOUT="5m")
    sent = world.send(8)
    until(lambda: world.receiver.waiting == 8, "all are under way")

    for pid in (supervisor.pid, *pids):  # as systemd does
        os.kill(pid, signal.SIGTERM)
    supervisor.says("Finishing")
    world.receiver.let_go()

    assert supervisor.wait() == 0
    assert world.quiet()
    assert sorted(world.receiver.seen.elements()) == sorted(sent)


def test_a_second_signal_ends_all_at_once(world: World) -> None:
    world.register()
    world.receiver.hold()
    supervisor, pids = supervised(world, ANZOL_DELIVERY_TIMEOUT="5m")
    world.send(8)
    until(lambda: world.receiver.waiting == 8, "all are under way")

    supervisor.hears(signal.SIGTERM)
    supervisor.says("Finishing")
    code = supervisor.end(signal.SIGINT)

    assert code == 1
    assert not any(alive(pid) for pid in pids)


def test_one_that_does_not_end_is_killed(world: World) -> None:
    supervisor, pids = supervised(world, ANZOL_DELIVERY_TIMEOUT="100ms")
    stuck = min(pids)
    os.kill(stuck, signal.SIGSTOP)

    code = supervisor.end()

    assert code == 1
    assert not any(alive(pid) for pid in pids)
    assert "did not end in time" in supervisor.said


@both
def test_when_the_supervisor_is_killed_the_processes_drain(world: World) -> None:
    world.register()
    world.receiver.hold()
    supervisor, pids = supervised(world, ANZOL_DELIVERY_TIMEOUT="5m")
    sent = world.send(8)
    until(lambda: world.receiver.waiting == 8, "all are under way")

    os.kill(supervisor.pid, signal.SIGKILL)
    until(lambda: supervisor.process.poll() is not None, "it is gone")
    world.receiver.let_go()

    until(lambda: not any(alive(pid) for pid in pids), "the processes have ended, too")
    assert world.workers() == set()
    assert world.quiet()
    assert sorted(world.receiver.seen.elements()) == sorted(sent)


# --- dying


def test_one_that_is_killed_is_replaced_and_its_end_is_told(world: World) -> None:
    world.register()
    supervisor, pids = supervised(world)
    killed = max(pids)

    os.kill(killed, signal.SIGKILL)
    supervisor.says("delivers from", times=3)
    sent = world.send(20)
    until(world.quiet, "all is delivered")

    ((pid, _, how, pause),) = deaths(supervisor)
    assert (int(pid), how, pause) == (killed, "was ended by SIGKILL", "0.5")
    assert min(pids) in world.workers()
    assert supervisor.end() == 0
    assert sorted(world.receiver.seen.elements()) == sorted(sent)


def test_one_that_dies_at_once_again_and_again_is_started_less_and_less_often(world: World) -> None:
    supervisor, pids = supervised(world)
    dies = world.folder / "dies"
    dies.write_text("7")

    os.kill(max(pids), signal.SIGKILL)
    supervisor.says("ended with exit code 7", times=2)
    dies.unlink()
    supervisor.says("delivers from", times=3)

    assert [death[3] for death in deaths(supervisor)] == ["0.5", "1.0", "2.0"]
    assert supervisor.end() == 0


def test_one_that_ends_by_itself_is_replaced_too(world: World) -> None:
    supervisor, pids = supervised(world)

    os.kill(min(pids), signal.SIGTERM)
    supervisor.says("delivers from", times=3)

    assert [death[2] for death in deaths(supervisor)] == ["ended with exit code 0"]
    assert supervisor.end() == 0


# --- what cannot work


def test_a_setting_that_is_refused_ends_it_with_the_workers_own_error(world: World) -> None:
    supervisor = world.worker("--processes", "3", ANZOL_RETENTION="soon")

    assert supervisor.wait() == 2
    assert supervisor.said.count("Error: The setting retention (ANZOL_RETENTION) is refused") == 1
    assert deaths(supervisor) == []


def test_an_app_that_cannot_be_imported_ends_it(world: World) -> None:
    (world.folder / "main.py").write_text("import nowhere_to_be_found\n")
    supervisor = world.worker("--processes", "2")

    assert supervisor.wait() == 3
    assert supervisor.said.count("nowhere_to_be_found") > 0
    assert deaths(supervisor) == []


def test_a_database_of_another_deployment_ends_it(world: World) -> None:
    world.status()
    supervisor = world.worker("--processes", "2", ANZOL_DEPLOYMENT="elsewhere")

    assert supervisor.wait() == 5
    assert supervisor.said.count("belongs to the deployment 'default'") == 1


def test_what_worked_once_and_can_never_work_again_ends_it_when_the_last_one_dies(world: World) -> None:
    supervisor, pids = supervised(world)
    (world.folder / "main.py").write_text("import nowhere_to_be_found\n")

    os.kill(max(pids), signal.SIGKILL)
    supervisor.says("ended with exit code 3")
    assert min(pids) in world.workers()  # the other goes on
    os.kill(min(pids), signal.SIGKILL)

    assert supervisor.wait() == 3


def test_a_database_without_a_schema_ends_it(world: World, postgres_database: str) -> None:
    supervisor = world.worker("--processes", "2", ANZOL_DATABASE_URL=postgres_database)

    assert supervisor.wait() == 5
    assert supervisor.said.count("Run `anzol migrate`") == 1


# --- replacing


@both
def test_a_hang_up_replaces_one_after_the_other(world: World) -> None:
    supervisor, pids = supervised(world)

    supervisor.hears(signal.SIGHUP)
    supervisor.says("Every worker process was replaced.")
    after = world.workers()

    assert len(after) == 2
    assert after.isdisjoint(pids)
    assert not any(alive(pid) for pid in pids)
    assert deaths(supervisor) == []
    assert supervisor.end() == 0


def test_a_replacement_that_does_not_start_leaves_the_old_ones_at_work(world: World) -> None:
    supervisor, pids = supervised(world)
    good = (world.folder / "main.py").read_text()
    (world.folder / "main.py").write_text("import nowhere_to_be_found\n")

    supervisor.hears(signal.SIGHUP)
    supervisor.says("does not start")
    assert world.workers() == pids

    (world.folder / "main.py").write_text(good)
    supervisor.hears(signal.SIGHUP)
    supervisor.says("Every worker process was replaced.")
    assert supervisor.end() == 0


def test_a_signal_in_the_middle_of_replacing_ends_all(world: World) -> None:
    world.register()
    world.receiver.hold()
    supervisor, _ = supervised(world, ANZOL_DELIVERY_TIMEOUT="5m")
    sent = world.send(8)
    until(lambda: world.receiver.waiting == 8, "all are under way")

    supervisor.hears(signal.SIGHUP)
    supervisor.says("delivers from", times=3)  # and the one that it replaces cannot end yet
    supervisor.hears(signal.SIGTERM)
    supervisor.says("Finishing")
    world.receiver.let_go()

    assert supervisor.wait() == 0
    assert world.workers() == set()
    assert world.quiet()
    assert sorted(world.receiver.seen.elements()) == sorted(sent)


# --- in a terminal

# Takes the terminal that is its standard input for its own, as a shell would have given it, and becomes the program.
ATTENDED = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "anzol", "worker", "main.py", "--processes", "2"])
"""


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: ours, and the one that a program has."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    for end in (ours, theirs):
        with suppress(OSError):
            os.close(end)


def attended(world: World, theirs: int) -> tuple[Program, set[int]]:
    supervisor = world.start("-c", ATTENDED, stdin=theirs)
    supervisor.says("delivers from", times=2)
    until(lambda: len(world.workers()) == 2, "all are enlisted")
    return supervisor, world.workers()


def test_ctrl_c_is_one_signal_not_one_for_each_process(world: World, terminal: tuple[int, int]) -> None:
    world.register()
    world.receiver.hold()
    supervisor, _ = attended(world, terminal[1])
    sent = world.send(8)
    until(lambda: world.receiver.waiting == 8, "all are under way")

    os.write(terminal[0], b"\x03")
    supervisor.says("Finishing")
    world.receiver.let_go()

    assert supervisor.wait() == 0
    assert world.quiet()
    assert sorted(world.receiver.seen.elements()) == sorted(sent)


def test_a_hang_up_with_a_terminal_replaces_and_a_closed_terminal_ends_it(
    world: World, terminal: tuple[int, int]
) -> None:
    supervisor, pids = attended(world, terminal[1])

    supervisor.hears(signal.SIGHUP)
    supervisor.says("Every worker process was replaced.")
    assert world.workers().isdisjoint(pids)
    os.close(terminal[1])
    os.close(terminal[0])

    assert supervisor.wait() == 0
    assert "Finishing" in supervisor.said
    assert world.workers() == set()


# --- one file


@both
def test_several_on_one_sqlite_file_are_warned_of(world: World) -> None:
    supervisor, _ = supervised(world)

    assert ("one is as fast as many" in supervisor.said) == world.database.startswith("sqlite")
    assert supervisor.end() == 0


def test_a_schema_of_a_newer_anzol_ends_it(tmp_path: Path, world: World) -> None:
    world.status()
    with sqlite3.connect(tmp_path / "anzol.db") as connection:
        connection.execute("insert into anzol_migration values (999, 'of a newer one', 0)")
    connection.close()

    assert world.worker("--processes", "2").wait() == 5
