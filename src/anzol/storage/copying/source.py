"""The SQLite side of a copy: a file that stands still while it is read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from anzol.errors import StorageBusy, StorageError, WrongDeployment
from anzol.storage.copying.parts import Keys, Part
from anzol.storage.sqlite import migrations
from anzol.storage.sqlite.queries import sql
from anzol.storage.vault import Vault

PAGE: Final = 1000  # rows
PATIENCE: Final = 5.0  # seconds to wait for who writes
PAGE_BYTES: Final = 16 * 1024 * 1024
MOVED: Final = "moved to PostgreSQL: "


@dataclass(frozen=True, slots=True)
class Source:
    """A SQLite database under its write lock: nobody changes it."""

    connection: sqlite3.Connection
    path: Path

    def fingerprint(self) -> str:
        """Return what is another text after any change."""
        row = self.connection.execute(sql("copy_fingerprint")).fetchone()
        return blake2b(json.dumps(row).encode(), digest_size=16).hexdigest()

    def mark(self) -> tuple[str, bytes]:
        """Return the deployment's mark, and what only its key opens.

        Raises:
            StorageError: the database was never used.
        """
        row = self.connection.execute(sql("deployment")).fetchone()
        if row is None:
            raise StorageError(f"{self.path} was never used: there is nothing to copy.")
        return row[0], row[1]

    def count(self, part: Part) -> int:
        """Return how many rows a part has."""
        (count,) = self.connection.execute(f"select count(*) from anzol_{part.name}").fetchone()  # noqa: S608 our own names
        return int(count)

    def pages(self, part: Part, after: Sequence[Any], keys: Keys) -> Iterator[tuple[Sequence[Any], list[list[Any]]]]:
        """Give the rows behind a place as PostgreSQL takes them, page by page, each with the place of its last."""
        places = tuple(after)
        while True:
            page = self._page(part, places)
            if not page:
                return
            places = tuple(page[-1][: part.places])
            yield places, [cleaned(part.made(row[part.places :], keys)) for row in page]

    def _page(self, part: Part, places: Sequence[Any]) -> list[tuple[Any, ...]]:
        values = {f"after{number}": place for number, place in enumerate(places, start=1)}
        rows, size = [], 0
        for row in self.connection.execute(sql(f"copy_{part.name}"), {**values, "most": PAGE}):
            rows.append(row)
            size += sum(len(value) for value in row if isinstance(value, bytes))
            if size >= PAGE_BYTES:
                break
        return rows

    def retire(self, vault: Vault, mark: str, whereto: str) -> None:
        """Mark the database as moved: no worker and no sender begins with it again; `anzol adopt` takes it back."""
        moved = f"{MOVED}{whereto} (was {mark})"
        values = {"mark": moved, "canary": vault.seal(b"anzol", "deployment", moved)}
        self.connection.execute(sql("deployment_mark"), values)


def cleaned(row: Sequence[Any]) -> list[Any]:
    """Take U+0000 out of texts: PostgreSQL has none."""
    return [clean(value) for value in row]


def clean(value: Any) -> Any:
    """Return a value, a text or a list of texts without U+0000."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    return [clean(each) for each in value] if isinstance(value, list) else value


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Open a file and hold its write lock, so that it stands still; what `retire` wrote is committed at the end.

    Raises:
        StorageError: it is not there, is no database of Anzol's, or is in use.
        SchemaOutdated, SchemaNewer: as they say.
    """
    if not path.exists():
        raise StorageError(f"There is no database {path}.", do="Check --from.")
    connection = sqlite3.connect(path, isolation_level=None, timeout=PATIENCE)
    try:
        migrations.check(connection)
        connection.execute("begin immediate")
        refuse_working(connection, path)
        yield Source(connection, path)
        connection.execute("commit")
    except sqlite3.OperationalError as cause:
        if "locked" not in str(cause):
            raise StorageError(f"{path} cannot be read: {cause}.") from cause
        raise StorageBusy(f"{path} is being written to.", do="Stop the app and its workers, then copy.") from cause
    except sqlite3.DatabaseError as cause:
        raise StorageError(f"{path} is not a database of Anzol's: {cause}.", do="Check --from.") from cause
    finally:
        connection.close()


def refuse_working(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a database whose deliveries are under way: they would be made twice, from here and from there.

    Raises:
        StorageBusy: it has a worker, or claims of one that has died.
    """
    workers = connection.execute("select host, pid from anzol_worker").fetchall()
    if workers:
        shown = ", ".join(f"{host} (process {pid})" for host, pid in workers)
        raise StorageBusy(
            f"{path} has workers: {shown}.",
            do="Stop the app and its workers. If one has died, run `anzol worker --once`: it clears up behind it.",
        )


def check_mark(source: Source, deployment: str) -> None:
    """Refuse a database that is another deployment's, or was moved before.

    Raises:
        WrongDeployment: as it says.
    """
    mark, _ = source.mark()
    if mark.startswith(MOVED):
        raise WrongDeployment(
            f"{source.path} was {mark}.",
            do="To copy it once more, run `anzol adopt` on it first, and empty the target.",
        )
    if mark != deployment:
        raise WrongDeployment(
            f"{source.path} belongs to the deployment {mark!r}, this is {deployment!r}.",
            do="Set ANZOL_ENVIRONMENT or ANZOL_DEPLOYMENT as the app has them.",
        )
