"""Every operation of the API with what it asks for, as the tests hold it to be; and worlds to ask it in."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from httpx import AsyncClient

from anzol import ids
from anzol.api.tokens import Capability
from anzol.storage.face import Selection, Storage
from tests.api.acting import good

READ, PUBLISH, MANAGE, ACCESS = "read", "publish", "manage", "access"
VIEW, VIEW_SECRET, MANAGE_SECRET = Capability.VIEW, Capability.VIEW_SECRET, Capability.MANAGE_SECRET
ATTEMPTS, ENDPOINTS = Capability.CREATE_ATTEMPTS, Capability.MANAGE_ENDPOINT
NOWHERE: Final = "http://127.0.0.1:9/"
APP: Final = "/app/{app_id}"
ENDPOINT: Final = f"{APP}/endpoint/{{endpoint_id}}"
MESSAGE: Final = f"{APP}/msg/{{msg_id}}"
OPERATIONAL: Final = "/operational-webhook/endpoint"
ONE_OPERATIONAL: Final = f"{OPERATIONAL}/{{operational_id}}"
EVENT: Final = {"eventType": "invoice.paid"}
SPAN: Final = {"since": "2020-01-01T00:00:00Z"}


@dataclass(frozen=True, slots=True)
class Row:
    """An operation. *scope* is what a key needs, *capability* what a customer's token needs; None: it is not for those.

    Args:
        path: With the document's names, but ``operational_id`` for an endpoint that is an environment's.
        body: What to send; names in braces are replaced as in the path.
        query: What narrows the answer to one object, for another one's to be tried.
    """

    method: str
    path: str
    status: int
    scope: str | None
    capability: Capability | None
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def documented(self) -> str:
        """The operation's name in the document."""
        return self.name.replace("operational_id", "endpoint_id")

    @property
    def streams(self) -> bool:
        return self.path.endswith("/live")

    @property
    def is_of_one(self) -> bool:
        """Whether something of an application is named: what another customer has nothing to do with."""
        return self._names("app_id", "task_id")

    @property
    def is_of_environment(self) -> bool:
        """Whether something is named that an environment has beside its applications."""
        return self._names("name", "operational_id", "key_id")

    @property
    def makes_by_name(self) -> bool:
        """Whether something is made under any name that is not there yet."""
        return self.name in ("POST /event-type", "PUT /event-type/{name}")

    def _names(self, *names: str) -> bool:
        told = f"{self.path} {self.body} {self.query}"
        return any(f"{{{name}}}" in told for name in names)

    @property
    def named(self) -> list[str]:
        """What belongs to an application and is named in the request, beside the application itself."""
        return [name for name in ("endpoint_id", "msg_id", "attempt_id") if self._names(name)]


