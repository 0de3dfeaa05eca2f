from fastapi import APIRouter
from pydantic import BaseModel

from anzol import Webhooks

router = APIRouter()
webhooks = Webhooks(router)


class MonthClosed(BaseModel):
    month: str


@router.post("month.closed")
def month_closed(body: MonthClosed) -> None:
    """A month's books were closed."""
