"""Which process this is, and whether another one of the same machine is gone for sure.

A worker's lease outlives its process by up to a term. Whoever shares a kernel and its process numbers with it need not
wait for that: the kernel says at once that a process has ended.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
ENDED: Final = frozenset({"Z", "X"})  # zombie, dead: no code of it runs any more


def this_process() -> str:
    """Name this process beyond mistake: kernel, process numbers, number, birth; empty where there is no ``/proc``."""
    return describe(os.getpid())


def gone(process: str) -> bool:
    """Say whether a process that `this_process` named has ended; False where that cannot be known from here."""
    if not process:
        return False
    where, number, _ = process.rsplit(" ", 2)
    return where == kernel() and describe(int(number)) != process


@cache
def kernel() -> str:
    """Name the running kernel, and the numbering of processes that this one sees; empty where there is none."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {(PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def describe(number: int) -> str:
    """Name the living process with this number; empty if there is none."""
    try:
        # Its name, in parentheses, may hold anything: what follows the last one has the fields.
        fields = (PROC / str(number) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    state, birth = fields[0], fields[19]
    return f"{kernel()} {number} {birth}" if kernel() and state not in ENDED else ""
