"""Real processes: an app in a folder, a receiver that the test holds in its hands, programs that are started and ended.

Everything listens on loopback, on ports that the system gives. Tests marked `both` run on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import asyncio
import collections
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Self

import pytest

from anzol import Settings, Webhooks

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 90.0
KEY = "a key that only tests have"

APP = """\
import os
from pathlib import Path

from fastapi import FastAPI
from pydantic import BaseModel

from anzol import Webhooks

if (code := Path(__file__).with_name("dies")).exists():
    os._exit(int(code.read_text()))

app = FastAPI()
webhooks = Webhooks(app)
app.include_router(webhooks.health, prefix="/health")


class Tick(BaseModel):
    number: int


@app.webhooks.post("tick")
def tick(body: Tick) -> None: ...


@app.post("/ticks/{number}")
async def send(number: int) -> dict[str, object]:
    message = await webhooks.to(f"customer-{number % 4}").send(tick, Tick(number=number))
    return {"id": message.id, "pid": os.getpid()}
"""


def until(holds: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Wait, for a bounded time, until something holds; return it."""
    end = time.monotonic() + patience
    while not (found := holds()):
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.02)
    return found


class Receiver:
    """Counts requests by message, in a thread of its own. While it is ``held``, it answers nobody."""

    def __init__(self) -> None:
        self.seen: collections.Counter[str] = collections.Counter()
        self.answered: collections.Counter[str] = collections.Counter()
        self.port = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in"

    def hold(self) -> None:
        self._loop.call_soon_threadsafe(self._open.clear)

    def let_go(self) -> None:
        self._loop.call_soon_threadsafe(self._open.set)

    @property
    def waiting(self) -> int:
        return self.seen.total() - self.answered.total()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._open.set()
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        serving = asyncio.all_tasks(self._loop)
        for task in serving:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*serving, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0))  # connections that were aborted are closed by this

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[1:]
                headers = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}
                await reader.readexactly(int(headers[b"content-length"]))
                message = headers[b"webhook-id"].decode()
                self.seen[message] += 1
                await self._open.wait()
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                self.answered[message] += 1
        writer.transport.abort()


class Program:
    """A process that a test started, with what it prints."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str], stdin: int) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.out: list[str] = []
        self.errors: list[str] = []
        self._threads = [
            threading.Thread(target=self._read, args=pair)
            for pair in ((self.process.stdout, self.out), (self.process.stderr, self.errors))
        ]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _read(stream: Any, lines: list[str]) -> None:
        lines.extend(stream)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def said(self) -> str:
        return "".join(self.errors)

    def says(self, text: str, times: int = 1) -> str:
        """Wait until it has said something on stderr; return all of that."""

        def there() -> bool:
            assert self.said.count(text) >= times or self.process.poll() is None, self.said
            return self.said.count(text) >= times

        until(there, f"it says {text!r}")
        return self.said

    def hears(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Signal it, wait for its end; return the exit code."""
        self.hears(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)
        return code

    def close(self) -> None:
        """End it whatever it does, its children too: they see that it is gone."""
        if self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


class World:
    """A folder with an app, its database, a receiver, and the programs that a test starts."""

    def __init__(self, folder: Path, database: str, receiver: Receiver) -> None:
        self.folder = folder
        self.database = database
        self.receiver = receiver
        self.programs: list[Program] = []
        (folder / "main.py").write_text(APP)

    @property
    def settings(self) -> Settings:
        return Settings(database_url=self.database, secret_key=KEY, allow_networks=["127.0.0.0/8"])

    def environment(self, **changes: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANZOL_", "FASTAPI_"))}
        own = {
            "ANZOL_DATABASE_URL": self.database,
            "ANZOL_SECRET_KEY": KEY,
            "ANZOL_ALLOW_NETWORKS": "127.0.0.0/8",
            "ANZOL_RETRY_SCHEDULE": "0,1s,1s,1s,1s,1s",
            "NO_COLOR": "1",
        }
        return {**kept, **own, **changes}

    def start(self, *command: str, stdin: int = subprocess.DEVNULL, **changes: str) -> Program:
        """Start a program of this interpreter's, such as ``uvicorn main:app``, or its ``-c`` and a text."""
        words = command if command[0] == "-c" else ("-m", *command)
        program = Program([sys.executable, *words], self.folder, self.environment(**changes), stdin)
        self.programs.append(program)
        return program

    def worker(self, *arguments: str, **changes: str) -> Program:
        return self.start("anzol", "worker", "main.py", *arguments, **changes)

    def use(self, work: Callable[[Webhooks], Any]) -> Any:
        """Do something with a `Webhooks` of this process on the same database."""

        async def run() -> Any:
            from fastapi import FastAPI

            app = FastAPI()
            webhooks = Webhooks(app, self.settings)

            @app.webhooks.post("tick")
            def tick(body: dict[str, int]) -> None: ...

            try:
                return await work(webhooks)
            finally:
                await webhooks.close()

        return asyncio.run(run())

    def register(self) -> None:
        """Give four customers an endpoint each."""

        async def create(webhooks: Webhooks) -> None:
            for number in range(4):
                await webhooks.endpoints.create(f"customer-{number}", url=self.receiver.url)

        self.use(create)

    def send(self, count: int) -> list[str]:
        """Send so many messages; return their ids."""

        async def sends(webhooks: Webhooks) -> list[str]:
            sent = [await webhooks.to(f"customer-{n % 4}").send("tick", {"number": n}) for n in range(count)]
            return [message.id for message in sent]

        found: list[str] = self.use(sends)
        return found

    def status(self) -> Any:
        return self.use(lambda webhooks: webhooks.status())

    def workers(self) -> set[int]:
        """Return the process numbers of the live workers."""
        return {card.pid for card in self.status().workers}

    def quiet(self) -> bool:
        """Say whether nothing waits and nothing is under way."""
        status = self.status()
        return not (status.accepted_waiting or status.pending)

    def close(self) -> None:
        for program in self.programs:
            program.close()
            print(*program.errors, sep="")  # shown when the test fails


# What the supervisor and the health port do hardly depends on the database, and each test of theirs starts processes.
both = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(params=["sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'anzol.db'}"
        return
    url = request.getfixturevalue("postgres_database")
    told = {"ANZOL_DATABASE_URL": url, "ANZOL_SECRET_KEY": KEY}
    subprocess.run([sys.executable, "-m", "anzol", "migrate"], env=os.environ | told, cwd=tmp_path, check=True)
    yield url


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as known:
        yield known
        known.let_go()


@pytest.fixture
def world(tmp_path: Path, database: str, receiver: Receiver) -> Iterator[World]:
    folder = tmp_path / "app"
    folder.mkdir()
    made = World(folder, database, receiver)
    yield made
    receiver.let_go()
    made.close()


def get(url: str, method: str = "GET") -> tuple[int, Any]:
    """Ask; return the status and what the JSON body says. No answer: status 0."""
    request = urllib.request.Request(url, method=method)  # loopback
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, read(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, read(error.read())
    except OSError:
        return 0, None


def read(body: bytes) -> Any:
    return json.loads(body) if body else None


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def alive(pid: int) -> bool:
    """Say whether a process is there and no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
