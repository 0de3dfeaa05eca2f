"""One `anzol worker`: what its end leaves behind, with a receiver that does not hurry."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from anzol.lifecycle import Outcome
from tests.processes.conftest import PATIENCE, World, both, until

pytestmark = both


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_under_way_is_finished_and_the_rest_given_back(world: World, number: signal.Signals) -> None:
    world.register()
    world.receiver.hold()
    sent = world.send(200)
    worker = world.worker()
    until(lambda: world.receiver.waiting >= 4, "requests are under way")

    worker.hears(number)
    worker.says("Finishing")
    begun = world.receiver.seen.total()
    world.receiver.let_go()

    assert worker.wait() == 0
    status = world.status()
    assert (status.workers, status.in_flight, status.accepted_waiting) == ((), 0, 0)
    assert status.pending == len(sent) - begun > 0
    assert set(world.receiver.seen.values()) == {1}
    assert world.worker("--once").wait() == 0
    assert sorted(world.receiver.seen.elements()) == sorted(sent)


def test_a_receiver_that_never_answers_delays_the_end_by_the_deadline_only(world: World) -> None:
    world.register()
    world.receiver.hold()
    world.send(1)
    worker = world.worker(ANZOL_DELIVERY_TIMEOUT="1s")
    until(lambda: world.receiver.waiting, "a request is under way")

    code = worker.end()
    attempts = world.use(lambda webhooks: webhooks.attempts.list())

    assert code == 0
    assert [attempt.outcome for attempt in attempts.items] == [Outcome.TIMEOUT]
    assert world.status().in_flight == 0


def test_a_second_signal_ends_it_at_once_and_says_so_by_its_exit_code(world: World) -> None:
    world.register()
    world.receiver.hold()
    world.send(1)
    worker = world.worker(ANZOL_DELIVERY_TIMEOUT="5m")  # or five minutes later
    until(lambda: world.receiver.waiting, "a request is under way")

    worker.hears(signal.SIGTERM)
    worker.says("Finishing")
    code = worker.end()

    assert code == 1
    assert "work under way" in worker.said
    world.receiver.let_go()
    after = world.worker()
    until(world.quiet, "another one has seen to it")
    assert after.end() == 0


def test_it_delivers_and_ends_although_nobody_reads_what_it_prints(world: World) -> None:
    world.register()
    command = [sys.executable, "-m", "anzol", "worker", "main.py"]
    started = [unread(world, command), unread(world, [*command, "--processes", "1"])]
    try:
        until(lambda: len(world.workers()) == 2, "both are enlisted")
        sent = world.send(40)
        until(world.quiet, "all is delivered")
        for process in started:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(PATIENCE) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait(PATIENCE)

    assert codes == [0, 0]
    assert sorted(world.receiver.seen.elements()) == sorted(sent)


def unread(world: World, command: list[str]) -> subprocess.Popen[bytes]:
    """Start a program whose output goes into a pipe that nobody reads."""
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        return subprocess.Popen(command, cwd=world.folder, env=world.environment(), stdout=theirs, stderr=theirs)
    finally:
        os.close(theirs)
