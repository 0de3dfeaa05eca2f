"""`anzol dev`: the app with reload, its documentation, a worker that may deliver to loopback, and the test inbox."""

from __future__ import annotations

import errno
import os
import re
import socket
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer

from anzol.cli.options import AppArgument, Json, command
from anzol.errors import InvalidValue, PortTaken

HOST: Final = "127.0.0.1"
NAME: Final = re.compile(r"[A-Za-z0-9_.~-]{1,64}", re.ASCII)


def register(program: typer.Typer) -> None:
    """Add this family's commands."""
    command(program, "dev", dev)


def dev(
    app: AppArgument = None,
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port on 127.0.0.1; 0: any that is free.")] = 8000,
    reload: Annotated[bool, typer.Option(help="Start anew when a file of the app changes.")] = True,
    inbox_for: Annotated[
        str | None,
        typer.Option("--inbox-for", metavar="CUSTOMER", help="Make this customer's endpoint the test inbox."),
    ] = None,
    send: Annotated[
        str | None, typer.Option("--send", metavar="EVENT", help="Send that customer one example at the start.")
    ] = None,
    json: Json = False,
) -> None:
    """Run the app for development, with a test inbox.

    It serves the app on 127.0.0.1 and starts it anew when a file changes; serves /docs without internet; delivers to
    loopback, too; prints a line for each attempt; and shows what arrives in the test inbox, signature checked.
    """
    from anzol.cli.discovery import find
    from anzol.cli.plan import Plan
    from anzol.cli.server import serve

    check_options(inbox_for, send)
    found = find(app, Path.cwd())
    os.environ.setdefault("FASTAPI_ENV", "development")
    listener = listening(port)
    with listener, tempfile.TemporaryDirectory(prefix="anzol-dev-") as folder:
        plan = Plan(
            module=found.module,
            name=found.name,
            path=str(found.folder),
            address=f"http://{HOST}:{listener.getsockname()[1]}",
            folder=folder,
            inbox_for=inbox_for,
            send=send,
            as_json=json,
        )
        plan.hand_over()
        serve(plan, listener, reload=reload)


def check_options(inbox_for: str | None, send: str | None) -> None:
    """Refuse what does not fit together, before anything is started."""
    if inbox_for is not None and not NAME.fullmatch(inbox_for):
        raise InvalidValue(
            f"--inbox-for {inbox_for!r} cannot stand in a URL.", field="inbox-for", do="Letters, digits, _ . ~ - only."
        )
    if send is not None and inbox_for is None:
        raise InvalidValue("--send needs a customer to send to.", field="send", do="Give --inbox-for demo, too.")


def listening(port: int) -> socket.socket:
    """Return a socket that listens: what is delivered while the app starts or reloads waits in its queue.

    Raises:
        PortTaken: another program has the port.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.set_inheritable(True)
    try:
        listener.bind((HOST, port))
        listener.listen(2048)
    except OSError as cause:
        listener.close()
        raise refused(port, cause) from cause
    return listener


def refused(port: int, cause: OSError) -> PortTaken:
    """Say why there is no listening on a port."""
    if cause.errno == errno.EADDRINUSE:
        return PortTaken(f"Port {port} of {HOST} is taken.", do=f"Choose another: --port {port + 1}, or --port 0.")
    return PortTaken(f"Port {port} of {HOST} cannot be used: {cause.strerror}.", do="Choose another: --port 8000.")
