"""An application with a few webhooks, its settings in a folder of the test's own, and a receiver on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from anzol import Settings, Webhooks


class Subscription(BaseModel):
    username: str
    monthly_fee: float


@dataclass
class Shop:
    """The application under test."""

    app: FastAPI
    webhooks: Webhooks
    settings: Settings
    new_subscription: Any
    subscription: Subscription


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTAPI_ENV", raising=False)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(database_url=f"sqlite:///{tmp_path}/anzol.db", worker=False, allow_networks="127.0.0.0/8,::1/128")


@pytest.fixture
def shop(settings: Settings) -> Iterator[Shop]:
    app = FastAPI(title="Shop")
    webhooks = Webhooks(app, settings)

    @app.webhooks.post("new-subscription")
    def new_subscription(body: Subscription) -> None:
        """A user subscribed."""

    @app.webhooks.post("stopped", tags=["billing"])
    def stopped(body: Subscription, reason: str) -> None: ...

    yield Shop(app, webhooks, settings, new_subscription, Subscription(username="ada", monthly_fee=5))
    webhooks.wait(webhooks.close())


@dataclass
class Receiver:
    """A receiver that keeps what arrives, and answers what it is told to."""

    url: str
    status: int = 204
    arrived: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    change: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, count: int, seconds: float = 20) -> None:
        with self.change:
            assert self.change.wait_for(lambda: len(self.arrived) >= count, seconds), f"{len(self.arrived)} arrived"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            with kept.change:
                kept.arrived.append((self.command, self.path, dict(self.headers), body))
                kept.change.notify_all()
            self.send_response(kept.status)
            self.send_header("content-length", "0")
            self.end_headers()

        do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kept = Receiver(f"http://127.0.0.1:{server.server_address[1]}/in")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield kept
    server.shutdown()
    server.server_close()
    thread.join()
