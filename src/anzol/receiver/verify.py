"""Check a received webhook by Standard Webhooks 1.0: its three headers, its time, its signature."""

from __future__ import annotations

import binascii
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from anzol.errors import VerificationError
from anzol.signing import VerifyingKey, signed_content

TIMESTAMP: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
ENTRIES: Final = 32  # more than any sender has live secrets; bounds the work that a forged header can ask for
Headers = Mapping[str, str] | Iterable[tuple[str, str]]


def verify(
    body: bytes,
    headers: Headers,
    secrets: str | Sequence[str],
    *,
    tolerance: float = 300,
    now: float | None = None,
) -> None:
    """Return if the webhook was signed with one of *secrets*, and not long ago.

    Args:
        body: The request's body exactly as it arrived, before any JSON parsing.
        headers: A mapping or pairs; the case of names does not matter.
        secrets: ``whsec_...``, or ``whpk_...`` for Ed25519; several while a secret is being rotated.
        tolerance: Seconds that the timestamp may lie in the past or in the future.
        now: Seconds since the Unix epoch; the system's clock unless given.

    Raises:
        VerificationError: it is not what it claims to be; ``reason`` is one of ``missing_header``,
            ``repeated_header``, ``malformed_id``, ``malformed_timestamp``, ``too_old``, ``too_new``,
            ``malformed_signature``, ``no_match``.
        InvalidValue: one of *secrets* is not a secret.

    Source: Standard Webhooks 1.0.
    """
    keys = [VerifyingKey.parse(text) for text in ([secrets] if isinstance(secrets, str) else secrets)]
    found = the_three(headers)
    message_id = checked_id(found["webhook-id"])
    timestamp = checked_time(found["webhook-timestamp"], time.time() if now is None else now, tolerance)
    entries = read_entries(found["webhook-signature"])
    content = signed_content(message_id, timestamp, body)
    # Every pair is compared, so that the time taken does not tell which one matched.
    matches = [key.accepts(raw, content) for scheme, raw in entries for key in keys if key.scheme == scheme]
    if not any(matches):
        raise VerificationError(
            "No signature in webhook-signature fits the body.",
            reason="no_match",
            do="Check that the secret is this endpoint's and that the body is verified as it arrived, byte for byte.",
        )


def the_three(headers: Headers) -> dict[str, str]:
    """Return the three signed headers by their lower-case names."""
    found: dict[str, str] = {}
    wanted = ("webhook-id", "webhook-timestamp", "webhook-signature")
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    for name, value in cast("Iterable[tuple[str, str]]", pairs):
        if (lower := name.lower()) in wanted:
            if lower in found:
                raise VerificationError(f"The header {lower} came twice.", reason="repeated_header")
            found[lower] = value
    for name in wanted:
        if not found.get(name):
            raise VerificationError(f"The header {name} is missing.", reason="missing_header")
    return found


def checked_id(message_id: str) -> str:
    """Return *message_id* once it can be one; a dot in it would make the signed content ambiguous."""
    if "." in message_id or not message_id.isascii() or not message_id.isprintable() or len(message_id) > 256:
        raise VerificationError("The header webhook-id is not a message's id.", reason="malformed_id")
    return message_id


def checked_time(timestamp: str, now: float, tolerance: float) -> str:
    """Return *timestamp* as it came, which is what was signed, once its time is right."""
    if not TIMESTAMP.fullmatch(timestamp):
        raise VerificationError("The header webhook-timestamp is not whole seconds.", reason="malformed_timestamp")
    age = now - int(timestamp)
    if age > tolerance:
        raise VerificationError(f"The webhook was signed {age:.0f} seconds ago.", reason="too_old")
    if -age > tolerance:
        raise VerificationError(
            f"The webhook was signed {-age:.0f} seconds in the future.", reason="too_new", do="Check this clock."
        )
    return timestamp


def read_entries(header: str) -> list[tuple[str, bytes]]:
    """Read ``v1,base64 v1a,base64``; entries of unknown schemes are passed over, as the standard asks."""
    entries = []
    for entry in header.split(" ")[:ENTRIES]:
        scheme, comma, text = entry.partition(",")
        if not comma:
            raise VerificationError("An entry of webhook-signature has no comma.", reason="malformed_signature")
        if scheme in ("v1", "v1a"):
            entries.append((scheme, decoded(text)))
    return entries


def decoded(text: str) -> bytes:
    """Read the base64 of one signature."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as cause:
        raise VerificationError("An entry of webhook-signature is not base64.", reason="malformed_signature") from cause
