"""Whatever is in a path, a query or a body of what looks, mends and stops: the answer says what is wrong with it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.api.conftest import Service
from tests.api.scene import Scene, scene_of

LISTS = (
    "/app/acme/msg",
    "/app/acme/attempt/endpoint/mine",
    "/app/acme/attempt/msg/order-1",
    "/app/acme/endpoint/mine/msg",
    "/app/acme/msg/order-1/endpoint",
    "/app/acme/delivery",
    "/delivery",
    "/audit",
    "/app/acme/audit",
    "/endpoint",
    "/background-task",
)
QUERIES = (
    *(f"before={time}" for time in ("0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59", "1e400", "NaN", "-1")),
    *(f"after={time}" for time in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "99999999999999999999")),
    *(f"iterator={place}" for place in ("MTIz", "-", "-MTIz", "%FF", "AAAA.", "9" * 1000)),
    *(f"limit={limit}" for limit in ("1e2", "9" * 30, "")),
    *(f"tag={tag}" for tag in ("%FF", "%ED%A0%80", "%00", "x" * 300)),
    "channel=",
    "event_types=,",
    "event_types=" + ",".join(f"a{number}" for number in range(300)),
    *(f"{name}=%00" for name in ("app_id", "actor", "action", "endpoint_id", "msg_id")),
    *("status=", "status=-1", "status_code_class=x", "order=up", "task=x", "failing=x", "with_content="),
)
NAMES = ("%FF", "%ED%A0%80", "%00", "msg_", "x" * 256, "x" * 257, "..%2F", "msg_" + "z" * 22, "%F0%9F%98%80")
BODIES = (
    *("[]", "null", "1", '"x"', "{", '{"since": 1e400}', '{"since": -1}', '{"since": 0, "until": 253402300799}'),
    '{"since": "0001-01-01T00:00:00+23:59"}',
    '{"since": "9999-12-31T23:59:59-23:59"}',
    '{"since": "2026-01-01T00:00:00Z", "until": "9999-12-31T23:59:59Z"}',
    '{"since": "2026-01-01", "status": true, "eventTypes": ["\\ud800"]}',
    '{"since": "2026-01-01T00:00:00", "tag": "\\u0000"}',
    *('{"ids": []}', '{"ids": ["\\u0000"]}', '{"ids": null}', '{"everything": 1}', '{"appId": "\\u0000"}'),
    '{"eventType": "a", "channels": ["\\ud800"]}',
    *('{"endpointId": "ep_zzzzzzzzzzzzzzzzzzzzzz"}', '{"msgId": "msg_zz"}', '{"tag": ""}'),
)
POSTS = (
    "/app/acme/endpoint/mine/recover",
    "/app/acme/endpoint/mine/replay-missing",
    "/app/acme/endpoint/mine/bulk-replay",
    "/stats/usage/app",
    "/pause",
    "/resume",
    "/cancel",
    "/cancel/preview",
    "/app/acme/cancel",
    "/app/acme/cancel/preview",
    "/app/acme/msg/bulk-expunge",
    "/app/acme/msg/precheck/active",
    "/app/acme/endpoint/probe",
)


@pytest.fixture
async def scene(service: Service) -> AsyncIterator[Scene]:
    async with scene_of(service) as scene:
        await scene.endpoint(uid="mine")
        await scene.send(key="order-1")
        yield scene


async def test_a_query_is_read_or_refused(scene: Scene) -> None:
    asked = [f"{path}?{query}" for path in LISTS for query in QUERIES]

    answers = {path: (await scene.client.get(path)).status_code for path in asked}

    assert {path: status for path, status in answers.items() if status not in (200, 404, 422)} == {}


async def test_a_name_is_found_or_not(scene: Scene) -> None:
    looked = [
        f"{start}/{name}{end}"
        for name in NAMES
        for start, end in (
            ("/app/acme/msg", ""),
            ("/app", "/msg"),
            ("/app/acme/attempt/endpoint", ""),
            ("/app/acme/msg/order-1/attempt", ""),
            ("/background-task", ""),
            ("/app/acme/msg", "/match"),
        )
    ]

    answers = {path: (await scene.client.get(path)).status_code for path in looked}

    assert {path: status for path, status in answers.items() if status not in (404, 422)} == {}


async def test_a_body_is_done_or_refused(scene: Scene) -> None:
    kind = {"content-type": "application/json"}
    asked = [(path, body) for path in POSTS for body in BODIES]

    answers = {
        (path, body): (await scene.client.post(path, content=body, headers=kind)).status_code for path, body in asked
    }

    assert {asked: status for asked, status in answers.items() if status >= 500} == {}


@pytest.mark.parametrize("time", ["0", "1767225600", "1767225600000", "0.5", "-1", "1e3", " 5 "])
async def test_a_number_is_no_time(scene: Scene, time: str) -> None:
    path = "/app/acme/cancel/preview"
    asked = await scene.client.get("/app/acme/msg", params={"before": time})
    told = [await scene.client.post(path, json={"since": since}) for since in (time, float(time))]
    fit = await scene.client.post(path, json={"since": "2026-01-31T12:00:00Z"})

    assert [answer.status_code for answer in (asked, *told)] == [422, 422, 422]
    assert fit.status_code == 200
