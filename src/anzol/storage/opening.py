"""From a database's URL to its storage."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from anzol.clock import Clock, SystemClock
from anzol.errors import SettingsError, VaultError
from anzol.storage.sqlite.engine import SqliteStorage
from anzol.storage.vault import Vault, key_file

SQLITE: Final = "sqlite:///"
KEY_FILE: Final = "anzol.key"


def open_storage(
    url: str,
    *,
    clock: Clock | None = None,
    secret_key: str | None = None,
    old_keys: tuple[str, ...] = (),
    patience: float = 5.0,
) -> SqliteStorage:
    """Return the storage at *url*; nothing is opened until it is used.

    Args:
        url: ``sqlite:///anzol.db`` (relative to the working directory) or ``sqlite:////srv/anzol.db``.
        secret_key: Seals secrets; without one, a file ``anzol.key`` beside the database holds it, made if need be.
        old_keys: Keys that still open what they sealed.

    Raises:
        SettingsError: another kind of database.
        VaultError: the database was made with a key file that is not there.
    """
    path = sqlite_path(url)
    keys = (secret_key or kept_key(path), *old_keys)
    return SqliteStorage(path, clock=clock or SystemClock(), vault=Vault(keys), patience=patience)


def sqlite_path(url: str) -> Path:
    """Return the file that a URL names.

    Raises:
        SettingsError: it names none.
    """
    path = unquote(url.removeprefix(SQLITE).partition("?")[0])
    if not url.startswith(SQLITE):
        scheme = url.partition(":")[0]
        raise SettingsError(
            f"Anzol cannot store in {scheme!r} databases.",
            do="Use sqlite:///anzol.db, or sqlite:////with/an/absolute/path.db.",
        )
    if not path or path == ":memory:":
        # A database in memory belongs to one connection; Anzol needs several, and promises that nothing is lost.
        raise SettingsError(
            "A database in memory cannot hold messages: it is gone when the process ends.",
            do="Name a file, in tests one in a temporary folder: sqlite:////a/folder/anzol.db.",
        )
    return Path(path)


def kept_key(path: Path) -> str:
    """Return the key in the file beside a database; make it for a new database only."""
    key = path.with_name(KEY_FILE)
    if not key.exists() and is_marked(path):
        raise VaultError(
            f"The database {path} was made with a key, and the key file {key} is not there.",
            do="Put the file back, or set ANZOL_SECRET_KEY to the key it was made with. If that is lost, set another "
            "one and run `anzol adopt`: every endpoint is disabled and needs a new secret.",
        )
    return key_file(key)


def is_marked(path: Path) -> bool:
    """Say whether a file holds an Anzol database that is in use."""
    if not path.exists():
        return False
    connection = sqlite3.connect(path)
    try:
        return connection.execute("select 1 from anzol_deployment").fetchone() is not None
    except sqlite3.Error:  # no such table, or no database at all: opening it says so better
        return False
    finally:
        connection.close()
