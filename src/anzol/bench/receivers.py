"""The receiver that a workload delivers to: nginx where it is there, else one of our own; and what its log tells.

nginx takes less of the processor that everything shares; ours knows the time of a first byte to the microsecond, where
nginx writes the millisecond in which it has answered.
"""

from __future__ import annotations

import shutil
import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from anzol.bench.children import child, guarded, until

OWN: Final = "own"
NGINX: Final = "nginx"
FLUSHED: Final = 5.0  # seconds by which either has written its log, by far
PATIENCE: Final = 5.0  # seconds for nginx to listen
CONFIGURATION: Final = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 8192; }}
http {{
  log_format seen '$msec $http_webhook_id';
  access_log {folder}/seen.log seen buffer=256k flush=100ms;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  keepalive_requests 100000000; keepalive_timeout 600s; client_max_body_size 2m;
  server {{
    listen 127.0.0.1:{port} backlog=8192; root {folder};
    location /limit {{ access_log off; return 204; }}
    location / {{ return 204; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver that answers 204 at once and writes down when it saw which message."""

    kind: str
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in"

    def arrivals(self) -> Arrivals:
        """Begin to count what arrives from now on."""
        return Arrivals(self.log, self.log.stat().st_size if self.log.exists() else 0)


class Arrivals:
    """What a receiver's log has got since the count began."""

    def __init__(self, log: Path, start: int) -> None:
        self._log = log
        self._start = start
        self._counted_to = start
        self._lines = 0

    def count(self) -> int:
        """Return how many requests have been written down; cheap enough to ask often."""
        if self._log.exists():
            with self._log.open("rb") as log:
                log.seek(self._counted_to)
                more = log.read()
            self._counted_to += len(more)
            self._lines += more.count(b"\n")
        return self._lines

    def times(self) -> dict[str, float]:
        """Return when each message id arrived first: seconds since the epoch."""
        first: dict[str, float] = {}
        for at, message_id in self._entries():
            first.setdefault(message_id, at)
        return first

    def often(self) -> Counter[str]:
        """Return how often each message id arrived."""
        return Counter(message_id for _, message_id in self._entries())

    def written(self, ids: Iterable[str]) -> Counter[str]:
        """Return how often each message id arrived, once the log tells of all *ids* or would have."""
        wanted = set(ids)
        until(lambda: wanted <= self.often().keys(), seconds=FLUSHED)
        return self.often()

    def _entries(self) -> Iterator[tuple[float, str]]:
        if not self._log.exists():
            return
        with self._log.open("rb") as log:
            log.seek(self._start)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1].decode()
        for line in whole.splitlines():
            at, _, message_id = line.partition(" ")
            yield float(at), message_id


@contextmanager
def receiver(kind: str | None = None) -> Iterator[Receiver]:
    """Run a receiver while the context lasts: of this kind, or the better one of those that are here."""
    with TemporaryDirectory(prefix="anzol-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx that root starts writes as somebody else
        program = None if kind == OWN else nginx()
        if program:
            with suppress(NotStarted), answering_nginx(program, folder) as running:
                yield running
                return
        with child("anzol.bench.answering", str(folder / "seen.log")) as answering:
            yield Receiver(OWN, answering.hear()["port"], folder / "seen.log")


class NotStarted(Exception):
    """This machine's nginx cannot be used."""


@contextmanager
def answering_nginx(program: str, folder: Path) -> Iterator[Receiver]:
    """Run nginx.

    Raises:
        NotStarted: it does not listen within seconds.
    """
    port = free_port()
    (folder / "nginx.conf").write_text(CONFIGURATION.format(folder=folder, port=port))
    with guarded([program, "-p", str(folder), "-c", str(folder / "nginx.conf")]):
        if not until(lambda: listens(port), seconds=PATIENCE):
            raise NotStarted
        yield Receiver(NGINX, port, folder / "seen.log")


def nginx() -> str | None:
    """Return where nginx is, if it is there; Debian's is not on everybody's path."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")


def free_port() -> int:
    """Return a port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Say whether something accepts connections on a port of loopback."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False
