"""Payloads against the JSON Schema of their event type."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from typing import Any

import pytest
from pydantic import BaseModel

from anzol.api.ground import Ground
from anzol.api.problems import Problem
from anzol.api.validation import FRESH, LONGEST, MOST_FAULTS, QUIET, Validator, check_schemas, newest
from anzol.errors import NotFound, StorageUnreachable
from anzol.lifecycle import Validation
from anzol.storage.books import EventTypeChanges
from tests.api.acting import application, good, place
from tests.api.conftest import ENVIRONMENT, Service

SCHEMA = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "integer"},
        "lines": {"type": "array", "items": {"type": "object", "required": ["sku"]}},
    },
}


class Invoice(BaseModel):
    amount: int


class Hands:
    """A process's clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def ground_of(service: Service) -> Ground:
    ground: Ground = service.webhooks.api.state.ground
    return ground


async def stored(service: Service, schema: Any, manner: Validation = Validation.REFUSE, name: str = "order") -> None:
    """Store an event type, behind the API's back: as another process does."""
    storage = await ground_of(service).storage()
    schemas = None if schema is None else {"1": schema}
    await storage.put_event_type(ENVIRONMENT, name, EventTypeChanges(schemas=schemas, validation=manner), make=True)


async def faults(validator: Validator, payload: Any, name: str = "order") -> list[tuple[tuple[str | int, ...], str]]:
    """Return the places and kinds of a payload's faults; a text is the payload's JSON."""
    try:
        await validator.check(ENVIRONMENT, name, payload if isinstance(payload, str | bytes) else json.dumps(payload))
    except Problem as problem:
        return [(where, kind) for where, _, kind in problem.faults]
    return []


async def test_every_fault_is_told_with_its_place(service: Service) -> None:
    await stored(service, SCHEMA)
    validator = Validator(ground_of(service))

    assert await faults(validator, {"id": 1, "lines": [{"sku": "a"}]}) == []
    assert await faults(validator, {"id": "x", "lines": [{"sku": 1}, {}, 5]}) == [
        (("body", "payload", "id"), "type"),
        (("body", "payload", "lines", 1), "required"),
        (("body", "payload", "lines", 2), "type"),
    ]
    assert await faults(validator, {}) == [(("body", "payload"), "required")]


async def test_what_nobody_has_described_is_let_through(service: Service) -> None:
    await stored(service, None, name="plain")
    validator = Validator(ground_of(service))

    for name in ("plain", "unknown"):
        assert await faults(validator, {"a": 1}, name) == []
        assert await faults(validator, "no json, and not looked at", name) == []


