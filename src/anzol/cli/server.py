"""Serving for `anzol dev`: uvicorn, started anew when a file of the app changes."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from uvicorn import Config, Server
from uvicorn.supervisors.statreload import StatReload

from anzol.cli.exits import Exit, code_of
from anzol.cli.plan import Plan
from anzol.cli.screen import coloured, show_error
from anzol.cli.served import DevApp
from anzol.errors import AnzolError

PATIENCE: Final = 10  # seconds for open requests when it stops
SKIPPED: Final = frozenset({"node_modules", "__pycache__", "site-packages"})


class DevServer(Server):
    """Stops in another order: first the worker, while the inbox can still answer it, then the server."""

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal; an error of Anzol's own is told without a traceback."""
        try:
            super().run(sockets)
        except AnzolError as error:
            show_error(error, as_json=Plan.handed_over().as_json)
            self._say_what_next()
            sys.exit(code_of(error))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:
            self._say_what_next()
            failed = self._served.failed
            raise SystemExit(Exit.APP if failed is None else code_of(failed)) from None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.shutdown()
        self._served.end()
        await super().shutdown(sockets)

    @property
    def _served(self) -> DevApp:
        served: object = self.config.loaded_app
        assert isinstance(served, DevApp)
        return served

    def _say_what_next(self) -> None:
        if self.config.reload and not Plan.handed_over().as_json:
            print("It starts again when a file of the app changes. Ctrl-C stops it.", file=sys.stderr, flush=True)


class Reloader(StatReload):
    """Looks at the app's own files only: not into environments, packages, hidden folders."""

    def iter_py_files(self) -> Iterator[Path]:
        for folder in self.config.reload_dirs:
            yield from own_files(folder)


def own_files(folder: Path) -> Iterator[Path]:
    """Yield the Python files below a folder, those of virtual environments and packages left out."""
    for place, folders, names in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if name not in SKIPPED and not name.startswith(".") and not Path(place, name, "pyvenv.cfg").is_file()
        ]
        yield from (Path(place, name) for name in names if name.endswith(".py"))


def serve(plan: Plan, listener: socket.socket, *, reload: bool) -> None:
    """Serve until a signal; return when everything has stopped."""
    config = Config(
        "anzol.cli.served:made",
        factory=True,
        reload=reload,
        reload_dirs=[plan.path] if reload else None,
        log_config=logging_config(colours=coloured(sys.stderr.isatty())),
        timeout_graceful_shutdown=PATIENCE,
        proxy_headers=False,
        lifespan="on",
    )
    server = DevServer(config)
    if reload:
        Reloader(config, server.run, [listener]).run()
        return
    # The server raises the signal that stopped it once more; by then all is done, and this ends in good order.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    server.run([listener])


def logging_config(*, colours: bool) -> dict[str, Any]:
    """Return the logging of the serving process: requests and warnings on stderr, attempts in lines of their own."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "plain": {
                "()": "uvicorn.logging.DefaultFormatter",
                "fmt": "%(levelprefix)s %(message)s",
                "use_colors": colours,
            },
            "access": {
                "()": "uvicorn.logging.AccessFormatter",
                "fmt": "%(asctime)s  %(request_line)s  %(status_code)s",
                "datefmt": "%H:%M:%S",
                "use_colors": colours,
            },
        },
        "filters": {"own": {"()": "anzol.cli.served.NotOurOwn"}},
        "handlers": {
            "plain": {"class": "logging.StreamHandler", "formatter": "plain", "stream": "ext://sys.stderr"},
            "access": {
                "class": "logging.StreamHandler",
                "formatter": "access",
                "filters": ["own"],
                "stream": "ext://sys.stderr",
            },
            "attempts": {"()": "anzol.cli.served.attempt_lines"},
        },
        "loggers": {
            "uvicorn": {"handlers": ["plain"], "level": "WARNING", "propagate": False},
            "uvicorn.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
            "anzol": {"handlers": ["plain"], "level": "WARNING", "propagate": False},
            "anzol.attempt": {"handlers": ["attempts"], "level": "INFO", "propagate": False},
        },
    }
