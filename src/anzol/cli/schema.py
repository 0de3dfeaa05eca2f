"""`anzol migrate`: making the tables and bringing them up to date."""

from __future__ import annotations

import typer


def register(program: typer.Typer) -> None:
    """Add this family's commands."""
