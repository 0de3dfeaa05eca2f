"""What `anzol doctor` looks at, gathered without changing anything. What it means is decided in `findings`."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from anzol.errors import AnzolError

if TYPE_CHECKING:
    from anzol.app import Webhooks
    from anzol.cli.serverfacts import Server
    from anzol.declarations import Finding as Lint
    from anzol.model import Endpoint, PauseRule, Status, StoredMessage
    from anzol.settings import Settings

MOST: Final = 2000  # endpoints that are looked at


@dataclass(frozen=True, slots=True)
class DatabaseFile:
    """The database's file and the disk that it is on. Sizes in bytes."""

    path: Path
    exists: bool
    folder_exists: bool
    folder_writable: bool
    writable: bool
    wal: int
    free: int
    total: int
    filesystem: str


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The key file beside the database. ``mode`` are its permission bits."""

    path: Path
    exists: bool
    mode: int


@dataclass(frozen=True, slots=True)
class Source:
    """A database of the host's whose ``anzol_outbox`` is moved over; ``error`` where that cannot be."""

    shown: str
    error: AnzolError | None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that was found out; None or empty where it did not come to that."""

    now: datetime
    host: str
    environ: Mapping[str, str] = field(repr=False)
    descriptors: int | None = None
    with_app: bool = False
    app_error: AnzolError | None = None
    settings_error: AnzolError | None = None
    storage_error: AnzolError | None = None
    settings: Settings | None = None
    lints: tuple[Lint, ...] = ()
    declared: tuple[str, ...] = ()
    database: DatabaseFile | None = None
    key: KeyFile | None = None
    server: Server | None = None
    schema: tuple[int, int] | None = None  # of the database, as far as it matters to this Anzol; of this Anzol
    status: Status | None = None
    endpoints: tuple[Endpoint, ...] = ()
    pauses: tuple[PauseRule, ...] = ()
    newest: StoredMessage | None = None
    sources: tuple[Source, ...] = ()


def look_at_file(path: Path) -> DatabaseFile:
    """Look at the database's file and its folder."""
    folder = path.parent
    wal = path.with_name(f"{path.name}-wal")
    disk = shutil.disk_usage(folder) if folder.is_dir() else None
    return DatabaseFile(
        path=path,
        exists=path.exists(),
        folder_exists=folder.is_dir(),
        folder_writable=os.access(folder, os.W_OK | os.X_OK),
        writable=os.access(path, os.R_OK | os.W_OK),
        wal=wal.stat().st_size if wal.exists() else 0,
        free=disk.free if disk else 0,
        total=disk.total if disk else 0,
        filesystem=filesystem_of(folder),
    )


def look_at_key(path: Path) -> KeyFile:
    """Look at the key file beside a database."""
    key = path.with_name("anzol.key")
    there = key.exists()
    return KeyFile(key, there, stat.S_IMODE(key.stat().st_mode) if there else 0)


def filesystem_of(folder: Path) -> str:
    """Return the kind of filesystem that a folder is on, such as ``ext4`` or ``nfs4``; empty where nobody says."""
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    for fields in (line.split(" ") for line in mounts):
        if len(fields) > 2 and folder.absolute().is_relative_to(fields[1]) and len(fields[1]) >= len(best):
            best, kind = fields[1], fields[2]
    return kind


def most_descriptors() -> int | None:
    """Return how many files and connections this process may have open; None where there is no such limit."""
    try:
        import resource
    except ImportError:
        return None
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def now() -> datetime:
    """Return the time by this machine's clock."""
    return datetime.now(UTC)


async def read_storage(webhooks: Webhooks) -> dict[str, object]:
    """Read from the database what the findings are about."""
    endpoints: list[Endpoint] = []
    async for endpoint in webhooks.endpoints.all():
        endpoints.append(endpoint)
        if len(endpoints) == MOST:
            break
    newest = await webhooks.messages.list(limit=1)
    return {
        "status": await webhooks.status(),
        "endpoints": tuple(endpoints),
        "pauses": await webhooks.paused(),
        "newest": newest.items[0] if newest.items else None,
        "sources": tuple(look_at_source(url) for url in await webhooks.core.opened().outbox_sources()),
    }


def look_at_source(url: str) -> Source:
    """Try to read from one of the host's databases."""
    from anzol.storage.sources import open_source

    source = open_source(url)
    try:
        source.read("", 1)
    except AnzolError as error:
        return Source(source.shown, error)
    finally:
        source.close()
    return Source(source.shown, None)
