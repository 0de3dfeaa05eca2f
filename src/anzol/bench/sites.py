"""Where a run keeps its data: a fresh database for each variant, gone afterwards. Existing data is not touched."""

from __future__ import annotations

import os
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Protocol

from anzol.errors import SettingsError, StorageError
from anzol.settings import PREFIX, Settings
from anzol.storage.places import PostgresPlace, SqlitePlace, place_of

LOOPBACK: Final = "127.0.0.0/8"
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Database(Protocol):
    """One fresh database of a variant.

    ``variables`` are the settings that name it, as the environment of a process has them.
    """

    @property
    def variables(self) -> dict[str, str]: ...

    def attempts(self) -> int:
        """Return how many attempts it holds."""
        ...

    def insert_rate(self, *, messages: int, batch: int, delivered: bool = True) -> float:
        """Return how many messages a second the bare driver stores, each with the rows that its delivery leaves.

        Args:
            delivered: False: the messages alone.
        """
        ...

    def commit_times(self, commits: int) -> list[float]:
        """Return the seconds of durable commits of one message each by the bare driver."""
        ...


class Site(Protocol):
    """An engine, and where on it.

    ``described`` names the version and what in its settings makes it faster than it would be in production.
    """

    @property
    def engine(self) -> str: ...

    @property
    def described(self) -> str: ...

    def fresh(self) -> AbstractContextManager[Database]:
        """Give a database that is not there yet, and remove it at the end."""
        ...


@contextmanager
def site(url: str | None) -> Iterator[Site]:
    """Find out where to measure: a PostgreSQL database; beside a SQLite file; without *url* in a temporary folder.

    Raises:
        SettingsError: the URL is none, or the folder of the file is not there.
        StorageError: the database does not answer, is too old, or does not let us make a schema.
    """
    named = place_of(url) if url else None
    if isinstance(named, PostgresPlace):
        from anzol.bench.postgres import PostgresSite

        yield PostgresSite.found(named.url)
        return
    from anzol.bench.sqlite import SqliteSite

    folder = containing(named) if named else None
    try:
        temporary = TemporaryDirectory(prefix="anzol-bench-", dir=folder)
    except OSError as cause:
        raise StorageError(f"No folder can be made in {folder}: {cause.strerror}.") from cause
    with temporary as name:
        yield SqliteSite(Path(name))


def containing(named: SqlitePlace) -> Path:
    """Return the folder of a SQLite file; the file itself is not looked at.

    Raises:
        SettingsError: there is no such folder.
    """
    folder = named.path.parent
    if not folder.is_dir():
        raise SettingsError(f"The folder {folder} of the database is not there.", do="Make it, or name another.")
    return folder


def settings(database: Database, *, worker: bool) -> Settings:
    """Return the settings of the measured application: the defaults, but for the database and loopback."""
    with of_environment({**database.variables, "ANZOL_WORKER": "on" if worker else "off"}):
        return Settings()


def variables(database_url: str, **more: str) -> dict[str, str]:
    """Return the settings of a fresh database as the environment has them, with a key of its own."""
    names = {"database_url": database_url, "secret_key": secrets.token_hex(32), "allow_networks": LOOPBACK, **more}
    return {PREFIX + name.upper(): value for name, value in names.items()}


@contextmanager
def of_environment(wanted: dict[str, str]) -> Iterator[None]:
    """Let the environment have these settings of Anzol and none that the user has: those are about an application."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if about_anzol(name)}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name in wanted:
            os.environ.pop(name, None)
        os.environ.update(kept)


def about_anzol(name: str) -> bool:
    """Say whether a variable of the environment would be read as a setting."""
    return name.upper().startswith(PREFIX) or name == "FASTAPI_ENV"


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put off Ctrl-C and its like while something is cleaned up; it takes seconds at most."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
