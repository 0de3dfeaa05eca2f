"""Run every workload one after another, each in a process of its own, and keep the results."""

from __future__ import annotations

import subprocess
import sys

WORKLOADS = ("start", "send", "latency", "deliver")

for workload in WORKLOADS:
    subprocess.run([sys.executable, "-m", f"benchmarks.{workload}", "--keep"], check=True)
