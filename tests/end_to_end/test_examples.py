"""The examples, run as their READMEs say, each delivering to a real receiver on loopback."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from anzol import Settings, Webhooks
from anzol.testing import FakeReceiver

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
ANZOL = Path(sys.executable).with_name("anzol")
PATIENCE = 40.0  # seconds of real time, for programs on a busy machine
LOOPBACK = {"ANZOL_ALLOW_NETWORKS": "127.0.0.0/8", "ANZOL_PORTS": "1-65535"}
SUBSCRIPTION = {"username": "rick", "monthly_fee": 8.5, "start_date": "2026-01-01T00:00:00"}


class Program:
    """A running program and what it has said."""

    def __init__(self, command: list[str | Path], folder: Path, **variables: str) -> None:
        self._said = folder / f"{time.monotonic_ns()}.log"
        own = {name: value for name, value in os.environ.items() if not name.startswith(("ANZOL_", "FASTAPI_"))}
        with self._said.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=own | {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "COLUMNS": "200"} | variables,
            )

    @property
    def said(self) -> str:
        return self._said.read_text()

    def says(self, pattern: str) -> re.Match[str]:
        """Wait until it says something that fits."""
        until = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.said)):
            assert self._process.poll() is None, f"it ended with {self._process.returncode}:\n{self.said}"
            assert time.monotonic() < until, f"it never said {pattern}:\n{self.said}"
            time.sleep(0.02)
        return found

    def ends(self) -> int:
        return self._process.wait(PATIENCE)

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


Run = Callable[..., Program]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    programs: list[Program] = []

    def start(*command: str | Path, **variables: str) -> Program:
        programs.append(Program(list(command), tmp_path, **variables))
        return programs[-1]

    yield start
    for program in reversed(programs):
        program.stop()


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    with FakeReceiver() as receiver:
        yield receiver


def served(run: Run, target: str, folder: Path, **variables: str) -> tuple[Program, httpx.Client]:
    """Run an app with uvicorn on a free port."""
    command = [sys.executable, "-m", "uvicorn", target, "--app-dir", folder, "--port", "0"]
    program = run(*command, **(LOOPBACK | variables))
    address = program.says(r"running on (http://127\.0\.0\.1:\d+)")[1]
    program.says("startup complete")
    return program, httpx.Client(base_url=address, timeout=PATIENCE)


def registered(folder: Path, url: str) -> str:
    """Register *url* for the customer acme in the database in *folder*; return the secret."""

    async def register() -> str:
        settings = Settings(
            database_url=f"sqlite:///{folder}/anzol.db", allow_networks="127.0.0.0/8", ports="1-65535", worker=False
        )
        webhooks = Webhooks(FastAPI(), settings)
        endpoint = await webhooks.endpoints.create("acme", url=url)
        secret = await webhooks.endpoints.secret(endpoint.id)
        await (await webhooks.core.storage()).close()
        return secret

    return asyncio.run(register())


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


def test_subscriptions_in_development(run: Run, receiver: FakeReceiver, tmp_path: Path) -> None:
    program = run(ANZOL, "dev", EXAMPLES / "subscriptions" / "main.py", "--port", "0", "--no-reload", **LOOPBACK)
    address = program.says(r"app +(http://127\.0\.0\.1:\d+)")[1]
    receiver.secrets = [registered(tmp_path, receiver.url)]
    with httpx.Client(base_url=address, timeout=PATIENCE) as client:
        answer = client.post("/subscriptions", json=SUBSCRIPTION)
        users = client.get("/users/").json()
        webhooks = client.get("/openapi.json").json()["webhooks"]
    [request] = receiver.wait_for(1, timeout=PATIENCE)

    assert answer.status_code == 201, answer.text
    assert users == ["rick"]
    assert list(webhooks) == ["new-subscription"]
    assert request.verified, request.problem
    assert (request.event_type, request.json()) == ("new-subscription", SUBSCRIPTION)


def test_subscriptions_refuses_what_does_not_fit_and_sends_nothing_of_it(
    run: Run, receiver: FakeReceiver, tmp_path: Path
) -> None:
    _, client = served(run, "main:app", EXAMPLES / "subscriptions")
    receiver.secrets = [registered(tmp_path, receiver.url)]
    with client:
        refused = client.post("/subscriptions", json=SUBSCRIPTION | {"monthly_fee": "much"})
        client.post("/subscriptions", json=SUBSCRIPTION)
    [request] = receiver.wait_for(1, timeout=PATIENCE)

    assert refused.status_code == 422
    assert request.json()["monthly_fee"] == 8.5


def test_many_files_deliver_to_a_receiver_with_the_reference_library(run: Run, tmp_path: Path) -> None:
    port = free_port()
    _, client = served(run, "app.main:app", EXAMPLES / "many-files")
    secret = registered(tmp_path, f"http://127.0.0.1:{port}/webhooks")
    command = [sys.executable, "-m", "uvicorn", "main:app", "--app-dir", EXAMPLES / "receiver", "--port", port]
    theirs = run(*command, WEBHOOK_SECRET=secret)
    theirs.says("startup complete")
    with client:
        client.post("/invoices", json={"id": "in_1", "amount": 4200})
        paid = client.post("/invoices/in_1/pay", headers={"x-account": "acme"})
        unknown = client.post("/invoices/in_2/pay", headers={"x-account": "acme"})
        document = client.get("/openapi.json").json()
    theirs.says(re.escape("invoice.paid {'id': 'in_1', 'amount': 4200}"))

    assert (paid.status_code, paid.json()["paid"]) == (200, True)
    assert unknown.status_code == 404
    assert 'POST /webhooks HTTP/1.1" 204' in theirs.says(r'"POST /webhooks HTTP/1\.1" 204').string
    assert theirs.said.count("POST /webhooks") == 1
    assert list(document["webhooks"]) == ["invoice.paid"]
    assert list(document["paths"]) == ["/invoices", "/invoices/{invoice_id}/pay"]


def test_the_receiver_refuses_what_others_send(run: Run) -> None:
    _, client = served(run, "main:app", EXAMPLES / "receiver", WEBHOOK_SECRET="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    with client:
        forged = {"webhook-id": "msg_1", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1,AAAA"}

        assert client.post("/webhooks", content=b"{}", headers=forged).status_code == 401
        assert client.post("/webhooks", content=b"{}").status_code == 401


def test_the_factorys_own_tests_pass(run: Run) -> None:
    program = run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", EXAMPLES / "factory")

    assert program.ends() == 0, program.said
    assert "4 passed" in program.said


def test_the_factorys_app_delivers_too(run: Run, receiver: FakeReceiver, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "uvicorn", "shop.main:create_app", "--factory", "--app-dir", EXAMPLES / "factory"]
    program = run(*command, "--port", "0", **LOOPBACK)
    address = program.says(r"running on (http://127\.0\.0\.1:\d+)")[1]
    receiver.secrets = [registered(tmp_path, receiver.url)]
    with httpx.Client(base_url=address, timeout=PATIENCE) as client:
        refused = client.post("/orders", json={"sku": "hook", "quantity": 100})
        placed = client.post("/orders", json={"sku": "hook", "quantity": 2})
    requests = receiver.wait_for(1, timeout=PATIENCE)
    program.stop()

    assert (refused.status_code, placed.status_code) == (409, 201)
    assert [(request.verified, request.json()) for request in requests] == [(True, {"sku": "hook", "quantity": 2})]
    assert len(receiver.requests) == 1


def test_a_script_accepts_without_the_app_and_a_worker_delivers(
    run: Run, receiver: FakeReceiver, tmp_path: Path
) -> None:
    script = EXAMPLES / "script" / "close_month.py"
    said = []
    for month in ("2026-10", "2026-11", "2026-11"):
        program = run(sys.executable, script, month)
        assert program.ends() == 0, program.said
        said.append(program.said.split()[-2:])
        receiver.secrets = receiver.secrets or [registered(tmp_path, receiver.url)]
    worker = run(ANZOL, "worker", "--once", "--database", f"sqlite:///{tmp_path}/anzol.db", **LOOPBACK)
    assert worker.ends() == 0, worker.said

    (_, first), (second_id, second), (third_id, third) = said
    [request] = receiver.requests  # what was sent before the endpoint was registered is not for it
    assert (first, second, third) == ("new", "new", "again")
    assert second_id == third_id == request.message_id
    assert request.verified, request.problem
    assert request.json() == {"month": "2026-11"}
