"""What every round and every commit asks is answered by an index, whatever the planner knows of the tables."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

import pytest

from anzol.storage.sqlite.migrations import migrations, statements
from anzol.storage.sqlite.queries import FOLDER, repeated, sql

HOT = [
    "ahead",
    "answer",
    "answer_dropped",
    "answer_kept",
    "api_key_by_digest",
    "backlogs",
    "claims_of",
    "contents",
    "customer_granted",
    "customer_ids",
    "customers_throttled",
    "endpoint_ids",
    "endpoint_seqs",
    "endpoints_ahead",
    "incidents_told",
    "keys_used",
    "lane_due",
    "lanes_due",
    "lanes_health",
    "lanes_held_of",
    "lanes_hold",
    "lanes_look",
    "lanes_of",
    "lanes_release",
    "lanes_touch",
    "lanes_touch_for",
    "lanes_touched",
    "lanes_unclaim",
    "matches",
    "messages_stored",
    "outbox_customers",
    "outbox_done",
    "outbox_of_customers",
    "outbox_tail",
    "pending_again",
    "pending_claim",
    "pending_done",
    "pending_due",
    "pending_due_fifo",
    "pending_held",
    "portal_code_taken",
    "profiles",
    "revocations",
    "slots_passed",
    "slots_used",
]
# Given lists (j, t, a, b, x of VALUES ...), and the pause rules, which are a few.
LISTS = re.compile(r"SCAN (j|t|a|b|r|turn|json_each|CONSTANT ROW|\(?\d*|\(subquery-\d+\)|SUBQUERY \d+)( |$)")
FIRST = re.compile(r"SCAN anzol_accepted USING COVERING INDEX")  # "is there one": the first entry is the answer


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    for _, _, text in migrations():
        for statement in statements(text):
            connection.execute(statement)
    yield connection
    connection.close()


def plan(database: sqlite3.Connection, name: str) -> list[str]:
    text = repeated(name, 2) if "(?" in sql(name) else sql(name)
    values = dict.fromkeys(re.findall(r":(\w+)", text), "[]") if "?" not in text else [1] * text.count("?")
    return [row[3] for row in database.execute(f"explain query plan {text}", values)]


@pytest.mark.parametrize("analysed", [False, True], ids=["unanalysed", "analysed when empty"])
@pytest.mark.parametrize("name", HOT)
def test_an_index_answers(database: sqlite3.Connection, name: str, analysed: bool) -> None:
    if analysed:
        database.execute("analyze")

    scans = [step for step in plan(database, name) if step.startswith("SCAN")]

    assert [step for step in scans if not LISTS.match(step) and not FIRST.match(step)] == []


def test_a_probe_reads_nothing_whole_but_the_workers(database: sqlite3.Connection) -> None:
    scans = [step for step in plan(database, "probe") if step.startswith("SCAN")]

    assert {step for step in scans if step not in ("SCAN w", "SCAN o", "SCAN CONSTANT ROW")} == set()
    assert "order by o.id limit 1" in sql("probe")  # so that the scan of `o` ends at its first row


def test_every_query_is_one_the_database_understands(database: sqlite3.Connection) -> None:
    names = sorted(file.name.removesuffix(".sql") for file in FOLDER.iterdir() if file.name.endswith(".sql"))

    assert len(names) > 100
    for name in names:
        plan(database, name)
