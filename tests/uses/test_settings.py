"""Settings: read from the environment, refused plainly, each documented and none ignored."""

from __future__ import annotations

import inspect
import re
import traceback
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from fastapi import APIRouter

from anzol import Settings, SettingsError, Webhooks
from anzol.addresses import LOOPBACK
from anzol.app.delivering import rules_of
from anzol.storage.places import PostgresPlace, SqlitePlace

SOURCE = Path(inspect.getfile(Settings)).parent


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [*os.environ]:
        if name.upper().startswith("ANZOL_") or name in ("FASTAPI_ENV", "KUBERNETES_SERVICE_HOST"):
            monkeypatch.delenv(name)


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ANZOL_DATABASE_URL": "sqlite:////var/lib/app/hooks.db",
        "ANZOL_RETRY_SCHEDULE": "0,5s,5m,30m,2h",
        "ANZOL_WORKER": "off",
        "ANZOL_DELIVERY_TIMEOUT": "7.5s",
        "ANZOL_ALLOW_NETWORKS": "10.1.0.0/16, fd00::/8",
        "ANZOL_PORTS": "443,8000-8999",
        "ANZOL_PAYLOAD_LIMIT": "256KiB",
        "ANZOL_DISABLE_AFTER": "never",
        "ANZOL_BACKLOG_LIMIT": "5000",
        "ANZOL_RETENTION": "7d",
    }.items():
        monkeypatch.setenv(name, value)

    settings = Settings()

    assert settings.place == SqlitePlace(Path("/var/lib/app/hooks.db"))
    minute = timedelta(minutes=1)
    assert settings.retry_schedule == (timedelta(0), timedelta(seconds=5), 5 * minute, 30 * minute, 120 * minute)
    assert settings.worker is False
    assert settings.delivery_timeout == timedelta(seconds=7.5)
    assert settings.policy.allow_networks == (ip_network("10.1.0.0/16"), ip_network("fd00::/8"))
    assert settings.policy.ports == (range(443, 444), range(8000, 9000))
    assert settings.payload_limit == 256 * 1024
    assert settings.disable_after is None
    assert rules_of(settings).backlog == 5000
    assert settings.kept.messages == timedelta(days=7)


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_every_setting_is_read_somewhere() -> None:
    text = "\n".join(path.read_text() for path in SOURCE.rglob("*.py"))
    read = set(re.findall(r"(?:settings|self)\.([a-z_]+)", text))

    assert set(Settings.model_fields) - read == set()


def test_no_setting_has_a_name_that_kubernetes_gives() -> None:
    from anzol.settings import KUBERNETES

    assert [name for name in Settings.model_fields if KUBERNETES.fullmatch(f"ANZOL_{name.upper()}")] == []


def test_a_misspelt_variable_is_refused_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANZOL_DATABSE_URL", "sqlite:///x.db")

    with pytest.raises(SettingsError, match=r"no setting ANZOL_DATABSE_URL\. Did you mean ANZOL_DATABASE_URL\?"):
        Settings()


def test_a_misspelt_argument_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match=r"no setting 'delivery_timout'\. Did you mean delivery_timeout\?"):
        Settings(delivery_timout="5s")


@pytest.mark.parametrize("name", ["ANZOL_PORT", "ANZOL_PORT_8000_TCP_ADDR", "ANZOL_SERVICE_HOST", "ANZOL_SERVICE_PORT"])
def test_what_kubernetes_sets_is_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "tcp://10.0.0.1:8000")

    assert Settings().worker is True


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("delivery_timeout", "soon"),
        ("delivery_timeout", "0s"),
        ("delivery_timeout", "1h"),
        ("retry_schedule", ""),
        ("retry_schedule", "5 parsecs"),
        ("worker", "maybe"),
        ("environment", "a b"),
        ("allow_networks", "10.0.0.1/8"),
        ("ports", "0"),
        ("ports", "99999"),
        ("ports", "9000-8000"),
        ("payload_limit", "0"),
        ("payload_limit", "1GiB"),
        ("ca_bundle", "/nowhere/ca.pem"),
        ("disable_after", "a while"),
    ],
)
def test_an_impossible_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"setting {name} \(ANZOL_{name.upper()}\)"):
        Settings(**{name: value})


@pytest.mark.parametrize(
    "url", ["anzol.db", "sqlite://anzol.db", "sqlite:///", "mysql://host/db", "sqlite:///a.db?mode=ro"]
)
def test_what_is_no_url_of_a_database_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"ANZOL_DATABASE_URL is not .* sqlite:///anzol\.db"):
        Settings(database_url=url)


