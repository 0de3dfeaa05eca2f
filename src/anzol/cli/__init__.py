"""The program ``anzol``. Nothing is loaded here, so that help and completion are there at once."""

from __future__ import annotations


def main() -> None:
    """Run the command that the arguments name."""
    from anzol.cli.program import program

    program()
