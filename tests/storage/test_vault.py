"""Secrets at rest."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from anzol.errors import VaultError
from anzol.storage.vault import Vault, key_file, place

KEY, OTHER = "k" * 43, "o" * 43
WHERE = ("production", b"customer", b"endpoint", 1)


def test_what_is_sealed_opens_in_its_place() -> None:
    vault = Vault([KEY])
    sealed = vault.seal(b"whsec_x", *WHERE)

    assert vault.open(sealed, *WHERE) == b"whsec_x"
    assert b"whsec" not in sealed


def test_the_same_value_is_sealed_differently_each_time() -> None:
    vault = Vault([KEY])

    assert vault.seal(b"x", *WHERE) != vault.seal(b"x", *WHERE)


@pytest.mark.parametrize(
    "elsewhere",
    [
        ("sandbox", b"customer", b"endpoint", 1),
        ("production", b"other", b"endpoint", 1),
        ("production", b"customer", b"other", 1),
        ("production", b"customer", b"endpoint", 2),
        ("production", b"customerendpoint", b"", 1),
    ],
)
def test_a_secret_moved_to_another_row_does_not_open(elsewhere: tuple[str | bytes | int, ...]) -> None:
    vault = Vault([KEY])
    sealed = vault.seal(b"x", *WHERE)

    with pytest.raises(VaultError, match="does not belong"):
        vault.open(sealed, *elsewhere)


def test_parts_of_a_place_do_not_run_into_each_other() -> None:
    assert place("ab", "c") != place("a", "bc")
    assert place("a", "") != place("a")


@pytest.mark.parametrize("position", [0, 5, 12, 25, -1])
def test_a_changed_byte_is_noticed(position: int) -> None:
    vault = Vault([KEY])
    sealed = bytearray(vault.seal(b"whsec_x", *WHERE))
    sealed[position] ^= 1

    with pytest.raises(VaultError):
        vault.open(bytes(sealed), *WHERE)


def test_another_key_does_not_open_and_says_what_to_do() -> None:
    sealed = Vault([KEY]).seal(b"x", *WHERE)

    with pytest.raises(VaultError, match="SECRET_KEY"):
        Vault([OTHER]).open(sealed, *WHERE)


def test_keys_change_without_a_stop() -> None:
    before = Vault([KEY])
    old = before.seal(b"x", *WHERE)

    during = Vault([OTHER, KEY])
    new = during.seal(b"y", *WHERE)

    assert (during.open(old, *WHERE), during.current(old), during.current(new)) == (b"x", False, True)
    assert Vault([OTHER]).open(new, *WHERE) == b"y"


@pytest.mark.parametrize("keys", [[], [""], [KEY, ""]])
def test_an_empty_key_is_none(keys: list[str]) -> None:
    with pytest.raises(VaultError, match="SECRET_KEY"):
        Vault(keys)


def test_a_vault_does_not_show_its_keys() -> None:
    assert KEY not in repr(Vault([KEY]))


def test_a_key_file_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "anzol.key"

    first, second = key_file(path), key_file(path)

    assert first == second
    assert len(first) >= 43
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["anzol.key"]


def test_who_makes_a_key_file_at_once_gets_the_same_key(tmp_path: Path) -> None:
    keys: list[str] = []
    ready = threading.Barrier(8)

    def make() -> None:
        ready.wait()
        keys.append(key_file(tmp_path / "anzol.key"))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_an_empty_key_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "anzol.key").write_text("\n")

    with pytest.raises(VaultError, match="empty"):
        key_file(tmp_path / "anzol.key")


def test_a_key_file_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="could not be used"):
        key_file(tmp_path / "missing" / "anzol.key")