@pytest.mark.parametrize("name", ["schema", "pooler"])
def test_what_is_for_postgresql_is_refused_beside_a_sqlite_file(name: str) -> None:
    with pytest.raises(SettingsError, match=f"ANZOL_{name.upper()} is set"):
        Settings(**{name: "true"})


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:canary@x@db/shop",
        "postgresql://app:can/canary@db/shop",
        "postgresql://app:12?canary=x@db/shop",
    ],
)
def test_a_database_url_that_is_refused_is_not_shown(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("ANZOL_DATABASE_URL", url)

    with pytest.raises(SettingsError, match="ANZOL_DATABASE_URL") as caught:
        Settings()

    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_a_schema_is_named_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANZOL_DATABASE_URL", "postgresql+asyncpg://app@db/shop")
    monkeypatch.setenv("ANZOL_SCHEMA", "hooks")
    monkeypatch.setenv("ANZOL_POOLER", "true")

    place = Settings().place

    assert isinstance(place, PostgresPlace)
    assert (place.url, place.schema, place.pooler) == ("postgresql://app@db/shop", "hooks", True)


async def test_an_application_on_postgresql_does_not_start_without_a_key() -> None:
    webhooks = Webhooks(APIRouter(), Settings(database_url="postgresql://app@db.invalid/shop"))

    with pytest.raises(SettingsError, match=r"ANZOL_SECRET_KEY is needed.*token_urlsafe"):
        await webhooks.status()


def test_a_databases_password_is_not_in_the_representation() -> None:
    settings = Settings(database_url="postgresql://app:canary@db.example/shop", schema="hooks")

    assert "canary" not in f"{settings!r} {settings} {settings.place!r} {settings.place}"
    assert str(settings.place) == "postgresql://app@db.example/shop (schema hooks)"


def test_a_database_in_memory_is_refused() -> None:
    with pytest.raises(SettingsError, match="forgets"):
        Settings(database_url="sqlite:///:memory:")


@pytest.mark.parametrize("platform", ["KUBERNETES_SERVICE_HOST", "AWS_LAMBDA_FUNCTION_NAME"])
def test_the_implicit_database_is_refused_where_files_are_thrown_away(
    monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    monkeypatch.setenv(platform, "x")

    assert str(Settings(database_url="sqlite:////data/anzol.db").place) == "/data/anzol.db"
    with pytest.raises(SettingsError, match="lost with its container"):
        _ = Settings().place


def test_a_proxy_that_cannot_be_used_is_refused_without_showing_it() -> None:
    with pytest.raises(SettingsError, match="ANZOL_PROXY_URL") as caught:
        Settings(proxy_url="socks5://user:hunter2@host:1")

    assert "hunter2" not in str(caught.value)


def test_secrets_are_not_in_the_representation() -> None:
    settings = Settings(secret_key="canary-key", proxy_url="http://u:canary-password@127.0.0.1:3128")

    assert "canary" not in repr(settings) + str(settings)


@pytest.mark.parametrize("text", ["former-key-1, former-key-2", '["former-key-1", "former-key-2"]'])
def test_old_keys_are_read_as_a_list_and_not_shown(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("ANZOL_OLD_SECRET_KEYS", text)

    settings = Settings()

    assert [key.get_secret_value() for key in settings.old_secret_keys] == ["former-key-1", "former-key-2"]
    assert "former" not in repr(settings) + str(settings)


def test_an_old_key_may_have_a_comma_in_it() -> None:
    (key,) = Settings(old_secret_keys='["one,with"]').old_secret_keys

    assert key.get_secret_value() == "one,with"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("canary-former,abc", "Key 2 of ANZOL_OLD_SECRET_KEYS has fewer than 4 characters"),
        ("canary-former,canary-former", "Key 2 of ANZOL_OLD_SECRET_KEYS is the same as key 1"),
        ("canary-former,canary-now", "Key 2 of ANZOL_OLD_SECRET_KEYS is the same as ANZOL_SECRET_KEY"),
        ('["canary-former"', r"old_secret_keys \(ANZOL_OLD_SECRET_KEYS\) is refused: it begins as a JSON list"),
        ("[1]", r"old_secret_keys \(ANZOL_OLD_SECRET_KEYS\) is refused"),
    ],
)
def test_old_keys_that_are_a_mistake_are_refused_without_showing_them(keys: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        Settings(secret_key="canary-now", old_secret_keys=keys)

    assert "canary" not in str(caught.value)


def test_loopback_is_open_in_development_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().policy.allow_networks == ()

    monkeypatch.setenv("FASTAPI_ENV", "development")

    assert Settings().policy.allow_networks == LOOPBACK


@pytest.mark.parametrize("name", ["FASTAPI_ENV", "ENV"])
def test_nothing_else_is_development(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "dev")

    assert Settings().dev is False
