"""Run every benchmark one after another, each in a process of its own, and keep the results."""

from __future__ import annotations

import subprocess
import sys

for benchmark in ("start", "send", "workloads"):
    subprocess.run([sys.executable, "-m", f"benchmarks.{benchmark}", "--keep"], check=True)
subprocess.run([sys.executable, "-m", "benchmarks.table"], check=True)
