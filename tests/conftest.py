"""What every test may take: a place to leave pictures, Chromium, and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.postgres import Server

ROOT = Path(__file__).resolve().parent.parent

# How long an example takes is the machine's affair; on a busy one a limit would fail tests that are right.
settings.register_profile("anzol", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("anzol")


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """The folder for screenshots and the like; not in git."""
    folder = ROOT / "artefacts"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def chromium() -> Iterator[Browser]:
    """A headless Chromium of this test's own; see tests/chromium.py for how one is found."""
    from tests.chromium import launched

    with launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The run's PostgreSQL server, started when the first test asks; see tests/postgres.py for what it can do."""
    from tests.postgres import running_postgres

    # What is killed here are processes, never the machine: what the kernel has is as safe as what the disk has.
    with running_postgres(fsync="off") as server:
        yield server


@pytest.fixture
def postgres_database(postgres: Server) -> Iterator[str]:
    """The URI of an empty database of this test's own; a schema of its own (`postgres.schema()`) is cheaper."""
    with postgres.database() as uri:
        yield uri
