"""Statements for one message, in the words of whatever driver the caller's connection has.

They are made of the same files as the engine's own, which take many messages at once: the arrays of ``unnest`` become
one row of values. Values travel as text, bytes and whole numbers only, whatever codecs the caller has registered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from anzol.storage.postgres.queries import CLOCK, COMMENT, VALUE, in_schema, read

if TYPE_CHECKING:
    from sqlalchemy import TextClause

ROWS: Final = re.compile(r"\bunnest\((?P<arrays>[^)]*)\)(?P<placed>\s+with ordinality)?(?=\s+as g \()")
ARRAY: Final = re.compile(r":(?P<name>[a-z_]+)::(?P<type>[a-z]+)\[\]")
TYPED: Final = re.compile(r"(?<![:\w]):(?P<name>[a-z_]+)::(?P<type>[a-z]+)")
SENT_AS: Final = {"uuid": "text"}  # ids as text: a caller may have a codec of its own for uuid
# Under a snapshot that is older than another's commit a conflict is an error, which would spoil the transaction.
GUARD: Final = " where :keys::text is null or current_setting('transaction_isolation') = 'read committed'"

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Phrase:
    """A statement with its values as ``(:name)``, and for each value the type in which it is sent."""

    text: str
    types: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.types)


# As text, too: what the caller's connection makes of other types is the caller's affair.
HEX: Final = "select encode(uuid_send(u.message_id), 'hex'), encode(u.digest, 'hex') from ({}) as u"

SAVE: Final = Phrase("savepoint anzol_send")
RELEASE: Final = Phrase("release savepoint anzol_send")
UNDO: Final = Phrase("rollback to savepoint anzol_send")


@lru_cache(maxsize=100)
def phrase(name: str, schema: str, *, timed: bool = False, guarded: bool = False) -> Phrase:
    """Return the file ``sql/postgres/<name>.sql`` for one row.

    Args:
        timed: The time is given, as the value ``now``; else it is the database's.
        guarded: A message with a key is only stored where a used key is no error.
    """
    plain = in_schema(COMMENT.sub("", read(name)), schema)
    text = ROWS.sub(lambda found: one_row(found, GUARD if guarded else ""), plain)
    text = re.sub(r":now\b", ":now::bigint" if timed else CLOCK, text)
    types: dict[str, str] = {}

    def typed(found: re.Match[str]) -> str:
        sent = SENT_AS.get(found["type"], found["type"])
        types[found["name"]] = sent
        return f"(:{found['name']})::{sent}" + ("" if sent == found["type"] else f"::{found['type']}")

    return Phrase(TYPED.sub(typed, text).strip(), tuple(types.items()))


@lru_cache(maxsize=100)
def first_use(schema: str) -> Phrase:
    """Return the statement that tells which message used a key first, and its digest; both in hexadecimal."""
    used = phrase("keys_used", schema)
    return Phrase(HEX.format(used.text), used.types)


def one_row(found: re.Match[str], guard: str) -> str:
    """Write one row of values in the place of the rows that arrays make."""
    values = [f":{array['name']}::{array['type']}" for array in ARRAY.finditer(found["arrays"])]
    place = ["1"] if found["placed"] else []
    return f"(select {', '.join(values + place)}{guard})"


def fitting(given: Phrase, values: Values) -> dict[str, Any]:
    """Return the values that the statement names, as they travel: ids as text."""
    return {name: hexed(sent, values[name]) for name, sent in given.types}


def hexed(sent: str, value: Any) -> Any:
    """Write an id as text; leave other values, such as bodies, as they are."""
    return value.hex() if sent == "text" and isinstance(value, bytes) else value


@lru_cache(maxsize=100)
def numbered(given: Phrase) -> str:
    """Write ``$1`` and so on, as asyncpg takes it; the values follow in the order of `Phrase.names`."""
    return VALUE.sub(lambda found: f"${given.names.index(found[1]) + 1}", given.text)


@lru_cache(maxsize=100)
def named(given: Phrase) -> str:
    """Write ``%(name)s``, as psycopg takes it."""
    return VALUE.sub(r"%(\1)s", given.text.replace("%", "%%"))


@lru_cache(maxsize=100)
def clause(given: Phrase) -> TextClause:
    """Write it for SQLAlchemy, whatever the dialect's driver."""
    from sqlalchemy import BigInteger, LargeBinary, Text, bindparam, text

    kinds: dict[str, Any] = {"bytea": LargeBinary(), "bigint": BigInteger()}
    binds = [bindparam(name, type_=kinds.get(sent, Text())) for name, sent in given.types]
    return text(given.text).bindparams(*binds)