# The path, what comes with success, what a key needs, what a customer's token needs.
ROWS: Final = (
    Row("GET", "/app", 200, READ, None),
    Row("POST", "/app", 201, MANAGE, None, {"name": "New"}),
    Row("GET", APP, 200, READ, VIEW),
    Row("PUT", APP, 200, MANAGE, None, {"name": "Changed"}),
    Row("PATCH", APP, 200, MANAGE, None, {"name": "Changed"}),
    Row("DELETE", APP, 204, MANAGE, None),
    Row("GET", f"{APP}/export", 200, READ, VIEW),
    Row("POST", f"{APP}/erase", 200, MANAGE, None),
    Row("GET", f"{APP}/audit", 200, READ, VIEW),
    Row("GET", f"{APP}/endpoint", 200, READ, VIEW),
    Row("POST", f"{APP}/endpoint", 201, MANAGE, ENDPOINTS, {"url": NOWHERE}),
    Row("POST", f"{APP}/endpoint/probe", 200, MANAGE, ENDPOINTS, {"url": NOWHERE}),
    Row("GET", ENDPOINT, 200, READ, VIEW),
    Row("PUT", ENDPOINT, 200, MANAGE, ENDPOINTS, {"url": NOWHERE}),
    Row("PATCH", ENDPOINT, 200, MANAGE, ENDPOINTS, {"description": "changed"}),
    Row("DELETE", ENDPOINT, 204, MANAGE, ENDPOINTS),
    Row("GET", f"{ENDPOINT}/stats", 200, READ, VIEW),
    Row("GET", f"{ENDPOINT}/attempt-stats", 200, READ, VIEW),
    Row("GET", f"{ENDPOINT}/headers", 200, READ, VIEW),
    Row("PUT", f"{ENDPOINT}/headers", 204, MANAGE, ENDPOINTS, {"headers": {"x-a": "b"}}),
    Row("PATCH", f"{ENDPOINT}/headers", 204, MANAGE, ENDPOINTS, {"headers": {"x-a": "b"}}),
    Row("GET", f"{ENDPOINT}/secret", 200, ACCESS, VIEW_SECRET),
    Row("POST", f"{ENDPOINT}/secret/rotate", 200, ACCESS, MANAGE_SECRET, {}),
    Row("POST", f"{ENDPOINT}/send-example", 202, MANAGE, ATTEMPTS, {"eventType": "{name}"}),
    Row("POST", f"{ENDPOINT}/recover", 202, MANAGE, ATTEMPTS, SPAN),
    Row("POST", f"{ENDPOINT}/replay-missing", 202, MANAGE, ATTEMPTS, SPAN),
    Row("POST", f"{ENDPOINT}/bulk-replay", 202, MANAGE, ATTEMPTS, SPAN),
    Row("POST", f"{ENDPOINT}/pause", 201, MANAGE, ENDPOINTS),
    Row("POST", f"{ENDPOINT}/resume", 200, MANAGE, ENDPOINTS),
    Row("GET", f"{ENDPOINT}/msg", 200, READ, VIEW),
    Row("GET", f"{APP}/msg", 200, READ, VIEW),
    Row("POST", f"{APP}/msg", 202, PUBLISH, None, EVENT | {"payload": {}}),
    Row("POST", f"{APP}/msg/batch", 202, PUBLISH, None, {"messages": [EVENT | {"payload": {}}]}),
    Row("POST", f"{APP}/msg/bulk-expunge", 200, MANAGE, None, {"ids": ["nothing"]}),
    Row("POST", f"{APP}/msg/precheck/active", 200, PUBLISH, None, EVENT),
    Row("GET", MESSAGE, 200, READ, VIEW),
    Row("DELETE", f"{MESSAGE}/content", 204, MANAGE, None),
    Row("GET", f"{MESSAGE}/endpoint", 200, READ, VIEW),
    Row("GET", f"{MESSAGE}/match", 200, READ, VIEW),
    Row("GET", f"{MESSAGE}/attempt/{{attempt_id}}", 200, READ, VIEW),
    Row("DELETE", f"{MESSAGE}/attempt/{{attempt_id}}/content", 204, MANAGE, None),
    Row("POST", f"{MESSAGE}/endpoint/{{endpoint_id}}/resend", 202, MANAGE, ATTEMPTS),
    Row("GET", f"{APP}/attempt/endpoint/{{endpoint_id}}", 200, READ, VIEW),
    Row("GET", f"{APP}/attempt/msg/{{msg_id}}", 200, READ, VIEW, query={"endpoint_id": "{endpoint_id}"}),
    Row("GET", f"{APP}/delivery", 200, READ, VIEW, query={"endpoint_id": "{endpoint_id}", "msg_id": "{msg_id}"}),
    Row("GET", f"{APP}/delivery/live", 200, READ, VIEW, query={"endpoint_id": "{endpoint_id}"}),
    Row("POST", f"{APP}/cancel", 202, MANAGE, ENDPOINTS, {"endpointId": "{endpoint_id}", "msgId": "{msg_id}"}),
    Row("POST", f"{APP}/cancel/preview", 200, READ, VIEW, {"endpointId": "{endpoint_id}", "msgId": "{msg_id}"}),
    Row("GET", "/background-task", 200, READ, VIEW),
    Row("GET", "/background-task/{task_id}", 200, READ, VIEW),
    Row("POST", "/background-task/{task_id}/cancel", 200, MANAGE, ATTEMPTS),
    Row("POST", "/stats/usage/app", 202, READ, None, SPAN | {"until": "2020-01-02T00:00:00Z"}),
    Row("PUT", "/stats/usage/event-types", 202, READ, None),
    Row("GET", "/event-type", 200, READ, VIEW),
    Row("POST", "/event-type", 201, MANAGE, None, {"name": "{name}.new", "description": ""}),
    Row("GET", "/event-type/{name}", 200, READ, VIEW),
    Row("PUT", "/event-type/{name}", 200, MANAGE, None, {"description": "changed"}),
    Row("PATCH", "/event-type/{name}", 200, MANAGE, None, {"description": "changed"}),
    Row("DELETE", "/event-type/{name}", 204, MANAGE, None),
    Row(
        "POST",
        "/event-type/import/openapi",
        200,
        MANAGE,
        None,
        {"spec": {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "webhooks": {}}},
    ),
    Row("GET", "/openapi/webhooks.json", 200, READ, VIEW),
    Row("GET", OPERATIONAL, 200, READ, None),
    Row("POST", OPERATIONAL, 201, MANAGE, None, {"url": NOWHERE}),
    Row("GET", ONE_OPERATIONAL, 200, READ, None),
    Row("PUT", ONE_OPERATIONAL, 200, MANAGE, None, {"url": NOWHERE}),
    Row("PATCH", ONE_OPERATIONAL, 200, MANAGE, None, {"description": "changed"}),
    Row("DELETE", ONE_OPERATIONAL, 204, MANAGE, None),
    Row("GET", f"{ONE_OPERATIONAL}/headers", 200, READ, None),
    Row("PUT", f"{ONE_OPERATIONAL}/headers", 204, MANAGE, None, {"headers": {"x-a": "b"}}),
    Row("PATCH", f"{ONE_OPERATIONAL}/headers", 204, MANAGE, None, {"headers": {"x-a": "b"}}),
    Row("GET", f"{ONE_OPERATIONAL}/secret", 200, ACCESS, None),
    Row("POST", f"{ONE_OPERATIONAL}/secret/rotate", 200, ACCESS, None, {}),
    Row("POST", "/auth/app-portal-access/{app_id}", 200, ACCESS, None, {}),
    Row("POST", "/auth/app/{app_id}/expire-all", 204, ACCESS, None, {}),
    Row("POST", "/auth/api-token", 201, ACCESS, None, {"name": "new", "scopes": ["access"]}),
    Row("GET", "/auth/api-token", 200, ACCESS, None),
    Row("POST", "/auth/api-token/{key_id}/expire", 204, ACCESS, None),
    Row("GET", "/audit", 200, READ, None),
    Row("GET", "/status", 200, READ, None),
    Row("GET", "/endpoint", 200, READ, None),
    Row("GET", "/delivery", 200, READ, None, query={"app_id": "{app_id}"}),
    Row("GET", "/delivery/live", 200, READ, None),
    Row("GET", "/pause", 200, READ, None),
    Row("POST", "/pause", 201, MANAGE, None, {"appId": "{app_id}", "endpointId": "{endpoint_id}"}),
    Row("POST", "/resume", 200, MANAGE, None, {"appId": "{app_id}", "endpointId": "{endpoint_id}"}),
    Row("POST", "/cancel", 202, MANAGE, None, {"appId": "{app_id}", "endpointId": "{endpoint_id}"}),
    Row("POST", "/cancel/preview", 200, READ, None, {"appId": "{app_id}", "endpointId": "{endpoint_id}"}),
)
# Asked without a credential, or with whatever one.
OPEN: Final = (Row("GET", "/health", 204, None, None), Row("GET", "/health/ping", 204, None, None))
# A code instead of a credential; a credential and nothing else.
ELSEWHERE: Final = ("POST /auth/one-time-token", "POST /auth/logout")


