"""A host's Alembic beside Anzol: a real `alembic revision --autogenerate` sees the host's tables and leaves ours alone."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from anzol.alembic import include_name, include_name_beside
from anzol.storage.opening import open_storage
from anzol.storage.postgres.migrating import migrate
from tests.postgres import Server

MODELS = """
from sqlalchemy import Column, Integer, MetaData, Table

metadata = MetaData()
Table("account", metadata, Column("id", Integer, primary_key=True))
"""
OUTBOX = """
import anzol
anzol.outbox_table(metadata)
"""
ENV = """
from alembic import context
from sqlalchemy import create_engine
import anzol.alembic
from models import metadata

engine = create_engine(context.config.get_main_option("sqlalchemy.url"))
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, {options})
    with context.begin_transaction():
        context.run_migrations()
"""
SCRIPT = '"""${message}"""\nrevision = ${repr(up_revision)}\ndown_revision = ${repr(down_revision)}\n\ndef upgrade():\n    ${upgrades}\n'
OURS = "include_name=anzol.alembic.include_name"
Generate = Callable[..., str]


@pytest.fixture
def generate(tmp_path: Path) -> Generate:
    """Run `alembic revision --autogenerate` on a database; return what it would do."""

    def run(url: str, options: str, models: str = MODELS, **environ: str) -> str:
        (tmp_path / "versions").mkdir(exist_ok=True)
        (tmp_path / "models.py").write_text(models)
        (tmp_path / "env.py").write_text(ENV.replace("{options}", options))
        (tmp_path / "script.py.mako").write_text(SCRIPT)
        (tmp_path / "alembic.ini").write_text(
            f"[alembic]\nscript_location = %(here)s\npath_separator = os\nsqlalchemy.url = {url}\n"
        )
        command = [sys.executable, "-m", "alembic", "revision", "--autogenerate", "-m", "next", "--rev-id", "next"]
        variables = {**os.environ, "PYTHONPATH": str(tmp_path), **environ}
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=variables)
        assert done.returncode == 0, done.stderr
        made = tmp_path / "versions" / "next_next.py"
        text = made.read_text()
        made.unlink()
        return text

    return run


def touched(script: str) -> set[str]:
    return set(re.findall(r"op\.(\w+_table\('\w+'|\w+_index\([^,]*)", script))


@pytest.fixture
async def sqlite(tmp_path: Path) -> str:
    """A file that holds the host's tables and Anzol's, and an outbox that `anzol migrate --outbox` has made."""
    path = tmp_path / "app.db"
    storage = open_storage(f"sqlite:///{path}")
    await storage.prepare(deployment="test")
    await storage.close()
    with sqlite3.connect(path) as connection:
        connection.execute("create table if not exists anzol_outbox (id varchar(32) not null primary key)")
    connection.close()
    return f"sqlite:///{path}"


@pytest.fixture
async def postgresql(postgres_database: str) -> str:
    await migrate(postgres_database, "anzol")
    return postgres_database.replace("postgresql://", "postgresql+psycopg://")


def test_in_a_sqlite_file_only_the_hosts_tables_are_seen(sqlite: str, generate: Generate) -> None:
    assert touched(generate(sqlite, OURS)) == {"create_table('account'"}


def test_without_it_anzols_tables_would_be_dropped(sqlite: str, generate: Generate) -> None:
    assert "drop_table('anzol_lane'" in touched(generate(sqlite, "compare_type=True"))


@pytest.mark.parametrize("options", [OURS, f"{OURS}, include_schemas=True"])
def test_in_a_postgresql_database_only_the_hosts_tables_are_seen(
    postgresql: str, generate: Generate, options: str
) -> None:
    assert touched(generate(postgresql, options)) == {"create_table('account'"}


def test_without_it_the_schema_would_be_emptied(postgresql: str, generate: Generate) -> None:
    assert "drop_table('lane'" in touched(generate(postgresql, "include_schemas=True"))


async def test_the_schema_may_have_another_name(postgres_database: str, generate: Generate) -> None:
    await migrate(postgres_database, "hooks")
    url = postgres_database.replace("postgresql://", "postgresql+psycopg://")
    options = "include_schemas=True, include_name={}"

    named = options.format("anzol.alembic.include_name")
    assert touched(generate(url, named, ANZOL_SCHEMA="hooks")) == {"create_table('account'"}
    beside = options.format("anzol.alembic.include_name_beside('hooks')")
    assert touched(generate(url, beside)) == {"create_table('account'"}


def test_an_outbox_in_the_hosts_metadata_is_the_hosts(sqlite: str, postgresql: str, generate: Generate) -> None:
    made = generate(postgresql, f"{OURS}, include_schemas=True", MODELS + OUTBOX)
    assert touched(made) == {"create_table('account'", "create_table('anzol_outbox'"}

    seen = generate(sqlite, OURS, MODELS + OUTBOX)
    assert "create_table('anzol_outbox'" not in touched(seen)
    assert "op.add_column('anzol_outbox', sa.Column('head'" in seen


def test_a_role_whose_default_schema_is_anzols_drops_nothing(
    postgres: Server, postgresql: str, generate: Generate
) -> None:
    postgres.execute(f"alter database {postgresql.split('/')[3].partition('?')[0]} set search_path = anzol")

    assert touched(generate(postgresql, OURS)) == {"create_table('account'"}


@pytest.mark.parametrize(
    ("name", "type_", "parents", "seen"),
    [
        ("anzol", "schema", {}, False),
        (None, "schema", {}, True),
        ("public", "schema", {}, True),
        ("lane", "table", {"schema_name": "anzol"}, False),
        ("lane", "table", {"schema_name": "public"}, True),
        ("lane", "table", {"schema_name": None}, True),
        ("anzol_lane", "table", {"schema_name": None}, False),
        ("anzol_outbox", "table", {"schema_name": "public"}, False),
        ("anzol_id", "column", {"schema_name": None, "table_name": "account"}, True),
    ],
)
def test_what_is_seen(name: str | None, type_: str, parents: Mapping[str, str | None], seen: bool) -> None:
    assert include_name(name, type_, parents) is seen
    assert include_name_beside("anzol")(name, type_, parents) is seen


def test_it_imports_next_to_nothing() -> None:
    program = (
        "import sys, anzol.alembic; assert not {'alembic', 'sqlalchemy', 'fastapi', 'pydantic'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", program], check=True)
