"""`anzol sign` and `anzol verify`: Standard Webhooks by hand, for whoever helps a customer with a receiver."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from anzol.cli.exits import Exit
from anzol.cli.options import Json, command
from anzol.cli.screen import Screen, red
from anzol.errors import InvalidValue, VerificationError

SECRET = "WEBHOOK_SECRET"  # noqa: S105 - the name of a variable, so that a secret need not stand in the shell's history

Secrets = Annotated[
    list[str] | None,
    typer.Option("--secret", "-s", help="whsec_..., whsk_... or whpk_...; repeat it for several.", envvar=SECRET),
]
Body = Annotated[str, typer.Argument(metavar="FILE", help="The body, byte for byte; - is standard input.")]
Data = Annotated[str | None, typer.Option("--data", help="The body itself, instead of FILE.")]


def register(program: typer.Typer) -> None:
    """Add this family's commands."""
    command(program, "sign", sign)
    command(program, "verify", verify)


def sign(
    file: Body = "-",
    *,
    secret: Secrets = None,
    data: Data = None,
    message_id: Annotated[str, typer.Option("--id", help="The message's id; else a new one.")] = "",
    timestamp: Annotated[int | None, typer.Option(help="Whole seconds since 1970; else now.")] = None,
    curl: Annotated[str | None, typer.Option("--curl", metavar="URL", help="Print a curl command to this URL.")] = None,
    json: Json = False,
) -> None:
    """Sign a body; print the three headers."""
    from anzol.signing import SigningKey, signature_header

    keys = [SigningKey.parse(text) for text in given(secret)]
    body = read_body(file, data)
    message_id = message_id or new_id()
    if "." in message_id:
        raise InvalidValue(f"A message's id has no dot: {message_id!r}.", field="id")
    at = int(time.time()) if timestamp is None else timestamp
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": signature_header(keys, message_id, at, body),
    }
    text = as_curl(curl, headers, body) if curl else "\n".join(f"{name}: {value}" for name, value in headers.items())
    Screen(as_json=json).result({"headers": headers}, text)


def verify(
    file: Body = "-",
    *,
    secret: Secrets = None,
    data: Data = None,
    header: Annotated[list[str] | None, typer.Option("--header", "-H", help="'webhook-id: ...' and so on.")] = None,
    headers_file: Annotated[Path | None, typer.Option("--headers", help="A file of headers, one a line.")] = None,
    tolerance: Annotated[str, typer.Option(help="How old it may be: 5m; `any` leaves the time unchecked.")] = "5m",
    json: Json = False,
) -> None:
    """Check a received webhook's signature.

    Its three headers, its time, its signature. Exit code 1: it does not hold.
    """
    from anzol.receiver.verify import verify as check

    secrets = given(secret)
    body = read_body(file, data)
    headers = read_headers([*(header or []), *lines_of(headers_file)])
    screen = Screen(as_json=json)
    try:
        check(body, headers, secrets, tolerance=read_tolerance(tolerance))
    except VerificationError as error:
        screen.result(
            {"verified": False, "reason": error.reason, "what": error.what, "do": error.do},
            f"{red('not verified')} ({error.reason}): {error.what} {error.do}".rstrip(),
        )
        raise typer.Exit(Exit.FAILED) from error
    screen.result({"verified": True, "bytes": len(body)}, f"verified: {len(body)} bytes, signature and time are right")


def given(secrets: Sequence[str] | None) -> Sequence[str]:
    """Refuse that there is no secret."""
    if not secrets:
        raise InvalidValue("No secret was given.", field="secret", do=f"Give --secret, or set {SECRET}.")
    return secrets


def read_body(file: str, data: str | None) -> bytes:
    """Return the body: given, from standard input, or from a file."""
    if data is not None:
        return data.encode()
    if file == "-":
        return sys.stdin.buffer.read()
    return read_file(Path(file))


def read_file(path: Path) -> bytes:
    """Read a file; raises InvalidValue."""
    try:
        return path.read_bytes()
    except OSError as cause:
        raise InvalidValue(f"{path} cannot be read: {cause.strerror}.", field="file") from cause


def lines_of(path: Path | None) -> list[str]:
    """Return a file's lines that are not blank."""
    return [line for line in read_file(path).decode("latin-1").splitlines() if line.strip()] if path else []


def read_headers(lines: Sequence[str]) -> list[tuple[str, str]]:
    """Read ``name: value`` lines; a request line before them, as a capture has it, is passed over."""
    pairs = []
    for number, line in enumerate(lines):
        name, colon, value = line.partition(":")
        if number == 0 and line.endswith(("HTTP/1.1", "HTTP/1.0", "HTTP/2")):
            continue
        if not colon or " " in name.strip():
            raise InvalidValue(f"{line!r} is not a header.", field="header", do="Write it as 'webhook-id: msg_...'.")
        pairs.append((name.strip(), value.strip()))
    return pairs


def read_tolerance(text: str) -> float:
    """Return seconds; ``any`` is without end."""
    from anzol.cli.options import read_span

    return float("inf") if text == "any" else read_span(text, "tolerance").total_seconds()


def new_id() -> str:
    """Make a message's id."""
    from anzol import ids
    from anzol.clock import SystemClock

    return ids.show(ids.MESSAGE, ids.new(SystemClock().micros()))


def as_curl(url: str, headers: dict[str, str], body: bytes) -> str:
    """Write a command for a POSIX shell that sends exactly these bytes."""
    from shlex import quote

    try:
        text = body.decode()
    except UnicodeDecodeError as cause:
        raise InvalidValue("The body is not text, so it cannot stand in a command.", field="curl") from cause
    parts = [
        f"-H {quote(f'{name}: {value}')}" for name, value in {"content-type": "application/json", **headers}.items()
    ]
    return " \\\n  ".join([f"curl -X POST {quote(url)}", *parts, f"--data-raw {quote(text)}"])
