"""For a host's ``env.py``: what keeps Alembic's autogenerate away from Anzol's tables, which it would drop.

::

    context.configure(..., include_name=anzol.alembic.include_name)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

PREFIX: Final = "anzol_"
IncludeName = Callable[[str | None, str, Mapping[str, str | None]], bool]


def include_name(name: str | None, type_: str, parent_names: Mapping[str, str | None]) -> bool:
    """Say whether Alembic is to look at what it found in the database; False for what is Anzol's own.

    That is the schema that ``ANZOL_SCHEMA`` names (else ``anzol``), and in other schemas, as in a SQLite file, tables
    named ``anzol_...``. What is in the host's metadata is the host's, such as ``anzol_outbox`` put there by
    `anzol.outbox_table`.
    """
    return include_name_beside(os.environ.get("ANZOL_SCHEMA", "anzol"))(name, type_, parent_names)


def include_name_beside(schema: str) -> IncludeName:
    """Return `include_name` for a schema that is not named in the environment."""

    def include(name: str | None, type_: str, parent_names: Mapping[str, str | None]) -> bool:
        if type_ == "schema":
            return name != schema
        if type_ != "table" or name is None:
            return True
        own = (parent_names.get("schema_name") or default_schema()) == schema or name.startswith(PREFIX)
        return not own or is_hosts(name)

    return include


def is_hosts(name: str) -> bool:
    """Say whether the metadata that Alembic compares with has a table of this name."""
    target = options().get("target_metadata")
    given = target if isinstance(target, list | tuple) else [target]
    return any(table.name == name for metadata in given if metadata is not None for table in metadata.tables.values())


def default_schema() -> str | None:
    """Return the schema that Alembic means by none: that of a role called ``anzol`` may be ours."""
    return getattr(options().get("dialect"), "default_schema_name", None)


def options() -> Mapping[str, Any]:
    """Return what the run in progress was configured with; empty outside of one."""
    module = sys.modules.get("alembic.context")
    try:
        running = module.get_context() if module else None
    except NameError:  # no ``env.py`` is running
        return {}
    return {} if running is None else {**running.opts, "dialect": running.dialect}
