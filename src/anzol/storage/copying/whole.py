"""The story of a copy: the source stands still, each table follows page by page, all is compared, then marked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anzol.storage.copying.parts import PARTS, Keys, Part
from anzol.storage.copying.source import Source, check_mark, opened
from anzol.storage.copying.target import Target, unlike

if TYPE_CHECKING:
    from asyncpg import Connection


@dataclass(frozen=True, slots=True)
class Copied:
    """What came of it: rows by table, and whether it went on where one before was cut off."""

    rows: dict[str, int]
    resumed: bool


Tell = Callable[[str, int, int], None]  # table, rows done, rows in all


async def copy(
    path: Path, connection: Connection, schema: str, keys: Keys, *, deployment: str, whereto: str, tell: Tell
) -> Copied:
    """Copy a SQLite database into an empty schema whose migrations are applied; mark the source as moved.

    Cut off at any place it can be run again and goes on; if the source has changed meanwhile, it begins anew.

    Args:
        keys: What opens the source's secrets, and what seals them in the target.
        deployment: The mark that the source must have and the target gets.
        whereto: Is written into the source's mark, for people.

    Raises:
        StorageError: the source is in use, is another deployment's, or cannot be read; the copy differs from it.
        Conflict: the target is not empty.
        VaultError: the key does not open the source's secrets.
    """
    with opened(path) as source:
        check_mark(source, deployment)
        target = Target(connection, schema)
        resumed = await target.begin(source.fingerprint(), keys.target)
        for part in PARTS:
            await copy_part(source, target, part, keys, tell)
        rows = {part.name: await compare(source, target, part, keys) for part in PARTS}
        await target.finish(deployment, keys.target)
        source.retire(keys.source, deployment, whereto)
        return Copied(rows, resumed)


async def copy_part(source: Source, target: Target, part: Part, keys: Keys, tell: Tell) -> None:
    """Copy the rest of one table."""
    places, done = await target.place(part)
    total = source.count(part)
    tell(part.name, done, total)
    for after, rows in source.pages(part, places, keys):
        await target.take(part, after, rows)
        done += len(rows)
        tell(part.name, done, total)


async def compare(source: Source, target: Target, part: Part, keys: Keys) -> int:
    """Read both sides again and compare every row; return how many there are."""
    count = 0
    for _, rows in source.pages(part, part.start, keys):
        count += len(rows)
        if not await target.same(part, rows):
            raise unlike(part, f"among its first {count} rows")
    there = await target.count(part)
    if there != count:
        raise unlike(part, f"{count} rows here, {there} there")
    return count
