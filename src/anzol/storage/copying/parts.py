"""What is copied: each table's rows, as SQLite has them and as PostgreSQL takes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from anzol.lifecycle import SweepState
from anzol.storage.vault import Vault

Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Keys:
    """What opens the source's secrets and seals the target's."""

    source: Vault
    target: Vault

    def resealed(self, sealed: bytes | None, *where: bytes | str | int) -> bytes | None:
        """Seal for the target what was sealed in the source."""
        return None if sealed is None else self.target.seal(self.source.open(sealed, *where), *where)


@dataclass(frozen=True, slots=True)
class Part:
    """One table.

    ``sql/sqlite/copy_<name>.sql`` gives its rows in pages: first what the next page begins after, then its columns.

    Args:
        columns: Of PostgreSQL's table, in the order of the rows that *made* makes.
        key: Those of them that tell a row from all others, with their types.
        start: Before the first row.
        made: From what SQLite gives (without the place) to PostgreSQL's columns.
        sealed: The column that the vault sealed, whose bytes are others each time.
        counter: The column whose numbers PostgreSQL gives out itself.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[tuple[str, str], ...]
    start: tuple[Any, ...] = (0,)
    made: Callable[[Row, Keys], Row] = lambda row, _: row
    sealed: str | None = None
    counter: str | None = None

    @property
    def places(self) -> int:
        return len(self.start)

    def keys_of(self, row: Row) -> tuple[Any, ...]:
        """Return what tells a row of PostgreSQL's columns from all others."""
        return tuple(row[self.columns.index(name)] for name, _ in self.key)


def columns(text: str) -> tuple[str, ...]:
    """Read names with blanks between."""
    return tuple(text.split())


def made_event_type(row: Row, _: Keys) -> Row:
    """Its flags are booleans, its list becomes an array."""
    *first, declared, group_name, archived, deprecated, feature_flags, validation, created_at, updated_at = row
    flags = bool(archived), bool(deprecated), json.loads(feature_flags)
    return *first, bool(declared), group_name, *flags, validation, created_at, updated_at


def made_endpoint(row: Row, keys: Keys) -> Row:
    """Lists become arrays; headers are sealed anew."""
    id_, number, environment, customer_id, uid, url, description, types, channels, names, headers, throttle, *rest = row
    fifo, contact, prefix, schedule, metadata, *more = rest
    return (
        id_,
        number,
        environment,
        customer_id,
        uid,
        url,
        description,
        json.loads(types),
        json.loads(channels),
        json.loads(names),
        keys.resealed(headers, "headers", environment, customer_id, id_),
        throttle,
        bool(fifo),
        contact,
        prefix,
        None if schedule is None else json.loads(schedule),
        metadata,
        *more,
    )


def made_secret(row: Row, keys: Keys) -> Row:
    """It stays bound to its endpoint and version."""
    version, endpoint_id, value, created_at, expires_at, environment, customer_id = row
    where = ("secret", environment, customer_id, endpoint_id, version)
    return version, endpoint_id, keys.resealed(value, *where), created_at, expires_at


def made_lane(row: Row, _: Keys) -> Row:
    """Its flag is a boolean."""
    return *row[:-1], bool(row[-1])


def made_message(row: Row, _: Keys) -> Row:
    """Lists become arrays."""
    *first, channels, tags, key, deliver_at, only, created_at, unwanted, body = row
    return *first, json.loads(channels), json.loads(tags), key, deliver_at, only, created_at, bool(unwanted), body


def made_accepted(row: Row, _: Keys) -> Row:
    """Its flag is a boolean."""
    return *row[:-1], bool(row[-1])


def made_pending(row: Row, _: Keys) -> Row:
    """Its flags are booleans."""
    *first, manual, interruptions, paused = row
    return *first, bool(manual), interruptions, bool(paused)


def made_attempt(row: Row, _: Keys) -> Row:
    """Its flag is a boolean."""
    *first, manual, started_at, resolve, connect, tls, first_byte, total, headers, body = row
    return *first, bool(manual), started_at, resolve, connect, tls, first_byte, total, headers, body


def made_incident(row: Row, _: Keys) -> Row:
    """Its flag is a boolean."""
    return *row[:-1], bool(row[-1])


def made_api_key(row: Row, _: Keys) -> Row:
    """Its scopes become an array."""
    *first, scopes, created_at, created_by, expires_at, revoked_at, used_at = row
    return *first, json.loads(scopes), created_at, created_by, expires_at, revoked_at, used_at


