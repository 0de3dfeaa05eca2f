"""`anzol serve`: the standalone server; and what lets people in: `anzol token` and `anzol portal-link`."""

from __future__ import annotations

import signal
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from anzol.cli.options import App, AppArgument, Database, Json, command
from anzol.errors import InvalidValue

if TYPE_CHECKING:
    import socket

    from anzol.app import Webhooks

PORT: Final = 8071
PATIENCE: Final = 10  # seconds for open requests when it stops
YEAR: Final = timedelta(days=365)
WEEK: Final = timedelta(days=7)
LONGEST: Final = timedelta(days=3650)

Expires = Annotated[
    str | None, typer.Option("--expires", metavar="AGE", help="How long it is good for, such as 12h or 90d.")
]


def register(program: typer.Typer) -> None:
    """Add this family's commands."""
    command(program, "serve", serve)
    command(program, "token", token)
    command(program, "portal-link", portal_link)


# --- serving


def serve(
    app: AppArgument = None,
    *,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 is all of them, :: IPv6 too.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0: any that is free.")] = PORT,
    database: Database = None,
    json: Json = False,
) -> None:
    """Serve the REST API, with its documentation, a worker, health and metrics.

    With an app, its webhooks are the catalog (the app itself is not served); without, event types come from the API,
    or from an OpenAPI document that is imported. SIGTERM or Ctrl-C: it finishes what is under way and ends.
    """
    from anzol.cli.healthport import listening

    listener = listening(host, port, option="")
    with listener:
        stand(found(app, database), listener, as_json=json)


def found(app: str | None, database: str | None) -> Webhooks:
    """Return what is to be served; without an app none is looked for."""
    from anzol.cli.opening import declaring, of_database

    if app is None:
        return of_database(database)
    if database is not None:
        raise InvalidValue(
            "An app has its database in its settings.", field="database", do="Set ANZOL_DATABASE_URL, or name no app."
        )
    return declaring(app)


def stand(webhooks: Webhooks, listener: socket.socket, *, as_json: bool) -> None:
    """Serve until a signal."""
    import uvicorn

    from anzol.cli.screen import coloured
    from anzol.cli.standing import StandingServer, Told, standing_log
    from anzol.server import Standalone

    told = Told(Standalone(webhooks), as_json=as_json)
    config = uvicorn.Config(
        told,
        log_config=standing_log(colours=coloured(sys.stderr.isatty())),
        access_log=False,
        timeout_graceful_shutdown=PATIENCE,
        proxy_headers=False,
        lifespan="on",
    )
    server = StandingServer(config, told, webhooks, listener, as_json=as_json)
    # The server raises the signal that stopped it once more; by then all is done, and this ends in good order.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    server.run([listener])


# --- letting in


def token(
    *,
    customer: Annotated[
        str | None, typer.Option("--customer", "-c", help="For this customer alone: what its portal may do.")
    ] = None,
    expires: Expires = None,
    app: App = None,
    database: Database = None,
) -> None:
    """Print a token for the REST API, and nothing else.

    For the environment that the settings name (ANZOL_ENVIRONMENT), good for a year; with --customer for one customer,
    good for a week. Who has it may do everything there: keep it as you keep passwords.
    """
    from anzol.api.handing import Grant, customer_token, environment_token
    from anzol.cli.opening import opened, run

    if customer is None:
        webhooks = opened(app, database)
        print(environment_token(webhooks.core.ground, lasting=lasting(expires, YEAR)))
        return
    grant = Grant(lasting(expires, WEEK))

    async def made(webhooks: Webhooks) -> str:
        return await customer_token(webhooks.core.ground, webhooks.settings.environment, customer, grant)

    print(run(made, app, database, fresh=True))


def portal_link(
    customer: Annotated[str, typer.Argument(help="The customer's id in your own system.")],
    *,
    expires: Expires = None,
    app: App = None,
    database: Database = None,
) -> None:
    """Print a link to a customer's portal, good for one use within an hour.

    It begins with ANZOL_PUBLIC_URL. --expires: how long who opened it stays logged in; a week, unless you say.
    """
    from anzol.api.handing import Grant, customer_claims
    from anzol.api.handing import portal_link as link
    from anzol.cli.opening import run

    grant = Grant(lasting(expires, WEEK))

    async def made(webhooks: Webhooks) -> str:
        ground, settings = webhooks.core.ground, webhooks.settings
        claims = await customer_claims(ground, settings.environment, customer, grant)
        return await link(ground, settings.environment, claims, settings.public_url or f"http://127.0.0.1:{PORT}")

    print(run(made, app, database, fresh=True))


def lasting(text: str | None, usual: timedelta) -> timedelta:
    """Return how long access is good for."""
    from anzol.settings import read_duration

    if text is None:
        return usual
    try:
        found: timedelta = read_duration(text)
    except ValueError as error:
        raise InvalidValue(f"--expires: {error}.", field="expires") from None
    if not timedelta(0) < found <= LONGEST:
        raise InvalidValue("--expires is up to 3650d.", field="expires")
    return found
