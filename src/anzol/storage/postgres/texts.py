"""Texts as PostgreSQL has them: without the character U+0000."""

from __future__ import annotations

from collections.abc import Iterable

from anzol.errors import InvalidValue


def refuse_nul(**given: str | Iterable[str] | None) -> None:
    """Refuse texts that PostgreSQL cannot hold.

    Raises:
        InvalidValue: there is U+0000 in one of them; ``field`` names it.
    """
    for name, value in given.items():
        texts = (value,) if isinstance(value, str) else value or ()
        if any("\0" in text for text in texts):
            raise InvalidValue(
                f"The {name.replace('_', ' ')} holds the character U+0000.",
                field=name,
                do="PostgreSQL cannot store it; leave it out.",
            )
