"""The signatures of Standard Webhooks 1.0: ``v1`` (HMAC-SHA256) and ``v1a`` (Ed25519). Bytes in, text out, no I/O.

Signed is ``id.timestamp.body``, byte for byte. `cryptography` is loaded when the first Ed25519 key is met.
"""

from __future__ import annotations

import binascii
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from anzol.errors import InvalidValue

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

Scheme = Literal["v1", "v1a"]

SYMMETRIC: Final = "whsec_"
PRIVATE: Final = "whsk_"
PUBLIC: Final = "whpk_"
FORMS: Final = (
    "A secret is whsec_ and base64 of 24 to 64 bytes; an Ed25519 key is whsk_ and base64 of its 32-byte seed, "
    "with or without the 32 bytes of the public key after it; a public key is whpk_ and base64 of 32 bytes."
)


def sign(secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Sign *body* with HMAC-SHA256; return one ``webhook-signature`` entry, such as ``v1,K5oZ...``.

    Args:
        secret: 24 to 64 random bytes, decoded (no ``whsec_`` prefix).
        message_id: Has no ``.`` in it.
        timestamp: Whole seconds since the Unix epoch.
        body: The exact bytes that go on the wire; never re-serialised.

    Source: Standard Webhooks 1.0, "Signature scheme".
    """
    digest = keyed(secret).copy()
    digest.update(signed_content(message_id, timestamp, body))
    return "v1," + encode(digest.digest())


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One secret of an endpoint, opened. ``seed`` is the secret's bytes, or of an Ed25519 key its 32-byte seed."""

    scheme: Scheme
    seed: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """Read ``whsec_...`` or ``whsk_...``.

        Raises:
            InvalidValue: *text* is neither; the text itself is not in the error.
        """
        if text.startswith(SYMMETRIC):
            raw = decoded(text.removeprefix(SYMMETRIC))
            return cls("v1", fitting(raw, 24 <= len(raw) <= 64))
        if text.startswith(PRIVATE):
            raw = decoded(text.removeprefix(PRIVATE))
            key = cls("v1a", fitting(raw, len(raw) in (32, 64))[:32])
            fitting(raw, len(raw) == 32 or raw[32:] == key.public_bytes())
            return key
        raise refused()

    @classmethod
    def generate(cls, scheme: Scheme, random: bytes) -> SigningKey:
        """Make a key of *random*: 24 to 64 bytes for ``v1``, 32 for ``v1a``."""
        fits = len(random) == 32 if scheme == "v1a" else 24 <= len(random) <= 64
        return cls(scheme, fitting(random, fits))

    @property
    def text(self) -> str:
        """The secret as it is stored and shown: ``whsec_...``, or ``whsk_...`` with the public key at its end."""
        if self.scheme == "v1":
            return SYMMETRIC + encode(self.seed)
        return PRIVATE + encode(self.seed + self.public_bytes())

    @property
    def public(self) -> str:
        """What the receiver of an Ed25519 signature needs, ``whpk_...``; empty for a ``v1`` secret."""
        return PUBLIC + encode(self.public_bytes()) if self.scheme == "v1a" else ""

    def public_bytes(self) -> bytes:
        return ed25519(self.seed).public_key().public_bytes_raw()

    def sign(self, message_id: str, timestamp: int, body: bytes) -> str:
        """Return one ``webhook-signature`` entry, ``v1,...`` or ``v1a,...``."""
        if self.scheme == "v1":
            return sign(self.seed, message_id, timestamp, body)
        return "v1a," + encode(ed25519(self.seed).sign(signed_content(message_id, timestamp, body)))


def signature_header(keys: Sequence[SigningKey], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of ``webhook-signature``: one entry for each key, with blanks between."""
    return " ".join([key.sign(message_id, timestamp, body) for key in keys])


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """What checks the entries of one scheme: a shared secret, or an Ed25519 public key."""

    scheme: Scheme
    material: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> VerifyingKey:
        """Read ``whsec_...``, ``whpk_...`` or ``whsk_...``.

        Raises:
            InvalidValue: *text* is none of them; the text itself is not in the error.
        """
        if text.startswith(PUBLIC):
            raw = decoded(text.removeprefix(PUBLIC))
            return cls("v1a", fitting(raw, len(raw) == 32))
        key = SigningKey.parse(text)
        return cls(key.scheme, key.seed if key.scheme == "v1" else key.public_bytes())

    def accepts(self, signature: bytes, content: bytes) -> bool:
        """Say whether *signature* is this key's over *content* (`signed_content`), in constant time."""
        if self.scheme == "v1":
            return hmac.compare_digest(signature, hmac.digest(self.material, content, "sha256"))
        from cryptography.exceptions import InvalidSignature

        try:
            ed25519_public(self.material).verify(signature, content)
        except (InvalidSignature, ValueError):
            return False
        return True


def signed_content(message_id: str, timestamp: int | str, body: bytes) -> bytes:
    """Return the bytes that are signed. *timestamp* may be text, to check what arrived as it arrived."""
    return f"{message_id}.{timestamp}.".encode() + body


def encode(raw: bytes) -> str:
    """Return base64 with padding, on one line."""
    return binascii.b2a_base64(raw, newline=False).decode("ascii")


def decoded(text: str) -> bytes:
    """Read base64; padding may be missing.

    Raises:
        InvalidValue: it is not base64.
    """
    try:
        return binascii.a2b_base64(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), strict_mode=True)
    except ValueError as cause:
        raise refused() from cause


def fitting(raw: bytes, fits: bool) -> bytes:
    """Return *raw* if it *fits*, refuse it otherwise."""
    if not fits:
        raise refused()
    return raw


def refused() -> InvalidValue:
    """Make the error; it never holds what was given."""
    return InvalidValue("This is not a signing secret.", field="secret", do=FORMS)


@lru_cache(maxsize=1024)
def keyed(secret: bytes) -> hmac.HMAC:
    """Return a hash that has taken in the secret, to be copied.

    ``hmac.digest`` sets the key up for each message, and gives the interpreter's lock away each time: beside a busy
    thread, getting it back costs more than the hash.
    """
    return hmac.new(secret, digestmod="sha256")


@lru_cache(maxsize=1024)
def ed25519(seed: bytes) -> Ed25519PrivateKey:
    """Return the key of a seed; kept, because making one costs more than a signature."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed)


@lru_cache(maxsize=1024)
def ed25519_public(raw: bytes) -> Ed25519PublicKey:
    """Return the key of 32 public bytes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(raw)
