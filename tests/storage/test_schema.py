"""Migrations, the deployment mark, and opening by URL."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from anzol.clock import OwnedClock
from anzol.errors import SchemaNewer, SettingsError, VaultError, WrongDeployment
from anzol.lifecycle import Cause, State
from anzol.storage.opening import open_storage
from anzol.storage.sqlite.engine import SqliteStorage
from anzol.storage.sqlite.migrations import migrations, newest, statements
from anzol.storage.vault import Vault
from tests.contract.conftest import ENVIRONMENT, KEY, Scene, raw


def storage_at(path: Path, key: str = KEY) -> SqliteStorage:
    return SqliteStorage(path, clock=OwnedClock(), vault=Vault([key]))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "anzol.db"


async def test_preparing_twice_and_at_once_is_preparing_once(path: Path) -> None:
    storages = [storage_at(path) for _ in range(4)]

    await asyncio.gather(*(storage.prepare(deployment="test") for storage in storages))
    await storages[0].prepare(deployment="test")

    connection = sqlite3.connect(path)
    applied = [row[0] for row in connection.execute("select version from anzol_migration order by version")]
    connection.close()
    assert applied == [number for number, _, _ in migrations()]
    for storage in storages:
        await storage.close()


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [number for number, _, _ in migrations()] == list(range(1, newest() + 1))


def test_a_script_is_split_into_its_statements() -> None:
    script = "create table a (b text default ';'); -- a; comment\ncreate index c\n  on a (b);\n"

    assert [one.strip().splitlines()[-1].strip() for one in statements(script)][-1].startswith("on a")


async def test_a_newer_schema_is_refused(path: Path) -> None:
    storage = storage_at(path)
    await storage.prepare(deployment="test")
    await storage.close()
    connection = sqlite3.connect(path)
    connection.execute("insert into anzol_migration values (?, 'later', 0)", (newest() + 1,))
    connection.commit()
    connection.close()
    newer = storage_at(path)

    with pytest.raises(SchemaNewer):
        await newer.prepare(deployment="test")
    with pytest.raises(SchemaNewer):
        await newer.accept(Scene(newer, OwnedClock()).message())
    await newer.close()


async def test_a_migration_that_fails_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = (*migrations(), (newest() + 1, "broken", "create table anzol_x (a);\ncreate nonsense;"))
    monkeypatch.setattr("anzol.storage.sqlite.migrations.migrations", lambda: broken)
    storage = storage_at(path)

    with pytest.raises(Exception, match="nonsense"):
        await storage.prepare(deployment="test")
    await storage.close()

    connection = sqlite3.connect(path)
    assert connection.execute("select count(*) from sqlite_master").fetchone() == (0,)
    connection.close()


async def test_anothers_database_is_refused_and_says_how_to_adopt_it(path: Path) -> None:
    production = storage_at(path)
    await production.prepare(deployment="production")
    await production.close()
    staging = storage_at(path)

    with pytest.raises(WrongDeployment, match="adopt --withdraw-pending") as caught:
        await staging.prepare(deployment="staging")
    assert "'production'" in str(caught.value)
    await staging.close()


async def test_another_key_is_refused_and_says_what_to_do(path: Path) -> None:
    first = storage_at(path)
    await first.prepare(deployment="test")
    await first.close()
    second = storage_at(path, "z" * 43)

    with pytest.raises(VaultError, match="SECRET_KEY"):
        await second.prepare(deployment="test")
    await second.close()


async def test_an_adopted_copy_sends_nothing_of_what_waited(path: Path) -> None:
    production = storage_at(path)
    await production.prepare(deployment="production")
    scene = Scene(production, OwnedClock())
    await scene.endpoint()
    await scene.send()
    worker = await scene.worker()
    await worker.round()
    await scene.send()
    await production.close()
    staging = storage_at(path)

    withdrawn = await staging.adopt(deployment="staging", withdraw_pending=True)
    await staging.prepare(deployment="staging")
    there = Scene(staging, OwnedClock())
    found = await (await there.worker()).round()

    assert withdrawn == 2
    assert list(found.claims) == []
    assert [(one.state, one.cause) for one in await there.deliveries()] == [(State.CANCELLED, Cause.WITHDRAWN)]
    await there.intact()
    await staging.close()


async def test_a_renamed_home_keeps_what_waits(path: Path) -> None:
    before = storage_at(path)
    await before.prepare(deployment="old-name")
    scene = Scene(before, OwnedClock())
    await scene.endpoint()
    await scene.send()
    await before.close()
    after = storage_at(path)

    withdrawn = await after.adopt(deployment="new-name", withdraw_pending=False)
    await after.prepare(deployment="new-name")
    there = Scene(after, OwnedClock())
    found = await (await there.worker()).round()

    assert (withdrawn, len(found.claims)) == (0, 1)
    await after.close()


async def test_adopting_with_a_lost_key_disables_every_endpoint(path: Path) -> None:
    before = storage_at(path)
    await before.prepare(deployment="test")
    endpoint = await Scene(before, OwnedClock()).endpoint(headers=(("x-a", "b"),))
    await before.close()
    after = storage_at(path, "z" * 43)

    await after.adopt(deployment="test", withdraw_pending=False)
    await after.prepare(deployment="test")

    kept = await after.endpoint(ENVIRONMENT, endpoint.id)
    assert (kept.enabled, kept.headers) == (False, ())
    assert list(await after.secrets(ENVIRONMENT, endpoint.id)) == []
    await Scene(after, OwnedClock()).intact()
    await after.close()


async def test_a_url_opens_a_file_with_its_own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    relative = open_storage("sqlite:///some%20where.db")
    await relative.prepare(deployment="test")
    await relative.close()
    absolute = open_storage(f"sqlite:///{tmp_path}/some where.db")
    await absolute.prepare(deployment="test")
    await absolute.close()

    assert sorted(file.name for file in tmp_path.iterdir()) == ["anzol.key", "some where.db"]
    assert (tmp_path / "anzol.key").stat().st_mode & 0o777 == 0o600


async def test_a_copy_without_its_key_file_is_refused_and_makes_no_new_key(tmp_path: Path) -> None:
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    away.mkdir()
    storage = open_storage(f"sqlite:///{home}/anzol.db")
    await storage.prepare(deployment="test")
    await storage.close()
    shutil.copy(home / "anzol.db", away / "anzol.db")

    with pytest.raises(VaultError, match=r"anzol\.key"):
        open_storage(f"sqlite:///{away}/anzol.db")

    assert [file.name for file in away.iterdir()] == ["anzol.db"]


async def test_a_file_that_the_app_uses_too_is_no_copy(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "app.db")
    connection.execute("create table users (id integer primary key)")
    connection.close()

    storage = open_storage(f"sqlite:///{tmp_path}/app.db")
    await storage.prepare(deployment="test")
    await storage.close()

    assert (tmp_path / "anzol.key").exists()


@pytest.mark.parametrize("url", ["mysql://x", "anzol.db", "sqlite://", "sqlite:/x.db"])
def test_another_kind_of_database_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"sqlite:///anzol\.db"):
        open_storage(url)


def test_a_database_in_memory_is_refused() -> None:
    with pytest.raises(SettingsError, match="memory"):
        open_storage("sqlite:///:memory:")


async def test_keys_are_changed_while_it_runs(path: Path) -> None:
    before = storage_at(path)
    await before.prepare(deployment="test")
    endpoint = await Scene(before, OwnedClock()).endpoint(headers=(("x-a", "b"),))
    await before.add_outbox_source("sqlite:///app.db")
    await before.close()
    new = "n" * 43
    during = SqliteStorage(path, clock=OwnedClock(), vault=Vault([new, KEY]))
    await during.prepare(deployment="test")

    sealed = [await during.rekey(), await during.rekey()]
    await during.close()
    after = storage_at(path, new)
    await after.prepare(deployment="test")

    (secret,) = await after.secrets(ENVIRONMENT, endpoint.id)
    (profile,) = await after.profiles([raw(endpoint.id)])
    assert sealed == [3, 0]
    assert secret.value == "whsec_" + "a" * 32
    assert profile.headers == (("x-a", "b"),)
    assert list(await after.outbox_sources()) == ["sqlite:///app.db"]
    await after.close()


async def test_a_change_of_keys_that_did_not_end_still_asks_for_the_former_key(path: Path) -> None:
    before = storage_at(path)
    await before.prepare(deployment="test")
    scene = Scene(before, OwnedClock())
    broken = await scene.endpoint()
    await before.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("update anzol_endpoint_secret set value = zeroblob(60)")
    new = "n" * 43
    during = SqliteStorage(path, clock=OwnedClock(), vault=Vault([new, KEY]))
    await during.prepare(deployment="test")

    with pytest.raises(VaultError, match=broken.id):
        await during.rekey()
    await during.close()
    after = storage_at(path, new)
    with pytest.raises(VaultError, match="ANZOL_OLD_SECRET_KEYS"):
        await after.prepare(deployment="test")
    await after.close()


async def test_one_secret_that_does_not_open_stops_no_other_endpoint(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    storage = storage_at(path)
    await storage.prepare(deployment="test")
    scene = Scene(storage, OwnedClock())
    broken, whole = await scene.endpoint(), await scene.endpoint()
    connection = sqlite3.connect(path)
    connection.execute("update anzol_endpoint_secret set value = zeroblob(60) where endpoint = 1")
    connection.commit()
    connection.close()
    await scene.send()

    found = await (await scene.worker()).round()

    active = {profile.endpoint_id: profile.active for profile in found.profiles}
    assert active == {raw(broken.id): False, raw(whole.id): True}
    assert broken.id in caplog.text
    await storage.close()
