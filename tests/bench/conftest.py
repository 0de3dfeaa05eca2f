"""Rounds so small that they take a second or two; on each engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from anzol.bench.sizes import Size

TINY = Size(
    messages=40,
    endpoints=(1, 3),
    processes=(1,),
    callers=8,
    paced_rate=100,
    paced_seconds=0.3,
    backlog=40,
    backlog_endpoints=3,
    wide=30,
    beside_seconds=0.3,
    limit_seconds=0.2,
    limit_rows=64,
    limit_commits=5,
)


class Heard:
    """Keeps what a run tells of its progress."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.counts: list[int] = []

    def step(self, text: str, total: int) -> None:
        self.steps.append(text)

    def done(self, count: int) -> None:
        self.counts.append(count)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture(autouse=True)
def without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("ANZOL_", "FASTAPI_")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def without_wrk(monkeypatch: pytest.MonkeyPatch) -> None:
    """It measures whole seconds; our own client a tenth of one."""
    monkeypatch.setattr("anzol.bench.posting.wrk", lambda: None)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'named.db'}"
    else:
        yield request.getfixturevalue("postgres_database")
