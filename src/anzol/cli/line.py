"""The line between a supervisor and its worker processes: one JSON object a line, both ways, over a pair of sockets.

The supervisor asks and orders; a process tells how it does. When the supervisor is gone, however it went, the line is
at its end, and the processes drain: nobody would watch over them any more.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

from anzol.errors import AnzolError, AppError, InvalidValue, SettingsError, StorageBusy, StorageError

VARIABLE: Final = "_ANZOL_SUPERVISOR"  # no setting, so not under the settings' prefix
LONGEST: Final = 1 << 20  # bytes of one line
DRAIN: Final = "drain"  # the orders
STOP: Final = "stop"  # at once

Facts = dict[str, Any]


class Line:
    """One end, on the loop that `open` was called on."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._told_of_failure = False
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    @classmethod
    def handed_over(cls) -> Line | None:
        """Return the end that a supervisor has handed to this process; None where there is no supervisor."""
        number = os.environ.pop(VARIABLE, None)
        if number is None:
            return None
        end = socket.socket(fileno=int(number))
        end.set_inheritable(False)
        return cls(end)

    async def open(self) -> None:
        """Begin to read and write on the running loop."""
        self._end.setblocking(False)
        self._reader, self._writer = await asyncio.open_unix_connection(sock=self._end, limit=LONGEST)

    def say(self, **facts: Any) -> None:
        """Send one line; to whom is gone it goes nowhere."""
        line = json.dumps(facts).encode() + b"\n"
        if self._writer is not None:
            self._writer.write(line)
            return
        with suppress(OSError):
            self._end.sendall(line)

    def fail(self, error: AnzolError) -> None:
        """Tell of the error that ends this process; only the first time."""
        if not self._told_of_failure:
            self._told_of_failure = True
            self.say(failed=type(error).__name__, lasting=is_lasting(error))

    async def heard(self) -> AsyncIterator[Facts]:
        """Yield what the other end says, until it is gone."""
        assert self._reader is not None
        with suppress(OSError):
            while line := await self._reader.readline():
                yield json.loads(line)

    def close(self) -> None:
        """Let go of it."""
        if self._writer is not None:
            self._writer.close()
        else:
            self._end.close()


def is_lasting(error: AnzolError) -> bool:
    """Say whether another start would end in the same way: what is wrong is written somewhere."""
    if isinstance(error, StorageError):
        # A database that is away or locked comes back; another schema, mark or key does not come by itself.
        return type(error) not in (StorageError, StorageBusy)
    return isinstance(error, SettingsError | AppError | InvalidValue)
