"""The secret that an endpoint's messages are signed with."""

# Annotations are real objects here: FastAPI reads them.
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import Field

from anzol.api.endpoint import EndpointId, Keeping
from anzol.api.endpoint_shapes import Secret
from anzol.api.routes import ROTATE_SECRET, SEE_SECRET, Resource
from anzol.api.shapes import Out, Shape

router = Resource("Endpoint", prefix="/app/{app_id}/endpoint/{endpoint_id}/secret")
LONGEST: Final = 7 * 24 * 3600
USUAL: Final = 24 * 3600


class SecretIn(Shape):
    """The secret to come, and how long those before it go on signing."""

    key: Secret | None = None
    grace_period_seconds: Annotated[
        int | None, Field(ge=0, le=LONGEST, description="How long older secrets go on signing; 24 hours unless given.")
    ] = None

    @property
    def keep_old(self) -> timedelta:
        """How long older secrets go on signing."""
        return timedelta(seconds=USUAL if self.grace_period_seconds is None else self.grace_period_seconds)


class SecretOut(Out):
    """A signing secret: ``whsec_`` and base64, or the private key ``whsk_`` of an Ed25519 pair."""

    key: str


@router.operation("GET", "", may=SEE_SECRET, operation_id="v1.endpoint.get-secret", response_model=SecretOut)
async def get_secret(endpoint_id: EndpointId, keeper: Keeping) -> Any:
    """Return an endpoint's current secret."""
    return SecretOut(key=await keeper.secret(endpoint_id))


@router.operation(
    "POST", "/rotate", may=ROTATE_SECRET, operation_id="v1.endpoint.rotate-secret", response_model=SecretOut
)
async def rotate_secret(endpoint_id: EndpointId, given: SecretIn, keeper: Keeping) -> Any:
    """Give an endpoint another secret; for a while its messages are signed with both."""
    return SecretOut(key=await keeper.rotate(endpoint_id, given.key, given.keep_old))
