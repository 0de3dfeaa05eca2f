"""The short form of ``make faults``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.kill import run, run_on_postgres


def seed() -> int:
    return int.from_bytes(os.urandom(4), "big")


def test_killed_three_times_under_load_nothing_is_lost_stuck_or_unrecorded(tmp_path: Path) -> None:
    counts = run(3, f"sqlite:///{tmp_path}/faults.db", seed=1, folder=tmp_path)

    assert counts.acknowledged > 0
    assert counts.faults == {}, counts


def test_killed_four_times_on_postgresql_nothing_is_lost_stuck_or_unrecorded(tmp_path: Path) -> None:
    counts = run_on_postgres(4, seed=1, folder=tmp_path)

    assert counts.acknowledged > 0
    assert counts.faults == {}, counts


@pytest.mark.faults
def test_killed_fifty_times_under_load_nothing_is_lost_stuck_or_unrecorded(tmp_path: Path) -> None:
    counts = run(50, f"sqlite:///{tmp_path}/faults.db", seed=seed(), folder=tmp_path, patience=300)

    print(counts)
    assert counts.faults == {}, counts


@pytest.mark.faults
@pytest.mark.parametrize("hurt_server", [False, True], ids=["processes", "and the server"])
def test_killed_a_hundred_times_on_postgresql_nothing_is_lost_stuck_or_unrecorded(
    tmp_path: Path, hurt_server: bool
) -> None:
    counts = run_on_postgres(100, seed=seed(), folder=tmp_path, hurt_server=hurt_server, patience=300)

    print(counts)
    assert counts.faults == {}, counts
