"""Health: what `/live` and `/ready` say of one process, of a supervisor's, and of the whole; and what they never say."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from anzol import Settings, Webhooks
from anzol.app.health import Health, Own, judged
from anzol.errors import StorageBusy, StorageError, VaultError
from anzol.storage.face import Probe
from tests.processes.conftest import KEY, Program, World, both, get, until

SECOND = 1_000_000
NOW = 1_800_000_000 * SECOND


# --- judging


def probe(**fields: Any) -> Probe:
    known = {"schema_version": 3, "schema_wanted": 3, "mark": "default", "workers": 1, "waits_since": None, "now": NOW}
    return Probe(**(known | fields))


def failing(found: Probe, limit: timedelta = timedelta(minutes=5)) -> list[str]:
    return [check.name for check in judged(found, 0.001, "default", limit) if not check.ok]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"workers": 0}, []),  # nobody works, and nothing is to be done
        ({"waits_since": NOW - 299 * SECOND}, []),
        ({"waits_since": NOW - 300 * SECOND}, ["overdue"]),
        ({"workers": 0, "waits_since": NOW - 59 * SECOND}, []),
        ({"workers": 0, "waits_since": NOW - 60 * SECOND}, ["workers"]),
        ({"workers": 0, "waits_since": NOW - 300 * SECOND}, ["workers", "overdue"]),
        ({"waits_since": NOW + 5 * SECOND}, []),  # by a clock that was ahead
        ({"schema_version": 2}, ["migrations"]),
        ({"mark": "staging"}, ["deployment"]),
        ({"mark": None}, ["deployment"]),
    ],
)
def test_what_fails(fields: dict[str, Any], expected: list[str]) -> None:
    assert failing(probe(**fields)) == expected


def test_only_work_that_waits_is_an_affair_of_the_whole() -> None:
    scopes = {check.name: check.scope for check in judged(probe(), 0.001, "default", timedelta(minutes=5))}

    assert {name for name, scope in scopes.items() if scope == "system"} == {"workers", "overdue"}


# --- one process, without a worker


class Scene:
    """An app with the health router, asked without a server."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.path = folder / "anzol.db"
        url = f"sqlite:///{self.path}"
        self.app = FastAPI()
        self.webhooks = Webhooks(self.app, Settings(database_url=url, secret_key=KEY, **{"worker": False} | settings))
        self.app.include_router(self.webhooks.health, prefix="/health")

    async def get(self, path: str, method: str = "GET") -> tuple[int, Any]:
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            answer = await client.request(method, path)
        assert answer.headers.get("cache-control") == ("no-store" if answer.status_code != 422 else None)
        return answer.status_code, answer.json() if answer.content else None


@pytest.fixture
async def scene(tmp_path: Path) -> Any:
    made = Scene(tmp_path)
    yield made
    await made.webhooks.close()


async def test_a_process_without_a_worker_is_ready_when_its_database_is(scene: Scene) -> None:
    status, answer = await scene.get("/health/ready")

    assert (status, answer["ready"]) == (200, True)
    assert [check["name"] for check in answer["checks"]] == [
        "database",
        "migrations",
        "deployment",
        "workers",
        "overdue",
    ]
    assert await scene.get("/health/live") == (200, {"live": True, "detail": "answers"})
    assert (await scene.get("/health/live", "HEAD"))[0] == 200


async def test_neither_is_in_the_document(scene: Scene) -> None:
    assert not any("health" in path for path in scene.app.openapi()["paths"])


