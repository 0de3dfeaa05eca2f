"""`anzol migrate` on PostgreSQL: apply, only look, only print, and give a role the least rights."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

import typer

from anzol.errors import InvalidValue

if TYPE_CHECKING:
    from anzol.cli.screen import Screen
    from anzol.storage.places import PostgresPlace
    from anzol.storage.postgres.script import Found

ROLE: Final = re.compile(r"[A-Za-z0-9_.@-]{1,63}", re.ASCII)


def migrate_postgres(place: PostgresPlace, screen: Screen, *, check: bool, sql: bool, grant: str | None) -> None:
    """Do it, or say what would be done. No secret key is needed."""
    from anzol.storage.opening import check_driver

    check_driver()
    check_role(grant)
    if sql:
        print_script(place, screen, grant)
    elif check:
        print_standing(place, screen)
    else:
        apply(place, screen, grant)


def check_role(name: str | None) -> None:
    """Refuse a role's name that would need more than quotes."""
    if name is not None and not ROLE.fullmatch(name):
        raise InvalidValue(f"--grant {name!r} is not a role's name.", field="grant", do="Write it without quotes.")
    if name == "public":
        raise InvalidValue("--grant public would let everybody in.", field="grant", do="Name the app's own role.")


def found_in(place: PostgresPlace) -> Found:
    """Look what there is."""
    from anzol.storage.postgres.script import look

    return asyncio.run(look(place.url, place.schema, pooler=place.pooler))


def print_script(place: PostgresPlace, screen: Screen, role: str | None) -> None:
    """Print every statement that is missing, and the grants."""
    from anzol.storage.postgres.script import script

    text = script(found_in(place), place.schema, role)
    screen.result({"sql": text}, text)


def print_standing(place: PostgresPlace, screen: Screen) -> None:
    """Say whether it is up to date; exit code 1: it is not, or it is a newer Anzol's that leaves this one behind."""
    from anzol.cli.exits import Exit
    from anzol.storage.postgres.migrations import newest

    there, here = found_in(place).standing, newest()
    fits = there.version >= here >= there.works_with
    data = {"database": str(place), "version": there.version, "newest": here, "works_with": there.works_with}
    screen.result({**data, "done": False}, standing_told(str(place), there.version, here, there.works_with))
    if not fits:
        raise typer.Exit(Exit.FAILED)


def standing_told(shown: str, there: int, here: int, works_with: int) -> str:
    """Write for people how a database stands."""
    if there == here:
        return f"{shown} is up to date: schema {here}"
    if there < here:
        return f"{shown} needs schema {here}; it is at {there or 'none'}"
    if works_with <= here:
        return f"{shown} has schema {there}, of a newer Anzol; this one, of {here}, works with it"
    return (
        f"{shown} has schema {there}, of a newer Anzol; this one, of {here}, does not work with it: install the newer"
    )


def apply(place: PostgresPlace, screen: Screen, role: str | None) -> None:
    """Apply what is missing, then give the role its rights."""
    from anzol.storage.opening import migrate
    from anzol.storage.postgres.migrations import migrations, newest

    applied = asyncio.run(migrate(place))
    if role is not None:
        from anzol.storage.postgres.script import grant

        asyncio.run(grant(place.url, place.schema, role, pooler=place.pooler))
    names = [f"  {number}: {name}" for number, name, _ in migrations() if number in applied]
    what = [f"{place} is now at schema {newest()}; applied:", *names] if applied else [f"{place} is up to date"]
    rights = [f"{role} may accept and deliver"] if role is not None else []
    data = {"database": str(place), "newest": newest(), "applied": list(applied), "granted": role, "done": True}
    screen.result(data, "\n".join([*what, *rights]))
