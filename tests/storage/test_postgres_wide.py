"""What fan-out reads on PostgreSQL: its page of a customer's endpoints, and no dead rows of the outbox before its mark."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from anzol.storage.postgres.migrating import migrate
from anzol.storage.postgres.queries import query
from tests.postgres import Server

SCHEMA = "wide"
MANY = 20_000
WIDE, NARROW = uuid.UUID(int=1), uuid.UUID(int=2)
FIRST, LAST = uuid.UUID(int=0), uuid.UUID(bytes=b"\xff" * 16)


@pytest.fixture
async def uri(postgres: Server) -> str:
    await migrate(postgres.uri(), SCHEMA)
    postgres.empty(SCHEMA)
    return postgres.uri()


@pytest.fixture
def old_snapshot(postgres: Server, uri: str) -> Iterator[None]:
    """Somebody has a transaction open: no dead row is removed."""
    with postgres.connect(autocommit=False) as connection:
        connection.execute("set transaction isolation level repeatable read")
        connection.execute("select count(*) from pg_class")
        yield


async def buffers(uri: str, name: str, **values: Any) -> int:
    """Return how many pages of the database a query looks at, by the one plan that is kept."""
    connection = await asyncpg.connect(uri)
    try:
        await connection.execute("set plan_cache_mode = force_generic_plan")
        asked = query(name, SCHEMA, timed=False)
        text = f"explain (analyze, buffers, format json) {asked.text}"
        (plan,) = json.loads(await connection.fetchval(text, *(values[one] for one in asked.names)))
        return int(plan["Plan"]["Shared Hit Blocks"]) + int(plan["Plan"]["Shared Read Blocks"])
    finally:
        await connection.close()


def matches(customer: uuid.UUID, message: uuid.UUID, start: uuid.UUID, until: uuid.UUID) -> dict[str, Any]:
    lists = {"messages": [message], "customers": [customer], "starts": [start], "untils": [until]}
    return {"me": 1, "outbox": [1], "resent": [False], **lists}


async def test_a_page_of_endpoints_is_read_and_no_others(postgres: Server, uri: str) -> None:
    """Beside a customer with very many endpoints, one with a single endpoint; and the many, page by page."""
    message = uuid.UUID(int=7)
    for customer, count in ((WIDE, MANY), (NARROW, 1)):
        postgres.execute(
            f"insert into {SCHEMA}.endpoint (id, environment, customer_id, url, enabled_at, created_at, updated_at)"
            " select gen_random_uuid(), 'production', %s, 'https://a.example/', 0, 0, 0 from generate_series(1, %s)",
            customer,
            count,
        )
    postgres.execute(f"insert into {SCHEMA}.lane (endpoint_id) select id from {SCHEMA}.endpoint")
    postgres.execute(f"vacuum analyze {SCHEMA}.endpoint")
    postgres.execute(
        f"insert into {SCHEMA}.message (id, environment, customer_id, customer, event_type, method, content_type,"
        " headers, query, channels, tags, body, created_at)"
        " values (%s, 'production', %s, 'x', 'x', 'POST', 'application/json', '[]', '', '{}', '{}', '', 1)",
        message,
        NARROW,
    )
    ids = f"select id from {SCHEMA}.endpoint where customer_id = %s order by id offset 10000 limit 101"
    page = [row[0] for row in postgres.execute(ids, WIDE)]

    narrow = await buffers(uri, "matches", **matches(NARROW, message, FIRST, LAST))
    wide = await buffers(uri, "matches", **matches(WIDE, message, page[0], page[-1]))

    assert narrow < 100
    assert 100 < wide < 1500


@pytest.mark.usefixtures("old_snapshot")
async def test_dead_rows_before_the_mark_are_not_read(postgres: Server, uri: str) -> None:
    rows = f"insert into {SCHEMA}.accepted (message_id, customer_id) select gen_random_uuid(), gen_random_uuid()"
    postgres.execute(f"{rows} from generate_series(1, {MANY})")
    postgres.execute(f"delete from {SCHEMA}.accepted")
    ((mark,),) = postgres.execute(f"{rows} returning id")
    worker = (
        "insert into {}.worker (host, pid, version, process, started_at, expires_at, term) values ('h', 1, '1', '', 0, "
    )
    now = "(extract(epoch from now()) * 1000000)::bigint"
    ((me,),) = postgres.execute(f"{worker.format(SCHEMA)} {now} + 30000000, 30000000) returning id")
    asked = {"me": me, "most": 300, "fair": False, "after": FIRST, "page": 100}

    everything = await buffers(uri, "outbox", low=0, **asked)
    from_mark = await buffers(uri, "outbox", low=mark, **asked)

    assert from_mark < 100
    assert everything > 2 * from_mark
