"""An app in a folder of its own, a receiver on loopback, and `anzol dev` as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from anzol.cli.program import program

ANZOL = Path(sys.executable).with_name("anzol")
PATIENCE = 60.0

APP = '''\
from anzol import Webhooks
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
webhooks = Webhooks(app)


class Subscription(BaseModel):
    username: str
    monthly_fee: float = 9.9


@app.webhooks.post("new-subscription", tags=["billing"], summary="Somebody subscribed")
def new_subscription(body: Subscription) -> None:
    """When a new user subscribes."""


@app.webhooks.post("invoice.paid", deprecated=True)
def invoice_paid(body: Subscription) -> None:
    """When an invoice is paid."""


@app.post("/subscriptions")
async def subscribe(subscription: Subscription) -> None:
    await webhooks.to("acme").send(new_subscription, subscription)
'''


def until(holds: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Wait, for a bounded time, until something holds; return it."""
    end = time.monotonic() + patience
    while not (found := holds()):
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.02)
    return found


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment without settings of Anzol's or FastAPI's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANZOL_", "_ANZOL", "FASTAPI_"))}
    return {**kept, "NO_COLOR": "1", **changes}


class Receiver:
    """Keeps what is posted to it; answers as it is told."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}/hook"
        self.answer = 204
        self.silent = threading.Event()  # while it is set, nothing is answered
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            known.headers.append(dict(self.headers.items()))
            known.bodies.append(body)
            while known.silent.is_set() and not ended.is_set():
                ended.wait(0.02)
            self.send_response(known.answer)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    ended = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    known = Receiver(server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield known
    ended.set()
    server.shutdown()
    server.server_close()
    thread.join(10)


class World:
    """A folder with an app in it, and the program run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run(self, *arguments: str, stdin: str | None = None, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run the program as a process, as a user does."""
        return subprocess.run(
            [ANZOL, *arguments],
            cwd=self.folder,
            env=environment(**changes),
            input=stdin or "",
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def call(self, *arguments: str) -> Result:
        """Run the program in this process."""
        for name in ("main", "broken"):
            sys.modules.pop(name, None)
        return CliRunner().invoke(program, list(arguments))

    def data(self, *arguments: str) -> Any:
        """Run the program in this process with --json; return what it printed."""
        result = self.call(*arguments, "--json")
        assert result.exit_code in (0, 1), result.output
        return json.loads(result.stdout)

    @contextmanager
    def dev(self, *arguments: str, **changes: str) -> Iterator[Dev]:
        """Run `anzol dev --json` on a port of its own until the block ends."""
        command = [ANZOL, "dev", "--port", "0", "--json", *arguments]
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment(**changes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        running = Dev(process)
        try:
            yield running
        finally:
            running.end()


class Dev:
    """`anzol dev`, running."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self._threads = [
            threading.Thread(
                target=self._read, args=(process.stdout, lambda line: self.lines.append(json.loads(line)))
            ),
            threading.Thread(target=self._read, args=(process.stderr, self.errors.append)),
        ]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _read(stream: Any, take: Callable[[str], object]) -> None:
        for line in stream:
            take(line)

    def line(self, having: str, number: int = 1, patience: float = PATIENCE) -> dict[str, Any]:
        """Wait for the n-th printed line that has this key."""

        def there() -> dict[str, Any] | None:
            found = [line for line in self.lines if having in line]
            assert len(found) >= number or self.process.poll() is None, self.said
            return found[number - 1] if len(found) >= number else None

        line: dict[str, Any] = until(there, f"a line with {having!r}; stderr: {self.said}", patience)
        return line

    @property
    def links(self) -> dict[str, str]:
        links: dict[str, str] = self.line("links")["links"]
        return links

    @property
    def said(self) -> str:
        return "".join(self.errors)

    def stop(self, number: int = signal.SIGINT) -> int:
        """Stop it as Ctrl-C does; return the exit code."""
        os.killpg(self.process.pid, number)
        return self.process.wait(PATIENCE)

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE)
        for thread in self._threads:
            thread.join(10)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name in list(os.environ):
        if name.startswith(("ANZOL_", "_ANZOL", "FASTAPI_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    made = World(tmp_path)
    made.write("main.py", APP)
    yield made
    sys.path[:] = path
    for name in ("main", "broken"):
        sys.modules.pop(name, None)
