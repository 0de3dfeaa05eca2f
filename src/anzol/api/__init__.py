"""The REST API, in the dialect for which the field has SDKs: one file for each resource."""

from anzol.api.ground import Ground
from anzol.api.whole import make_api

__all__ = ["Ground", "make_api"]
