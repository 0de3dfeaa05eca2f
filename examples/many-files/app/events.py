"""What we send. No app, no database: routers, task queues, scripts and tests import this."""

from fastapi import APIRouter
from pydantic import BaseModel

from anzol import Webhooks

router = APIRouter(tags=["billing"])
webhooks = Webhooks(router)


class InvoicePaid(BaseModel):
    id: str
    amount: int


@router.post("invoice.paid")
def invoice_paid(body: InvoicePaid) -> None:
    """An invoice was paid; the amount is in cents."""
