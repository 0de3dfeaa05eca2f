"""The mark in a database that says whose it is: a copy of production must not deliver from anywhere else."""

from __future__ import annotations

from typing import Final

from anzol.errors import VaultError, WrongDeployment
from anzol.storage.vault import Vault

CANARY: Final = b"anzol"


def seal(vault: Vault, deployment: str) -> bytes:
    """Return what only this key opens, and only under this mark."""
    return vault.seal(CANARY, "deployment", deployment)


def opens(vault: Vault, marked: str, canary: bytes) -> bool:
    """Say whether our key is the database's."""
    try:
        return vault.open(canary, "deployment", marked) == CANARY
    except VaultError:
        return False


def judge(vault: Vault, deployment: str, marked: str, canary: bytes, *, key_file: str = "") -> None:
    """Refuse another deployment's database, and a key that does not open it.

    Args:
        key_file: The name of the file beside the database that may hold the key, where there is such a thing.

    Raises:
        WrongDeployment, VaultError: as they say.
    """
    if marked != deployment:
        raise WrongDeployment(
            f"The database belongs to the deployment {marked!r}, this is {deployment!r}.",
            do="If it is a copy that shall live here, run `anzol adopt --withdraw-pending`: nothing waiting in it is "
            "sent then. If this is its home under a new name, run `anzol adopt`.",
        )
    try:
        vault.open(canary, "deployment", marked)
    except VaultError as cause:
        put_back, in_file = "", ""
        if key_file:
            put_back, in_file = f" (or put the file {key_file} back beside it)", " (or what is in that file)"
        raise VaultError(
            f"The secret key is not the one that the database of {marked!r} was made with.",
            do=f"Give the ANZOL_SECRET_KEY it was made with{put_back}. "
            f"If the key is being changed, put the former one{in_file} into ANZOL_OLD_SECRET_KEYS. "
            "If the key is lost, run `anzol adopt`: every endpoint is disabled and needs a new secret.",
        ) from cause
