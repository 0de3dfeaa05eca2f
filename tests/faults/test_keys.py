"""Equal keys at the same time, from several processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.keys import Found, Told, judge, run
from tests.faults.kill import postgres_database
from tests.postgres import Server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/keys.db"
        return
    server: Server = request.getfixturevalue("postgres")
    with postgres_database(server) as uri:
        yield uri


def test_what_goes_wrong_is_seen() -> None:
    right = [Told("a", "1", False), Told("a", "1", True)]

    assert judge(right, 1, 2, 1).well
    assert judge([Told("a", "1", False), Told("a", "2", True)], 1, 2, 1) == Found(1, 2, 1, 0, 0, 0)
    assert judge([Told("a", "1", True), Told("a", "1", True)], 1, 2, 1) == Found(1, 2, 0, 1, 0, 0)
    assert judge(right[:1], 1, 2, 2) == Found(1, 1, 0, 0, 1, 1)


def test_a_key_that_fifty_use_at_once_makes_one_message_and_has_one_maker(database: str) -> None:
    found = run(database, keys=40, senders=50, processes=2)

    assert found.sends == 2000
    assert found.well, found


@pytest.mark.faults
def test_a_thousand_keys_that_fifty_use_at_once_make_a_thousand_messages(database: str) -> None:
    found = run(database, keys=1000, senders=50)

    print(found)
    assert found.sends == 50_000
    assert found.well, found
