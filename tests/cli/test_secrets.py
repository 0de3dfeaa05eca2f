"""Changing the key that encrypts what is stored, with deliveries before, between and after."""

from __future__ import annotations

from pathlib import Path

import pytest

from anzol.receiver import verify
from tests.cli.conftest import Receiver, World

FORMER = "the-former-key-of-which-nobody-thinks"
NEW = "the-new-key-of-which-nobody-thinks-either"


@pytest.fixture
def shared(world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> str:
    """An endpoint made with the former key; its id."""
    monkeypatch.setenv("FASTAPI_ENV", "development")
    monkeypatch.setenv("ANZOL_SECRET_KEY", FORMER)
    return made(world, receiver)


def made(world: World, receiver: Receiver) -> str:
    endpoint: str = world.data("endpoints", "create", "-c", "acme", "--url", receiver.url)["endpoint"]["id"]
    return endpoint


def deliver(world: World) -> None:
    world.data("trigger", "new-subscription", "--customer", "acme")
    assert world.call("worker", "--once").exit_code == 0


def secret(world: World, endpoint: str) -> str:
    return world.call("endpoints", "secret", endpoint).stdout


def test_the_key_is_changed_and_deliveries_go_on_with_the_same_secret(
    world: World, shared: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = secret(world, shared)
    deliver(world)
    monkeypatch.setenv("ANZOL_SECRET_KEY", NEW)
    monkeypatch.setenv("ANZOL_OLD_SECRET_KEYS", FORMER)
    deliver(world)
    between = secret(world, shared)

    first, again = world.data("secrets", "rekey"), world.call("secrets", "rekey")
    monkeypatch.delenv("ANZOL_OLD_SECRET_KEYS")
    deliver(world)

    assert (first, again.exit_code) == ({"sealed": 1}, 0)
    assert "already; ANZOL_OLD_SECRET_KEYS can go now" in again.stdout
    assert "whsec_" in before
    assert before == between == secret(world, shared)
    assert len(receiver.bodies) == 3
    for body, headers in zip(receiver.bodies, receiver.headers, strict=True):
        verify(body, headers, before.strip())


def test_the_new_key_alone_is_refused_until_everything_is_sealed_with_it(
    world: World, shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANZOL_SECRET_KEY", NEW)

    refused = world.call("secrets", "rekey")

    assert refused.exit_code == 5
    assert "not the one that the database of 'default' was made with" in refused.stderr
    assert "ANZOL_OLD_SECRET_KEYS" in refused.stderr
    monkeypatch.setenv("ANZOL_SECRET_KEY", FORMER)
    assert "whsec_" in secret(world, shared)


def test_the_former_key_opens_nothing_afterwards(world: World, shared: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANZOL_SECRET_KEY", NEW)
    monkeypatch.setenv("ANZOL_OLD_SECRET_KEYS", FORMER)
    world.data("secrets", "rekey")
    monkeypatch.delenv("ANZOL_OLD_SECRET_KEYS")
    monkeypatch.setenv("ANZOL_SECRET_KEY", FORMER)

    assert world.call("status").exit_code == 5


def test_a_key_file_is_changed_for_a_key_of_the_environment(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTAPI_ENV", "development")
    endpoint = made(world, receiver)
    before = secret(world, endpoint)
    file: Path = world.folder / "anzol.key"
    monkeypatch.setenv("ANZOL_SECRET_KEY", NEW)
    refused = world.call("status")
    monkeypatch.setenv("ANZOL_OLD_SECRET_KEYS", file.read_text().strip())

    assert world.data("secrets", "rekey") == {"sealed": 1}
    monkeypatch.delenv("ANZOL_OLD_SECRET_KEYS")
    file.unlink()
    deliver(world)

    assert (refused.exit_code, "in that file" in refused.stderr) == (5, True)
    assert secret(world, endpoint) == before
    assert len(receiver.bodies) == 1
    assert not file.exists()
