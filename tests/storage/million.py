"""A schema of Anzol's on PostgreSQL with as many rows as asked for, made inside the server in seconds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from anzol.storage.postgres.migrations import migrations
from anzol.storage.postgres.queries import in_schema
from tests.postgres import Server

START = 1_767_225_600_000_000  # microseconds: when the first message was sent
STEP = 1000  # microseconds from one message to the next
CUSTOMERS = 2_000
ENDPOINTS = 20_000
FORM = "('0000000{kind}-0000-7000-8000-' || lpad(to_hex({number}), 12, '0'))::uuid"
# As those of `anzol.ids`: milliseconds in front.
MESSAGE = f"(lpad(to_hex({START // 1000} + g), 12, '0') || '70008' || lpad(to_hex(g), 15, '0'))::uuid"

FEW = 5
CAST = """
insert into anzol.customer (id, environment, uid, created_at, updated_at)
select {customer}, 'production', 'c' || g, {start}, {start}
  from generate_series({first}, least({last}, {customers} - 1)) g;

insert into anzol.endpoint (id, environment, customer_id, url, enabled_at, created_at, updated_at)
select {endpoint}, 'production', {customer_of}, 'https://example.com', {start}, {start}, {start}
  from generate_series({first}, {last}) g;

insert into anzol.endpoint_secret (endpoint_id, value, created_at)
select {endpoint}, '\\x00', {start} from generate_series({first}, {last}) g;

insert into anzol.worker (host, pid, version, process, started_at, expires_at, term)
select 'here', g, '1', 'p', {start}, {start} + 30000000, 30000000 from generate_series({first}, least({last}, 3)) g;

insert into anzol.lane (endpoint_id, turn_at, holder)
select {endpoint}, case when g % 4 < 2 then {start} + g end, case when g % 4 > 1 then g % 4 end
  from generate_series({first}, {last}) g
"""
BIG = {
    "message": """
        insert into anzol.message (id, environment, customer_id, customer, event_type, method, content_type, headers,
                                   query, channels, tags, created_at, body)
        select {message}, 'production', {customer_of}, 'c' || g % {customers}, 'invoice.paid', 'POST',
               'application/json', '[]', '', '{{}}', '{{}}', {start} + g * {step}, '{{}}'
          from generate_series(1, {rows}) g""",
    "message_key": """
        insert into anzol.message_key (customer_id, key, message_id, digest, created_at)
        select case when g % 2 = 0 then '00000000-0000-0000-0000-000000000000' else {customer_of} end, 'k' || g, {message},
               '\\x00', {start} + g * {step} from generate_series(1, {rows} / 5) g""",
    "accepted": """
        insert into anzol.accepted (message_id, customer_id)
        select {message}, {customer_of} from generate_series(1, {rows} / 2) g""",
    # The last ones are in flight.
    "pending": """
        insert into anzol.pending (endpoint_id, message_id, due_at, holder)
        select {endpoint}, {message}, {start} + g * {step}, case when g > {rows} - 400 then 2 end
          from generate_series(1, {rows}) g""",
    "delivery": """
        insert into anzol.delivery (message_id, endpoint_id, state, cause, attempts, ended_at)
        select {message}, {next_endpoint}, 1, 1, 1, {start} + g * {step} from generate_series(1, {rows}) g""",
    "attempt": """
        insert into anzol.attempt (id, message_id, endpoint_id, number, outcome, detail, note, manual, started_at,
                                   total, response_headers, response_body)
        select {message}, {message}, {next_endpoint}, 1, 0, '', '', false, {start} + g * {step}, 1, '[]', ''
          from generate_series(1, {rows}) g""",
}


def place(kind: int, number: str) -> str:
    return FORM.format(kind=kind, number=number)


def filled(text: str, schema: str, *, rows: int = 0, first: int = 0, last: int = 0) -> str:
    """*text* with its expressions, in *schema*."""
    text = text.format(
        message=MESSAGE,
        endpoint=place(1, f"g % {ENDPOINTS}"),
        next_endpoint=place(1, f"(g + 1) % {ENDPOINTS}"),
        customer=place(2, "g"),
        customer_of=place(2, f"g % {CUSTOMERS}"),
        customers=CUSTOMERS,
        endpoints=ENDPOINTS,
        start=START,
        step=STEP,
        rows=rows,
        first=first,
        last=last,
    )
    return in_schema(text, schema)


def make(server: Server, schema: str) -> None:
    """Make the tables, empty; not logged, since nobody wants them after a crash."""
    server.execute(f"create schema {schema}")
    for _, _, text in migrations():
        server.execute(in_schema(text, schema))
    for table in BIG:
        server.execute(f"alter table {schema}.{table} set unlogged")


def settle(server: Server, schema: str) -> None:
    """A few customers with an endpoint each; nothing was ever sent, or all of it is long done."""
    server.execute(filled(CAST, schema, first=0, last=FEW - 1))


def fill(server: Server, schema: str, rows: int, *, indexes_last: bool) -> None:
    """Put *rows* into each of the big tables, and what belongs to them into the others, where a few are already.

    Args:
        indexes_last: Make the indexes when the rows are there: half the time, but plans that were made before are gone.
    """
    server.execute(filled(CAST, schema, first=FEW, last=ENDPOINTS - 1))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda table: fill_table(server, schema, table, rows, indexes_last), BIG))


def fill_table(server: Server, schema: str, table: str, rows: int, indexes_last: bool) -> None:
    find = (
        "select c.relname, pg_get_indexdef(c.oid) from pg_index i join pg_class c on c.oid = i.indexrelid"
        " where i.indrelid = %s::regclass and not i.indisprimary"
    )
    indexes = server.execute(find, f"{schema}.{table}") if indexes_last else []
    for name, _ in indexes:
        server.execute(f"drop index {schema}.{name}")
    server.execute(filled(BIG[table], schema, rows=rows))
    for _, definition in indexes:
        server.execute(f"set maintenance_work_mem = '128MB'; {definition}")
