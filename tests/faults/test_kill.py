"""The short form of ``make faults``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.kill import run


def test_killed_three_times_under_load_nothing_is_lost_stuck_or_unrecorded(tmp_path: Path) -> None:
    counts = run(3, seed=1, folder=tmp_path)

    assert counts.acknowledged > 0
    assert (counts.lost, counts.stuck, counts.unrecorded) == (0, 0, 0), counts


@pytest.mark.faults
def test_killed_fifty_times_under_load_nothing_is_lost_stuck_or_unrecorded(tmp_path: Path) -> None:
    counts = run(50, seed=int.from_bytes(os.urandom(4), "big"), folder=tmp_path, patience=300)

    print(counts)
    assert (counts.lost, counts.stuck, counts.unrecorded) == (0, 0, 0), counts
