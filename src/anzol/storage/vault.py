"""Secrets at rest: AES-256-GCM, bound to where they belong, so that one cannot be moved to another's row.

A sealed value is a version byte, 8 bytes that name the key, 12 random bytes, then ciphertext and tag.
"""

from __future__ import annotations

import os
import secrets as chance
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from anzol.errors import VaultError

VERSION: Final = b"\x01"
NAME: Final = 8
NONCE: Final = 12
KEPT: Final = 10_000  # opened values remembered: a worker reads the same profiles again and again


class Vault:
    """Seals with the first of its keys and opens with any of them.

    Args:
        keys: The operator's secret keys as text, the newest first; each is stretched to 256 bits by BLAKE2b, so they
            must be random, not words.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys or not all(keys):
            raise VaultError("There is no secret key.", do="Set ANZOL_SECRET_KEY to a long random text.")
        stretched = [blake2b(key.encode(), digest_size=32, person=b"anzol-vault").digest() for key in keys]
        self._names = [blake2b(key, digest_size=NAME, person=b"anzol-name").digest() for key in stretched]
        self._ciphers = dict(zip(self._names, map(AESGCM, stretched), strict=True))
        self._opened: dict[tuple[bytes, bytes], bytes] = {}

    def __repr__(self) -> str:
        return f"Vault({len(self._names)} keys)"

    def seal(self, value: bytes, *where: bytes | str | int) -> bytes:
        """Encrypt *value* for the place named by *where*."""
        name, nonce = self._names[0], os.urandom(NONCE)
        return VERSION + name + nonce + self._ciphers[name].encrypt(nonce, value, place(*where))

    def open(self, sealed: bytes, *where: bytes | str | int) -> bytes:
        """Decrypt what `seal` made for the same place.

        Raises:
            VaultError: sealed with a key that is not here, or for another place, or tampered with.
        """
        wanted = (sealed, place(*where))
        if wanted not in self._opened:
            if len(self._opened) >= KEPT:
                self._opened.clear()
            self._opened[wanted] = self._decrypt(*wanted)
        return self._opened[wanted]

    def current(self, sealed: bytes) -> bool:
        """Say whether a value is sealed with the first key."""
        return sealed[1 : 1 + NAME] == self._names[0]

    def _decrypt(self, sealed: bytes, bound: bytes) -> bytes:
        name, nonce, text = sealed[1 : 1 + NAME], sealed[1 + NAME : 1 + NAME + NONCE], sealed[1 + NAME + NONCE :]
        cipher = self._ciphers.get(name)
        if sealed[:1] != VERSION or cipher is None:
            raise VaultError(
                "A stored secret was sealed with a key that is not here.",
                do="Give the ANZOL_SECRET_KEY this database was made with (on SQLite: the anzol.key file beside it); "
                "while keys are changed, the former one in ANZOL_OLD_SECRET_KEYS.",
            )
        try:
            return cipher.decrypt(nonce, text, bound)
        except InvalidTag as cause:
            raise VaultError(
                "A stored secret does not belong to the row it was found in, or was changed.",
                do="Rotate the secret of that endpoint; look for who can write to the database.",
            ) from cause


def place(*where: bytes | str | int) -> bytes:
    """Return the associated data for a place: every part with its length, so that none runs into the next."""
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in where]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def key_file(path: Path) -> str:
    """Return the key kept in *path*; make one, readable by its owner only, where there is none.

    Raises:
        VaultError: the file is empty or cannot be read or made.
    """
    try:
        key = path.read_text(encoding="ascii").strip() if path.exists() else make_key_file(path)
    except (OSError, ValueError) as cause:
        raise VaultError(f"The key file {path} could not be used.", do="Check its owner and mode.") from cause
    if not key:
        raise VaultError(f"The key file {path} is empty.", do="Put back the key the database was made with.")
    return key


def make_key_file(path: Path) -> str:
    """Write a new key where nobody else is faster; return the one that is there then."""
    # Written aside and linked: another process sees the whole key or none.
    draft = path.with_name(f"{path.name}.{os.getpid()}.{chance.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(chance.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return path.read_text(encoding="ascii").strip()
