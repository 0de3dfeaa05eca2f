"""``start``: how long it takes to import the receiver's side, to print the help, and until ``anzol dev`` is ready.

Run: ``.venv/bin/python -m benchmarks.start``. Medians of several fresh processes; the limit beside each is a bare
interpreter, and for ``dev`` importing FastAPI.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from anzol.bench.receivers import free_port
from benchmarks.common import median, write_result

ROOT = Path(__file__).parent.parent
ANZOL = str(Path(sys.executable).parent / "anzol")


def time_command(*command: str, times: int = 9) -> float:
    """Return the median milliseconds of a command, from start to exit."""
    took = []
    for _ in range(times):
        before = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        took.append((time.perf_counter() - before) * 1e3)
    return median(took)


def time_dev(*, times: int = 3) -> float:
    """Return the median milliseconds until ``anzol dev`` answers its first request."""
    took = []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder:
            took.append(time_one_dev(folder))
    return median(took)


def time_one_dev(folder: str) -> float:
    port = free_port()
    env = os.environ | {"ANZOL_DATABASE_URL": f"sqlite:///{folder}/anzol.db"}
    before = time.perf_counter()
    command = [ANZOL, "dev", str(ROOT / "examples/subscriptions/main.py"), "--port", str(port)]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while time.perf_counter() - before < 30:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2) as connection:
                connection.sendall(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                if connection.recv(12) == b"HTTP/1.1 200":
                    return (time.perf_counter() - before) * 1e3
            time.sleep(0.01)
        raise SystemExit("anzol dev did not come up in 30 s")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="write the result to benchmarks/results")
    options = parser.parse_args()
    python = time_command(sys.executable, "-c", "pass")
    rows: list[dict[str, object]] = [
        {
            "workload": "start",
            "what": "import anzol.receiver",
            "ms": round(time_command(sys.executable, "-c", "import anzol.receiver") - python, 1),
            "limit": "beyond a bare interpreter",
            "limit_ms": round(python, 1),
        },
        {"workload": "start", "what": "anzol --help", "ms": round(time_command(ANZOL, "--help"), 1)},
        {
            "workload": "start",
            "what": "anzol dev, to the first answer",
            "ms": round(time_dev(), 1),
            "limit": "import fastapi, uvicorn",
            "limit_ms": round(time_command(sys.executable, "-c", "import fastapi, uvicorn"), 1),
        },
    ]
    if options.keep:
        write_result("start", rows)
    else:
        print(*rows, sep="\n")


if __name__ == "__main__":
    main()