def made_sweep(row: Row, _: Keys) -> Row:
    """One that was under way has failed: where its next page begins is said in numbers that PostgreSQL has not."""
    id_, number, environment, kind, customer_id, endpoint, scope, state, begun, changed, result, error, *rest = row
    if begun and state == int(SweepState.RUNNING):
        state, error = int(SweepState.FAILED), MOVED
    return id_, number, environment, kind, customer_id, endpoint, scope, state, changed, result, error, *rest


def made_source(row: Row, keys: Keys) -> Row:
    """The URL of an outbox is sealed anew: it may carry a password."""
    number, digest, url = row
    return number, digest, keys.resealed(url, "outbox", digest)


MOVED: Final = "The database was moved while this was under way: begin it again for the rest."
ID: Final = (("id", "uuid"),)
NUMBER: Final = (("id", "bigint"),)

PARTS: Final = (
    Part(
        "customer",
        columns("id number environment uid name metadata throttle created_at updated_at deleted_at erase_through"),
        ID,
        counter="number",
    ),
    Part(
        "event_type",
        columns(
            "environment name description schemas declared group_name archived deprecated feature_flags validation "
            "created_at updated_at"
        ),
        (("environment", "text"), ("name", "text")),
        start=("", ""),
        made=made_event_type,
    ),
    Part(
        "endpoint",
        columns(
            "id number environment customer_id uid url description event_types channels header_names headers throttle "
            "fifo contact header_prefix schedule metadata disabled enabled_at created_at updated_at deleted_at"
        ),
        ID,
        made=made_endpoint,
        sealed="headers",
        counter="number",
    ),
    Part(
        "endpoint_secret",
        columns("id endpoint_id value created_at expires_at"),
        NUMBER,
        made=made_secret,
        sealed="value",
        counter="id",
    ),
    Part(
        "lane",
        columns("endpoint_id turn_at parked failures failing_since circuit_open_until circuit_step full"),
        (("endpoint_id", "uuid"),),
        made=made_lane,
    ),
    Part(
        "message",
        columns(
            "id environment customer_id customer event_type method content_type headers query channels tags key "
            "deliver_at only_endpoint created_at unwanted body"
        ),
        ID,
        made=made_message,
    ),
    Part(
        "message_key",
        columns("customer_id key message_id digest created_at"),
        (("customer_id", "uuid"), ("key", "text")),
        start=(b"", ""),
    ),
    Part("accepted", columns("id message_id customer_id resent"), NUMBER, made=made_accepted, counter="id"),
    Part(
        "pending",
        columns("id endpoint_id message_id due_at attempt step manual interruptions paused"),
        NUMBER,
        made=made_pending,
        counter="id",
    ),
    Part(
        "delivery",
        columns("message_id endpoint_id state cause attempts ended_at"),
        (("message_id", "uuid"), ("endpoint_id", "uuid")),
        start=(0, 0),
    ),
    Part(
        "attempt",
        columns(
            "id message_id endpoint_id number outcome status detail note manual started_at resolve connect tls "
            "first_byte total response_headers response_body"
        ),
        ID,
        made=made_attempt,
    ),
    Part(
        "pause_rule",
        columns("id environment customer_id event_type endpoint_id created_at actor"),
        NUMBER,
        counter="id",
    ),
    Part(
        "incident",
        columns("id kind at endpoint_id message_id detail telling_until announced"),
        NUMBER,
        made=made_incident,
        counter="id",
    ),
    Part("outbox_source", columns("id digest url"), NUMBER, made=made_source, sealed="url", counter="id"),
    Part(
        "api_key",
        columns("id number environment digest name hint scopes created_at created_by expires_at revoked_at used_at"),
        ID,
        made=made_api_key,
        counter="number",
    ),
    Part(
        "revocation",
        columns("environment subject issued_through effective_at keep_until"),
        (("environment", "text"), ("subject", "text"), ("effective_at", "bigint")),
        start=("", "", 0),
    ),
    Part(
        "audit",
        columns("number environment at actor action object customer_id detail"),
        (("number", "bigint"),),
        counter="number",
    ),
    Part(
        "sweep",
        columns(
            "id number environment kind customer_id endpoint scope state changed result error actor created_at "
            "updated_at"
        ),
        ID,
        made=made_sweep,
        counter="number",
    ),
)
