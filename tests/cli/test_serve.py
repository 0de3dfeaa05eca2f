"""`anzol serve` run as a process, and what lets people in: `anzol token`, `anzol portal-link`."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from tests.cli.conftest import ANZOL, PATIENCE, Receiver, World, environment, until

LOOPBACK = {"FASTAPI_ENV": "development"}  # receivers on this machine are allowed
YEAR = 365 * 86_400
WEEK = 7 * 86_400


class Server:
    """`anzol serve`, running."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self._files = (folder / "stdout", folder / "stderr")

    @property
    def said(self) -> str:
        return self._files[0].read_text()

    @property
    def complained(self) -> str:
        return self._files[1].read_text()

    @property
    def address(self) -> str:
        return self._after(r"Anzol serves (http\S+)/api/v1 ")

    @property
    def token(self) -> str:
        return self._after(r"^(eyJ\S+)$")

    @property
    def first_call(self) -> str:
        return self._after(r"^(curl .*)$")

    def _after(self, pattern: str) -> str:
        found = until(lambda: self._looked(pattern), f"it says {pattern}; it said {self.said}{self.complained}")
        return str(found[1])

    def _looked(self, pattern: str) -> re.Match[str] | None:
        assert self.process.poll() is None, self.complained
        return re.search(pattern, self.said, re.MULTILINE)

    def client(self, token: str | None = None) -> httpx.Client:
        bearer = {"authorization": f"Bearer {token or self.token}"}
        return httpx.Client(base_url=f"{self.address}/api/v1", headers=bearer, timeout=PATIENCE)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.address + path, timeout=PATIENCE)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextmanager
def serving(world: World, *arguments: str, **changes: str) -> Iterator[Server]:
    """Run `anzol serve` on a port of its own until the block ends."""
    folder = world.folder / f"server-{len(list(world.folder.iterdir()))}"
    folder.mkdir()
    with (folder / "stdout").open("w") as stdout, (folder / "stderr").open("w") as stderr:
        process = subprocess.Popen(
            [ANZOL, "serve", "--port", "0", *arguments],
            cwd=world.folder,
            env=environment(**changes),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
        )
    try:
        yield Server(process, folder)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)


