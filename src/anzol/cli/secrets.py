"""`anzol secrets ...`: the key that encrypts what is stored, from a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from anzol.cli.options import App, Database, Json, command

if TYPE_CHECKING:
    from anzol.app import Webhooks

family = typer.Typer(help="The key that encrypts what is stored.", no_args_is_help=True)


@family.callback()
def top() -> None:
    """The key that encrypts what is stored."""  # with a callback a lone command keeps its name


def register(program: typer.Typer) -> None:
    """Add this family's commands."""
    command(family, "rekey", rekey)
    program.add_typer(family, name="secrets")


def rekey(*, app: App = None, database: Database = None, json: Json = False) -> None:
    """Encrypt everything stored anew with ANZOL_SECRET_KEY.

    Everything may go on running meanwhile, once every process has the new key and the former one in
    ANZOL_OLD_SECRET_KEYS. Run twice, it does nothing the second time.
    """
    from anzol.cli.opening import run
    from anzol.cli.screen import Screen

    sealed = run(sealed_anew, app, database)
    Screen(as_json=json).result({"sealed": sealed}, told(sealed))


async def sealed_anew(webhooks: Webhooks) -> int:
    """Check the database's mark, then do it; return how many were sealed anew."""
    storage = await webhooks.core.storage()
    return await storage.rekey()


def told(sealed: int) -> str:
    """Write for people what was done, and what they can take away now."""
    done = f"{sealed:,} sealed anew" if sealed else "everything was sealed with this key already"
    return f"{done}; ANZOL_OLD_SECRET_KEYS can go now"
