from fastapi import FastAPI
from pydantic import BaseModel

from anzol import Webhooks

app = FastAPI()
webhooks = Webhooks(app)
app.include_router(webhooks.health, prefix="/health")


class Subscription(BaseModel):
    username: str
    monthly_fee: float


@app.webhooks.post("new-subscription")
def new_subscription(body: Subscription) -> None:
    """When a new user subscribes."""


@app.post("/accounts/{account}/subscriptions", status_code=201)
async def subscribe(account: str, subscription: Subscription) -> str:
    message = await webhooks.to(account).send(new_subscription, subscription)
    return message.id
