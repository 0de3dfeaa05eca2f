"""The published Python SDK, unmodified, on applications, endpoints, event types and operational endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from svix import models
from svix.api import Svix, SvixOptions
from svix.exceptions import HttpError, HTTPValidationError

from tests.api.conftest import Service, served

URL = "https://127.0.0.1:9/hook"


@contextmanager
def sdk(service: Service) -> Iterator[Svix]:
    """Give an SDK's client of a served API."""
    with served(service) as address:
        client = Svix(service.token(), SvixOptions(server_url=address))
        try:
            yield client
        finally:
            client._httpx_client.close()


def test_applications(service: Service) -> None:
    with sdk(service) as client:
        made = client.application.create(models.ApplicationIn(name="A", uid="acme", metadata={"a": "b"}))
        same = client.application.get_or_create(models.ApplicationIn(name="A", uid="acme"))
        found = client.application.get("acme")
        put = client.application.upsert("acme", models.ApplicationIn(name="B"))
        patched = client.application.patch("acme", models.ApplicationPatch(throttle_rate=5))
        listed = client.application.list()
        client.application.delete("acme")
        with pytest.raises(HttpError) as missing:
            client.application.get("acme")

    assert made == same == found
    assert (put.name, put.metadata, patched.throttle_rate) == ("B", {}, 5)
    assert (listed.data, listed.done) == ([patched], True)
    assert (missing.value.status_code, missing.value.code) == (404, "not_found")


def test_event_types(service: Service) -> None:
    schemas = {"1": {"type": "object", "properties": {"x": {"type": "integer"}}}}
    spec = {"openapi": "3.1.0", "webhooks": {"a": {"post": {"description": "A"}}}}
    with sdk(service) as client:
        kinds = client.event_type
        made = kinds.create(models.EventTypeIn(name="o.paid", description="D", schemas=schemas, feature_flags=["beta"]))
        put = kinds.upsert("o.paid", models.EventTypeUpsertIn(description="E", group_name="g"))
        patched = kinds.patch("o.paid", models.EventTypePatch(schemas=schemas))
        dry = kinds.import_openapi(models.EventTypeImportOpenApiIn(spec=spec, dry_run=True)).data
        wet = kinds.import_openapi(
            models.EventTypeImportOpenApiIn(spec_raw="openapi: 3.1.0\nwebhooks: {b: {post: {}}}")
        )
        listed = kinds.list()
        kinds.delete("b")
        with pytest.raises(HTTPValidationError) as refused:
            kinds.create(models.EventTypeIn(name="c", description="", schemas={"1": {"type": "objekt"}}))

    assert (made.schemas, made.feature_flags, put.schemas, put.group_name) == (schemas, ["beta"], None, "g")
    assert (patched.description, patched.schemas) == ("E", schemas)
    assert dry.to_modify is not None
    assert [(event.name, event.description) for event in dry.to_modify] == [("a", "A")]
    assert wet.data.modified == ["b"]
    assert [event.name for event in listed.data] == ["b", "o.paid"]
    assert refused.value.detail[0].loc == ["body", "schemas", "1", "type"]


def test_endpoints(service: Service) -> None:
    headers = {"x-a": "b", "x-api-key": "s"}
    with sdk(service) as client:
        client.application.create(models.ApplicationIn(name="A", uid="acme"))
        client.event_type.create(models.EventTypeIn(name="o", description="", schemas={"1": {"examples": [{"x": 1}]}}))
        made = client.endpoint.create("acme", models.EndpointIn(url=URL, uid="one", event_types=["o"], headers=headers))
        put = client.endpoint.upsert("acme", "one", models.EndpointUpsertIn(url=URL + "2"))
        off = client.endpoint.patch("acme", "one", models.EndpointPatch(description="Q", disabled=True))
        on = client.endpoint.patch("acme", "one", models.EndpointPatch(disabled=False))
        before = client.endpoint.get_headers("acme", "one")
        client.endpoint.set_headers("acme", "one", models.EndpointHeadersIn(headers={"z": "1"}))
        client.endpoint.patch_headers(
            "acme", "one", models.EndpointHeadersPatchIn(headers={"y": "2"}, delete_headers=["z"])
        )
        after = client.endpoint.get_headers("acme", "one")
        rotated = client.endpoint.rotate_secret("acme", "one", models.EndpointSecretRotateIn(key="A" * 32))
        secret = client.endpoint.get_secret("acme", "one")
        example = client.endpoint.send_example("acme", "one", models.EventExampleIn(event_type="o"))
        stats = client.endpoint.get_stats("acme", "one"), client.endpoint.get_attempt_stats("acme", "one")
        listed = client.endpoint.list("acme")
        client.endpoint.delete("acme", "one")

    assert (made.event_types, put.id, put.event_types) == (["o"], made.id, None)
    assert (off.disabled, off.description, on.disabled) == (True, "Q", False)
    assert (before.headers, before.sensitive, after.headers) == ({"x-a": "b"}, ["x-api-key"], {"y": "2"})
    assert rotated.key == secret.key == "whsec_" + "A" * 32
    assert (example.payload, example.tags) == ({"x": 1}, ["example"])
    assert [figures.success for figures in stats] == [0, 0]
    assert [endpoint.id for endpoint in listed.data] == [made.id]


def test_operational_endpoints(service: Service) -> None:
    with sdk(service) as client:
        endpoints = client.operational_webhook.endpoint
        made = endpoints.create(models.OperationalWebhookEndpointIn(url=URL, event_types=["endpoint.disabled"]))
        put = endpoints.upsert(made.id, models.OperationalWebhookEndpointUpsertIn(url=URL + "2"))
        endpoints.set_headers(made.id, models.OperationalWebhookEndpointHeadersIn(headers={"a": "b"}))
        headers = endpoints.get_headers(made.id)
        endpoints.rotate_secret(made.id, models.OperationalWebhookEndpointSecretIn(key="A" * 32))
        secret = endpoints.get_secret(made.id)
        listed = endpoints.list()
        endpoints.delete(made.id)

    assert (made.event_types, put.url, put.event_types) == (["endpoint.disabled"], URL + "2", None)
    assert (headers.headers, secret.key) == ({"a": "b"}, "whsec_" + "A" * 32)
    assert [endpoint.id for endpoint in listed.data] == [made.id]
