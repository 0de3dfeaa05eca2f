"""From a database's URL to its storage."""

from __future__ import annotations

import importlib.util
import sqlite3
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

from anzol.clock import Clock, SystemClock
from anzol.errors import SettingsError, VaultError
from anzol.storage.face import Storage
from anzol.storage.places import SCHEMA, Place, PostgresPlace, place_of
from anzol.storage.sqlite.engine import SqliteStorage
from anzol.storage.vault import Vault, key_file

if TYPE_CHECKING:
    from anzol.storage.postgres.engine import PostgresStorage

KEY_FILE: Final = "anzol.key"
MAKE_A_KEY: Final = 'python -c "import secrets; print(secrets.token_urlsafe(32))"'


def open_storage(
    url: str,
    *,
    clock: Clock | None = None,
    secret_key: str | None = None,
    old_keys: tuple[str, ...] = (),
    patience: float = 5.0,
    schema: str = SCHEMA,
    pooler: bool = False,
) -> Storage:
    """Return the storage at *url*; nothing is opened until it is used.

    Args:
        url: ``sqlite:///anzol.db`` (relative to the working directory), ``sqlite:////srv/anzol.db``, or
            ``postgresql://user:password@host:port/database``.
        secret_key: Seals secrets. On SQLite, without one, a file ``anzol.key`` beside the database holds it, made if
            need be.
        old_keys: Keys that still open what they sealed.
        patience: Seconds to wait for others' locks.
        schema: PostgreSQL: where the tables are.
        pooler: PostgreSQL: a pooler that lends connections by the transaction is between.

    Raises:
        SettingsError: another kind of database; on PostgreSQL, no secret key, or asyncpg is not installed.
        VaultError: the database was made with a key file that is not there.
    """
    place = place_of(url, schema=schema, pooler=pooler)
    return storage_at(place, clock=clock, secret_key=secret_key, old_keys=old_keys, patience=patience)


def storage_at(
    place: Place,
    *,
    clock: Clock | None = None,
    secret_key: str | None = None,
    old_keys: tuple[str, ...] = (),
    patience: float = 5.0,
) -> Storage:
    """As `open_storage`, for a URL that has been read."""
    time = clock or SystemClock()
    if isinstance(place, PostgresPlace):
        return open_postgres(place, time, keys(secret_key, old_keys), patience)
    vault = Vault((secret_key or kept_key(place.path), *old_keys))
    return SqliteStorage(place.path, clock=time, vault=vault, patience=patience)


# --- PostgreSQL


def keys(secret_key: str | None, old_keys: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keys that seal and open; in a database that others may read there is no file to keep one in.

    Raises:
        SettingsError: there is none.
    """
    if not secret_key:
        raise SettingsError(
            "On PostgreSQL, ANZOL_SECRET_KEY is needed: it encrypts the secrets of endpoints.",
            do=f"Make one and keep it as you keep passwords: {MAKE_A_KEY}",
        )
    return (secret_key, *old_keys)


def open_postgres(place: PostgresPlace, clock: Clock, keys: tuple[str, ...], patience: float) -> PostgresStorage:
    """Return the storage in a PostgreSQL database."""
    check_driver()
    from anzol.storage.postgres.engine import PostgresStorage

    return PostgresStorage(
        place.url, vault=Vault(keys), schema=place.schema, clock=clock, pooler=place.pooler, patience=patience
    )


def check_driver() -> None:
    """Refuse to go on without asyncpg.

    Raises:
        SettingsError: it is not installed.
    """
    if importlib.util.find_spec("asyncpg") is None:
        raise SettingsError(
            "For a PostgreSQL database the package asyncpg is needed, and it is not here.",
            do='pip install "anzol[postgres]"',
        )


async def migrate(place: PostgresPlace) -> tuple[int, ...]:
    """Bring a PostgreSQL database up to date; return the versions that were applied.

    Raises:
        AnzolError: it could not be done; nothing is half done.
    """
    check_driver()
    from anzol.storage.postgres.migrating import migrate

    return await migrate(place.url, place.schema, pooler=place.pooler)


# --- SQLite


def derived_keys(place: Place, secret_key: str | None, old_keys: tuple[str, ...], purpose: bytes) -> tuple[bytes, ...]:
    """Return 32 bytes of each secret key for another purpose (up to 16 bytes) than sealing, the current one's first."""
    current = secret_key or (keys(None, ())[0] if isinstance(place, PostgresPlace) else kept_key(place.path))
    return tuple(blake2b(key.encode(), digest_size=32, person=purpose).digest() for key in (current, *old_keys))


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