async def test_what_is_done_is_chosen_for_each_event_type(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    clock = Hands()
    validator = Validator(ground_of(service), clock)
    await stored(service, SCHEMA, Validation.WARN)
    await stored(service, SCHEMA, Validation.OFF, name="off")
    with caplog.at_level(logging.WARNING, "anzol.api"):
        for _ in range(3):
            assert await faults(validator, {"id": "s3cret"}) == []
        assert await faults(validator, {"id": "s3cret"}, "off") == []
        first = list(caplog.messages)
        clock.now += QUIET
        assert await faults(validator, {"id": "s3cret"}) == []

    assert first == ["A payload of order does not fit its schema, and was accepted: payload.id (type)."]
    assert caplog.messages == first * 2


async def test_a_change_in_another_process_counts_within_seconds(service: Service) -> None:
    clock = Hands()
    validator = Validator(ground_of(service), clock)
    await stored(service, SCHEMA)
    before = await faults(validator, {})
    await stored(service, {"required": ["other"]})
    still = await faults(validator, {"id": 1})
    clock.now += FRESH
    after = await faults(validator, {"id": 1})
    await stored(service, {"required": ["other"]}, Validation.OFF)
    clock.now += FRESH
    off = await faults(validator, {"id": 1})
    await stored(service, None)
    clock.now += FRESH

    assert (before, still, after) == (
        [(("body", "payload"), "required")],
        [],
        [(("body", "payload"), "required")],
    )
    assert (off, await faults(validator, {"id": 1})) == ([], [])


async def test_a_change_in_this_process_counts_at_once(service: Service) -> None:
    async with service.client() as client:
        validator: Validator = service.webhooks.api.state.validator
        assert await faults(validator, {}) == []
        made = {"name": "order", "description": "", "schemas": {"1": SCHEMA}}
        good(await client.post("/event-type", json=made), 201)
        refused = await faults(validator, {})
        good(await client.patch("/event-type/order", json={"validation": "off"}))
        off = await faults(validator, {})
        good(
            await client.put(
                "/event-type/order", json={"description": "", "validation": "refuse", "schemas": {"1": SCHEMA}}
            )
        )
        again = await faults(validator, {})
        await client.delete("/event-type/order", params={"expunge": True})

        assert (len(refused), off, len(again), await faults(validator, {})) == (1, [], 1, [])


async def test_a_schema_is_compiled_once_and_looked_for_no_oftener_than_it_gets_old(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from anzol.api import validation

    await stored(service, SCHEMA)
    clock, ground = Hands(), ground_of(service)
    storage = await ground.storage()
    looks, compiles = [], []
    look, compiled = storage.event_type, validation.compiled
    monkeypatch.setattr(storage, "event_type", lambda *given: looks.append(given) or look(*given))
    monkeypatch.setattr(validation, "compiled", lambda schema: compiles.append(schema) or compiled(schema))
    validator = Validator(ground, clock)

    for _ in range(5):
        for _ in range(10):
            await faults(validator, {})
        clock.now += FRESH

    assert (len(looks), len(compiles)) == (5, 1)


async def test_while_one_looks_again_the_others_go_on_with_what_was_known(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stored(service, SCHEMA)
    clock, ground = Hands(), ground_of(service)
    validator = Validator(ground, clock)
    await faults(validator, {})
    storage, held = await ground.storage(), asyncio.Event()
    look = storage.event_type

    async def slow(*given: str) -> Any:
        await held.wait()
        return await look(*given)

    monkeypatch.setattr(storage, "event_type", slow)
    clock.now += FRESH
    looking = asyncio.create_task(faults(validator, {}))
    await asyncio.sleep(0)
    others = [await faults(validator, {}) for _ in range(3)]
    held.set()

    assert [len(found) for found in (*others, await looking)] == [1, 1, 1, 1]


async def test_a_database_that_does_not_answer_lets_nothing_through_unchecked(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stored(service, SCHEMA)
    clock, ground = Hands(), ground_of(service)
    validator = Validator(ground, clock)
    await faults(validator, {})
    storage = await ground.storage()

    async def away(*given: str) -> Any:
        raise StorageUnreachable("away")

    with monkeypatch.context() as patched:
        patched.setattr(storage, "event_type", away)
        clock.now += FRESH
        for _ in range(2):
            with pytest.raises(StorageUnreachable):
                await validator.check(ENVIRONMENT, "order", "{}")

    assert len(await faults(validator, {})) == 1


async def test_what_is_remembered_is_bounded(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    from anzol.api import validation

    monkeypatch.setattr(validation, "REMEMBERED", 3)
    ground = ground_of(service)
    storage = await ground.storage()
    looks: list[str] = []

    async def nothing(environment: str, name: str) -> Any:
        looks.append(name)
        raise NotFound(name)

    monkeypatch.setattr(storage, "event_type", nothing)
    validator = Validator(ground, Hands())
    for name in ("a", "b", "c", "c", "d", "a"):
        await faults(validator, {}, name)

    assert looks == ["a", "b", "c", "d", "a"]


async def test_environments_are_kept_apart(service: Service) -> None:
    await stored(service, SCHEMA)
    validator = Validator(ground_of(service))

    await validator.check("sandbox", "order", "{}")
    assert len(await faults(validator, {})) == 1


async def test_what_code_declares_is_checked_by_what_code_declares(service: Service) -> None:
    @service.app.webhooks.post("invoice.paid")
    def invoice_paid(body: Invoice) -> None:
        """An invoice was paid."""

    @service.app.webhooks.put("invoice.paid")
    def invoice_put(body: list[int]) -> None:
        """POST counts."""

    validator = Validator(ground_of(service))
    await stored(service, {"type": "string"}, name="invoice.paid")

    assert await faults(validator, {"amount": 1}, "invoice.paid") == []
    assert await faults(validator, {"amount": "x"}, "invoice.paid") == [(("body", "payload", "amount"), "type")]


async def test_a_webhook_declared_late_counts(service: Service) -> None:
    clock = Hands()
    validator = Validator(ground_of(service), clock)
    before = await faults(validator, {}, "invoice.paid")

    @service.app.webhooks.post("invoice.paid")
    def invoice_paid(body: Invoice) -> None:
        """An invoice was paid."""

    clock.now += FRESH

    assert before == []
    assert await faults(validator, {}, "invoice.paid") == [(("body", "payload"), "required")]


# --- what is in payloads and schemas


async def test_numbers_of_any_size_are_compared_as_they_are(service: Service) -> None:
    await stored(service, {"properties": {"n": {"type": "integer", "maximum": 9007199254740993}}})
    validator = Validator(ground_of(service))

    assert await faults(validator, '{"n": 9007199254740993}') == []
    assert await faults(validator, '{"n": 9007199254740994}') == [(("body", "payload", "n"), "maximum")]
    assert await faults(validator, '{"n": ' + "9" * 4000 + "}") == [(("body", "payload", "n"), "maximum")]
    assert await faults(validator, '{"n": ' + "9" * 5000 + "}") == [(("body", "payload"), "json_invalid")]
    assert await faults(validator, '{"n": 1.0}') == []


@pytest.mark.parametrize("payload", ["[" * 200_000, "{", "", b"\xff", "NaN x"])
async def test_what_cannot_be_read_is_a_fault_and_no_crash(service: Service, payload: str | bytes) -> None:
    await stored(service, SCHEMA)

    assert await faults(Validator(ground_of(service)), payload) == [(("body", "payload"), "json_invalid")]


async def test_what_is_deeper_than_can_be_checked_is_a_fault(service: Service) -> None:
    await stored(service, True)
    found = await faults(Validator(ground_of(service)), "[" * 900 + "]" * 900)

    assert found in ([], [(("body", "payload"), "value_error")])


async def test_faults_are_bounded_in_number_and_length_and_hold_nothing_of_the_payload(service: Service) -> None:
    await stored(service, {"items": {"enum": ["x" * 1000]}})
    with pytest.raises(Problem) as refused:
        await Validator(ground_of(service)).check(ENVIRONMENT, "order", json.dumps(["s3cret"] * 1000))

    assert len(refused.value.faults) == MOST_FAULTS
    assert all(len(reason) < LONGEST + 10 for _, reason, _ in refused.value.faults)
    assert b"s3cret" not in refused.value.body()


async def test_formats_refuse_nothing(service: Service) -> None:
    seventh = "http://json-schema.org/draft-07/schema#"
    await stored(service, {"properties": {"at": {"format": "date-time"}}})
    await stored(service, {"$schema": seventh, "properties": {"at": {"format": "date-time"}}}, name="seventh")
    validator = Validator(ground_of(service))

    assert await faults(validator, {"at": "2026-01-31T12:00:00"}) == []
    assert await faults(validator, {"at": "yesterday"}, "seventh") == []


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(?=a)(a+)+$", r"(?=a)(a|a)*b(?=c)", r"(a*)*\1b"])
async def test_no_pattern_takes_forever(service: Service, pattern: str) -> None:
    await stored(service, {"pattern": pattern})
    validator = Validator(ground_of(service))

    # Without a bound this would not end.
    assert await faults(validator, json.dumps("a" * 100_000 + "!")) == [(("body", "payload"), "pattern")]


async def test_patterns_with_a_look_ahead_work(service: Service) -> None:
    await stored(service, {"pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"})  # as pydantic writes a Decimal
    validator = Validator(ground_of(service))

    assert await faults(validator, '"12.50"') == []
    assert await faults(validator, '"+."') == [(("body", "payload"), "pattern")]


async def test_a_schema_that_leads_to_itself_checks(service: Service) -> None:
    await stored(service, {"type": "object", "properties": {"child": {"$ref": "#"}}})

    assert await faults(Validator(ground_of(service)), {"child": {"child": 5}}) == [
        (("body", "payload", "child", "child"), "type")
    ]


@pytest.mark.parametrize(
    ("schemas", "version"),
    [
        ({"1": "one", "2": "two"}, "two"),
        ({"9": "nine", "10": "ten"}, "ten"),
        ({"010": "ten", "9": "nine"}, "ten"),
        ({"draft": "d", "1": "one"}, "one"),
        ({"a": "first", "b": "second"}, "second"),
        ({}, None),
        (None, None),
    ],
)
def test_the_highest_version_counts(schemas: dict[str, Any] | None, version: str | None) -> None:
    assert newest(schemas) == version


def test_nothing_that_a_schema_refers_to_is_fetched() -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.5)

        def answer() -> None:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                return
            asked.append(connection.recv(1000))
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/schema"
        for schema in ({"$ref": url}, {"$schema": url}, {"$id": url, "items": {"$ref": "other"}}, {"$dynamicRef": url}):
            with pytest.raises(Problem):
                check_schemas({"1": schema}, "body", "schemas")
        thread.join()

    assert asked == []


# --- where messages come in


async def test_a_message_that_does_not_fit_is_refused_and_nothing_is_stored(service: Service) -> None:
    async with service.client() as client:
        await application(client)
        made = {"name": "order", "description": "", "schemas": {"1": SCHEMA}}
        good(await client.post("/event-type", json=made), 201)
        answer = await client.post("/app/acme/msg", json={"eventType": "order", "payload": {"id": 1, "lines": [{}]}})
        listed = good(await client.get("/app/acme/msg"))
        fitting = await client.post("/app/acme/msg", json={"eventType": "order", "payload": {"id": 1}})

    assert place(answer) == ["body", "payload", "lines", 0]
    assert listed["data"] == []
    assert fitting.status_code == 202


async def test_a_message_keeps_its_bytes_whatever_was_checked(service: Service) -> None:
    text = '{"id":1,"z":1.50,"a":12345678901234567890123,"é":"\\u00e9"}'
    async with service.client() as client:
        await application(client)
        made = {"name": "order", "description": "", "schemas": {"1": SCHEMA}}
        good(await client.post("/event-type", json=made), 201)
        body = f'{{"eventType":"order","payload":{text}}}'.encode()
        headers = {"content-type": "application/json"}
        sent = good(await client.post("/app/acme/msg", content=body, headers=headers), 202)
        storage = await ground_of(service).storage()
        kept = await storage.message(ENVIRONMENT, sent["id"])

    assert kept.body == text.encode()
