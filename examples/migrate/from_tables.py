"""Make endpoints of the rows of a table of your own, as often as you like: `python from_tables.py app.db --dry-run`.

The table here: webhook (id, account, url, secret, events, active). Change `rows` to read yours.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from fastapi import APIRouter

from anzol import Webhooks


@dataclass(frozen=True)
class Row:
    """One endpoint as it was stored until now."""

    id: str
    account: str
    url: str
    secret: str
    events: list[str]
    active: bool


def rows(database: str) -> Iterator[Row]:
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT id, account, url, secret, events, active FROM webhook ORDER BY id")
        for id_, account, url, secret, events, active in found:
            yield Row(str(id_), account, url, secret, events.split(), bool(active))


def signing_secret(secret: str) -> str:
    """Return a secret as Standard Webhooks writes it: its bytes, 24 to 64 of them, in Base64."""
    return secret if secret.startswith("whsec_") else f"whsec_{base64.b64encode(secret.encode()).decode()}"


async def copy(webhooks: Webhooks, row: Row) -> None:
    """Make or update the endpoint of a row; its uid is the row's id, so that it is found again."""
    known = [one async for one in webhooks.endpoints.all(row.account) if one.uid == row.id]
    if known:
        await webhooks.endpoints.update(known[0].id, url=row.url, event_types=row.events)
        return
    await webhooks.endpoints.create(
        row.account,
        uid=row.id,
        url=row.url,
        secret=signing_secret(row.secret),
        event_types=row.events,
        enabled=row.active,
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description="Make endpoints of the rows of a table.")
    parser.add_argument("database", help="the SQLite file that has the table")
    parser.add_argument("--dry-run", action="store_true", help="only read, and say what there is")
    asked = parser.parse_args()
    webhooks = Webhooks(APIRouter())  # its database, and its key, are those of the settings
    for row in rows(asked.database):
        if not asked.dry_run:
            await copy(webhooks, row)
        print("would copy" if asked.dry_run else "copied", f"{row.account}/{row.id}")
    await webhooks.close()


if __name__ == "__main__":
    asyncio.run(main())
