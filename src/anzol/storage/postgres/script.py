"""What a database's administrator wants to see: the statements of the missing migrations, and the least rights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from anzol.errors import StorageError
from anzol.storage.postgres import migrations as known
from anzol.storage.postgres.connections import Place, explained
from anzol.storage.postgres.migrating import connected
from anzol.storage.postgres.migrations import MADE, Standing, standing
from anzol.storage.postgres.queries import in_schema

MADE_TABLE: Final = re.compile(r"^create table (?:if not exists )?anzol\.(\w+)", re.MULTILINE)
MADE_VIEW: Final = re.compile(r"^create (?:or replace )?view anzol\.(\w+)", re.MULTILINE)
GONE: Final = re.compile(r"^drop (?:table|view) (?:if exists )?anzol\.(\w+)", re.MULTILINE)
APPLIED_AT: Final = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"
ALL: Final = "select, insert, update, delete"
LACKING: Final = """
select distinct t.name
  from unnest($3::text[]) as t(name), unnest($4::text[]) as r(wanted)
 where not has_schema_privilege($1::name, to_regnamespace($2), 'usage')
    or not has_table_privilege($1::name, to_regclass($2 || '.' || t.name), r.wanted)
 order by t.name
"""
NOBODY: Final = "ROLE"  # where no role was named
LOCK: Final = "set local lock_timeout = '3s'; -- if it fails for that, nothing was done: try again"


@dataclass(frozen=True, slots=True)
class Found:
    """What there is: the schema itself, and how it stands."""

    schema: bool
    standing: Standing


async def look(url: str, schema: str, *, pooler: bool = False) -> Found:
    """Look what a database has; nothing is changed.

    Raises:
        StorageError: it cannot be looked at.
    """
    async with connected(Place(url, schema, pooler, patience=5.0)) as connection:
        try:
            there = await connection.fetchval("select to_regnamespace($1) is not null", f'"{schema}"')
            return Found(there, await standing(connection, schema))
        except Exception as error:
            raise explained(error) from error


async def grant(url: str, schema: str, role: str, *, pooler: bool = False) -> None:
    """Give a role what it needs to accept and deliver.

    Raises:
        StorageError: there is no such role, or ours may not give it.
    """
    async with connected(Place(url, schema, pooler, patience=5.0)) as connection:
        try:
            await connection.execute("begin; " + " ".join(grants(schema, role)))
            lacking = await connection.fetch(LACKING, role, f'"{schema}"', made()[0], ALL.split(", "))
            await connection.execute("rollback" if lacking else "commit")
        except Exception as error:
            raise explained(error) from error
    if lacking:  # PostgreSQL only warns of what was not given
        names = ", ".join(row["name"] for row in lacking)
        raise StorageError(
            f"This role may not give rights in the schema {schema}: {role} still lacks {names}.",
            do="Run it as the role that owns the schema.",
        )


def script(found: Found, schema: str, role: str | None) -> str:
    """Write everything that is missing, to be run as its owner-to-be; then the rights, commented if for nobody."""
    return "\n".join(
        [
            *([*beginning(found, schema), *missing(found.standing.version, schema)] or ["-- no migration is missing"]),
            "",
            "-- What the role that the application runs as needs, and no more:",
            *(line if role else f"-- {line}" for line in grants(schema, role or NOBODY)),
        ]
    )


def beginning(found: Found, schema: str) -> Iterator[str]:
    """Make the schema and the list of migrations."""
    if not found.schema:
        yield f'create schema "{schema}";\n'
    if not found.standing.version:
        yield in_schema(MADE, schema).replace("create table", "create table if not exists") + ";\n"


def missing(after: int, schema: str) -> Iterator[str]:
    """Write the migrations after a version, each as it is applied."""
    for number, name, text in known.migrations():
        if number > after:
            yield f"-- migration {number}: {name}"
            yield from alone(number, name, text, schema) if known.is_alone(text) else whole(number, name, text, schema)


def whole(number: int, name: str, text: str, schema: str) -> Iterator[str]:
    """Write one that is done or not done."""
    yield from ("begin;", LOCK, in_schema(text, schema).strip(), record(number, name, text, schema), "commit;\n")


def alone(number: int, name: str, text: str, schema: str) -> Iterator[str]:
    """Write one whose statements run outside of a transaction."""
    yield from (f"{statement};" for statement in known.statements(in_schema(text, schema)))
    yield record(number, name, text, schema) + "\n"


def record(number: int, name: str, text: str, schema: str) -> str:
    """Note that it was applied."""
    values = f"{number}, '{name}', {known.works_with(number, text)}, {APPLIED_AT}"
    return in_schema(f"insert into anzol.migration values ({values});", schema)  # noqa: S608 - it is ours


def grants(schema: str, role: str) -> list[str]:
    """Return the statements that give a role what accepting and delivering needs; what later migrations make, too."""
    tables, views = made()
    whom = f'to "{role}"' if role != NOBODY else f"to {role}"
    lists = (
        (ALL, ", ".join(f"anzol.{table}" for table in tables)),
        ("select", ", ".join(f"anzol.{name}" for name in ("migration", *views))),
    )
    return [
        f'grant usage on schema "{schema}" {whom};',
        *(in_schema(f"grant {rights} on {names} {whom};", schema) for rights, names in lists),
        f'grant usage, select on all sequences in schema "{schema}" {whom};',
        f'alter default privileges in schema "{schema}" grant {ALL} on tables {whom};',
        f'alter default privileges in schema "{schema}" grant usage, select on sequences {whom};',
    ]


def made() -> tuple[list[str], list[str]]:
    """Return the names of the tables and of the views that the migrations leave."""
    text = "\n".join(text for _, _, text in known.migrations())
    gone = set(GONE.findall(text)) - {""}
    return (
        [name for name in dict.fromkeys(MADE_TABLE.findall(text)) if name not in gone],
        [name for name in dict.fromkeys(MADE_VIEW.findall(text)) if name not in gone],
    )
