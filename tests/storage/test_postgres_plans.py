"""What is asked on PostgreSQL is answered by an index: in tables that are empty, unanalysed, or of a million rows.

A worker keeps its statements prepared, and the server keeps their plans: one that was made when a table was empty must
still be right when the table has filled, before autovacuum has looked at it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from anzol.storage.postgres.connections import Line, Place
from anzol.storage.postgres.queries import EITHER_WAY, FOLDER, query, read
from tests.postgres import Server, running_postgres
from tests.storage import million

MILLION = 1_000_000
BURST = 50_000
BIG = {*million.BIG, "lane", "endpoint", "customer", "endpoint_secret"}
MOST_SORTED = 20_000  # rows that a sort may be expected to get

# What goes through a table on purpose, and why it may.
THROUGH = {
    "broken_": "the rules of the whole database are looked at as a whole, in tests and by `anzol doctor`",
    "claims_lost": "adopting a copied database changes every row",
    "endpoints_lost": "the same",
    "lanes_lost": "the same",
    "secrets_lost": "the same",
    "status_": "what waits is counted when somebody asks",
    "lanes_in_scope": "who pauses everything changes every lane",
}
# Asked when people look at lists, or change what waits: an index answers once autovacuum has been there for the first time.
PEOPLE = (
    "attempts",
    "customers",
    "deliveries",
    "delivery",
    "ended_page",
    "endpoints",
    "messages",
    "pending_judged",
    "pending_page",
    "tally",
)
# Asked in every round and at every commit: right even by a plan that was made when there was nothing.
HOT = (
    "accept",
    "answer",
    "api_key_by_digest",
    "backlogs",
    "claims_unknown",
    "contents",
    "customers_granted",
    "customers_throttled",
    "keys_used",
    "lanes_idle",
    "lanes_stand",
    "lanes_take",
    "lanes_touched",
    "lanes_unclaim",
    "matches",
    "outbox_resent",
    "outbox_tail",
    "pending_look",
    "placed",
    "profiles",
    "portal_code_taken",
    "revocations",
    "settle_",
    "slots_",
    "worker_",
)
# Of the server's setting: for the values of now, made now; as it has it by now; for any values, as the engine wants it on
# the connections where hot statements run.
NOW_MADE, KEPT, ANY = MODES = ("force_custom_plan", "auto", "force_generic_plan")
FILES = sorted(
    file.name.removesuffix(".sql")
    for file in FOLDER.iterdir()
    if file.name.endswith(".sql") and not file.name.startswith(tuple(THROUGH))
)
OLDEST_FIRST = ", oldest first"
NAMES = [*FILES, *(name + OLDEST_FIRST for name in FILES if EITHER_WAY.search(read(name)))]
ALWAYS = [name for name in NAMES if name.startswith(HOT) or name == "outbox"]
STATES = {
    "empty": [name for name in NAMES if not name.startswith(PEOPLE)],
    "filled_since": ALWAYS,
    "planned_anew": [name for name in NAMES if not name.startswith(PEOPLE)],
    "unanalysed": [name for name in NAMES if not name.startswith(PEOPLE)],
    "analysed": NAMES,
}
# Of a few rows among many: to go through all of it is what it is for.
FEW = {
    "customer_erased",
    "endpoint_deleted",
    "lane_deleted",
    "message_unwanted",
    "endpoint_secret_expiry",
    "pending_held",
}

SMALL = {"bound", "each", "limit", "most", "page", "room"}
NOW = million.START + MILLION // 2 * million.STEP


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a plan, and whether a step above it stops it early."""

    node: dict[str, Any]
    limited: bool

    @property
    def kind(self) -> str:
        return str(self.node["Node Type"])

    def goes_through(self) -> str | None:
        """The table that this step reads from one end to the other, if it is a big one."""
        table, index = self.node.get("Relation Name"), self.node.get("Index Name", "")
        if self.kind == "Seq Scan":
            return table if table in BIG else None
        if self.kind == "Bitmap Index Scan":
            table = next((name for name in BIG if index.startswith(name)), None)
        if not index or "Index Cond" in self.node or self.limited or index in FEW:
            return None
        return table if table in BIG else None

    def sorts_too_many(self) -> bool:
        return self.kind == "Sort" and self.node["Plan Rows"] > MOST_SORTED


def steps(node: dict[str, Any], *, limited: bool = False) -> Iterator[Step]:
    """Every step of a plan; a limit reaches down to what is read in order, not through what reads all of it first."""
    limited = (limited or node["Node Type"] == "Limit") and node["Node Type"] not in {"Sort", "Aggregate", "Hash"}
    yield Step(node, limited)
    for below in node.get("Plans", []):
        # What makes a value of its own (an `exists`) is asked for one row.
        yield from steps(below, limited=limited or below.get("Parent Relationship") == "SubPlan")


class Planner:
    """A session like the engine's, with every query prepared."""

    def __init__(self, server: Server, schema: str) -> None:
        self.schema = schema
        self.connection = server.connect()
        for name, value in Place("", schema, False, 5.0).settings.items():
            self.connection.execute("select set_config(%s, %s, false)", (name, value))
        self.values = {name: self.prepare(name) for name in NAMES}

    def prepare(self, name: str) -> str:
        """Prepare a query; the values that it is then asked with."""
        asked = query(name.removesuffix(OLDEST_FIRST), self.schema, True, oldest_first=name.endswith(OLDEST_FIRST))
        self.connection.execute(f'prepare "{name}" as {asked.text}'.encode())
        find = "select parameter_types::text[] from pg_prepared_statements where name = %s"
        found = self.connection.execute(find, (name,)).fetchone()
        assert found is not None
        within = places(name)
        return ", ".join(
            within.get(given) or value(given, kind) for given, kind in zip(asked.names, found[0], strict=True)
        )

    def plan(self, name: str, mode: str) -> list[Step]:
        """The steps of a query's plan.

        Args:
            mode: One of MODES.
        """
        self.connection.execute(f"set plan_cache_mode = {mode}".encode())
        given = f"({self.values[name]})" if self.values[name] else ""
        rows = self.connection.execute(f'explain (format json) execute "{name}"{given}'.encode()).fetchall()
        return list(steps(rows[0][0][0]["Plan"]))


