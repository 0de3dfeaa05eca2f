"""Applications through the API."""

from __future__ import annotations

import pytest

from tests.api.conftest import Service

pytestmark = pytest.mark.asyncio


async def test_health_asks_nobody_who_he_is(service: Service) -> None:
    async with service.client(None) as client:
        answer = await client.get("/health")

    assert answer.status_code == 204


async def test_without_a_credential_there_is_nothing_to_see(service: Service) -> None:
    async with service.client(None) as client:
        answer = await client.get("/app")

    assert (answer.status_code, answer.json()["code"]) == (401, "authentication_failed")
