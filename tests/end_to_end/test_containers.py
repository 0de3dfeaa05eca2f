"""The containers' files, as far as can be tried without Docker: every service's command is run as a process.

What compose says in YAML is what is run: commands, settings, health checks, and how long a stop may take.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from anzol.testing import FakeReceiver
from tests.postgres import Server
from tests.processes.conftest import free_port

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "containers"
PATIENCE = 60.0
KEY = "a key that nobody has thought of before"
COMPOSE: dict[str, Any] = yaml.safe_load((EXAMPLE / "compose.yaml").read_text())["services"]


def until(holds: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.05)
    return found


@pytest.fixture
def started(postgres: Server, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a service's command with its settings, in a copy of the example's folder."""
    shutil.copytree(EXAMPLE / "shop", tmp_path / "shop")
    with ExitStack() as stack:
        uri = stack.enter_context(postgres.database())

        def start(service: str, command: list[str] | None = None, **ports: str) -> subprocess.Popen[bytes]:
            own = {name: value for name, value in os.environ.items() if not name.startswith(("ANZOL_", "FASTAPI_"))}
            given = {name: filled(value, uri) for name, value in COMPOSE[service]["environment"].items()}
            said = COMPOSE[service].get("command", image_command()) if command is None else command
            words = [ports.get(word, filled(word, uri)) for word in said]
            program = shutil.which(words[0], path=str(Path(sys.executable).parent)) or sys.executable
            process = subprocess.Popen(
                [program, *words[1:]],
                cwd=tmp_path,
                env=own | given | {"ANZOL_ALLOW_NETWORKS": "127.0.0.0/8", "ANZOL_PORTS": "1-65535"},
            )
            stack.callback(ended, process)
            return process

        yield start


def ended(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def filled(text: str, uri: str) -> str:
    """Put in what compose takes from its environment, and the tests' server."""
    text = re.sub(r"postgresql://shop:\$\{DB_PASSWORD:\?\}@db/shop", uri, text)
    return text.replace("${ANZOL_SECRET_KEY:?}", KEY)


def image_command() -> list[str]:
    """What the image runs unless it is told something else."""
    (last,) = [line for line in (EXAMPLE / "Dockerfile").read_text().splitlines() if line.startswith("CMD ")]
    words: list[str] = json.loads(last.removeprefix("CMD "))
    return words


def healthy(started: Callable[..., subprocess.Popen[bytes]], service: str, port: str) -> bool:
    """Run the service's health check, with the port that it has here."""
    kind, *check = COMPOSE[service]["healthcheck"]["test"]
    assert kind == "CMD"
    inside = image_command()[-1] if service == "app" else COMPOSE[service]["command"][-1]
    return started(service, [word.replace(f":{inside}/", f":{port}/") for word in check]).wait(PATIENCE) == 0


def test_the_services_migrate_accept_deliver_and_stop_in_their_time(
    started: Callable[..., subprocess.Popen[bytes]],
) -> None:
    web, health = str(free_port()), [str(free_port()), str(free_port())]
    assert started("migrate").wait(PATIENCE) == 0
    assert started("migrate").wait(PATIENCE) == 0
    app = started("app", **{"8000": web, "0.0.0.0": "127.0.0.1"})
    workers = [
        started("worker", [*COMPOSE["worker"]["command"], "--health-host", "127.0.0.1"], **{"8081": port})
        for port in health
    ]
    until(lambda: healthy(started, "app", web), "the app is healthy")
    for port in health:
        until(lambda port=port: healthy(started, "worker", port), "a worker is healthy")
    with FakeReceiver() as receiver:
        register = ["anzol", "endpoints", "create", "-c", "acme", "--url", receiver.url]
        assert started("app", register).wait(PATIENCE) == 0
        request = urllib.request.Request(
            f"http://127.0.0.1:{web}/accounts/acme/subscriptions",
            data=b'{"username": "rick", "monthly_fee": 9.9}',
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            assert answer.status == 201
        until(lambda: receiver.requests, "the delivery came")

    for process in (*workers, app):
        process.send_signal(signal.SIGTERM)

    grace = int(COMPOSE["worker"]["stop_grace_period"].removesuffix("s"))
    assert [process.wait(grace) for process in workers] == [0, 0]
    assert app.wait(grace) in {0, -signal.SIGTERM}


def test_each_service_waits_for_what_it_needs() -> None:
    assert COMPOSE["db"]["healthcheck"]["test"][1] == "pg_isready"
    assert COMPOSE["migrate"]["depends_on"] == {"db": {"condition": "service_healthy"}}
    for service in ("app", "worker"):
        assert COMPOSE[service]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}


def test_the_pages_kubernetes_objects_can_be_read_and_run_commands_that_exist() -> None:
    page = (EXAMPLE.parents[1] / "docs" / "how-to" / "containers.md").read_text()
    (block,) = [text for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "apiVersion" in text]

    job, worker = yaml.safe_load_all(block)

    command = worker["spec"]["template"]["spec"]["containers"][0]["args"]
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["anzol", "migrate"]
    assert command == COMPOSE["worker"]["command"]
    assert worker["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 30
