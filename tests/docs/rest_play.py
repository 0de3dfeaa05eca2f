"""Play the examples of the REST API against a real one in this process: its answers are what the reference shows.

What differs from run to run (ids, times, tokens, how long something took) is shown as if it did not.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI

from anzol import Settings, Webhooks
from anzol.api.handing import environment_token
from anzol.testing import FakeReceiver
from tests.docs.rest_examples import EXAMPLES, RECEIVER, SECRET, Example

KEY = "k" * 43
PATIENCE = 20.0
USUAL = {"app_id": "acme", "endpoint_id": "billing", "msg_id": "invoice-17-paid"}
MOMENT = "2026-11-24T12:00:00Z"
ID = re.compile(r"\b([a-z]+_)([0-9A-Za-z]{22})\b")
TIME = re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")
TOKEN = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+")
SHOWN = "4kz9..."
STEADY = {  # fields whose values have no form by which they are known
    "iterator": SHOWN,
    "prevIterator": SHOWN,
    "hint": "xW4q",
    "responseDurationMs": 3,
    "connect": 1.2,
    "firstByte": 2.9,
    "total": 3.1,
    "issued_through": 1795521600000000,
    "effective_at": 1795521600000000,
}
LONGEST = 44  # lines of an answer


@dataclass(frozen=True, slots=True)
class Played:
    """What was asked and answered, as the page shows it."""

    request: str
    answer: str


@dataclass(slots=True)
class Steady:
    """Writes what differs from run to run always the same way: ids by their order, all times as one."""

    receiver: str
    seen: dict[str, str] = field(default_factory=dict)

    def text(self, text: str) -> str:
        text = TOKEN.sub("eyJhbGciOi...", text).replace(self.receiver, RECEIVER)
        text = re.sub(r"#code=[\w-]+", "#code=3q2-7w...", text)
        text = re.sub(r"\bsk_[\w-]+", "sk_bK7xW...", text)
        text = re.sub(r"whsec_(?!MfKQ9r8G)[\w+/=]+", "whsec_p1Yz7...", text)
        text = re.sub(r'"(\w*(?:[Dd]uration|Ms|[Ss]econds))": ?[\d.]+', r'"\1": 12', text)
        return TIME.sub(MOMENT, ID.sub(self._id, text))

    def _id(self, found: re.Match[str]) -> str:
        if found[0] not in self.seen:
            number = hashlib.sha256(f"{found[1]}{len(self.seen)}".encode()).hexdigest()
            self.seen[found[0]] = f"{found[1]}{number[:22]}"
        return self.seen[found[0]]


class Stage:
    """An API on a database of its own, and a receiver that answers."""

    def __init__(self, folder: Path, receiver: FakeReceiver) -> None:
        settings = Settings(
            database_url=f"sqlite:///{folder}/anzol.db",
            secret_key=KEY,
            environment="production",
            worker=False,
            allow_networks="127.0.0.0/8",
            ports="1-65535",
        )
        self.webhooks = Webhooks(FastAPI(), settings)
        self.operations = dict(operations(self.webhooks.api.openapi()))
        self.receiver = receiver
        self.kept: dict[str, str] = {}
        self.steady = Steady(receiver.url)
        self.bearer = environment_token(self.webhooks.core.ground, lasting=timedelta(hours=1))

    async def play(self, example: Example) -> Played:
        """Ask, hold that it is answered as it should be, and return both."""
        if example.first == "deliver":
            await self._deliver()
        method, template, operation = self.operations[example.operation]
        shown = template.format(**(USUAL | self.kept | example.path))
        query = f"?{urlencode(example.query)}" if example.query else ""
        body = None if example.body is None else self._filled(example.body)
        status, media, text = await self._ask(method, shown, query, body, example)
        expected = example.status or int(next(iter(operation["responses"])))
        assert status == expected, f"{example.operation}: {status} {text}"
        self._keep(example, text)
        return Played(self._request(method, shown + query, body, example), self._answer(status, media, text))

    async def _ask(self, method: str, path: str, query: str, body: Any, example: Example) -> tuple[int, str, str]:
        """Call the application as a server does; a stream is left once it has said something."""
        said: list[bytes] = []
        begun: dict[str, Any] = {}
        asked, enough = False, asyncio.Event()

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if not asked:
                asked = True
                sent = b"" if body is None else json.dumps(body).replace(RECEIVER, self.receiver.url).encode()
                return {"type": "http.request", "body": sent, "more_body": False}
            await enough.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            begun.update(message if message["type"] == "http.response.start" else {})
            said.append(message.get("body", b""))
            if b"\nevent: attempt" in b"".join(said) or b"event: attempt" in said[-1]:
                enough.set()

        bearer = self.kept.get(example.token, self.bearer)
        headers = {"authorization": f"Bearer {bearer}", "host": "api"} | {
            name.lower(): value.format(**self.kept) for name, value in example.headers.items()
        }
        if body is not None:
            headers["content-type"] = "application/json"
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query[1:].encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("api", 80),
            "extensions": {},
            "state": {},
        }
        async with asyncio.timeout(PATIENCE):
            await self.webhooks.api(scope, receive, send)  # type: ignore[arg-type]  # what servers give
        media = dict(begun["headers"]).get(b"content-type", b"").decode()
        return begun["status"], media, b"".join(said).decode()

    async def _deliver(self) -> None:
        async with self.webhooks.worker() as worker:
            await worker.drain_once()
            await worker.close()

    def _filled(self, body: Any) -> Any:
        text = json.dumps(body)
        for name, value in self.kept.items():
            text = text.replace(f"{{{name}}}", value)
        return json.loads(text)

    def _keep(self, example: Example, text: str) -> None:
        for name, place in example.keep.items():
            value = json.loads(text)
            for step in place.split("."):
                value = value[int(step) if step.isdigit() else step]
            self.kept[name] = value.partition("#code=")[2] or value

    def _request(self, method: str, path: str, body: Any, example: Example) -> str:
        lines = [f"{method} {path}"]
        lines += [f"{name}: {value.format(event=SHOWN)}" for name, value in example.headers.items()]
        if body is not None:
            shown = json.dumps(example.body, indent=2).replace("{code}", "3q2-7w...")
            lines += ["Content-Type: application/json", "", short(shown)]
        return self.steady.text("\n".join(lines))

    def _answer(self, status: int, media: str, text: str) -> str:
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
        if text:
            lines += [f"Content-Type: {media}", "", short(self._body(media, text))]
        return self.steady.text("\n".join(lines))

    def _body(self, media: str, text: str) -> str:
        if media.startswith("application/json"):
            return json.dumps(steadied(json.loads(text)), indent=2, ensure_ascii=False)
        # Lines of JSON, by themselves or as the data of events.
        lines = [
            re.sub(r"\{.*\}", lambda one: json.dumps(steadied(json.loads(one[0]))), line) for line in text.splitlines()
        ]
        return "\n".join(re.sub(r"^id: .*", "id: 41", line) for line in lines).strip()


def steadied(value: Any) -> Any:
    """Return data with what differs from run to run, and has no form of its own, made the same."""
    match value:
        case dict():
            return {key: STEADY.get(key, one) if one is not None else None for key, one in steady_items(value)}
        case list():
            return [steadied(one) for one in value]
        case _:
            return value


def steady_items(value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((key, steadied(one)) for key, one in value.items())


def short(text: str) -> str:
    """Cut what would fill pages."""
    lines = [line if len(line) < 400 else f"{line[:380]}..." for line in text.splitlines()]
    return "\n".join(lines if len(lines) <= LONGEST else [*lines[: LONGEST - 4], "  ..."])


def operations(document: dict[str, Any]) -> Iterator[tuple[str, tuple[str, str, dict[str, Any]]]]:
    """Yield every operation by its id: method, path, and what the document says."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield operation["operationId"], (method.upper(), path, operation)


def play() -> dict[str, Played]:
    """Play all examples in their order; return them by operation."""
    with tempfile.TemporaryDirectory() as folder, FakeReceiver(SECRET) as receiver:
        stage = Stage(Path(folder), receiver)
        return asyncio.run(played(stage))


async def played(stage: Stage) -> dict[str, Played]:
    try:
        return {example.operation: await stage.play(example) for example in EXAMPLES}
    finally:
        await stage.webhooks.core.opened().close()