@dataclass(frozen=True, slots=True)
class World:
    """An application with one thing of each kind, and what of it nobody else may see."""

    uid: str
    ids: Mapping[str, str]
    canary: str


def fill(given: Any, names: Mapping[str, str]) -> Any:
    """Return a path, a body, a query with the names in braces replaced."""
    if isinstance(given, str):
        return re.sub(r"\{(\w+)\}", lambda found: names[found[1]], given)
    if isinstance(given, dict):
        return {name: fill(value, names) for name, value in given.items()}
    if isinstance(given, list):
        return [fill(value, names) for value in given]
    return given


async def world(client: AsyncClient, uid: str, canary: str = "") -> World:
    """Make an application with an endpoint, a message, a task, and what there is beside it in an environment.

    Args:
        canary: 24 letters and digits that are put into everything that can be said.
    """
    mark = canary or "x" * 24
    app = good(await client.post("/app", json={"uid": uid, "name": mark, "metadata": {"m": mark}}), 201)
    given = {
        "url": f"{NOWHERE}{mark}",
        "description": mark,
        "headers": {"x-mark": mark},
        "secret": f"whsec_{mark}{'A' * 8}",
        "metadata": {"m": mark},
    }
    endpoint = good(await client.post(f"/app/{uid}/endpoint", json=given), 201)
    message = EVENT | {"payload": {"said": mark}, "eventId": f"event-{mark}", "tags": [mark[:20]]}
    sent = good(await client.post(f"/app/{uid}/msg", json=message), 202)
    task = good(await client.post(f"/app/{uid}/endpoint/{endpoint['id']}/recover", json=SPAN), 202)
    made = {"app_id": app["id"], "endpoint_id": endpoint["id"], "msg_id": sent["id"], "task_id": task["id"]}
    return World(uid, made, mark)


