"""A MariaDB server of the tests' own, where Debian's `mariadb-server-core` or the like is installed.

It listens on a Unix socket in a fresh folder, and nowhere else. Environment: ``MARIADB_BIN`` names another folder of
``mariadbd`` and ``mariadb-install-db``.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pymysql

from tests.postgres import fresh_folder, unprivileged

SECONDS_TO_START = 60.0
PLACES = "/usr/sbin:/usr/bin:/usr/local/bin:/usr/libexec"
NUMBERS = count(1)


class NoServer(Exception):
    """MariaDB cannot be started here; says why and what helps."""


@dataclass(frozen=True, slots=True)
class Server:
    """One MariaDB server with databases that tests come and go with."""

    socket: Path

    def uri(self, database: str, driver: str = "pymysql", **more: str) -> str:
        """Where *database* is, as SQLAlchemy reads it."""
        query = "".join(f"&{name}={quote(value)}" for name, value in more.items())
        return f"mysql+{driver}://root@/{database}?unix_socket={quote(str(self.socket))}{query}"

    def execute(self, statement: str, database: str | None = None) -> Sequence[tuple[Any, ...]]:
        """Run *statement* in a transaction of its own; the rows it returns."""
        connected = pymysql.connect(unix_socket=str(self.socket), user="root", database=database, autocommit=True)
        with closing(connected) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    @contextmanager
    def database(self, options: str = "") -> Iterator[str]:
        """The name of a fresh database."""
        name = f"test_{next(NUMBERS)}"
        self.execute(f"create database {name} {options}")
        try:
            yield name
        finally:
            self.execute(f"drop database {name}")


@contextmanager
def running_mariadb(**settings: object) -> Iterator[Server]:
    """A server of one's own; *settings* as in ``my.cnf``.

    Raises:
        NoServer: its programs are not installed, or do not start.
    """
    daemon, install = program("mariadbd"), program("mariadb-install-db")
    folder = fresh_folder()
    try:
        user = unprivileged() or getpass.getuser()
        data = folder / "data"
        data.mkdir()
        for made in (folder, data):
            shutil.chown(made, user)
        common = ["--no-defaults", f"--datadir={data}", f"--user={user}"]
        made_data = [install, *common, "--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(made_data, check=True, capture_output=True, cwd=folder)
        given = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
        server = Server(folder / "socket")
        listens = [f"--socket={server.socket}", "--skip-networking"]
        command = [daemon, *common, *listens, f"--log-error={folder / 'log'}", *given]
        process = subprocess.Popen(command, cwd=folder, start_new_session=True)
        try:
            wait_until_it_answers(server, process, folder / "log")
            yield server
        finally:
            process.terminate()
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait_until_it_answers(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end and process.poll() is None:
        with socket.socket(socket.AF_UNIX) as asked:  # not the driver: it leaves sockets open that lead nowhere
            if asked.connect_ex(str(server.socket)) == 0:
                break
        time.sleep(0.02)
    else:
        raise NoServer(f"MariaDB does not start. Its log:\n{log.read_text()}")
    server.execute("select 1")


def program(name: str) -> str:
    """Where one of MariaDB's programs is."""
    found = shutil.which(name, path=os.environ.get("MARIADB_BIN") or f"{os.environ.get('PATH', '')}:{PLACES}")
    if found is None:
        raise NoServer(
            f"{name} is not installed: `apt-get install mariadb-server-core`, or name its folder: MARIADB_BIN."
        )
    return found
