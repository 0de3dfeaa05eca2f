"""Gathering the facts for `anzol doctor`: as far as it goes, each obstacle noted instead of raised."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from anzol.cli.facts import Facts, look_at_file, look_at_key, most_descriptors, now, read_storage
from anzol.cli.opening import closing, opened
from anzol.errors import AnzolError, AppError, SettingsError
from anzol.storage.places import PostgresPlace

if TYPE_CHECKING:
    from anzol.app import Webhooks


def gather(app: str | None, database: str | None) -> Facts:
    """Return what can be found out about the app and its database; nothing is made or migrated."""
    facts = Facts(now=now(), host=socket.gethostname(), environ=dict(os.environ), descriptors=most_descriptors())
    try:
        webhooks = opened(app, database)
    except SettingsError as error:
        return replace(facts, settings_error=error)
    except AppError as error:
        return replace(facts, app_error=error)
    except AnzolError as error:
        return replace(facts, app_error=error)
    return about_database(about_declarations(facts, webhooks), webhooks)


def about_declarations(facts: Facts, webhooks: Webhooks) -> Facts:
    """Add what is declared, and what is doubtful about it."""
    from fastapi import FastAPI

    from anzol.declarations import lint

    source = webhooks.core.sources[0]
    lints = tuple(lint(source))
    fatal = any(one.fatal for one in lints)
    return replace(
        facts,
        with_app=isinstance(source, FastAPI),
        lints=lints,
        declared=() if fatal else tuple(webhooks.catalog.names),
    )


def about_database(facts: Facts, webhooks: Webhooks) -> Facts:
    """Add the settings, the files, and what is in the database if it can be opened as it is."""
    try:
        settings = webhooks.settings
        place = settings.place
    except SettingsError as error:
        return replace(facts, settings_error=error)
    facts = replace(facts, settings=settings)
    if isinstance(place, PostgresPlace):
        return about_server(facts, webhooks, place)
    facts = replace(facts, database=look_at_file(place.path), key=look_at_key(place.path))
    if not place.path.exists():
        return facts
    return about_contents(facts, webhooks, place.path)


def about_server(facts: Facts, webhooks: Webhooks, place: PostgresPlace) -> Facts:
    """Add what the server says of itself, and what is in the database if opening it does not change it."""
    from anzol.cli.serverfacts import look_at_server
    from anzol.storage.opening import check_driver, keys
    from anzol.storage.postgres.migrations import newest

    try:
        check_driver()
        server = asyncio.run(look_at_server(place))
        here = newest()
        fits = server.schema_version >= here >= server.works_with
        unseen = bool(server.lacked) and not server.schema_version
        schema = None if unseen else (here if fits else server.schema_version, here)
        facts = replace(facts, server=server, schema=schema)
        keys(webhooks.settings.plain_key, ())
        if not fits or server.lacked or server.read_only or not server.started:
            return facts
        return with_contents(facts, webhooks)
    except SettingsError as error:
        return replace(facts, settings_error=error)
    except AnzolError as error:
        return replace(facts, storage_error=error)


def about_contents(facts: Facts, webhooks: Webhooks, path: Path) -> Facts:
    """Add what is in the database, unless opening it would change it."""
    from anzol.cli.schema import versions

    try:
        facts = replace(facts, schema=versions(path))
        key_is_missing = facts.key is not None and not facts.key.exists and webhooks.settings.secret_key is None
        if facts.schema is None or facts.schema[0] != facts.schema[1] or key_is_missing:
            return facts
        return with_contents(facts, webhooks)
    except AnzolError as error:
        return replace(facts, storage_error=error)


def with_contents(facts: Facts, webhooks: Webhooks) -> Facts:
    """Add what is in the database."""
    read = asyncio.run(closing(webhooks, read_storage))
    return replace(facts, now=now(), **read)  # type: ignore[arg-type]  # the names are those of Facts
