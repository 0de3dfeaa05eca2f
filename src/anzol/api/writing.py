"""Writing JSON of which pieces are JSON already: a message's payload goes out as the bytes that are stored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class Written:
    """A value that is JSON already."""

    text: bytes = field(repr=False)


def write(data: object) -> bytes:
    """Return *data* as JSON; what is `Written` goes in as it is, times are in RFC 3339."""
    match data:
        case Written(text=text):
            return text
        case Mapping():
            return b"{%b}" % b",".join(b"%b:%b" % (write(str(name)), write(value)) for name, value in data.items())
        case str() | None | bool() | int() | float():
            return json.dumps(data).encode()  # ASCII: what UTF-8 cannot say is escaped
        case datetime():
            return write(rfc3339(data))
        case Sequence():
            return b"[%b]" % b",".join(write(item) for item in data)
        case _:
            raise TypeError(f"{type(data).__name__} is nothing that is written as JSON.")


def rfc3339(moment: datetime) -> str:
    """Return a time as the rest of the API writes it, such as ``2026-11-24T12:00:00.5Z``."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def written(data: object, status: int = 200) -> Response:
    """Return an answer of JSON."""
    return Response(write(data), status, media_type="application/json")
