"""Where a database is: a URL read, without opening anything; a password in it is never shown.

People paste URLs from SQLAlchemy, from libpq and from hosting companies. What they mean is kept, what cannot be kept is
refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

from anzol.errors import SettingsError

VARIABLE: Final = "ANZOL_DATABASE_URL"
POSTGRES: Final = frozenset({"postgresql", "postgres"})
SCHEMA: Final = "anzol"
NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,49}", re.ASCII)  # 50: a channel of that name still has room for a prefix
TAKEN: Final = frozenset({"public", "information_schema"})
HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^\[\]:/?#@\s]+)(?::\d{1,5})?", re.ASCII)

# What libpq knows and asyncpg does as libpq does; `options` goes to the server.
TAKEN_AS_GIVEN: Final = frozenset(
    {
        *("host", "port", "dbname", "user", "password", "passfile", "service", "target_session_attrs", "options"),
        *("sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl", "sslnegotiation"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib"),
    }
)
SAFETIES: Final = frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})
# What asks for no more than is done anyway; any other value of these is refused.
MEANT_ANYWAY: Final[Mapping[str, frozenset[str]]] = {
    "channel_binding": frozenset({"prefer", "disable"}),
    "gssencmode": frozenset({"prefer", "disable"}),
    "client_encoding": frozenset({"utf8", "utf-8", "unicode"}),
}
POOLED: Final = "If a pooler such as PgBouncer is between, set ANZOL_POOLER=true."
INSTEAD: Final[Mapping[str, str]] = {
    "prepared_statement_cache_size": f"It is SQLAlchemy's; take it out. {POOLED}",
    "prepared_statement_name_func": f"It is SQLAlchemy's; take it out. {POOLED}",
    "statement_cache_size": f"Take it out. {POOLED}",
    "prepare_threshold": f"It is psycopg's; take it out. {POOLED}",
    "async_fallback": "It is SQLAlchemy's; take it out.",
    "pgbouncer": f"Take it out. {POOLED}",
    "connection_limit": "Take it out: Anzol opens at most 10 connections in a process.",
    "schema": "Take it out, and name the schema in ANZOL_SCHEMA.",
    "connect_timeout": "Take it out: Anzol waits 5 seconds.",
    "application_name": "Take it out: Anzol's connections are called anzol.",
    "channel_binding": "asyncpg does not bind channels; take it out, and be sure of the server by sslmode=verify-full.",
    "ssl": "Write sslmode=require, or another mode that libpq knows.",
}
READABLE: Final = "Write it like postgresql://user:password@host:5432/database, or sqlite:///anzol.db."


@dataclass(frozen=True, slots=True)
class SqlitePlace:
    """A SQLite file; the path is absolute. As text: the path."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def url(self) -> str:
        return f"sqlite:///{quote(str(self.path))}"


@dataclass(frozen=True, slots=True)
class PostgresPlace:
    """A schema in a PostgreSQL database.

    Args:
        url: As asyncpg takes it; may carry a password.
        shown: The URL without password and parameters, for people.
        schema: Where Anzol's tables are.
        pooler: Between us and the server stands a pooler that lends connections by the transaction.
    """

    url: str = field(repr=False)
    shown: str
    schema: str = SCHEMA
    pooler: bool = False

    def __str__(self) -> str:
        return self.shown if self.schema == SCHEMA else f"{self.shown} (schema {self.schema})"


Place = SqlitePlace | PostgresPlace


def is_postgres(url: str) -> bool:
    """Say whether a URL is one of PostgreSQL's, with or without a driver's name."""
    return "://" in url and url.partition("://")[0].partition("+")[0].lower() in POSTGRES


def place_of(url: str, *, schema: str = SCHEMA, pooler: bool = False) -> Place:
    """Return the place that a URL names.

    Raises:
        SettingsError: it names none that Anzol can store in, or *schema* is no name for ours.
    """
    return postgres_place(url, schema, pooler=pooler) if is_postgres(url) else SqlitePlace(sqlite_path(url))


# --- SQLite


def sqlite_path(url: str) -> Path:
    """Return the absolute path of a ``sqlite:///`` URL; refuse every other URL."""
    scheme, colon, rest = url.partition("://")
    if not colon or scheme.partition("+")[0].lower() != "sqlite":
        raise refused("is not the URL of a database that Anzol can store in", READABLE)
    if "?" in rest or not rest.startswith("/") or len(rest) < 2:
        raise refused("is not a SQLite database's URL", "Write it like sqlite:///anzol.db.")
    if rest[1:] == ":memory:":
        # It belongs to one connection; Anzol needs several, and promises that nothing is lost.
        raise SettingsError(
            "A database in memory forgets what it accepted.",
            do="Write it like sqlite:///anzol.db, in tests with a temporary folder.",
        )
    return Path(unquote(rest[1:])).absolute()


