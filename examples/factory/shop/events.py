from fastapi import APIRouter
from pydantic import BaseModel

from anzol import Webhooks

router = APIRouter()
webhooks = Webhooks(router)


class Order(BaseModel):
    sku: str
    quantity: int


@router.post("order.placed")
def order_placed(body: Order) -> None:
    """An order was placed."""
