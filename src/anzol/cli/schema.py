"""`anzol migrate`: making the tables and bringing them up to date; and `anzol adopt`: taking over a copied database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import quote

import typer

from anzol.cli.options import App, Database, Json, Yes, command
from anzol.errors import InvalidValue, OutboxMissing, StorageError
from anzol.storage.places import PostgresPlace

if TYPE_CHECKING:
    from anzol.app import Webhooks
    from anzol.cli.screen import Screen

NOW: Final = "cast(strftime('%s', 'now') as integer) * 1000000"


def register(program: typer.Typer) -> None:
    """Add this family's commands."""
    command(program, "migrate", migrate)
    command(program, "adopt", adopt)


def migrate(
    *,
    check: Annotated[bool, typer.Option("--check", help="Only say whether it is needed; exit code 1: it is.")] = False,
    sql: Annotated[bool, typer.Option("--sql", help="Only print the statements, with the rights needed.")] = False,
    grant: Annotated[
        str | None, typer.Option("--grant", metavar="ROLE", help="PostgreSQL: the rights that ROLE needs to run on it.")
    ] = None,
    outbox: Annotated[
        str | None, typer.Option("--outbox", metavar="URL", help="The table anzol_outbox in a database of your own.")
    ] = None,
    register: Annotated[
        bool,
        typer.Option("--register", help="With --outbox: tell workers where it is; sends do, if they can."),
    ] = False,
    app: App = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Make Anzol's tables, or bring them up to date.

    On PostgreSQL the version before goes on working meanwhile; of several that run at once, one does it.

    With --outbox: the one table that `session=` needs beside your own tables.
    """
    check_options(check=check, sql=sql, grant=grant, outbox=outbox, register=register)
    if outbox is not None:
        migrate_outbox(outbox, check=check, sql=sql, json=json)
        if register:
            tell_workers(app, database, outbox)
        return
    migrate_own(app, database, check=check, sql=sql, grant=grant, json=json)


def check_options(*, check: bool, sql: bool, grant: str | None, outbox: str | None, register: bool) -> None:
    """Refuse what would be ignored."""
    if check and sql:
        raise InvalidValue("--check and --sql are two questions.", field="check", do="Ask one of them.")
    if grant is not None and (check or outbox is not None):
        raise InvalidValue(
            f"--grant gives nothing with {'--check' if check else '--outbox'}.",
            field="grant",
            do="Leave one of them out.",
        )
    if register and (outbox is None or check or sql):
        raise InvalidValue(
            "--register tells workers of a table that --outbox makes.",
            field="register",
            do="Write `anzol migrate --outbox URL --register`.",
        )


# --- Anzol's own database


def migrate_own(
    app: str | None, database: str | None, *, check: bool, sql: bool, grant: str | None, json: bool
) -> None:
    """Do it, or say what would be done."""
    from anzol.cli.opening import opened
    from anzol.cli.screen import Screen

    webhooks = opened(app, database)
    place = webhooks.settings.place
    screen = Screen(as_json=json)
    if isinstance(place, PostgresPlace):
        from anzol.cli.migrating import migrate_postgres

        migrate_postgres(place, screen, check=check, sql=sql, grant=grant)
        return
    if grant is not None:
        raise InvalidValue("--grant is of PostgreSQL; who may use a file is its mode's affair.", field="grant")
    migrate_file(webhooks, place.path, screen, check=check, sql=sql)


def migrate_file(webhooks: Webhooks, path: Path, screen: Screen, *, check: bool, sql: bool) -> None:
    """Do it to a SQLite file, or say what would be done."""
    import asyncio

    from anzol.cli.exits import Exit
    from anzol.cli.opening import closing

    there, here = versions(path)
    if sql:
        text = missing_sql(there)
        screen.result({"sql": text}, text or "-- nothing is missing")
        return
    if not check:
        asyncio.run(closing(webhooks, prepared))
    data = {"database": str(path), "version": there, "newest": here, "done": not check}
    screen.result(data, told(path, there, here, done=not check))
    if check and there < here:
        raise typer.Exit(Exit.FAILED)


async def prepared(webhooks: Webhooks) -> None:
    """Apply what is missing."""
    await webhooks.core.storage()


def told(path: Path, there: int, here: int, *, done: bool) -> str:
    """Write for people what was done, or would be."""
    if there == here:
        return f"{path} is up to date: schema {here}"
    verb = "is now at" if done else "needs"
    return f"{path} {verb} schema {here}; it {'was' if done else 'is'} at {there}"


def versions(path: Path) -> tuple[int, int]:
    """Return the schema's version in a file (0: none), and the one of this Anzol; nothing is made or changed.

    Raises:
        StorageError: the file is not a database, or cannot be read.
        SchemaNewer: the database belongs to a newer Anzol.
    """
    from anzol.storage.sqlite import migrations

    if not path.exists():
        return 0, migrations.newest()
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            return migrations.version(connection), migrations.newest()
    except sqlite3.Error as cause:
        raise StorageError(
            f"{path} cannot be read: {cause}.", do="Check that it is Anzol's database, and its mode."
        ) from cause


def missing_sql(there: int) -> str:
    """Return the statements of the migrations after a version."""
    from anzol.storage.sqlite import migrations

    parts = [
        f"-- {number}: {name}\n{text}\ninsert into anzol_migration values ({number}, '{name}', {NOW});\n"
        for number, name, text in migrations.migrations()
        if number > there
    ]
    return "\n".join([f"{migrations.MADE};\n", *parts]) if parts else ""


# --- the outbox beside somebody's own tables


def migrate_outbox(url: str, *, check: bool, sql: bool, json: bool) -> None:
    """Make the table ``anzol_outbox``, or say whether it is there, or how it is made."""
    from anzol.cli.exits import Exit
    from anzol.cli.screen import Screen

    screen = Screen(as_json=json)
    if sql:
        text = outbox_sql(url)
        screen.result({"sql": text}, text)
        return
    if check:
        there = outbox_is_there(url)
        screen.result({"there": there}, "anzol_outbox is there" if there else "anzol_outbox is not there")
        if not there:
            raise typer.Exit(Exit.FAILED)
        return
    from anzol.storage.outboxrows import create_outbox_table

    made = create_outbox_table(url)
    screen.result({"made": made}, "anzol_outbox was made" if made else "anzol_outbox was there already")


def tell_workers(app: str | None, database: str | None, url: str) -> None:
    """Write down in Anzol's own database that there is an outbox at *url*, which may hold a password: it is sealed."""
    import asyncio

    from anzol.cli.opening import closing, opened

    async def tell(webhooks: Webhooks) -> None:
        await (await webhooks.core.storage()).add_outbox_source(url)

    asyncio.run(closing(opened(app, database), tell))


def outbox_is_there(url: str) -> bool:
    """Say whether a database has the table."""
    from anzol.storage.sources import open_source

    source = open_source(url)
    try:
        source.read("", 1)
    except OutboxMissing:
        return False
    finally:
        source.close()
    return True


def outbox_sql(url: str) -> str:
    """Return the statement that makes the table, in the database's own dialect."""
    from anzol.storage.outboxrows import DDL, own_table, sqlite_path

    if sqlite_path(url):
        return f"{DDL.strip()};"
    from sqlalchemy import make_url
    from sqlalchemy.schema import CreateTable

    statement = CreateTable(own_table()).compile(dialect=make_url(url).get_dialect()())
    return f"{str(statement).strip()};"


# --- a database that was copied or renamed


def adopt(
    *,
    withdraw_pending: Annotated[
        bool, typer.Option("--withdraw-pending", help="Call off everything that waits: it is another place's work.")
    ] = False,
    yes: Yes = False,
    app: App = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Make a copied database this deployment's.

    For a dump of production restored elsewhere give --withdraw-pending: else what waits in it is delivered from here,
    to real customers. With a lost key every endpoint is disabled until it has a new secret.
    """
    import asyncio

    from anzol.cli.opening import check_there, closing, opened
    from anzol.cli.screen import Screen

    webhooks = opened(app, database)
    check_there(webhooks.settings)
    screen = Screen(as_json=json)
    what = "; what waits is called off" if withdraw_pending else "; what waits is delivered from here"
    meant = f"{webhooks.settings.place} would be the deployment {webhooks.settings.mark!r}{what}"
    if not yes:
        screen.result({"done": False}, f"{meant}; add --yes to do it")
        return
    storage = webhooks.core.opened()
    doing = storage.adopt(deployment=webhooks.settings.mark, withdraw_pending=withdraw_pending)
    withdrawn = asyncio.run(closing(webhooks, lambda _: doing))
    screen.result({"done": True, "withdrawn": withdrawn}, f"adopted; {withdrawn:,} withdrawn")
