"""The published Python SDK, unmodified, blocking and asynchronous: what is looked after with it, and its errors."""

from __future__ import annotations

import pytest
from svix import models
from svix.api import ApplicationListOptions, EventTypeListOptions, MessageListOptions
from svix.exceptions import HttpError, HTTPValidationError

from tests.api.sdk import Sdk, application, endpoint, said

URL = "https://127.0.0.1:9/hook"


async def test_applications(sdk: Sdk) -> None:
    client, uid = sdk.client, sdk.name
    given = models.ApplicationIn(name="A", uid=uid, metadata={"a": "b"})
    made = await client.application.create(given)
    same = await client.application.get_or_create(given)
    found = await client.application.get(uid)
    by_id = await client.application.get(made.id)
    put = await client.application.upsert(uid, models.ApplicationIn(name="B"))
    patched = await client.application.patch(uid, models.ApplicationPatch(throttle_rate=5))
    listed = await client.application.list(ApplicationListOptions(limit=1, order=models.Ordering.DESCENDING))
    await client.application.delete(uid)
    with pytest.raises(HttpError) as missing:
        await client.application.get(uid)

    assert made == same == found == by_id
    assert (made.uid, made.metadata) == (uid, {"a": "b"})
    assert (put.id, put.name, put.metadata, patched.throttle_rate) == (made.id, "B", {}, 5)
    assert listed.data == [patched]
    assert (missing.value.status_code, missing.value.code) == (404, "not_found")


async def test_event_types(sdk: Sdk) -> None:
    schemas = {"1": {"type": "object", "properties": {"x": {"type": "integer"}}}}
    name = sdk.name
    spec = {"openapi": "3.1.0", "webhooks": {f"{name}.a": {"post": {"description": "A"}}}}
    kinds = sdk.client.event_type
    made = await kinds.create(
        models.EventTypeIn(name=f"{name}.o", description="D", schemas=schemas, feature_flags=["beta"])
    )
    put = await kinds.upsert(f"{name}.o", models.EventTypeUpsertIn(description="E", group_name="g"))
    patched = await kinds.patch(f"{name}.o", models.EventTypePatch(schemas=schemas))
    dry = (await kinds.import_openapi(models.EventTypeImportOpenApiIn(spec=spec, dry_run=True))).data
    raw = f"openapi: 3.1.0\nwebhooks: {{{name}.b: {{post: {{}}}}}}"
    wet = await kinds.import_openapi(models.EventTypeImportOpenApiIn(spec_raw=raw))
    listed = await kinds.list()
    await kinds.delete(f"{name}.b")
    archived = await kinds.get(f"{name}.b")
    left = await kinds.list()
    with_archived = await kinds.list(EventTypeListOptions(include_archived=True, with_content=True))
    with pytest.raises(HTTPValidationError) as refused:
        await kinds.create(models.EventTypeIn(name=f"{name}.c", description="", schemas={"1": {"type": "objekt"}}))

    assert (made.schemas, made.feature_flags, put.schemas, put.group_name) == (schemas, ["beta"], None, "g")
    assert (patched.description, patched.schemas) == ("E", schemas)
    assert [(event.name, event.description) for event in dry.to_modify or ()] == [(f"{name}.a", "A")]
    assert wet.data.modified == [f"{name}.b"]
    assert [event.name for event in listed.data if event.name.startswith(name)] == [f"{name}.b", f"{name}.o"]
    assert archived.archived
    assert [f"{name}.b" in [event.name for event in page.data] for page in (left, with_archived)] == [False, True]
    assert refused.value.detail[0].loc == ["body", "schemas", "1", "type"]