def claims_of(token: str) -> dict[str, Any]:
    """Return what a token says, unverified."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


# --- the first start


def test_a_new_database_comes_with_a_token_and_a_call_that_works_when_pasted(world: World) -> None:
    with serving(world) as server:
        pasted = subprocess.run(
            server.first_call, shell=True, capture_output=True, text=True, timeout=PATIENCE, check=True
        )

        assert json.loads(pasted.stdout)["uid"] == "acme"
        assert server.token in server.first_call
        assert server.complained == ""


def test_the_second_start_prints_no_token(world: World) -> None:
    with serving(world) as server:
        token = server.token
        server.stop()

    with serving(world) as again, again.client(token) as client:
        assert client.get("/app").status_code == HTTPStatus.OK
        assert "eyJ" not in again.said
        assert "anzol token" in again.said


def test_with_json_it_says_the_same_to_programs(world: World) -> None:
    with serving(world, "--json") as server:
        until(lambda: server.said.endswith("\n"), "it says where it is")
        said = json.loads(server.said)

        assert httpx.get(f"{said['address']}/api/v1/health").status_code == HTTPStatus.NO_CONTENT
        assert said["database"] == str(world.folder / "anzol.db")
        assert claims_of(said["token"])["sub"].startswith("org_")


# --- what is served


def test_documentation_health_and_metrics_answer_without_a_token(world: World) -> None:
    with serving(world) as server:
        answers = {path: server.get(path) for path in ("/docs", "/openapi.json", "/live", "/ready", "/metrics", "/")}

    assert answers.pop("/").headers["location"] == "/docs"
    assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(answers, HTTPStatus.OK)
    assert "anzol_deliveries_pending 0.0" in answers["/metrics"].text
    assert 'content="width=device-width' in answers["/docs"].text


def test_a_message_is_delivered_and_counted(world: World, receiver: Receiver) -> None:
    with serving(world, **LOOPBACK) as server, server.client() as client:
        publish(client, receiver.url, 1)

        until(lambda: receiver.bodies, "it arrives")

    assert receiver.bodies == [b'{"number":0}']


def publish(client: httpx.Client, url: str, count: int) -> None:
    """Make an application with an endpoint, and messages for it."""
    client.post("/app", json={"name": "Acme", "uid": "acme"}).raise_for_status()
    client.post("/app/acme/endpoint", json={"url": url}).raise_for_status()
    for number in range(count):
        message = {"eventType": "invoice.paid", "payload": {"number": number}}
        client.post("/app/acme/msg", json=message).raise_for_status()


def test_an_apps_webhooks_are_its_catalog(world: World) -> None:
    with serving(world, "main.py") as server, server.client() as client:
        names = {one["name"] for one in client.get("/event-type").json()["data"]}
        faulty = {"eventType": "new-subscription", "payload": {"monthly_fee": 1}}
        client.post("/app", json={"name": "Acme", "uid": "acme"})

        assert names == {"new-subscription", "invoice.paid"}
        assert client.post("/app/acme/msg", json=faulty).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
        assert server.get("/subscriptions").status_code == HTTPStatus.NOT_FOUND


def test_it_serves_the_database_that_it_is_given(world: World) -> None:
    with serving(world, "--database", "sqlite:///elsewhere.db") as server, server.client() as client:
        assert client.get("/app").json()["data"] == []

    assert (world.folder / "elsewhere.db").is_file()
    assert not (world.folder / "anzol.db").exists()


# --- the end


def test_sigterm_ends_it_in_good_order_with_what_was_under_way_delivered(world: World, receiver: Receiver) -> None:
    receiver.silent.set()
    with serving(world, **LOOPBACK) as server, server.client() as client:
        publish(client, receiver.url, 3)
        until(lambda: receiver.bodies, "a delivery is under way")
        answering = threading.Timer(0.2, receiver.silent.clear)
        answering.start()

        code = server.stop()

        answering.join()
        assert (code, server.complained) == (0, "")
    attempts = world.data("attempts", "--database", "sqlite:///anzol.db")["items"]
    assert {attempt["outcome"] for attempt in attempts} == {"ok"}
    assert len(attempts) == len(receiver.bodies)


def test_ctrl_c_ends_it_too(world: World) -> None:
    with serving(world) as server:
        assert server.address
        assert server.stop(signal.SIGINT) == 0


# --- what goes wrong


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_that_is_taken_is_said_and_nothing_is_made(world: World, taken: int) -> None:
    done = world.run("serve", "--port", str(taken))

    assert done.returncode not in (0, 1)
    assert f"Port {taken} of 127.0.0.1 cannot be listened on" in done.stderr
    assert "--port" in done.stderr
    assert not (world.folder / "anzol.db").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--host", "203.0.113.7"], "--host '203.0.113.7' is no address of this machine"),
        (["main.py", "--database", "sqlite:///x.db"], "An app has its database in its settings"),
        (["nowhere.py"], "nowhere.py"),
        (["--database", "mysql://x"], "not the URL of a database"),
    ],
)
def test_what_cannot_be_served_is_said_without_a_traceback(world: World, arguments: list[str], told: str) -> None:
    done = world.run("serve", "--port", "0", *arguments)

    assert done.returncode not in (0, 1)
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_cannot_be_opened_is_said_without_a_traceback(world: World) -> None:
    world.write("anzol.db", "no database at all, but some text of this length " * 100)

    done = world.run("serve", "--port", "0")

    assert done.returncode not in (0, 1)
    assert "anzol.db" in done.stderr
    assert "Traceback" not in done.stderr


# --- letting in


def served_database(world: World) -> str:
    """Make a database; return its URL."""
    assert world.run("migrate", "--database", "sqlite:///anzol.db").returncode == 0
    (world.folder / "main.py").unlink()
    return "sqlite:///anzol.db"


def test_token_prints_exactly_one_line(world: World) -> None:
    done = world.run("token", "--database", served_database(world))
    claims = claims_of(done.stdout.strip())

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    assert claims["sub"].startswith("org_")
    assert claims["exp"] - claims["iat"] == pytest.approx(YEAR, abs=1)


def test_a_customers_token_sees_that_customer_alone(world: World) -> None:
    token = world.run("token", "--database", served_database(world), "--customer", "acme").stdout.strip()

    with serving(world) as server, server.client(token) as client:
        assert client.get("/app/acme").json()["uid"] == "acme"
        assert client.get("/app").status_code == HTTPStatus.FORBIDDEN
    claims = claims_of(token)
    assert claims["exp"] - claims["iat"] == pytest.approx(WEEK, abs=1)


def test_a_token_is_good_for_as_long_as_is_said(world: World) -> None:
    database = served_database(world)
    claims = claims_of(world.run("token", "--database", database, "--expires", "12h").stdout.strip())

    assert claims["exp"] - claims["iat"] == pytest.approx(12 * 3600, abs=1)


@pytest.mark.parametrize("expires", ["soon", "0s", "-1h", "4000d", ""])
@pytest.mark.parametrize("command", [["token"], ["portal-link", "acme"]])
def test_a_duration_that_is_none_is_refused(world: World, command: list[str], expires: str) -> None:
    result = world.call(*command, f"--expires={expires}")

    assert result.exit_code not in (0, 1)
    assert "--expires" in result.stderr
    assert result.stdout == ""


def test_a_portal_link_begins_with_the_public_address_and_is_good_once(world: World) -> None:
    database = served_database(world)
    done = world.run("portal-link", "acme", "--database", database, ANZOL_PUBLIC_URL="https://hooks.example.com")
    link, code = done.stdout.strip().split("#code=")

    with serving(world) as server:
        exchange = f"{server.address}/api/v1/auth/one-time-token"
        answers = [httpx.post(exchange, json={"oneTimeToken": code}) for _ in range(2)]

        assert (link, done.stdout.count("\n")) == ("https://hooks.example.com/portal", 1)
        assert [answer.status_code for answer in answers] == [HTTPStatus.OK, HTTPStatus.UNAUTHORIZED]
        with server.client(answers[0].json()["token"]) as client:
            assert client.get("/app/acme").status_code == HTTPStatus.OK
