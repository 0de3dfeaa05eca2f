"""A database's URL, as people have it: what is meant is kept, what cannot be kept is refused, no password is shown."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from asyncpg.connect_utils import _parse_connect_dsn_and_args as parse

from anzol.errors import SettingsError
from anzol.storage.places import PostgresPlace, SqlitePlace, place_of


def postgres(url: str, **more: object) -> PostgresPlace:
    place = place_of(url, **more)  # type: ignore[arg-type]
    assert isinstance(place, PostgresPlace)
    return place


def as_asyncpg_reads(url: str) -> tuple[list[object], Mapping[str, object]]:
    """Addresses and parameters that asyncpg makes of the URL that we hand to it."""
    names = ("host", "port", "user", "password", "passfile", "database", "ssl", "service", "servicefile")
    more = ("direct_tls", "server_settings", "target_session_attrs", "krbsrvname", "gsslib")
    addresses, found = parse(dsn=postgres(url).url, **dict.fromkeys((*names, *more)))
    return addresses, found._asdict()


@pytest.mark.parametrize(
    ("url", "addresses", "found"),
    [
        (
            "postgresql://app:secret@db.example:6000/shop",
            [("db.example", 6000)],
            {"user": "app", "password": "secret", "database": "shop"},
        ),
        ("postgres://app@db.example/shop", [("db.example", 5432)], {"user": "app", "database": "shop"}),
        ("postgresql+asyncpg://app:s%40%2F@h/shop", [("h", 5432)], {"password": "s@/"}),
        ("postgresql+psycopg://app@h/shop", [("h", 5432)], {"user": "app"}),
        ("postgresql+psycopg2://app@[::1]:5433/shop", [("::1", 5433)], {"user": "app"}),
        ("POSTGRESQL://app@h/shop", [("h", 5432)], {"user": "app"}),
        ("postgresql://app@/shop?host=/run/postgresql", ["/run/postgresql/.s.PGSQL.5432"], {"database": "shop"}),
        ("postgresql://app@%2Frun%2Fpg:5433/shop", ["/run/pg/.s.PGSQL.5433"], {"database": "shop"}),
        ("postgresql:///shop?host=/run/pg&port=7&user=app", ["/run/pg/.s.PGSQL.7"], {"user": "app"}),
        ("postgresql://app@one:1,two:2/shop", [("one", 1), ("two", 2)], {"database": "shop"}),
        ("postgresql://app@/shop?host=one:1&host=two:2", [("one", 1), ("two", 2)], {"database": "shop"}),
        ("postgresql://app@/shop?host=one,two&port=1,2", [("one", 1), ("two", 2)], {"database": "shop"}),
        ("postgresql://app@h/shop?sslmode=disable", [("h", 5432)], {"sslmode": 0}),
        ("postgresql+asyncpg://app@h/shop?ssl=require", [("h", 5432)], {"sslmode": 3}),
        ("postgresql://app@h/shop?channel_binding=prefer&gssencmode=disable", [("h", 5432)], {"server_settings": None}),
        ("postgresql+psycopg2://app@h/shop?client_encoding=utf8", [("h", 5432)], {"server_settings": None}),
        ("postgresql://app@h/?database=shop&password=p%26q", [("h", 5432)], {"database": "shop", "password": "p&q"}),
        (
            "postgresql://app@h/shop?options=-c%20work_mem%3D8MB",
            [("h", 5432)],
            {"server_settings": {"options": "-c work_mem=8MB"}},
        ),
    ],
)
def test_a_url_means_what_it_means_elsewhere(
    url: str, addresses: list[object], found: Mapping[str, object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    where, read = as_asyncpg_reads(url)

    assert where == addresses
    assert {name: read[name] for name in found} == found


def test_libpqs_environment_fills_in_what_the_url_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGHOST": "db", "PGUSER": "app", "PGPASSWORD": "secret", "PGDATABASE": "shop"}.items():
        monkeypatch.setenv(name, value)

    where, read = as_asyncpg_reads("postgresql://")

    assert (where, read["user"], read["password"], read["database"]) == ([("db", 5432)], "app", "secret", "shop")


def test_a_password_may_lie_in_libpqs_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "pgpass"
    file.write_text("db:5432:shop:app:from the file\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))

    assert as_asyncpg_reads("postgresql://app@db/shop")[1]["password"] == "from the file"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://app:canary@db/shop", "postgresql://app@db/shop"),
        ("postgresql+asyncpg://app:canary@a:1,b/shop?ssl=require", "postgresql://app@a:1,b/shop"),
        ("postgresql:///shop?password=canary&user=app&host=/run/pg", "postgresql://app@/shop?host=/run/pg"),
        ("postgresql:///shop?sslpassword=canary&passfile=canary", "postgresql:///shop"),
        ("postgresql://", "postgresql://"),
    ],
)
def test_a_place_is_shown_without_its_password(url: str, shown: str) -> None:
    place = postgres(url)

    assert str(place) == shown
    assert "canary" not in f"{place} {place!r}"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://app:canary@x@db/shop", r"more than one @.*%40"),
        ("postgresql://app:can/ary@db/shop", "host or port that cannot be read"),
        ("postgresql://app:12/canary@db/shop", "%2F"),
        ("postgresql://app:can?ary@db/shop", "host or port that cannot be read"),
        ("postgresql://app:can#ary@db/shop", "a # in it"),
        ("postgresql://app:can ary@db/shop", "a space in it"),
        ("postgresql://app:12?canary=x@db/shop", "%3F"),
        ("postgresql://app:canary@db:port/shop", "host or port"),
        ("postgresql://app:canary@a,,b/shop", "host or port"),
        ("postgresql://app:canary@db/shop/canary", "is not readable"),
        ("postgresql://app:canary@db/shop?port=x", "a port that is no number"),
        ("postgresql://app:canary@db/shop?sslmode=canary", "an sslmode that libpq"),
        ("postgresql://app:canary@db/shop?ssl=true", "has ssl.*sslmode=require"),
        ("postgresql://app:canary@db/shop?prepared_statement_cache_size=0", "SQLAlchemy's; take it out.*ANZOL_POOLER"),
        ("postgresql://app:canary@db/shop?pgbouncer=true", "ANZOL_POOLER=true"),
        ("postgresql://app:canary@db/shop?schema=hooks", "ANZOL_SCHEMA"),
        ("postgresql://app:canary@db/shop?channel_binding=require", "verify-full"),
        ("postgresql://app:canary@db/shop?connect_timeout=3", "waits 5 seconds"),
        ("postgresql://app:canary@db/shop?search_path=x", "has search_path, which Anzol cannot keep"),
        ("postgresql://app:canary@db/shop?Canary=x", "a parameter that nobody knows"),
        ("postgresql://db/shop?user=a&user=b", "has user twice"),
        ("mysql+pymysql://app:canary@db/shop", "is not the URL of a database that Anzol can store in"),
        ("app:canary@db/shop", "is not the URL"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name_and_without_the_password(url: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        place_of(url)

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("schema", ["anzol", "_hooks", "webhooks_2", "a" * 50])
def test_a_schema_may_have_any_plain_name(schema: str) -> None:
    assert postgres("postgresql://db/shop", schema=schema).schema == schema


@pytest.mark.parametrize("schema", ["", "Anzol", "web-hooks", "2nd", "pg_anzol", "a" * 51, 'a"b', "é"])
def test_a_schema_that_needs_quotes_is_refused(schema: str) -> None:
    with pytest.raises(SettingsError, match="no name for a schema"):
        place_of("postgresql://db/shop", schema=schema)


@pytest.mark.parametrize("schema", ["public", "information_schema"])
def test_the_schemas_of_others_are_refused(schema: str) -> None:
    with pytest.raises(SettingsError, match=f"cannot be {schema}"):
        place_of("postgresql://db/shop", schema=schema)


def test_a_sqlite_file_is_named_by_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = place_of("sqlite:///some%20where.db")

    assert place == SqlitePlace(tmp_path / "some where.db")
    assert str(place) == f"{tmp_path}/some where.db"
    assert place_of(place.url) == place


@pytest.mark.parametrize(
    "act",
    [
        "import anzol",
        "from anzol.cli import main",
        "from anzol import Settings; Settings(database_url='postgresql://h/d').place",
    ],
)
def test_the_driver_is_not_imported_before_it_is_needed(act: str) -> None:
    program = (
        f"{act}\nimport sys\nassert not [m for m in sys.modules if m.startswith(('asyncpg', 'anzol.storage.postgres'))]"
    )

    subprocess.run([sys.executable, "-c", program], check=True)


def test_without_the_driver_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from anzol.storage import opening

    monkeypatch.setattr(opening.importlib.util, "find_spec", lambda name: None)

    with pytest.raises(SettingsError, match=r'pip install "anzol\[postgres\]"'):
        opening.open_storage("postgresql://db/shop", secret_key="k" * 43)


def test_without_a_secret_key_it_is_said_how_to_make_one() -> None:
    from anzol.storage.opening import open_storage

    with pytest.raises(SettingsError, match=r"ANZOL_SECRET_KEY is needed.*token_urlsafe"):
        open_storage("postgresql://db/shop")
