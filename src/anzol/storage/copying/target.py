"""The PostgreSQL side of a copy: empty at the beginning, marked as unfinished until the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from anzol.errors import Conflict, StorageError
from anzol.storage.copying.parts import PARTS, Part
from anzol.storage.postgres.queries import in_schema
from anzol.storage.vault import Vault

if TYPE_CHECKING:
    from asyncpg import Connection

UNFINISHED: Final = "a copy that is not finished"
PROGRESS: Final = (
    "create table if not exists anzol.copying (part text primary key, places text not null, count bigint not null)"
)
FINGERPRINT: Final = "fingerprint"


class Target:
    """A schema that is being filled. ``copying`` in it says how far, and is gone at the end."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self.connection = connection
        self.schema = schema

    def sql(self, text: str) -> str:
        return in_schema(text, self.schema)

    async def begin(self, fingerprint: str, vault: Vault) -> bool:
        """Make ready to copy from a source; return whether what is there of it already is still right.

        Raises:
            Conflict: there is something else in the schema.
        """
        async with self.connection.transaction():
            begun = await self.connection.fetchval(
                self.sql("select to_regclass($1) is not null"), f'"{self.schema}".copying'
            )
            if not begun:
                await self.refuse_full()
            await self.connection.execute(self.sql(PROGRESS))
            former = await self.connection.fetchval(
                self.sql("select places from anzol.copying where part = $1"), FINGERPRINT
            )
            if begun and former != fingerprint:
                await self.empty()
            await self.mark(UNFINISHED, vault)
            await self.progress(FINGERPRINT, fingerprint, 0)
        return bool(former == fingerprint)

    async def refuse_full(self) -> None:
        """Refuse a schema that holds anything.

        Raises:
            Conflict: it does.
        """
        for name in ("deployment", *(part.name for part in PARTS)):
            if await self.connection.fetchval(self.sql(f"select exists (select 1 from anzol.{name})")):  # noqa: S608 our own names
                raise Conflict(
                    f"The schema {self.schema!r} of the target is not empty: it has rows in {name!r}.",
                    do="Copy into an empty one: name another in ANZOL_SCHEMA, or drop this one.",
                )

    async def empty(self) -> None:
        """Take away what was copied from a source that has changed since."""
        names = ", ".join(f"anzol.{name}" for name in ("copying", "deployment", *(part.name for part in PARTS)))
        await self.connection.execute(self.sql(f"truncate {names}"))

    async def mark(self, mark: str, vault: Vault) -> None:
        """Write the deployment's mark."""
        await self.connection.execute(
            self.sql(
                "insert into anzol.deployment (id, mark, canary) values (1, $1, $2) "
                "on conflict (id) do update set mark = excluded.mark, canary = excluded.canary"
            ),
            mark,
            vault.seal(b"anzol", "deployment", mark),
        )

    async def progress(self, part: str, places: str, count: int) -> None:
        """Write how far a part is."""
        await self.connection.execute(
            self.sql(
                "insert into anzol.copying (part, places, count) values ($1, $2, $3) "
                "on conflict (part) do update set places = excluded.places, "
                "count = anzol.copying.count + excluded.count"
            ),
            part,
            places,
            count,
        )

    async def place(self, part: Part) -> tuple[tuple[Any, ...], int]:
        """Return after which row a part goes on, and how many rows lie before."""
        row = await self.connection.fetchrow(
            self.sql("select places, count from anzol.copying where part = $1"), part.name
        )
        return (part.start, 0) if row is None else (read_places(row[0]), row[1])

    async def take(self, part: Part, places: Sequence[Any], rows: Sequence[Sequence[Any]]) -> None:
        """Store a page of rows, and how far that is, together."""
        async with self.connection.transaction():
            await self.connection.copy_records_to_table(
                part.name, schema_name=self.schema, columns=part.columns, records=rows
            )
            await self.progress(part.name, write_places(places), len(rows))

    async def same(self, part: Part, rows: Sequence[Sequence[Any]]) -> bool:
        """Say whether rows are stored just as they are given, but for the bytes of what is sealed."""
        given = {part.keys_of(row): compared(part, row) for row in rows}
        names = ", ".join(f't."{name}"' for name in part.columns)
        arrays = ", ".join(f"${number}::{kind}[]" for number, (_, kind) in enumerate(part.key, start=1))
        match = " and ".join(f't."{name}" = g.k{number}' for number, (name, _) in enumerate(part.key, start=1))
        keys = ", ".join(f"k{number}" for number in range(1, len(part.key) + 1))
        text = f"select {names} from unnest({arrays}) g ({keys}) join anzol.{part.name} t on {match}"  # noqa: S608 our own names
        columns = [list(column) for column in zip(*given, strict=True)]
        found = await self.connection.fetch(self.sql(text), *columns)
        return {part.keys_of(row): compared(part, row) for row in map(tuple, found)} == given

    async def count(self, part: Part) -> int:
        """Return how many rows a part has."""
        return int(await self.connection.fetchval(self.sql(f"select count(*) from anzol.{part.name}")))  # noqa: S608 our own names

    async def finish(self, mark: str, vault: Vault) -> None:
        """Set the counters on, write the right mark, and take the traces of the copy away."""
        async with self.connection.transaction():
            for part in PARTS:
                if part.counter is not None:
                    await self.connection.execute(self.sql(counter_set(part)), f'"{self.schema}"."{part.name}"')
            await self.mark(mark, vault)
            await self.connection.execute(self.sql("drop table anzol.copying"))
        for part in PARTS:
            await self.connection.execute(self.sql(f"analyze anzol.{part.name}"))


def counter_set(part: Part) -> str:
    """Return what sets a table's counter behind its last number."""
    last = f'coalesce((select max("{part.counter}") from anzol.{part.name}), 0) + 1'  # noqa: S608 our own names
    return f"select setval(pg_get_serial_sequence($1, '{part.counter}'), {last}, false)"


def compared(part: Part, row: Sequence[Any]) -> tuple[Any, ...]:
    """Return a row for comparison: what is sealed, as whether it is there."""
    return tuple(
        (value is not None) if name == part.sealed else tuple(value) if isinstance(value, list) else value
        for name, value in zip(part.columns, row, strict=True)
    )


def write_places(places: Sequence[Any]) -> str:
    """Write where a page ended."""
    return json.dumps([{"hex": place.hex()} if isinstance(place, bytes) else place for place in places])


def read_places(text: str) -> tuple[Any, ...]:
    """Read what `write_places` wrote."""
    return tuple(bytes.fromhex(place["hex"]) if isinstance(place, dict) else place for place in json.loads(text))


def unlike(part: Part, what: str) -> StorageError:
    """Say that a copy is not what it was copied from."""
    return StorageError(
        f"The copy of {part.name} differs from the source: {what}.",
        do="Nobody else may write into the target. Drop its schema, run `anzol migrate`, and copy again.",
    )
