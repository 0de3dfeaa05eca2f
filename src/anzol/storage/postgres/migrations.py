"""The schema's versions: numbered SQL files, applied in order, one transaction each."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from anzol.storage.postgres.queries import FOLDER, in_schema

if TYPE_CHECKING:
    from asyncpg import Connection


@cache
def migrations() -> tuple[tuple[int, str, str], ...]:
    """Return (version, name, SQL) of every migration, in order."""
    found = []
    for file in (FOLDER / "migrations").iterdir():
        number, _, name = file.name.removesuffix(".sql").partition("_")
        if file.name.endswith(".sql"):
            found.append((int(number), name, file.read_text(encoding="utf-8")))
    return tuple(sorted(found))


def newest() -> int:
    """Return the version that this Anzol works with."""
    return migrations()[-1][0]


async def apply(connection: Connection, schema: str) -> None:
    """Apply what is missing."""
    async with connection.transaction():
        await connection.execute(in_schema("create schema if not exists anzol.x", schema).removesuffix(".x"))
        for _, _, text in migrations():
            await connection.execute(in_schema(text, schema))
