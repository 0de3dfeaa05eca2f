"""PgBouncer before a test's PostgreSQL server, lending connections by the transaction."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.postgres import SECONDS_TO_START, NoServer, Server, name_of

PORT = 6432
# Round robin: what a session left behind in one connection is not there for its next transaction.
CONFIGURATION = """
[databases]
* = host={folder} port={server_port} user=postgres
[pgbouncer]
listen_addr =
listen_port = {port}
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
server_round_robin = 1
default_pool_size = 8
max_client_conn = 300
logfile = {folder}/pgbouncer.log
pidfile = {folder}/pgbouncer.pid
"""


@dataclass(frozen=True, slots=True)
class Pooler:
    """PgBouncer, reached by a socket in the server's own folder."""

    folder: Path

    def uri(self, database: str = "postgres") -> str:
        """Where *database*, given by name or by the server's URI, is when one goes through the pooler."""
        return f"postgresql://postgres@/{name_of(database)}?host={self.folder}&port={PORT}"


def found_pooler() -> str | None:
    """The program, if it is on this machine: Debian's package is `pgbouncer`."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


@contextmanager
def running_pooler(server: Server) -> Iterator[Pooler]:
    program = found_pooler()
    if program is None:
        raise NoServer("There is no pgbouncer here: apt-get install pgbouncer, or brew install pgbouncer.")
    settings = server.folder / "pgbouncer.ini"
    settings.write_text(CONFIGURATION.format(folder=server.folder, server_port=server.port, port=PORT))
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([program, "--quiet", settings], stdout=quiet, stderr=quiet, **server.identity())
    try:
        pooler = Pooler(server.folder)
        wait_until_it_answers(pooler, process)
        yield pooler
    finally:
        process.terminate()
        process.wait()


def wait_until_it_answers(pooler: Pooler, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end and process.poll() is None:
        try:
            return psycopg.connect(pooler.uri()).close()
        except psycopg.OperationalError:
            time.sleep(0.01)
    log = pooler.folder / "pgbouncer.log"
    raise NoServer(f"pgbouncer does not start. Its log:\n{log.read_text() if log.exists() else ''}")
