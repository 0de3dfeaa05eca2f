"""What every benchmark needs: a receiver in a process of its own, limits measured beside it, and a result on paper."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import platform
import re
import resource
import shutil
import socket
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
BODY_SIZE = 1000

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 8192; }}
http {{
  log_format seen '$msec $http_webhook_id';
  access_log {folder}/seen.log seen buffer=256k flush=200ms;
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


@dataclass(frozen=True)
class Receiver:
    """A receiver that answers 204 at once and writes down when it saw which message."""

    port: int
    log: Path
    pid: int

    def url(self, path: str = "/in") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def seen(self) -> dict[str, list[float]]:
        """Return the arrival times (seconds since the epoch, to the millisecond) of every message id."""
        arrivals: dict[str, list[float]] = collections.defaultdict(list)
        for line in self.log.read_text().splitlines():
            at, message_id = line.split(" ", 1)
            arrivals[message_id].append(float(at))
        return arrivals

    def wait_until_written(self, ids: Iterable[str], *, seconds: float = 5) -> dict[str, list[float]]:
        """Wait for the log's buffer to be flushed, until it tells of all *ids*."""
        end = time.monotonic() + seconds
        wanted = set(ids)
        while wanted - (seen := self.seen()).keys() and time.monotonic() < end:
            time.sleep(0.2)
        return seen


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def receiver() -> Iterator[Receiver]:
    """Start nginx (Debian's ``nginx-light``) as the receiver; it is faster than anything it measures."""
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(nginx).exists():
        raise SystemExit("The benchmarks need nginx as their receiver: apt-get install nginx-light wrk")
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
        process = subprocess.Popen([nginx, "-p", name, "-c", str(folder / "nginx.conf")])
        try:
            wait_for_port(port)
            yield Receiver(port, folder / "seen.log", process.pid)
        finally:
            process.terminate()
            process.wait(10)


def wait_for_port(port: int, *, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.02)
    raise SystemExit(f"nothing listens on port {port}")


def requests_limit(target: Receiver, *, seconds: int = 4, connections: int = 64) -> float | None:
    """Return how many POSTs of the same size a second ``wrk`` gets answered by the same receiver."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return None
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(f'wrk.method = "POST"\nwrk.body = string.rep("y", {BODY_SIZE})\n')
        script.write('wrk.headers["content-type"] = "application/json"\n')
        script.flush()
        command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name, target.url("/limit")]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    return float(found[1]) if found else None


def inserts_limit(folder: Path, *, rows: int = 40_000, batch: int = 200) -> float:
    """Return how many of the same rows a second the bare driver stores in the same batches, durably."""
    connection = sqlite3.connect(folder / "limit.db", isolation_level=None)
    connection.executescript(
        """
        pragma journal_mode = wal; pragma synchronous = full;
        create table message (id blob primary key, type text, body blob, at integer);
        create table attempt (id blob primary key, message blob, endpoint blob, status integer, at integer);
        create table delivery (message blob, endpoint blob, state integer, primary key (message, endpoint));
        """
    )
    body = b"y" * BODY_SIZE
    started = time.perf_counter()
    for _ in range(rows // batch):
        ids = [time.time_ns().to_bytes(8, "big") + os.urandom(8) for _ in range(batch)]
        connection.execute("begin immediate")
        insert(connection, "message", [(i, "new-subscription", body, 1) for i in ids])
        insert(connection, "attempt", [(i, i, i, 200, 1) for i in ids])
        insert(connection, "delivery", [(i, i, 1) for i in ids])
        connection.execute("commit")
    rate = rows / (time.perf_counter() - started)
    connection.close()
    return rate


def insert(connection: sqlite3.Connection, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    values = ",".join(["(" + ",".join("?" * len(rows[0])) + ")"] * len(rows))
    connection.execute(f"insert into {table} values {values}", [value for row in rows for value in row])


def cpu_seconds(other: int | None = None) -> float:
    """Return the processor time that this process has used, and the one with the number *other*."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime + (0 if other is None else cpu_seconds_of(other))


def cpu_seconds_of(number: int) -> float:
    """Return the processor time that another process has used."""
    fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else 0.0


def machine() -> str:
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
        model = found[1] if found else model
    return f"{os.cpu_count()} cores, {model}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"


def write_result(name: str, rows: Sequence[dict[str, object]]) -> None:
    """Print the rows and keep them as the workload's last result."""
    RESULTS.mkdir(exist_ok=True)
    document = {"workload": name, "machine": machine(), "date": datetime.now(UTC).date().isoformat(), "rows": rows}
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")
    for row in rows:
        print(json.dumps(row))
