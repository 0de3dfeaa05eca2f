"""The receiver's side: check that a webhook is what it claims to be. Loads no storage and no web framework."""

from anzol.errors import VerificationError
from anzol.receiver.verify import verify

__all__ = ["VerificationError", "verify"]