def used(planner: Planner) -> Planner:
    """So often that the server has made up its mind whether it keeps a plan: after five for the values."""
    for name in NAMES:
        for _ in range(6):
            planner.plan(name, KEPT)
    for name in ALWAYS:
        planner.plan(name, ANY)
    return planner


def places(name: str) -> dict[str, str]:
    """From the middle of a list of keys to its end."""
    if not name.startswith(("attempts_keys", "deliveries_keys", "messages_keys")):
        return {}
    end = "f" if name.endswith(OLDEST_FIRST) else "0"
    middle = re.sub(r"\bg\b", str(MILLION // 2), million.MESSAGE)
    return {"after": middle, "through": f"'{end * 32}'::uuid"}


def value(name: str, kind: str) -> str:
    """A literal of type *kind* that stands for what *name* may be."""
    element = kind.removesuffix("[]")
    one = sample(name, element)
    return f"array[{one}]::{kind}" if kind.endswith("[]") else one


def sample(name: str, kind: str) -> str:
    if kind == "uuid":
        number = 2 if "customer" in name or "derived" in name else 1
        expression = million.place(number, "g") if "message" not in name else million.MESSAGE
        return re.sub(r"\bg\b", "7", expression)
    if kind == "bigint" and name in {"me", "holder", "worker"}:
        return "2::bigint"
    if name in SMALL:
        return f"'200'::{kind}"
    if name in {"seen", "through"} and kind == "text":
        return "'1:1:'::text"  # a snapshot
    samples = {"bigint": NOW, "integer": 100, "smallint": 1, "boolean": "true", "bytea": r"\x00", "xid8": 1}
    return f"'{samples.get(kind, 'production')}'::{kind}"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    # Nobody else analyses: what the planner knows is what a test says it knows.
    quick = {"fsync": "off", "wal_level": "minimal", "max_wal_senders": 0, "max_wal_size": "4GB"}
    with running_postgres(autovacuum="off", shared_buffers="256MB", **quick) as server:
        yield server


@pytest.fixture(scope="module")
def empty(server: Server) -> Iterator[Planner]:
    million.make(server, "empty")
    yield from planner(server, "empty")


@pytest.fixture(scope="module")
def filled_since(server: Server) -> Iterator[Planner]:
    """Every plan was made and kept when all that was ever sent had gone, and the server knew it."""
    million.make(server, "filled_since")
    million.settle(server, "filled_since")
    server.execute("vacuum analyze")
    for made in planner(server, "filled_since"):
        million.fill(server, "filled_since", BURST, indexes_last=False)
        yield made


@pytest.fixture
def planned_anew(filled_since: Planner) -> Planner:
    """As the engine has it done every few seconds; what the server knows of the tables is still that they were empty."""
    filled_since.connection.execute("discard plans")
    return used(filled_since)


@pytest.fixture(scope="module")
def unanalysed(server: Server) -> Iterator[Planner]:
    million.make(server, "million")
    million.settle(server, "million")
    million.fill(server, "million", MILLION, indexes_last=True)
    yield from planner(server, "million")


@pytest.fixture(scope="module")
def analysed(server: Server, unanalysed: Planner) -> Iterator[Planner]:
    server.execute("analyze")
    yield from planner(server, "million")


def planner(server: Server, schema: str) -> Iterator[Planner]:
    made = used(Planner(server, schema))
    yield made
    made.connection.close()


# The order is that of time: the table of a million rows is looked at before it is analysed.
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("state", STATES)
def test_an_index_answers(request: pytest.FixtureRequest, state: str, mode: str) -> None:
    planner: Planner = request.getfixturevalue(state)
    names = ALWAYS if mode == ANY else STATES[state]

    found = {name: {step.goes_through() for step in planner.plan(name, mode)} - {None} for name in names}

    assert {name: tables for name, tables in found.items() if tables} == {}


@pytest.mark.parametrize("mode", [NOW_MADE, KEPT])
def test_nothing_big_is_sorted(analysed: Planner, mode: str) -> None:
    found = {name: any(step.sorts_too_many() for step in analysed.plan(name, mode)) for name in NAMES}

    assert [name for name, sorted_ in found.items() if sorted_] == []


@pytest.mark.parametrize(("keep_plans", "answers"), [(3600.0, "Seq Scan"), (0.0, "Index")], ids=["kept", "made anew"])
async def test_no_plan_is_kept_for_long(server: Server, keep_plans: float, answers: str) -> None:
    with server.database() as uri:
        line = Line(lambda: asyncpg.connect(uri), 1, keep_plans=keep_plans)
        async with line.borrow() as connection:
            await connection.execute("create table t (id int primary key)")
            await connection.execute("vacuum analyze t")
            await connection.execute(
                "prepare q as select id from t where id = $1; set plan_cache_mode = force_generic_plan"
            )
            await connection.execute("execute q(7)")
            await connection.execute("insert into t select generate_series(1, 10000)")

        async with line.borrow() as connection:
            found = await connection.fetch("explain execute q(7)")

        assert answers in found[0][0]
        await line.close()
