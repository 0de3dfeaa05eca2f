"""`anzol copy`: a SQLite database into PostgreSQL, with everything in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from anzol.cli.options import Json, command
from anzol.errors import InvalidValue
from anzol.storage.places import PostgresPlace, SqlitePlace

if TYPE_CHECKING:
    from anzol.settings import Settings
    from anzol.storage.copying.parts import Keys
    from anzol.storage.copying.whole import Copied, Tell

From = Annotated[str, typer.Option("--from", metavar="URL", help="The SQLite file: sqlite:///anzol.db.")]
To = Annotated[
    str, typer.Option("--to", metavar="URL", help="The PostgreSQL database; ANZOL_SCHEMA says which schema.")
]


def register(program: typer.Typer) -> None:
    """Add this command."""
    command(program, "copy", copy)


def copy(*, source: From, target: To, json: Json = False) -> None:
    """Copy a SQLite database into PostgreSQL: customers, endpoints with their secrets, messages, what waits, history.

    Stop the app and its workers first. Cut off halfway, run it again: it goes on. Every row is compared at the end,
    and the SQLite file is marked as moved, so that nothing is sent twice; `anzol adopt` takes it back.

    ANZOL_SECRET_KEY seals the secrets in PostgreSQL. What opens the file's: that key, those in ANZOL_OLD_SECRET_KEYS,
    or the anzol.key beside it.
    """
    import asyncio

    from anzol.cli.screen import Screen
    from anzol.settings import Settings

    whence, whereto = read_source(source), Settings(database_url=target)
    place = whereto.place
    if not isinstance(place, PostgresPlace):
        raise InvalidValue(
            "--to names no PostgreSQL database.", field="to", do="Write postgresql://user@host/database."
        )
    screen = Screen(as_json=json)
    with progress() as tell:
        copied = asyncio.run(copied_to(whence, place, whereto, tell))
    data = {"from": str(whence), "to": str(place), "resumed": copied.resumed, "rows": copied.rows}
    screen.result(data, told(whence, place, copied))


def read_source(url: str) -> SqlitePlace:
    """Read ``--from``."""
    from anzol.storage.places import place_of

    place = place_of(url)
    if not isinstance(place, SqlitePlace):
        raise InvalidValue("--from names no SQLite file.", field="from", do="Write sqlite:///anzol.db.")
    return place


async def copied_to(source: SqlitePlace, place: PostgresPlace, settings: Settings, tell: Tell) -> Copied:
    """Bring the schema up to date, and copy into it."""
    from anzol.storage.copying.whole import copy
    from anzol.storage.opening import migrate
    from anzol.storage.postgres.connections import Place, connect, explained, shut

    keys = keys_for(source, settings)
    await migrate(place)
    connection = await connect(Place(place.url, place.schema, place.pooler, 5.0), command_timeout=None)
    try:
        return await copy(
            source.path, connection, place.schema, keys, deployment=settings.mark, whereto=str(place), tell=tell
        )
    except Exception as error:  # noqa: BLE001 it is explained, and raised
        raise explained(error) from error.__cause__
    finally:
        await shut(connection)


def keys_for(source: SqlitePlace, settings: Settings) -> Keys:
    """Return what opens the file's secrets, and what seals them anew.

    Raises:
        SettingsError: there is no ANZOL_SECRET_KEY.
    """
    from anzol.storage.copying.parts import Keys
    from anzol.storage.opening import KEY_FILE, keys
    from anzol.storage.vault import Vault, key_file

    given = settings.secret_key.get_secret_value() if settings.secret_key else None
    old = tuple(key.get_secret_value() for key in settings.old_secret_keys)
    sealing = keys(given, old)
    beside = source.path.with_name(KEY_FILE)
    kept = (key_file(beside),) if beside.exists() else ()
    return Keys(source=Vault((*kept, *sealing)), target=Vault(sealing))


@contextmanager
def progress() -> Iterator[Tell]:
    """Show on stderr how far each table is."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console, transient=True
    ) as bars:
        lines: dict[str, int] = {}

        def tell(table: str, done: int, total: int) -> None:
            if table not in lines:
                lines[table] = int(bars.add_task(table))
            bars.update(lines[table], completed=done, total=total)  # type: ignore[arg-type]  # a TaskID is an int

        yield tell


def told(source: SqlitePlace, place: PostgresPlace, copied: Copied) -> str:
    """Write for people what was done and what comes next."""
    rows = "\n".join(f"  {name:<16} {count:>12,}" for name, count in copied.rows.items())
    return (
        f"{source} is in {place} now, every row compared:\n{rows}\n"
        "Set ANZOL_DATABASE_URL to it, keep ANZOL_SECRET_KEY, and start the app and its workers again."
    )
