"""Which headers a customer may set, and how headers become bytes on the wire."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Final

from anzol.errors import InvalidHeader

Pairs = tuple[tuple[str, str], ...]

# The request's own framing and routing, and what is signed or vouched for by the sender.
FORBIDDEN: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "expect"}
)
FORBIDDEN_PREFIXES: Final = ("proxy-", "webhook-")
TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
VALUE: Final = re.compile(r"(?:[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)?", re.ASCII)
PREFIX: Final = re.compile(r"[a-z][a-z0-9-]{0,30}-", re.ASCII)
MAX_NAME: Final = 100
MAX_VALUE: Final = 4096
MAX_TOTAL: Final = 8192  # what common servers take before they answer 431, less our own
MAX_COUNT: Final = 50


def check_headers(headers: object, *, prefix: str | None = None) -> Pairs:
    """Return the custom headers of an endpoint as pairs with lower-case names, once all may be set.

    Args:
        headers: What the customer set: names and values, or pairs of them.
        prefix: The endpoint's own prefix for copies of the three signed headers; also ours then.

    Raises:
        InvalidHeader: one may not be set; ``field`` is ``headers.`` and its name. Values are not in the error.
    """
    pairs = header_pairs(headers)
    if len(pairs) > MAX_COUNT:
        raise InvalidHeader(f"{len(pairs)} headers are too many; {MAX_COUNT} are the most.", field="headers")
    checked = tuple((check_name(name, prefix), check_value(str(name), value)) for name, value in pairs)
    check_together(checked)
    return checked


def header_pairs(headers: object) -> tuple[tuple[object, object], ...]:
    """Return what is in a dict or a list of pairs."""
    given = headers.items() if isinstance(headers, Mapping) else headers
    pairs = tuple(given) if isinstance(given, Iterable) else (given,)
    if any(not isinstance(pair, tuple | list) or len(pair) != 2 for pair in pairs):
        raise InvalidHeader("Headers are a dict of names and values.", field="headers")
    return pairs


def check_name(name: object, prefix: str | None = None) -> str:
    """Return *name* in lower case, once it may be set."""
    if not isinstance(name, str) or not TOKEN.fullmatch(name):
        raise refused(str(name), "is not a header's name", "Use letters, digits and hyphens.")
    lower = name.lower()
    if len(name) > MAX_NAME:
        raise refused(name, f"has more than {MAX_NAME} characters in its name")
    if lower in FORBIDDEN or lower.startswith(FORBIDDEN_PREFIXES):
        raise refused(name, "is set by the sender and may not be replaced")
    if lower in copies(prefix):
        raise refused(name, "is this endpoint's own copy of a signed header")
    return lower


def check_value(name: str, value: object) -> str:
    """Return *value*, once it is visible ASCII with blanks only inside."""
    if not isinstance(value, str):
        raise refused(name, f"has a value that is no text but a {type(value).__name__}")
    if not VALUE.fullmatch(value):
        raise refused(name, "has a value with line breaks, other control characters, blanks at an end, or not ASCII")
    if len(value) > MAX_VALUE:
        raise refused(name, f"has a value of more than {MAX_VALUE} bytes")
    return value


def check_together(pairs: Pairs) -> None:
    """Refuse names that come twice, and too much of it all."""
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise refused(name, "is set twice")
    if (size := sum(len(name) + len(value) + 4 for name, value in pairs)) > MAX_TOTAL:
        raise InvalidHeader(f"The headers have {size} bytes; {MAX_TOTAL} are the most.", field="headers")


def check_prefix(prefix: object) -> str:
    """Return the prefix under which an endpoint wants copies of the three headers, such as ``svix-``.

    Raises:
        InvalidHeader: it is not one, or would name a header that is not ours to copy.
    """
    if not isinstance(prefix, str) or not PREFIX.fullmatch(prefix) or prefix.startswith(FORBIDDEN_PREFIXES):
        raise InvalidHeader(
            f"{str(prefix)[:40]!r} is not a prefix for headers.",
            field="header_prefix",
            do="Write lower-case letters and digits with a hyphen at the end, such as svix-.",
        )
    return prefix


def copies(prefix: str | None) -> frozenset[str]:
    """Return the names of the copies of the three signed headers that an endpoint with this prefix gets."""
    return frozenset(f"{prefix}{what}" for what in ("id", "timestamp", "signature")) if prefix else frozenset()


def signed_headers(message_id: str, timestamp: int, signature: str, prefix: str | None = None) -> bytes:
    """Return the header lines of the three signed headers, and their copies if the endpoint asked for them."""
    lines = f"webhook-id: {message_id}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: {signature}\r\n"
    if prefix:
        lines += f"{prefix}id: {message_id}\r\n{prefix}timestamp: {timestamp}\r\n{prefix}signature: {signature}\r\n"
    return lines.encode("ascii")


def header_lines(*layers: Iterable[tuple[str, str]], without: Collection[str] = ()) -> bytes:
    """Return header lines for a request: ours, then each layer's; of one name the last layer's stands.

    ``user-agent`` and ``accept-encoding: identity`` are there unless a layer says otherwise. Names *without* are left
    out: they are in the request already.
    """
    merged = {"user-agent": user_agent(), "accept-encoding": "identity"}
    for layer in layers:
        merged.update((name.lower(), value) for name, value in layer if name.lower() not in without)
    lines = "".join([f"{name}: {value}\r\n" for name, value in merged.items()])
    if not lines.count("\r") == lines.count("\n") == len(merged):  # whoever let it through, it is not sent
        raise InvalidHeader("A header has a line break in it.", field="headers")
    return lines.encode("latin-1", "replace")


@cache
def user_agent() -> str:
    """Return ``Anzol/`` and the installed version."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"Anzol/{version('anzol')}"
    except PackageNotFoundError:  # run from a tree that was never installed
        return "Anzol/0"


def refused(name: str, why: str, do: str = "") -> InvalidHeader:
    """Make the error; it names the header and never its value."""
    return InvalidHeader(f"The header {name[:MAX_NAME]!r} {why}.", field=f"headers.{name[:MAX_NAME]}", do=do)
