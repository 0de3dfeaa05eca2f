"""Messages through the API: stored as they came, once, or refused with the reason."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Body, FastAPI, Header
from pydantic import BaseModel
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware

from anzol import Webhooks
from anzol.clock import OwnedClock, to_micros
from anzol.settings import Settings
from tests.api.conftest import ENVIRONMENT, KEY, Service

pytestmark = pytest.mark.asyncio
JSON = {"content-type": "application/json"}


async def made(client: httpx.AsyncClient, uid: str = "acme") -> str:
    answer = await client.post("/app", json={"name": uid, "uid": uid})
    return str(answer.json()["id"])


async def sent(client: httpx.AsyncClient, body: bytes | str, path: str = "/app/acme/msg") -> httpx.Response:
    return await client.post(path, content=body, headers=JSON)


async def stored(service: Service, answer: httpx.Response) -> Any:
    storage = await service.webhooks.core.storage()
    return await storage.message(ENVIRONMENT, answer.text[7:33])  # what Python would not read may be behind it


# --- one


async def test_a_message_is_stored_and_shown(service: Service) -> None:
    async with service.client() as client:
        await made(client)
        answer = await client.post(
            "/app/acme/msg",
            json={
                "eventType": "invoice.paid",
                "eventId": "inv-1",
                "payload": {"id": 1},
                "channels": ["eu", "eu", "all"],
                "tags": ["t"],
            },
        )
    message = await stored(service, answer)

    shown = answer.json()
    assert answer.status_code == 202
    assert shown == {
        "id": message.id,
        "eventId": "inv-1",
        "eventType": "invoice.paid",
        "payload": {"id": 1},
        "channels": ["eu", "all"],
        "tags": ["t"],
        "deliverAt": None,
        "timestamp": shown["timestamp"],
        "contentType": "application/json",
        "erased": False,
    }
    assert (message.customer, message.event_type, message.body) == ("acme", "invoice.paid", b'{"id":1}')
    assert (message.key, message.channels, message.tags) == ("inv-1", ("eu", "all"), ("t",))


async def test_what_is_answered_is_what_is_found_later(service: Service) -> None:
    async with service.client() as client:
        await made(client)
        answer = await client.post("/app/acme/msg", json={"eventType": "a", "payload": {"x": [1]}, "tags": ["t"]})
        found = await client.get(f"/app/acme/msg/{answer.json()['id']}?with_content=true")

    assert found.json() == answer.json()


PAYLOADS = [
    '{"b":1,"a":2}',
    '{ "b" : 1.0 ,\n\t"a":[ ] }',
    '{"n":12345678901234567890123456789012345678901234567890,"f":1.10,"e":1E400,"z":-0}',
    '{"n":1' + "0" * 6000 + "}",
    '{"nul":"\\u0000","half":"\\ud800","slash":"\\/","umlaut":"ü","emoji":"🎣"}',
    "[1,2,3]",
    '"text"',
    "17",
    "false",
    "{}",
    "[" * 64 + "]" * 64,
    '{"data":{"payload":{"eventType":"inner"}}}',
]


@pytest.mark.parametrize("payload", PAYLOADS, ids=[payload[:30] for payload in PAYLOADS])
async def test_a_payload_is_stored_to_the_last_byte(service: Service, payload: str) -> None:
    async with service.client() as client:
        await made(client)
        answer = await sent(client, f' {{ "eventType":"a", "payload" :  {payload}  , "x": {{"new": []}} }}\n')
        assert answer.status_code == 202, answer.text

    assert (await stored(service, answer)).body == payload.encode()
    shown = payload if payload.startswith("{") else "{}"
    assert f'"payload":{shown},' in answer.text
    assert ('"rawPayload"' in answer.text) == (shown != payload)


async def test_data_is_another_word_for_payload(service: Service) -> None:
    async with service.client() as client:
        await made(client)
        answer = await client.post("/app/acme/msg", json={"eventType": "a", "data": {"x": 1}, "payload": None})

    assert answer.json()["payload"] == {"x": 1}


REFUSED = {
    "nothing": ("", "invalid_request"),
    "no JSON": ("hello", "invalid_request"),
    "a list": ("[]", "invalid_request"),
    "cut": ('{"eventType":"a","payload":{"x":', "invalid_request"),
    "something behind": ('{"eventType":"a","payload":{}} {}', "invalid_request"),
    "a comma too many": ('{"eventType":"a","payload":{},}', "invalid_request"),
    "no colon": ('{"eventType" "a"}', "invalid_request"),
    "a key that is none": ("{1:2}", "invalid_request"),
    "a key twice": ('{"eventType":"a","payload":{},"payload":{}}', "invalid_request"),
    "a key twice, written otherwise": ('{"eventType":"a","payload":{"a":1,"\\u0061":2}}', "invalid_request"),
    "a key twice, deep": ('{"eventType":"a","payload":{"x":[{"y":1,"y":1}]}}', "invalid_request"),
    "NaN": ('{"eventType":"a","payload":{"x":NaN}}', "invalid_request"),
    "Infinity": ('{"eventType":"a","payload":{"x":[Infinity]}}', "invalid_request"),
    "-Infinity": ('{"eventType":"a","payload":-Infinity}', "invalid_request"),
    "a leading zero": ('{"eventType":"a","payload":{"x":01}}', "invalid_request"),
    "a line break in a text": ('{"eventType":"a","payload":{"x":"\n"}}', "invalid_request"),
    "a byte order mark": ('\ufeff{"eventType":"a","payload":{}}', "invalid_request"),
    "65 deep": ('{"eventType":"a","payload":' + "[" * 65 + "]" * 65 + "}", "invalid_request"),
    "65 deep, in objects": ('{"eventType":"a","payload":' + '{"a":' * 65 + "1" + "}" * 65 + "}", "invalid_request"),
    "100,000 deep": ('{"eventType":"a","payload":' + "[" * 100_000, "invalid_request"),
    "not UTF-8": (b'{"eventType":"a","payload":{"x":"\xff"}}', "invalid_request"),
    "half a character in UTF-8": (b'{"eventType":"a","payload":{"x":"\xed\xa0\x80"}}', "invalid_request"),
    "UTF-16": ('{"eventType":"a","payload":{}}'.encode("utf-16"), "invalid_request"),
    "too many keys": (
        json.dumps({"eventType": "a", "payload": {str(n): n for n in range(10_001)}}),
        "invalid_request",
    ),
    "no type": ('{"payload":{}}', "validation_error"),
    "no payload": ('{"eventType":"a"}', "validation_error"),
    "payload null": ('{"eventType":"a","payload":null}', "validation_error"),
    "payload and data": ('{"eventType":"a","payload":{},"data":{}}', "validation_error"),
    "type a number": ('{"eventType":5,"payload":{}}', "validation_error"),
    "type null": ('{"eventType":null,"payload":{}}', "validation_error"),
    "type empty": ('{"eventType":"","payload":{}}', "validation_error"),
    "type with a blank": ('{"eventType":"a b","payload":{}}', "validation_error"),
    "type with a line break": ('{"eventType":"a\\n","payload":{}}', "validation_error"),
    "type too long": ('{"eventType":"' + "a" * 257 + '","payload":{}}', "validation_error"),
    "id like ours": ('{"eventType":"a","payload":{},"eventId":"msg_x"}', "validation_error"),
    "id with a slash": ('{"eventType":"a","payload":{},"eventId":"a/b"}', "validation_error"),
    "id a number": ('{"eventType":"a","payload":{},"eventId":1}', "validation_error"),
    "channels a text": ('{"eventType":"a","payload":{},"channels":"eu"}', "validation_error"),
    "channels too many": (
        json.dumps({"eventType": "a", "payload": {}, "channels": [str(n) for n in range(11)]}),
        "validation_error",
    ),
    "a channel empty": ('{"eventType":"a","payload":{},"channels":[""]}', "validation_error"),
    "a channel with half a character": ('{"eventType":"a","payload":{},"channels":["\\ud800"]}', "validation_error"),
    "a tag with NUL": ('{"eventType":"a","payload":{},"tags":["\\u0000"]}', "validation_error"),
    "due never": ('{"eventType":"a","payload":{},"deliverAt":"never"}', "validation_error"),
    "due in a thousand years": (
        '{"eventType":"a","payload":{},"deliverAt":"3026-01-01T00:00:00Z"}',
        "validation_error",
    ),
    "due at the end of time": (
        '{"eventType":"a","payload":{},"deliverAt":"9999-12-31T23:59:59-05:00"}',
        "validation_error",
    ),
    "due a number without end": (
        '{"eventType":"a","payload":{},"deliverAt":1' + "0" * 5000 + "}",
        "validation_error",
    ),
    "kept for a day": ('{"eventType":"a","payload":{},"payloadRetentionPeriod":1}', "validation_error"),
    "kept for an hour": ('{"eventType":"a","payload":{},"payloadRetentionHours":1}', "validation_error"),
    "kept for a text": ('{"eventType":"a","payload":{},"payloadRetentionPeriod":"x"}', "validation_error"),
    "kept twice": (
        '{"eventType":"a","payload":{},"payloadRetentionPeriod":90,"payloadRetentionHours":2160}',
        "validation_error",
    ),
    "raw payload a number": (
        '{"eventType":"a","payload":{},"transformationsParams":{"rawPayload":1}}',
        "validation_error",
    ),
    "raw payload with half a character": (
        '{"eventType":"a","payload":{},"transformationsParams":{"rawPayload":"\\ud800"}}',
        "validation_error",
    ),
    "raw payload of no type": (
        '{"eventType":"a","payload":{},"transformationsParams":{"rawPayload":"x","headers":{"content-type":"a\\r\\nb: c"}}}',
        "validation_error",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_cannot_be_read_or_does_not_fit_is_refused(service: Service, what: str) -> None:
    body, code = REFUSED[what]
    async with service.client() as client:
        await made(client)
        answer = await sent(client, body)
        batch = body if isinstance(body, bytes) else body.encode()
        beside = await sent(client, b'{"messages":[%b]}' % batch, "/app/acme/msg/batch")
        listed = await client.get("/app/acme/msg")

    assert answer.json()["code"] == code, answer.text
    assert beside.json()["code"] in {code, "validation_error"}, beside.text
    assert (answer.status_code, beside.status_code // 100) == (400 if code == "invalid_request" else 422, 4)
    assert listed.json()["data"] == []


async def test_the_place_of_a_fault_is_told(service: Service) -> None:
    async with service.client() as client:
        await made(client)
        body = '{"eventType":"a b","payload":{},"deliverAt":"x","channels":["eu",""]}'
        answer = await sent(client, body)

    places = [fault["loc"] for fault in answer.json()["detail"]]
    assert places == [["body", "eventType"], ["body", "channels", 1], ["body", "deliverAt"]]


async def test_a_message_for_nobody_is_refused(service: Service) -> None:
    async with service.client() as client:
        names = ("nobody", "app_" + "0" * 22, "~operational", "%00", "x" * 400)
        answers = [await client.post(f"/app/{name}/msg", json={"eventType": "a", "payload": {}}) for name in names]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "not_found")}


async def test_an_application_that_comes_along_is_made(service: Service) -> None:
    message = {"eventType": "a", "payload": {}, "application": {"name": "Fresh", "metadata": {"plan": "pro"}}}
    async with service.client() as client:
        answers = [await client.post("/app/fresh/msg", json=message) for _ in range(2)]
        found = (await client.get("/app/fresh")).json()

    assert [answer.status_code for answer in answers] == [202, 202]
    assert (found["name"], found["metadata"]) == ("Fresh", {"plan": "pro"})


@pytest.mark.parametrize(("name", "uid"), [("fresh", "other"), ("app_" + "0" * 22, None), ("a b", None)])
async def test_an_application_that_comes_along_has_the_paths_name(service: Service, name: str, uid: str | None) -> None:
    message = {"eventType": "a", "payload": {}, "application": {"name": "Fresh", "uid": uid}}
    async with service.client() as client:
        answer = await client.post(f"/app/{name}/msg", json=message)
        listed = (await client.get("/app")).json()["data"]

    assert (answer.status_code, listed) == (422 if uid else 404, [])


async def test_a_message_to_an_application_that_was_renamed_goes_there(service: Service) -> None:
    async with service.client() as client:
        app_id = await made(client)
        await client.post(f"/app/{app_id}/msg", json={"eventType": "a", "payload": {}})
        await client.post("/app/acme/msg", json={"eventType": "a", "payload": {}})
        await client.patch("/app/acme", json={"uid": "acme2"})
        by_id = await client.post(f"/app/{app_id}/msg", json={"eventType": "a", "payload": {}})
        by_old = await client.post("/app/acme/msg", json={"eventType": "a", "payload": {}})

    assert (await stored(service, by_id)).customer == "acme2"
    assert by_old.status_code == 404


async def test_a_message_to_an_application_that_was_deleted_is_refused(service: Service) -> None:
    async with service.client() as client:
        await made(client)
        await client.post("/app/acme/msg", json={"eventType": "a", "payload": {}})
        await client.delete("/app/acme")
        answer = await client.post("/app/acme/msg", json={"eventType": "a", "payload": {}})

    assert answer.status_code == 404


async def test_the_payload_is_left_out_when_it_is_not_wanted(service: Service) -> None:
    async with service.client() as client:
        await made(client)
        answers = [
            await client.post(f"/app/acme/msg?with_content={word}", json={"eventType": "a", "payload": {"x": 1}})
            for word in ("false", "true", "0", "maybe")
        ]

    assert [answer.json().get("payload") for answer in answers] == [{}, {"x": 1}, {}, None]
    assert answers[3].status_code == 422


async def test_a_message_that_is_to_wait_waits(service: Service) -> None:
    clock = OwnedClock()
    service.webhooks.core.clock = clock
    due = clock.now() + timedelta(hours=1)
    async with service.client() as client:
        await made(client)
        answer = await client.post(
            "/app/acme/msg", json={"eventType": "a", "payload": {}, "deliverAt": due.isoformat()}
        )

    assert to_micros((await stored(service, answer)).deliver_at) == to_micros(due)


async def test_a_retention_as_long_as_the_servers_is_taken(service: Service) -> None:
    async with service.client() as client:
        await made(client)
        answer = await client.post(
            "/app/acme/msg", json={"eventType": "a", "payload": {}, "payloadRetentionPeriod": 30}
        )

    assert answer.status_code == 202


async def test_a_raw_payload_is_sent_as_it_is(service: Service) -> None:
    raw = {"rawPayload": "<a/>", "headers": {"content-type": "text/xml; charset=utf-8", "x": 1}, "more": {}}
    async with service.client() as client:
        await made(client)
        answer = await client.post(
            "/app/acme/msg", json={"eventType": "a", "payload": {}, "transformationsParams": raw}
        )
    message = await stored(service, answer)

    assert (message.body, message.content_type) == (b"<a/>", "text/xml; charset=utf-8")
    assert (answer.json()["payload"], answer.json()["rawPayload"]) == ({}, "<a/>")


async def test_parameters_of_transformations_are_ignored(service: Service) -> None:
    async with service.client() as client:
        await made(client)
        answer = await client.post(
            "/app/acme/msg", json={"eventType": "a", "payload": {"x": 1}, "transformationsParams": {"a": [1.5]}}
        )

    assert (await stored(service, answer)).body == b'{"x":1}'


# --- who


async def test_a_customer_publishes_nothing(service: Service) -> None:
    async with service.client() as client:
        app_id = await made(client)
    async with service.client(service.customer_token(app_id)) as customer:
        paths = ("/app/acme/msg", "/app/acme/msg/batch")
        answers = [await customer.post(path, json={"eventType": "a", "payload": {}}) for path in paths]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(403, "insufficient_access")}


async def test_a_key_publishes_with_the_scope_for_it(service: Service) -> None:
    async with service.client() as client:
        await made(client)
        keys = [
            (await client.post("/auth/api-token", json={"name": "k", "scopes": [scope]})).json()["token"]
            for scope in ("publish", "manage")
        ]
    statuses = []
    for key in keys:
        async with service.client(key) as client:
            statuses.append((await client.post("/app/acme/msg", json={"eventType": "a", "payload": {}})).status_code)

    assert statuses == [202, 403]


async def test_nobody_publishes_without_a_credential(service: Service) -> None:
    async with service.client(None) as client:
        answer = await client.post("/app/acme/msg", json={"eventType": "a", "payload": {}})

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


# --- many


async def test_a_batch_is_stored_in_order(service: Service) -> None:
    messages = [{"eventType": "a", "payload": {"n": number}, "eventId": f"e{number}"} for number in range(100)]
    async with service.client() as client:
        await made(client)
        answer = await client.post("/app/acme/msg/batch", json={"messages": messages})
        listed = (await client.get("/app/acme/msg?limit=250&with_content=true")).json()["data"]

    kept = answer.json()["data"]
    assert answer.status_code == 202
    assert {(one["status"], one["error"]) for one in kept} == {(202, None)}
    assert [one["message"]["payload"]["n"] for one in kept] == list(range(100))
    assert sorted(one["id"] for one in listed) == [one["message"]["id"] for one in kept]


async def test_a_batch_with_one_that_does_not_fit_stores_none(service: Service) -> None:
    good = {"eventType": "a", "payload": {}}
    messages = [good, {"eventType": "a b", "payload": {}}, good, {"eventType": "a"}, {**good, "tags": [1]}]
    async with service.client() as client:
        await made(client)
        answer = await client.post("/app/acme/msg/batch", json={"messages": messages})
        listed = (await client.get("/app/acme/msg")).json()["data"]

    places = [fault["loc"] for fault in answer.json()["detail"]]
    assert (answer.status_code, listed) == (422, [])
    assert places == [
        ["body", "messages", 1, "eventType"],
        ["body", "messages", 3],
        ["body", "messages", 4, "tags", 0],
    ]


async def test_a_used_id_in_a_batch_spoils_no_other(service: Service) -> None:
    async with service.client() as client:
        await made(client)
        first = await client.post("/app/acme/msg", json={"eventType": "a", "payload": {"x": 1}, "eventId": "e1"})
        messages = [
            {"eventType": "a", "payload": {"x": 2}, "eventId": "e1"},
            {"eventType": "a", "payload": {"x": 1}, "eventId": "e1"},
            {"eventType": "a", "payload": {"x": 3}, "eventId": "e3"},
        ]
        answer = await client.post("/app/acme/msg/batch", json={"messages": messages})

    kept = answer.json()["data"]
    assert [one["status"] for one in kept] == [409, 202, 202]
    assert (kept[0]["message"], kept[0]["error"]["code"]) == (None, "conflict")
    assert kept[1]["message"] == first.json()


@pytest.mark.parametrize(
    "body", [{}, {"messages": []}, {"messages": [{"eventType": "a", "payload": {}}] * 1001}, {"messages": None}]
)
async def test_a_batch_of_none_or_too_many_is_refused(service: Service, body: Any) -> None:
    async with service.client() as client:
        await made(client)
        answer = await client.post("/app/acme/msg/batch", json=body)

    assert answer.status_code in {400, 422}


async def test_a_batch_makes_the_application_that_comes_along(service: Service) -> None:
    message = {"eventType": "a", "payload": {}, "application": {"name": "Fresh"}}
    async with service.client() as client:
        answer = await client.post("/app/fresh/msg/batch", json={"messages": [message, message]})
        found = await client.get("/app/fresh")

    assert (answer.status_code, found.status_code) == (202, 200)


# --- event types


class Invoice(BaseModel):
    id: int


def declared(url: str) -> Service:
    """An API of an application that declares something."""
    app = FastAPI()
    settings = Settings(database_url=url, secret_key=KEY, environment=ENVIRONMENT, worker=False)

    @app.webhooks.post("invoice.paid")
    def invoice_paid(body: Invoice) -> None: ...

    @app.webhooks.put("invoice.replaced")
    def invoice_replaced(body: Invoice, x_version: str = "7") -> None: ...

    @app.webhooks.post("with.header")
    def with_header(body: Invoice, x_needed: str = Header()) -> None: ...

    @app.webhooks.post("as.text")
    def as_text(body: Annotated[str, Body(media_type="text/plain")]) -> None: ...

    return Service(Webhooks(app, settings), app)


async def test_a_type_that_is_neither_declared_nor_stored_is_refused(url: str) -> None:
    service = declared(url)
    async with service.client() as client:
        await made(client)
        answers = [
            await client.post("/app/acme/msg", json={"eventType": name, "payload": {"id": 1}})
            for name in ("invoice.payed", "invoice.paid", "user.created")
        ]
        await client.post("/event-type", json={"name": "user.created", "description": ""})
        answers.append(await client.post("/app/acme/msg", json={"eventType": "user.created", "payload": {"id": 1}}))
        await client.delete("/event-type/user.created")
        archived = await client.post("/app/acme/msg", json={"eventType": "user.created", "payload": {"id": 1}})
    await service.webhooks.close()

    assert [answer.status_code for answer in answers] == [422, 202, 422, 202]
    assert answers[0].json()["detail"][0]["loc"] == ["body", "eventType"]
    assert "'invoice.paid'" in answers[0].json()["detail"][0]["msg"]
    assert archived.status_code == 202


async def test_a_declared_method_and_what_goes_with_it_are_honoured(url: str) -> None:
    service = declared(url)
    async with service.client() as client:
        await made(client)
        answer = await client.post("/app/acme/msg", json={"eventType": "invoice.replaced", "payload": {"id": 1}})
        message = await stored(service, answer)
    await service.webhooks.close()

    assert (message.method, message.query) == ("PUT", "x_version=7")


@pytest.mark.parametrize("name", ["with.header", "as.text"])
async def test_a_type_that_code_alone_can_send_is_refused(url: str, name: str) -> None:
    service = declared(url)
    async with service.client() as client:
        await made(client)
        answer = await client.post("/app/acme/msg", json={"eventType": name, "payload": {"id": 1}})
    await service.webhooks.close()

    assert answer.status_code == 422


async def test_a_payload_that_does_not_fit_its_declaration_is_refused(url: str) -> None:
    service = declared(url)
    message = {"eventType": "invoice.paid", "payload": {"id": "one"}}
    async with service.client() as client:
        await made(client)
        answer = await client.post("/app/acme/msg", json=message)
        batch = await client.post("/app/acme/msg/batch", json={"messages": [message]})
    await service.webhooks.close()

    assert [fault["loc"] for fault in answer.json()["detail"]] == [["body", "payload", "id"]]
    assert [fault["loc"] for fault in batch.json()["detail"]] == [["body", "messages", 0, "payload", "id"]]


# --- the routes


async def test_the_document_has_the_hot_routes(service: Service) -> None:
    document = service.webhooks.api.openapi()
    one = document["paths"]["/api/v1/app/{app_id}/msg"]["post"]
    many = document["paths"]["/api/v1/app/{app_id}/msg/batch"]["post"]

    assert (one["operationId"], many["operationId"]) == ("v1.message.create", "v1.message.create-batch")
    assert one["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/MessageIn")
    assert one["responses"]["202"]["content"]["application/json"]["schema"]["$ref"].endswith("/MessageOut")
    assert {"400", "401", "403", "404", "409", "413", "415", "422", "429", "500", "503"} <= set(many["responses"])
    assert one["x-scope"] == "publish"
    assert {"eventId", "deliverAt", "application"} <= set(document["components"]["schemas"]["MessageIn"]["properties"])


async def test_middleware_of_the_hosts_is_not_passed_by(service: Service) -> None:
    seen: list[str] = []

    class Seeing(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            seen.append(request.url.path)
            return await call_next(request)

    service.webhooks.api.user_middleware.append(Middleware(Seeing))
    async with service.client() as client:
        await made(client)
        answer = await client.post("/app/acme/msg", json={"eventType": "a", "payload": {"x": 1}})
        batch = await client.post("/app/acme/msg/batch", json={"messages": [{"eventType": "a", "payload": {}}]})

    assert (answer.status_code, answer.json()["payload"], batch.status_code) == (202, {"x": 1}, 202)
    assert seen[-2:] == ["/api/v1/app/acme/msg", "/api/v1/app/acme/msg/batch"]


async def test_it_answers_where_it_is_mounted(service: Service) -> None:
    host = FastAPI()
    host.mount("/hooks", service.webhooks.api)
    headers = {"authorization": f"Bearer {service.token()}"}
    transport = httpx.ASGITransport(host)
    async with httpx.AsyncClient(transport=transport, base_url="http://api/hooks/api/v1", headers=headers) as client:
        await made(client)
        paths = ("/app/acme/msg", "/app/acme/msg/", "/app/acme/msg?with_content=false")
        statuses = [(await client.post(path, json={"eventType": "a", "payload": {}})).status_code for path in paths]
        link = (await client.post("/auth/app-portal-access/acme/", json={})).json()["url"]

    assert statuses == [202, 202, 202]
    assert link.startswith("http://api/hooks/portal#code=")