async def test_an_answer_is_good_for_a_second(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = await scene.webhooks.core.storage()
    asked = 0

    async def counted() -> Probe:
        nonlocal asked
        asked += 1
        return probe(mark="default")

    monkeypatch.setattr(storage, "probe", counted)
    await asyncio.gather(*(scene.get("/health/ready") for _ in range(20)))

    assert asked == 1


async def test_the_probe_is_on_disk(scene: Scene) -> None:
    await scene.webhooks.status()
    with closing(sqlite3.connect(scene.path)) as other:
        (before,) = other.execute("pragma data_version").fetchone()
        await scene.get("/health/ready")
        (after,) = other.execute("pragma data_version").fetchone()

    assert after != before


@pytest.mark.parametrize(
    ("error", "name", "detail"),
    [
        (StorageBusy("locked at /srv/secret"), "database", "locked"),
        (StorageError("postgresql://user:secret@db/ is away"), "database", "cannot commit; the log says why"),
        (VaultError("the key secret is wrong"), "database", "the secret key does not open it"),
        (RuntimeError("secret"), "database", "cannot commit; the log says why"),
    ],
)
async def test_an_error_is_told_in_fixed_words(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, error: Exception, name: str, detail: str
) -> None:
    storage = await scene.webhooks.core.storage()

    async def fails() -> Probe:
        raise error

    monkeypatch.setattr(storage, "probe", fails)
    status, answer = await scene.get("/health/ready")

    assert (status, answer["ready"]) == (503, False)
    assert answer["checks"] == [{"name": name, "ok": False, "detail": detail, "scope": "process"}]
    assert (await scene.get("/health/live"))[0] == 200  # another process would not help


async def test_a_database_of_another_deployment_is_not_ready(tmp_path: Path) -> None:
    first = Scene(tmp_path)
    await first.webhooks.status()
    await first.webhooks.close()
    second = Scene(tmp_path, deployment="staging")

    status, answer = await second.get("/health/ready")
    await second.webhooks.close()

    assert status == 503
    assert answer["checks"] == [
        {"name": "deployment", "ok": False, "detail": "another deployment's", "scope": "process"}
    ]


async def test_a_database_that_does_not_answer_is_not_waited_for(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = await scene.webhooks.core.storage()

    async def hangs() -> Probe:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(storage, "probe", hangs)
    monkeypatch.setattr("anzol.app.health.PATIENCE", 0.05)
    status, answer = await scene.get("/health/ready")

    assert (status, answer["checks"][0]["detail"]) == (503, "did not commit within 0.05 s")


async def test_a_scope_counts_its_own_checks_only(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = await scene.webhooks.core.storage()

    async def unattended() -> Probe:
        return probe(workers=0, waits_since=NOW - 3600 * SECOND)

    monkeypatch.setattr(storage, "probe", unattended)

    assert (await scene.get("/health/ready"))[0] == 503
    assert (await scene.get("/health/ready?scope=process"))[0] == 200
    assert (await scene.get("/health/ready?scope=system"))[0] == 503
    assert (await scene.get("/health/ready?scope=all"))[0] == 422


async def test_what_has_become_another_is_logged_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    storage = await scene.webhooks.core.storage()
    found = probe(schema_version=2)

    async def answers() -> Probe:
        return found

    monkeypatch.setattr(storage, "probe", answers)
    monkeypatch.setattr("anzol.app.health.FRESH", 0.0)
    for _ in range(3):
        await scene.get("/health/ready")
    found = probe()
    for _ in range(3):
        await scene.get("/health/ready")

    said = [record.getMessage() for record in caplog.records if record.name == "anzol"]
    assert [text for text in said if text.startswith("Health")] == [
        "Health: not ready (migrations).",
        "Health: ready again.",
    ]


# --- one process, with a worker


async def test_a_process_whose_worker_has_died_is_neither_live_nor_ready(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    dead = Own(ok=False, dead=True, detail="has ended")
    health = Health(scene.webhooks.core, lambda: dead)

    live, ready = health.live(), await health.ready()
    await scene.webhooks.close()

    assert (live.ok, live.detail) == (False, "has ended")
    assert [check.name for check in ready.checks if not check.ok] == ["worker"]


async def test_the_death_of_the_worker_in_the_app_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(tmp_path, worker=True)

    def explodes(*_: object) -> None:
        raise RuntimeError("no sender today")

    monkeypatch.setattr("anzol.app.delivering.make_sender", explodes)
    async with scene.webhooks.running():
        answer = await settled(scene)

    assert answer == (503, {"live": False, "detail": "has ended with an error; the log says which"})
    assert "no sender today" in caplog.text
    await scene.webhooks.close()


async def settled(scene: Scene) -> tuple[int, Any]:
    """Ask until the answer is no."""
    for _ in range(1000):
        answer = await scene.get("/health/live")
        if answer[0] != 200:
            return answer
        await asyncio.sleep(0.01)
    raise AssertionError("the worker lives")


async def test_a_worker_that_runs_is_a_check_of_its_process(tmp_path: Path) -> None:
    scene = Scene(tmp_path, worker=True)
    async with scene.webhooks.running():
        status, answer = await scene.get("/health/ready?scope=process")

    assert status == 200
    assert {"name": "worker", "ok": True, "detail": "runs", "scope": "process"} in answer["checks"]


# --- the health port


def port_of(program: Program) -> str:
    said = program.says("Health: ")
    found = re.search(r"Health: (http://127\.0\.0\.1:\d+)/live", said)
    assert found is not None, said
    return found[1]


def with_port(world: World, *arguments: str, **changes: str) -> tuple[Program, str]:
    program = world.worker("--health-port", "0", "--health-host", "127.0.0.1", *arguments, **changes)
    return program, port_of(program)


def names(answer: Any) -> list[str]:
    return [check["name"] for check in answer["checks"]]


@both
def test_a_worker_answers_on_its_health_port(world: World) -> None:
    worker, url = with_port(world)
    until(lambda: get(f"{url}/ready")[0] == 200, "it is ready")

    assert names(get(f"{url}/ready")[1]) == [
        "database",
        "migrations",
        "deployment",
        "workers",
        "overdue",
        "worker",
    ]
    assert names(get(f"{url}/ready?scope=system")[1]) == ["workers", "overdue"]
    assert get(f"{url}/live") == (200, {"live": True, "detail": "works"})
    assert get(f"{url}/live", "HEAD") == (200, None)
    assert get(f"{url}/live", "POST")[0] == 405
    assert get(f"{url}/metrics")[0] == 404
    assert get(f"{url}/ready?scope=all")[0] == 422
    assert worker.end() == 0
    assert get(f"{url}/live")[0] == 0


def test_a_worker_whose_database_is_locked_is_live_and_not_ready(world: World, tmp_path: Path) -> None:
    worker, url = with_port(world)
    until(lambda: get(f"{url}/ready")[0] == 200, "it is ready")
    with closing(sqlite3.connect(tmp_path / "anzol.db", isolation_level=None)) as other:
        other.execute("begin exclusive")
        until(lambda: get(f"{url}/ready")[0] == 503, "it is not ready")
        live = get(f"{url}/live")[0]
        other.execute("rollback")
    until(lambda: get(f"{url}/ready")[0] == 200, "it is ready again")

    assert live == 200
    assert worker.end() == 0


@both
def test_one_port_answers_for_all_processes(world: World) -> None:
    supervisor, url = with_port(world, "--processes", "2")
    until(lambda: len(world.workers()) == 2, "both are enlisted")
    until(lambda: get(f"{url}/ready")[0] == 200, "they are ready")

    assert get(f"{url}/ready")[1]["checks"][0]["detail"] == "2 of 2 work"
    assert names(get(f"{url}/ready")[1]) == [
        "processes",
        "database",
        "migrations",
        "deployment",
        "workers",
        "overdue",
        "worker",
    ]
    assert names(get(f"{url}/ready?scope=system")[1]) == ["workers", "overdue"]
    assert get(f"{url}/live") == (200, {"live": True, "detail": "2 of 2 processes work"})
    assert supervisor.end() == 0


def test_a_process_that_hangs_fails_live_and_one_that_died_does_not(world: World) -> None:
    supervisor, url = with_port(world, "--processes", "2")
    until(lambda: len(world.workers()) == 2, "both are enlisted")
    first, second = sorted(world.workers())

    os.kill(first, signal.SIGSTOP)
    hanging = get(f"{url}/live")
    os.kill(first, signal.SIGCONT)
    os.kill(second, signal.SIGKILL)
    supervisor.says("was ended by SIGKILL")

    assert hanging == (503, {"live": False, "detail": f"these processes do not answer: {first}"})
    assert get(f"{url}/live")[0] == 200
    assert supervisor.end() == 0


def test_while_no_process_works_the_supervisor_is_live_and_not_ready(world: World) -> None:
    supervisor, url = with_port(world, "--processes", "1")
    until(lambda: get(f"{url}/ready")[0] == 200, "it is ready")
    (world.folder / "dies").write_text("7")
    (only,) = world.workers()
    os.kill(only, signal.SIGKILL)
    supervisor.says("ended with exit code 7")

    assert get(f"{url}/ready")[0] == 503
    assert get(f"{url}/live")[0] == 200
    (world.folder / "dies").unlink()
    until(lambda: get(f"{url}/ready")[0] == 200, "it is ready again")
    assert supervisor.end() == 0


@contextmanager
def connected(url: str, count: int) -> Iterator[list[socket.socket]]:
    """Connect so many times."""
    port = int(url.rpartition(":")[2])
    made = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(count)]
    yield made
    for one in made:
        one.close()


def test_slow_and_broken_clients_do_not_keep_the_port_from_answering(world: World) -> None:
    worker, url = with_port(world)
    until(lambda: get(f"{url}/ready")[0] == 200, "it is ready")
    with connected(url, 150) as silent:
        for number, one in enumerate(silent):
            with suppress(OSError):
                one.sendall([b"", b"GET /live HTTP/1.1\r\n", b"\r\n\r\n", b"\xff" * 40_000, b"GET /\x00"][number % 5])
        until(lambda: get(f"{url}/live")[0] == 200, "it answers beside them")  # when the first have had their time

    assert worker.end() == 0
    assert "Traceback" not in worker.said


def test_a_port_that_is_taken_is_said(world: World) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        worker = world.worker("--health-port", port, "--health-host", "127.0.0.1")

        assert worker.wait() == 6
        assert f"Port {port} of 127.0.0.1 cannot be listened on" in worker.said
        assert world.worker("--health-port", port, "--health-host", "no such host").wait() == 2


@pytest.mark.parametrize("options", [("--processes", "2"), ("--health-port", "0")])
def test_once_goes_with_nothing_that_stays(world: World, options: tuple[str, str]) -> None:
    worker = world.worker("--once", *options)

    assert worker.wait() == 2
    assert "--once" in worker.said