# --- PostgreSQL


def postgres_place(url: str, schema: str, *, pooler: bool) -> PostgresPlace:
    """Read a PostgreSQL URL; nothing of it is in an error, since what looks like a host may be half a password."""
    check_schema(schema)
    rest = url.partition("://")[2]
    authority, slash, path_and_query = split(rest)
    user, hosts = read_authority(authority)
    database, _, query = path_and_query.partition("?")
    slash = slash if database else ""  # as in libpq, where an empty name is none
    if "@" in path_and_query or "/" in database:
        raise refused("is not readable", f"In a password write / as %2F, ? as %3F, @ as %40. {READABLE}")
    values = read_query(query)
    given = urlencode(values, quote_via=quote, safe="/:,[]")
    plain = f"postgresql://{authority}{slash}{database}" + (f"?{given}" if given else "")
    shown_name = quote(unquote(user or values.get("user", "")))
    where = [(name, values[name]) for name in ("host", "port", "dbname", "service") if name in values]
    shown = f"postgresql://{f'{shown_name}@' if shown_name else ''}{hosts}{slash}{database}"
    return PostgresPlace(plain, shown + (f"?{urlencode(where, safe='/:,[]')}" if where else ""), schema, pooler)


def split(rest: str) -> tuple[str, str, str]:
    """Split what follows ``://`` into user and hosts, the slash if there is one, and the rest."""
    if "#" in rest:
        raise refused("has a # in it", "In a password write # as %23.")
    if any(character.isspace() for character in rest):
        raise refused("has a space in it", "Write it as %20, or take it away.")
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    left = rest[len(authority) :]
    return (authority, "/", left[1:]) if left.startswith("/") else (authority, "", left)


def read_authority(authority: str) -> tuple[str, str]:
    """Return the user and the hosts of ``user:password@host:port,host:port``."""
    credentials, at, hosts = authority.rpartition("@")
    if "@" in credentials:
        raise refused("has more than one @", "In a password write @ as %40.")
    if hosts and not all(HOST.fullmatch(host) for host in hosts.split(",")):
        raise refused(
            "has a host or port that cannot be read", f"In a password write / as %2F, ? as %3F, @ as %40. {READABLE}"
        )
    return (credentials.partition(":")[0] if at else ""), hosts


def read_query(query: str) -> dict[str, str]:
    """Return the parameters as asyncpg takes them; refuse by name what cannot be kept."""
    values: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        known = "sslmode" if name == "ssl" and value in SAFETIES else name
        known = "dbname" if known == "database" else known
        check_parameter(known, value)
        if known in MEANT_ANYWAY or not value:
            continue
        if known in values and known not in ("host", "port"):
            raise refused(f"has {known} twice", "Take one of them out.")
        # SQLAlchemy writes several hosts as several parameters.
        values[known] = f"{values[known]},{value}" if known in values else value
    check_port(values.get("port", ""))
    return values


def check_parameter(name: str, value: str) -> None:
    """Refuse a parameter that would be ignored, or that asyncpg would make a server's setting of."""
    if value.lower() in MEANT_ANYWAY.get(name, ()) or name in TAKEN_AS_GIVEN:
        if name == "sslmode" and value not in SAFETIES:
            raise refused("has an sslmode that libpq does not know", f"There are: {', '.join(sorted(SAFETIES))}.")
        return
    safe = name if re.fullmatch(r"[a-z_]{1,40}", name) else "a parameter that nobody knows"
    raise refused(f"has {safe}, which Anzol cannot keep", INSTEAD.get(name, "Take it out."))


def check_port(ports: str) -> None:
    """Refuse ``port=`` that is no number, or no list of them."""
    if ports and not re.fullmatch(r"\d{1,5}(,\d{1,5})*", ports, re.ASCII):
        raise refused("has a port that is no number", "Write it like port=5432.")


def check_schema(name: str) -> None:
    """Refuse a schema's name that would need quotes, or where our tables would lie among other people's."""
    if not NAME.fullmatch(name) or name.startswith("pg_"):
        raise SettingsError(
            f"ANZOL_SCHEMA {name!r} is no name for a schema.",
            do="Take small letters, digits and _, at most 50, not beginning with a digit or with pg_.",
        )
    if name in TAKEN:
        raise SettingsError(
            f"ANZOL_SCHEMA cannot be {name}: Anzol's tables have plain names, such as customer and message.",
            do="Give it a schema of its own, such as anzol.",
        )


def refused(what: str, do: str) -> SettingsError:
    """Return the error for a URL; it does not show it."""
    return SettingsError(f"{VARIABLE} {what}.", do=do)
