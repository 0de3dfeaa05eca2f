"""The published npm SDK, unmodified, through a whole workflow, against a server that delivers to its receiver."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import make, served

HERE = Path(__file__).parent / "npm"
CACHE = Path(__file__).parents[2] / "artefacts" / "npm"
OLDEST_NODE = 20  # the SDK asks for 22, and what it needs is in this one
MINUTES = 120  # seconds that anything may take


@pytest.fixture(scope="session")
def node() -> str:
    """The program, of a version that the SDK runs on."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        pytest.skip("node and npm are needed for the npm SDK")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < OLDEST_NODE:
        pytest.skip(f"the npm SDK needs Node {OLDEST_NODE} or later, this is {version}")
    return node


@pytest.fixture(scope="session")
def installed(node: str) -> Path:
    """A folder with what the lock file says, installed once for each lock file."""
    mark = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()[:16]
    place = CACHE / mark
    if not place.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=CACHE))
        try:
            install(folder)
            with suppress(OSError):  # another run was faster
                folder.rename(place)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return place


def install(folder: Path) -> None:
    """Install into a folder; without a registry this is skipped, but where CI is set."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    npm = shutil.which("npm") or "npm"
    done = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=MINUTES,
    )
    if done.returncode:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"npm ci did not work: {done.stderr[-2000:]}")


@pytest.fixture(scope="module")
def saw(node: str, installed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the workflow saw, by its steps."""
    service = make(f"sqlite:///{tmp_path_factory.mktemp('npm')}/anzol.db", retry_schedule="0")
    script = shutil.copy(HERE / "workflow.mjs", installed)  # packages are looked for where the script is
    with served(service) as address:
        given = {"address": address, "token": service.token(), "name": "acme"}
        send_many(address, given["token"])
        done = subprocess.run([node, script, json.dumps(given)], capture_output=True, text=True, timeout=MINUTES)
    service.webhooks.wait(service.webhooks.close())
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def send_many(address: str, token: str) -> None:
    """Send 600 messages to an application `many`, in a few requests, which the SDK has no word for."""
    batch = {"messages": [{"eventType": "o", "payload": {}, "application": {"name": "M", "uid": "many"}}] * 100}
    with httpx.Client(base_url=f"{address}/api/v1", headers={"authorization": f"Bearer {token}"}) as client:
        for _ in range(6):
            assert client.post("/app/many/msg/batch", json=batch).status_code == 202


def test_applications(saw: dict[str, Any]) -> None:
    assert saw["applications"] == {
        "same": True,
        "uid": "acme",
        "metadata": [{"a": "b"}, {}],
        "patched": ["B", 5],
        "listed": ["acme", "many"],
        "done": True,
    }


def test_event_types(saw: dict[str, Any]) -> None:
    assert saw["eventTypes"] == {
        "put": ["E", "g"],
        "patched": {"1": {"examples": [{"x": 1}]}},
        "dry": ["invoice.void"],
        "wet": ["invoice.void"],
        "archived": True,
        "listed": ["invoice.paid", "invoice.void"],
    }


def test_endpoints(saw: dict[str, Any]) -> None:
    assert saw["endpoints"] == {
        "same": True,
        "channels": [["eu"], None],
        "eventTypes": [["a"], None],
        "disabled": [False, True, False],
        "headers": {"x-team": "blue"},
        "listed": ["one"],
    }


def test_a_message_arrives_and_verifies_and_is_not_sent_twice(saw: dict[str, Any]) -> None:
    assert saw["messages"] == {
        "same": [True, True, True],
        "body": {"n": 1},
        "header": "blue",
        "forged": True,
        "conflicts": [409, 409],
        "found": {"n": 1},
    }


def test_attempts_after_recover_and_resend(saw: dict[str, Any]) -> None:
    assert saw["attempts"] == {
        "task": ["endpoint.recover", {"changed": 1}],
        "tally": [2, 0],
        "endpoint": [0, 0, 0, 2],
        "message": [0, 0, 2],
        "failed": [500],
        "one": ["", True],
        "messages": [[None, "success"], ["order-1", "success"]],
        "reached": [["one", 0]],
    }


def test_after_a_rotation_both_secrets_verify(saw: dict[str, Any]) -> None:
    assert saw["rotation"] == {"differ": True, "example": {"x": 1}, "arrived": {"x": 1}}


def test_replays(saw: dict[str, Any]) -> None:
    assert saw["replays"]["missing"] == ["endpoint.replay", {"changed": 2}]
    assert saw["replays"]["bulk"] == ["endpoint.bulk-replay", {"changed": 0}]


def test_portal_access_ends(saw: dict[str, Any]) -> None:
    assert saw["access"] == {"listed": ["late", "one"], "forbidden": 403, "ended": 401}


def test_paging_goes_forwards_and_back(saw: dict[str, Any]) -> None:
    assert saw["paging"] == {"sizes": [250, 250, 100], "different": 600, "back": True}


def test_errors_are_the_sdks_own(saw: dict[str, Any]) -> None:
    assert saw["errors"] == {"statuses": [404, 401, 409, 422], "code": "not_found", "place": ["body", "url"]}
