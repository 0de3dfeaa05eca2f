"""Opening what a command works on: the app's `Webhooks`, or a database alone.

In order: ``--app``; ``--database``; ANZOL_DATABASE_URL; the app that `fastapi run` would find; ``anzol.db`` here.
"""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from anzol.actors import acting
from anzol.cli.discovery import find, load
from anzol.errors import AppError, InvalidValue, StorageError
from anzol.storage.places import SqlitePlace

if TYPE_CHECKING:
    from fastapi import FastAPI

    from anzol.app import Webhooks
    from anzol.settings import Settings

T = TypeVar("T")
URL: Final = "ANZOL_DATABASE_URL"


def run(work: Callable[[Webhooks], Awaitable[T]], app: str | None, database: str | None, *, fresh: bool = False) -> T:
    """Do *work* on what the options name, and close it.

    Args:
        fresh: Whether the database may be made; a look at one that is not there is a mistake.
    """
    webhooks = opened(app, database)
    if not fresh:
        check_there(webhooks.settings)
    with acting(me()):
        return asyncio.run(closing(webhooks, work))


def me() -> str:
    """Return who is acting: ``cli:`` and the user's name on this machine, ``cli`` where he has none."""
    try:
        return f"cli:{getpass.getuser()}"
    except (OSError, KeyError, ImportError):  # a container's user is often a bare number
        return "cli"


async def closing(webhooks: Webhooks, work: Callable[[Webhooks], Awaitable[T]]) -> T:
    """Do *work*, and let go of the database whatever comes of it."""
    try:
        return await work(webhooks)
    finally:
        await webhooks.core.opened().close()


def opened(app: str | None, database: str | None) -> Webhooks:
    """Return the app's `Webhooks`, or one that has only the database. Nothing is opened yet."""
    if app and database:
        raise InvalidValue("--app and --database name one database each.", field="database", do="Give one of them.")
    if app:
        return of_app(load(find(app, Path.cwd())))
    if database or os.environ.get(URL):
        return of_database(database)
    try:
        found = find(None, Path.cwd())
    except AppError as cause:
        if Path("anzol.db").is_file():
            return of_database(None)
        raise AppError(
            "Neither an app nor a database was named, and neither is here.",
            do=f"Name the app with --app, or the database with --database or {URL}.",
        ) from cause
    return of_app(load(found))


def declaring(app: str | None) -> Webhooks:
    """Return the app's `Webhooks`, for what needs its declarations."""
    return of_app(load(find(app, Path.cwd())))


def of_app(app: FastAPI) -> Webhooks:
    """Return the `Webhooks` that is installed on an app."""
    from anzol.app import Webhooks

    return Webhooks.of(app)


def of_database(url: str | None) -> Webhooks:
    """Return a `Webhooks` without webhooks: what looks and mends needs no declarations."""
    from fastapi import APIRouter

    from anzol.app import Webhooks
    from anzol.settings import Settings

    return Webhooks(APIRouter(), settings=Settings(database_url=url) if url else Settings())


def check_there(settings: Settings) -> None:
    """Refuse to look into a SQLite file that is not there: reading would make an empty one."""
    place = settings.place
    if isinstance(place, SqlitePlace) and not place.path.exists():
        raise StorageError(
            f"There is no database {place}.",
            do=f"Check --database or {URL}; `anzol migrate` makes it, and so does the app when it starts.",
        )
