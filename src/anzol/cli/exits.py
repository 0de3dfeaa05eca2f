"""Exit codes: what scripts and supervisors may rely on. `docs/reference/commands.md` repeats this table.

Which error leads to which code is decided here and nowhere else.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from anzol.errors import (
    AnzolError,
    AppError,
    InvalidCustomer,
    InvalidPayload,
    InvalidValue,
    NotFound,
    PortTaken,
    SettingsError,
    StorageError,
    UnknownWebhook,
)


class Exit(IntEnum):
    """What the program says when it ends."""

    OK = 0
    FAILED = 1  # the answer is no (not verified, migrations missing, something to mend), or it could not be done
    USAGE = 2  # an argument, an option, a value or a setting is wrong
    APP = 3  # no FastAPI app where one was looked for, or importing it failed
    NOT_FOUND = 4  # what was named does not exist: an endpoint, a message, an event type
    DATABASE = 5  # the database is missing, locked, behind, another deployment's, or its key is wrong
    PORT = 6  # the port to listen on is taken


CODES: Final[tuple[tuple[type[AnzolError], Exit], ...]] = (
    (AppError, Exit.APP),
    (PortTaken, Exit.PORT),
    (NotFound, Exit.NOT_FOUND),
    (UnknownWebhook, Exit.NOT_FOUND),
    (StorageError, Exit.DATABASE),
    (InvalidValue, Exit.USAGE),
    (InvalidPayload, Exit.USAGE),
    (InvalidCustomer, Exit.USAGE),
    (SettingsError, Exit.USAGE),
)


def code_of(error: AnzolError) -> Exit:
    """Return the exit code for an error: the first kind in the table that it is of."""
    return next((code for kind, code in CODES if isinstance(error, kind)), Exit.FAILED)
