"""`make demo` and `make demo-crash`, as they are run from a clone."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import PATIENCE, environment, until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "subscriptions"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def demo(port: int, output: Path, **changes: str) -> Iterator[subprocess.Popen[bytes]]:
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, EXAMPLE / "demo.py"],
            env=environment(DEMO_PORT=str(port), **changes),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(PATIENCE)


def test_the_demo_sends_one_event_prints_links_and_a_curl_that_works(tmp_path: Path) -> None:
    port, output = free_port(), tmp_path / "output"
    with demo(port, output) as process:
        said = lambda: output.read_text()  # noqa: E731 - read anew each time
        until(lambda: "curl" in said() and "✓ new-subscription" in said(), "the demo is running")
        command = re.search(r"curl -X POST .*?\}'", said(), re.DOTALL)
        assert command is not None
        subprocess.run(["sh", "-c", f"{command[0]} --silent --fail"], check=True, capture_output=True)
        until(lambda: said().count("✓ new-subscription") >= 2, "what was posted is delivered")
        arrivals = httpx.get(f"http://127.0.0.1:{port}/_anzol/inbox/arrivals").json()["arrivals"]
        users = httpx.get(f"http://127.0.0.1:{port}/users/").json()

        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the demo, and to what it has started
        assert process.wait(PATIENCE) == 0

    assert "maria" in users
    assert all(arrival["verified"] for arrival in arrivals)
    assert any('"maria"' in arrival["body"] for arrival in arrivals)
    assert f"http://127.0.0.1:{port}/docs" in said()
    assert "Traceback" not in said()


def test_the_demo_ends_by_itself_when_told_for_how_long(tmp_path: Path) -> None:
    with demo(free_port(), tmp_path / "output", DEMO_SECONDS="8") as process:
        assert process.wait(PATIENCE) == 0

    assert "is running" in (tmp_path / "output").read_text()


def test_the_demo_says_that_its_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with demo(port, tmp_path / "output") as process:
            assert process.wait(PATIENCE) == 6

    assert f"Port {port} of 127.0.0.1 is taken." in (tmp_path / "output").read_text()


@pytest.mark.faults
def test_the_crash_demo_loses_nothing() -> None:
    shown = subprocess.run(
        [sys.executable, EXAMPLE / "demo_crash.py"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert "1,000 of 1,000 arrived" in shown.stdout, shown.stdout + shown.stderr
    assert shown.returncode == 0


def test_the_crash_demo_ends_at_ctrl_c_and_leaves_nothing_behind(tmp_path: Path) -> None:
    output, folder = tmp_path / "output", tmp_path / "temporary"
    folder.mkdir()
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, EXAMPLE / "demo_crash.py"],
            env=environment(TMPDIR=str(folder)),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    with process:
        until(lambda: "1,200 subscriptions" in output.read_text(), "the flood begins")
        process.send_signal(signal.SIGINT)

        assert process.wait(PATIENCE) == 130

    assert "Stopped before the end" in output.read_text()
    assert "Traceback" not in output.read_text()
    assert list(folder.iterdir()) == []