async def test_endpoints(sdk: Sdk) -> None:
    client, app = await application(sdk)
    made = await endpoint(client, app, URL, uid="one", event_types=["o"], channels=["eu"], metadata={"k": "v"})
    put = await client.endpoint.upsert(app, "one", models.EndpointUpsertIn(url=URL + "2"))
    off = await client.endpoint.patch(app, "one", models.EndpointPatch(description="Q", disabled=True))
    on = await client.endpoint.patch(app, "one", models.EndpointPatch(disabled=False, event_types=["p"]))
    found = await client.endpoint.get(app, made.id)
    listed = await client.endpoint.list(app)
    await client.endpoint.delete(app, "one")
    with pytest.raises(HttpError) as missing:
        await client.endpoint.get(app, "one")

    assert (made.event_types, made.channels, made.metadata, made.disabled) == (["o"], ["eu"], {"k": "v"}, False)
    assert (put.id, put.url, put.event_types, put.channels) == (made.id, URL + "2", None, None)
    assert (off.disabled, off.description, on.disabled, on.event_types) == (True, "Q", False, ["p"])
    assert found == on
    assert listed.data == [on]
    assert missing.value.status_code == 404


async def test_headers_of_an_endpoint(sdk: Sdk) -> None:
    client, app = await application(sdk)
    await endpoint(client, app, URL, uid="one", headers={"x-a": "b", "x-api-key": "s"})
    before = await client.endpoint.get_headers(app, "one")
    await client.endpoint.set_headers(app, "one", models.EndpointHeadersIn(headers={"z": "1"}))
    patch = models.EndpointHeadersPatchIn(headers={"y": "2"}, delete_headers=["z"])
    await client.endpoint.patch_headers(app, "one", patch)
    after = await client.endpoint.get_headers(app, "one")

    assert (before.headers, before.sensitive, after.headers) == ({"x-a": "b"}, ["x-api-key"], {"y": "2"})


async def test_operational_endpoints(sdk: Sdk) -> None:
    endpoints = sdk.client.operational_webhook.endpoint
    given = models.OperationalWebhookEndpointIn(url=URL, event_types=["endpoint.disabled"])
    made = await endpoints.create(given)
    put = await endpoints.upsert(made.id, models.OperationalWebhookEndpointUpsertIn(url=URL + "2"))
    await endpoints.set_headers(made.id, models.OperationalWebhookEndpointHeadersIn(headers={"a": "b"}))
    headers = await endpoints.get_headers(made.id)
    await endpoints.rotate_secret(made.id, models.OperationalWebhookEndpointSecretIn(key="A" * 32))
    secret = await endpoints.get_secret(made.id)
    listed = await endpoints.list()
    await endpoints.delete(made.id)

    assert (made.event_types, put.url, put.event_types) == (["endpoint.disabled"], URL + "2", None)
    assert (headers.headers, secret.key) == ({"a": "b"}, "whsec_" + "A" * 32)
    assert [endpoint.id for endpoint in listed.data] == [made.id]


async def test_health(sdk: Sdk) -> None:
    assert await sdk.client.health.get() is None


async def test_errors_are_the_sdks_own(sdk: Sdk) -> None:
    client, app = await application(sdk)
    with pytest.raises(HttpError) as nobody:
        await sdk.speaking("nothing").application.list()
    with pytest.raises(HttpError) as missing:
        await client.message.create("nobody", said())
    with pytest.raises(HttpError) as twice:
        await client.application.create(models.ApplicationIn(name="A", uid=app))
    with pytest.raises(HttpError) as not_here:
        await client.integration.list(app)  # a part of the dialect that is not here
    with pytest.raises(HTTPValidationError) as unfit:
        await client.endpoint.create(app, models.EndpointIn(url="ftp://127.0.0.1/"))
    with pytest.raises(HTTPValidationError) as too_many:
        await client.message.list(app, MessageListOptions(limit=251))

    assert [(error.value.status_code, bool(error.value.detail)) for error in (nobody, missing, twice, not_here)] == [
        (401, True),
        (404, True),
        (409, True),
        (404, True),
    ]
    assert (unfit.value.status_code, unfit.value.detail[0].loc) == (422, ["body", "url"])
    assert (too_many.value.status_code, too_many.value.detail[0].loc) == (422, ["query", "limit"])
