"""Whose a PostgreSQL database is, and with which key: copies, renamed homes, keys that are changed or lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from anzol.clock import OwnedClock
from anzol.errors import SchemaOutdated, VaultError, WrongDeployment
from anzol.lifecycle import Cause, State
from anzol.storage.postgres import deployment, keeping
from anzol.storage.postgres.engine import PostgresStorage
from anzol.storage.postgres.migrating import migrate
from anzol.storage.postgres.work import Work
from anzol.storage.vault import Vault
from tests.contract.conftest import ENVIRONMENT, KEY, Scene, raw
from tests.postgres import Server
from tests.storage.stage import Stage, begin

NEW = "n" * 43
Open = Callable[..., Scene]


@pytest.fixture
async def opened(postgres: Server, schema: str) -> AsyncIterator[Open]:
    """Open the database as another process would, with these keys."""
    await migrate(postgres.uri(), schema)
    clock = OwnedClock()
    async with AsyncExitStack() as stack:

        def open_with(*keys: str) -> Scene:
            storage = PostgresStorage(postgres.uri(), schema=schema, clock=clock, vault=Vault(keys or (KEY,)))
            stack.push_async_callback(storage.close)
            return Scene(storage, clock)

        yield open_with


async def test_a_database_without_the_schema_is_refused(postgres: Server, schema: str) -> None:
    storage = PostgresStorage(postgres.uri(), schema=schema, clock=OwnedClock(), vault=Vault((KEY,)))

    with pytest.raises(SchemaOutdated, match="anzol migrate"):
        await storage.prepare(deployment="test")
    await storage.close()


async def test_of_many_that_start_at_once_with_two_marks_one_mark_is_set(opened: Open) -> None:
    marks = ["one", "other"] * 4

    answers = await asyncio.gather(
        *(opened().storage.prepare(deployment=mark) for mark in marks), return_exceptions=True
    )

    refused = {mark for mark, answer in zip(marks, answers, strict=True) if answer is not None}
    assert len(refused) == 1
    assert {type(answer) for answer in answers} == {type(None), WrongDeployment}


async def test_another_key_is_refused_without_a_word_of_a_key_file(opened: Open) -> None:
    await opened().storage.prepare(deployment="test")

    with pytest.raises(VaultError, match="ANZOL_SECRET_KEY") as caught:
        await opened("z" * 43).storage.prepare(deployment="test")

    assert "file" not in caught.value.do
    assert "ANZOL_OLD_SECRET_KEYS" in caught.value.do


async def test_an_adopted_copy_sends_nothing_of_what_waited(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "WITHDRAWN", 2)
    production = opened()
    await production.storage.prepare(deployment="production")
    await production.endpoint()
    for _ in range(5):
        await production.send()
    await (await production.worker()).round()
    for _ in range(3):
        await production.send()
    staging = opened()
    with pytest.raises(WrongDeployment, match="production"):
        await staging.storage.prepare(deployment="staging")

    withdrawn = await staging.storage.adopt(deployment="staging", withdraw_pending=True)
    await staging.storage.prepare(deployment="staging")
    found = await (await staging.worker()).round()

    assert (withdrawn, list(found.claims)) == (8, [])
    assert [(one.state, one.cause) for one in await staging.deliveries()] == [(State.CANCELLED, Cause.WITHDRAWN)] * 5
    await staging.intact()


async def test_a_renamed_home_keeps_what_waits(opened: Open) -> None:
    before = opened()
    await before.storage.prepare(deployment="old-name")
    await before.endpoint()
    await before.send()
    after = opened()

    withdrawn = await after.storage.adopt(deployment="new-name", withdraw_pending=False)
    await after.storage.prepare(deployment="new-name")
    found = await (await after.worker()).round()

    assert (withdrawn, len(found.claims)) == (0, 1)


async def test_adopting_with_a_lost_key_disables_every_endpoint(opened: Open) -> None:
    before = opened()
    await before.storage.prepare(deployment="test")
    endpoint = await before.endpoint(headers=(("x-a", "b"),))
    await before.storage.add_outbox_source("sqlite:///app.db")
    after = opened("z" * 43)

    await after.storage.adopt(deployment="test", withdraw_pending=False)
    await after.storage.prepare(deployment="test")

    kept = await after.storage.endpoint(ENVIRONMENT, endpoint.id)
    assert (kept.enabled, kept.headers) == (False, ())
    assert list(await after.storage.secrets(ENVIRONMENT, endpoint.id)) == []
    assert list(await after.storage.outbox_sources()) == []
    await after.intact()


async def test_keys_are_changed_while_it_runs(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "SEALED", 2)
    before = opened()
    await before.storage.prepare(deployment="test")
    endpoints = [await before.endpoint(headers=(("x-a", "b"),)) for _ in range(5)]
    await before.storage.add_outbox_source("sqlite:///app.db")
    during = opened(NEW, KEY)
    await during.storage.prepare(deployment="test")

    sealed = [await during.storage.rekey(), await during.storage.rekey()]
    after = opened(NEW)
    await after.storage.prepare(deployment="test")
    profiles = await after.storage.profiles([raw(one.id) for one in endpoints])

    assert sealed == [11, 0]
    assert {(one.secrets, one.headers) for one in profiles} == {(("whsec_" + "a" * 32,), (("x-a", "b"),))}
    assert list(await after.storage.outbox_sources()) == ["sqlite:///app.db"]


async def test_a_secret_set_while_keys_are_changed_is_kept(stage: Stage) -> None:
    assert isinstance(stage.clock, OwnedClock)
    await stage.storage.prepare(deployment="test")
    endpoint = await Scene(stage.storage, stage.clock).endpoint(secret="whsec_old")
    keep = timedelta(hours=1)
    late = beside_with(stage, KEY, NEW)
    async with stage.open() as hand:
        work = Work(hand.connection, stage.storage.place.schema, stage.now, Vault((NEW, KEY)))
        sealed = await deployment.rekey_endpoints(work, bytes(16), 100)
        rotating = begin(late.rotate_secret(ENVIRONMENT, endpoint.id, "whsec_new", keep_old=keep))
        await hand.blocks(rotating)
        await hand.commit()
        await rotating
    await late.close()
    during = beside_with(stage, NEW, KEY)
    again = await during.rekey()
    await during.close()
    after = beside_with(stage, NEW)

    values = [one.value for one in await after.secrets(ENVIRONMENT, endpoint.id)]

    await after.close()
    assert (sealed, again) == ((None, 1), 1)
    assert values == ["whsec_new", "whsec_old"]


def beside_with(stage: Stage, *keys: str) -> PostgresStorage:
    place = stage.storage.place
    return PostgresStorage(place.url, schema=place.schema, clock=stage.clock, vault=Vault(keys))


async def test_a_change_of_keys_that_did_not_end_still_asks_for_the_former_key(
    opened: Open, postgres: Server, schema: str
) -> None:
    before = opened()
    await before.storage.prepare(deployment="test")
    broken = await before.endpoint()
    postgres.execute(f"update {schema}.endpoint_secret set value = '\\x00'")
    during = opened(NEW, KEY)
    await during.storage.prepare(deployment="test")

    with pytest.raises(VaultError, match=broken.id):
        await during.storage.rekey()
    with pytest.raises(VaultError, match="ANZOL_OLD_SECRET_KEYS"):
        await opened(NEW).storage.prepare(deployment="test")