async def surroundings(client: AsyncClient, name: str) -> dict[str, str]:
    """Make what belongs to an environment alone: an event type with an example, a key, an operational endpoint."""
    schema = {"1": {"type": "object", "examples": [{}]}}
    good(await client.post("/event-type", json={"name": name, "description": "", "schemas": schema}), 201)
    endpoint = good(await client.post(OPERATIONAL, json={"url": NOWHERE}), 201)
    key = good(await client.post("/auth/api-token", json={"name": name, "scopes": ["read"]}), 201)
    return {"name": name, "operational_id": endpoint["id"], "key_id": key["id"]}


async def with_attempts(storage: Storage, environment: str, worlds: list[World]) -> list[World]:
    """Return worlds with the ids of their attempts, once they are delivered."""
    found: dict[str, str] = {}
    after = None
    while True:
        page = await storage.attempts(environment, Selection(), after=after, limit=250)
        found |= {attempt.endpoint_id: attempt.id for attempt in page.items}
        if (after := page.next) is None:
            break
    return [World(one.uid, {**one.ids, "attempt_id": found[one.ids["endpoint_id"]]}, one.canary) for one in worlds]


def nobody() -> dict[str, str]:
    """Return ids of things that were never there."""
    new = ids.new(0)
    kinds = {
        "app_id": ids.CUSTOMER,
        "endpoint_id": ids.ENDPOINT,
        "msg_id": ids.MESSAGE,
        "attempt_id": ids.ATTEMPT,
        "task_id": ids.SWEEP,
    }
    return {name: ids.show(kind, new) for name, kind in kinds.items()}


@dataclass(frozen=True, slots=True)
class Said:
    """An answer."""

    status: int
    text: str  # its headers and its body

    @property
    def body(self) -> str:
        return self.text.partition("\n\n")[2]


async def ask(app: Any, row: Row, names: Mapping[str, str], authorization: str | None, address: str) -> Said:
    """Ask for a row's operation; of a stream read the first piece, and go."""
    body = b"" if row.body is None else json.dumps(fill(row.body, names)).encode()
    headers = [(b"host", b"api"), (b"content-type", b"application/json")]
    if authorization is not None:
        headers.append((b"authorization", authorization.encode("latin-1")))
    path = f"/api/v1{fill(row.path, names)}"
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": row.method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": urlencode(fill(dict(row.query), names)).encode(),
        "root_path": "",
        "headers": headers,
        "client": (address, 1),
        "server": ("api", 80),
    }
    begun, ended = asyncio.Event(), asyncio.Event()
    given = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if given:
            return given.pop()
        await (begun if row.streams else ended).wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if message["type"] == "http.response.body":
            begun.set()

    await app(scope, receive, send)
    lines = [f"{name.decode()}: {value.decode('latin-1')}" for name, value in sent[0]["headers"]]
    told = b"".join(message.get("body", b"") for message in sent[1:]).decode()
    return Said(sent[0]["status"], "\n".join(lines) + "\n\n" + told)
