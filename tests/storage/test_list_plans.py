"""Every list on SQLite follows an index to its page, in either direction, whatever the planner knows of the tables."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from anzol import ids
from anzol.clock import OwnedClock
from anzol.lifecycle import State
from anzol.model import Page
from anzol.storage.face import Selection
from anzol.storage.sqlite import lists, tally
from anzol.storage.sqlite.work import Work
from anzol.storage.vault import Vault
from tests.contract.conftest import ENVIRONMENT, KEY, Scene, on_sqlite

NAMED: dict[str, tuple[str, ...]] = {
    "all": (),
    "of a customer": ("customer",),
    "of an endpoint": ("endpoint_id",),
    "of a customer's endpoint": ("customer", "endpoint_id"),
    "of a message": ("message_id",),
    "of a customer's message to an endpoint": ("customer", "endpoint_id", "message_id"),
}
FILTERS: dict[str, dict[str, Any]] = {
    "": {},
    "in two states": {"states": (State.PENDING, State.EXHAUSTED)},
    "answered 5xx": {"status_class": 5},
    "since then": {"since": True},
    "of two types on a channel": {"event_types": ("a", "b"), "channel": "eu", "tag": "t"},
}
GIVEN = ("SCAN j", "SCAN json_each", "SCAN t", "SCAN r", "SCAN k", "SCAN (subquery")  # lists that are at hand
# In the order of what is numbered: a page ends it.
IN_ORDER = {
    "messages": {"SEARCH m USING INTEGER PRIMARY KEY"},
    "deliveries": {"SEARCH x USING PRIMARY KEY", "SEARCH x USING INDEX anzol_pending_message"},
    "attempts": {"SEARCH x USING INTEGER PRIMARY KEY"},
}


@dataclass(slots=True)
class Planning:
    """A connection that notes, of everything it is asked, how it will be answered."""

    connection: sqlite3.Connection
    steps: list[tuple[str, str]] = field(default_factory=list)

    def execute(self, text: str, values: Any = ()) -> sqlite3.Cursor:
        plan = self.connection.execute(f"explain query plan {text}", values).fetchall()
        self.steps += [(text, row[3]) for row in plan]
        return self.connection.execute(text, values)


@dataclass(frozen=True, slots=True)
class Stocked:
    """A file with a message for an endpoint of a customer."""

    path: Path
    clock: OwnedClock
    names: dict[str, Any]

    def work(self, planning: Planning) -> Work:
        return Work(planning, self.clock.micros(), Vault([KEY]), {})  # type: ignore[arg-type]  # notes what it is asked

    def selection(self, named: str, given: dict[str, Any]) -> Selection:
        chosen = {name: self.names[name] for name in NAMED[named]}
        since = {"since": self.clock.now()} if given.get("since") else {}
        return Selection(**chosen, **(given | since))


@pytest.fixture(params=["unanalysed", "analysed when empty"])
async def stocked(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stocked]:
    clock = OwnedClock()
    async with on_sqlite(tmp_path / "anzol.db", clock, on_the_loop=False) as storage:
        await storage.prepare(deployment="test")
        if request.param != "unanalysed":
            with closing(sqlite3.connect(tmp_path / "anzol.db")) as connection:
                connection.execute("analyze")
        scene = Scene(storage, clock)
        endpoint = await scene.endpoint()
        message = await scene.send()
        yield Stocked(
            tmp_path / "anzol.db", clock, {"customer": "acme", "endpoint_id": endpoint.id, "message_id": message}
        )


@pytest.fixture
def planning(stocked: Stocked) -> Iterator[Planning]:
    with closing(sqlite3.connect(stocked.path)) as connection:
        yield Planning(connection)


def looked_through(steps: list[tuple[str, str]]) -> set[str]:
    """Steps that read a table from end to end."""
    return {step for _, step in steps if step.startswith("SCAN") and not step.startswith(GIVEN)}


def sorted_by(steps: list[tuple[str, str]]) -> set[str]:
    """Queries that sort what they find, whatever of it is on the page."""
    return {text.splitlines()[0] for text, step in steps if "TEMP B-TREE FOR" in step and "ORDER BY" in step}


SORTING = {
    "-- Its pending rows are in no order of messages: the page is found among all of them, then shown.",
    "-- A customer's attempts: the last ones of each of its endpoints, then the last of these.",
}


@pytest.mark.parametrize("filtered", FILTERS)
@pytest.mark.parametrize("named", NAMED)
@pytest.mark.parametrize("kind", ["messages", "deliveries", "attempts"])
async def test_a_page_is_reached_by_an_index(
    stocked: Stocked, planning: Planning, kind: str, named: str, filtered: str
) -> None:
    work = stocked.work(planning)
    selection = stocked.selection(named, FILTERS[filtered])

    for oldest_first in (False, True):
        for after in (None, "1.1" if kind == "deliveries" else "1"):
            span = lists.Span(after, 50, oldest_first)
            if kind == "attempts":
                page: Page[Any] = lists.attempts(work, ENVIRONMENT, lists.Which(selection), span)
            else:
                page = getattr(lists, kind)(work, ENVIRONMENT, selection, span)
            assert page.next is None

    assert looked_through(planning.steps) == set()
    assert sorted_by(planning.steps) <= SORTING or (kind == "messages" and "message_id" in NAMED[named])
    in_order = {step for _, step in planning.steps for start in IN_ORDER[kind] if is_range(step, start)}
    assert in_order == set() or named == "all"


def is_range(step: str, start: str) -> bool:
    """Say whether a step goes through everything from a number on."""
    return step.startswith(start) and "=" not in step.replace(">=", "").replace("<=", "")


@pytest.mark.parametrize("kind", ["customers", "endpoints", "endpoints of a customer"])
async def test_a_page_of_customers_or_endpoints_is_reached_by_an_index(
    stocked: Stocked, planning: Planning, kind: str
) -> None:
    work = stocked.work(planning)

    for oldest_first in (False, True):
        span = lists.Span("1", 50, oldest_first)
        if kind == "customers":
            lists.customers(work, ENVIRONMENT, span)
        else:
            lists.endpoints(work, ENVIRONMENT, "acme" if kind.endswith("customer") else None, span)

    assert looked_through(planning.steps) == set()
    assert sorted_by(planning.steps) == set()
    of_one = {step for _, step in planning.steps if step.startswith("SEARCH e USING INDEX anzol_endpoint_")}
    assert bool(of_one) == kind.endswith("customer")


@pytest.mark.parametrize("named", ["all", "of a customer", "of an endpoint"])
async def test_tallies_follow_an_index(stocked: Stocked, planning: Planning, named: str) -> None:
    work, now = stocked.work(planning), stocked.clock.now()

    tally.deliveries(work, ENVIRONMENT, stocked.selection(named, {}), now, now)
    tally.attempts(work, ENVIRONMENT, stocked.names["endpoint_id"], now, now)

    assert looked_through(planning.steps) == set()


async def test_a_single_attempt_is_reached_by_its_id(stocked: Stocked, planning: Planning) -> None:
    stocked.work(planning).one("attempt", id=ids.new(1), environment=1)

    assert looked_through(planning.steps) == set()
    assert any("anzol_attempt_id (id=?)" in step for _, step in planning.steps)
