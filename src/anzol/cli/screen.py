"""What commands print: results on stdout, as text or with ``--json`` as JSON; progress and errors on stderr.

Rich is loaded only where a table is drawn. Text that somebody else wrote never moves the cursor or colours the screen.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TextIO

from anzol.errors import AnzolError, AppError

if TYPE_CHECKING:
    from anzol.model import Page

WIDE: Final = 240  # columns of a table that goes into a file or a pipe


class Screen:
    """Where one command prints. ``as_json``: machines read it."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def result(self, data: object, text: str) -> None:
        """Print the command's result: *data* for machines, *text* for people."""
        print(rendered(data) if self.as_json else text)

    def line(self, data: Mapping[str, object], text: str) -> None:
        """Print one of many results, as it comes: with ``--json`` one object on one line."""
        say(json.dumps(plain(data), ensure_ascii=False) if self.as_json else text, sys.stdout)

    def facts(self, data: object, pairs: Sequence[tuple[str, str]]) -> None:
        """Print one thing as names with values."""
        width = max((len(name) for name, _ in pairs), default=0)
        self.result(data, "\n".join(f"{name.ljust(width)}  {clean(value)}" for name, value in pairs))

    def table(self, data: object, columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
        """Print a list; *empty* is said to people when there is nothing in it."""
        if self.as_json:
            print(rendered(data))
        elif rows:
            draw(columns, rows)
        else:
            print(empty)

    def page(self, page: Page[Any], columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
        """Print one page of a list, and on stderr how to get the next one."""
        self.table(page, columns, rows, empty=empty)
        if page.next and not self.as_json:
            self.progress(f"There are more: --after {page.next}")

    def progress(self, text: str) -> None:
        """Say on stderr what is going on."""
        say(text, sys.stderr)


def say(text: str, stream: TextIO) -> None:
    """Print a line now. Where nobody reads any more, this and all that follows goes nowhere: work goes on."""
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def draw(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Draw a table as wide as the terminal, or wide."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(clean(cell), overflow="fold") for cell in row))
    console.print(table)


def show_error(error: AnzolError, *, as_json: bool) -> None:
    """Say on stderr what happened and what to do; with ``--json`` as one object."""
    if as_json:
        print(rendered({"error": {"kind": type(error).__name__, "what": error.what, "do": error.do}}), file=sys.stderr)
        return
    print(f"{red('Error:')} {clean(error.what)}", file=sys.stderr)
    if isinstance(error, AppError) and error.trace:
        print(error.trace.rstrip(), file=sys.stderr)
    if error.do:
        print(clean(error.do), file=sys.stderr)


def red(text: str) -> str:
    """Write *text* in red on a terminal that wants colours."""
    return f"\033[1;31m{text}\033[0m" if coloured(sys.stderr.isatty()) else text


def coloured(terminal: bool) -> bool:
    """Say whether to use colours: on a terminal, unless NO_COLOR is set to anything."""
    return terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def clean(text: str) -> str:
    """Return *text* with everything visible that a terminal would obey; line ends and tabs stay."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def rendered(data: object) -> str:
    """Write *data* as JSON, indented."""
    return json.dumps(plain(data), indent=2, ensure_ascii=False)


def plain(value: Any) -> Any:
    """Return *value* as JSON knows it: times in RFC 3339, spans in seconds, bytes as text or base64, enums by name."""
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return readable(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return value


def readable(raw: bytes) -> str | dict[str, str]:
    """Return bytes as text where they are UTF-8, else as ``{"base64": ...}``."""
    from base64 import b64encode

    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(raw).decode()}


def moment(at: datetime | None) -> str:
    """Write a time for people: UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ") if at else "-"


def span(length: timedelta) -> str:
    """Write a length of time for people, in the unit that fits: ``3 ms``, ``12 s``, ``5 min``, ``2 h``, ``3 d``."""
    seconds = length.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for unit, size, most in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172800)):
        if seconds < most:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def count(number: int, one: str, many: str = "") -> str:
    """Write ``1 message`` or ``1,204 messages``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
