"""Read by mypy and pyright, never run: a line that ends in ``# refused`` has to be an error, every other one none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Body, Depends, FastAPI, Header
from pydantic import BaseModel

from anzol import Envelope, Message, Outbox, Recipient, Report, Settings, Webhooks


class Subscription(BaseModel):
    username: str
    monthly_fee: float


class Invoice(BaseModel):
    id: str


app = FastAPI()
router = APIRouter()
webhooks = Webhooks(app, settings=Settings())
elsewhere = Webhooks(router, docs=True)


@app.webhooks.post("new-subscription")
def new_subscription(body: Subscription) -> None: ...


@app.webhooks.post("stopped")
def stopped(body: Subscription, reason: str, x_region: Annotated[str, Header()] = "eu") -> None: ...


@app.webhooks.post("paid")
async def paid(invoice: Invoice, note: Annotated[str, Body()]) -> None: ...


@app.webhooks.post("wrapped")
def wrapped(body: Envelope[Invoice]) -> None: ...


subscription = Subscription(username="ada", monthly_fee=5)
invoice = Invoice(id="in_1")


def account_id() -> str: ...  # type: ignore[empty-body]


GivenOutbox = Annotated[Outbox, Depends(elsewhere.outbox(to=account_id))]


async def right(outbox: GivenOutbox) -> None:
    message: Message = await webhooks.to("acme").send(new_subscription, subscription)
    await webhooks.to(5, key=message.id, channels=["eu"], tags=["a"]).send(new_subscription, body=subscription)
    await webhooks.to(uuid4(), deliver_at=datetime.now(UTC)).send(stopped, subscription, reason="moved")
    await webhooks.to("acme").send(stopped, subscription, "moved", x_region="us")
    await webhooks.to("acme").send(paid, invoice, note="thanks")
    await webhooks.to("acme").send(wrapped, webhooks.envelope(wrapped, invoice))
    await webhooks.to("acme").send("new-subscription", subscription)
    await webhooks.to("acme").send("new-subscription", {"username": "ada"}, method="PUT")
    await outbox.send(new_subscription, subscription)
    await outbox.options(key="k").send(new_subscription, subscription)
    webhooks.to("acme").send_sync(new_subscription, subscription)
    recipient: Recipient = webhooks.to(UUID(int=1))
    same: Message = recipient.send_sync(stopped, subscription, reason="moved")
    assert same.duplicate is False


def synchronous() -> None:
    endpoint = webhooks.wait(webhooks.endpoints.create("acme", url="https://example.com"))
    url: str = endpoint.url
    assert url
    count: int = webhooks.wait(webhooks.recover(endpoint=endpoint.id, since=datetime.now(UTC)))
    assert count == 0


@webhooks.on("endpoint.disabled")
async def tell(report: Report) -> None: ...


@webhooks.on("endpoint.failing")
def tell_synchronously(report: Report) -> None: ...


@webhooks.on("endpoint.failing")  # refused
def tell_nobody() -> None: ...


async def wrong(outbox: GivenOutbox) -> None:
    await webhooks.to("acme").send(new_subscription, invoice)  # refused
    await webhooks.to("acme").send(new_subscription)  # refused
    await webhooks.to("acme").send(new_subscription, subscription, 1)  # refused
    await webhooks.to("acme").send(new_subscription, content=subscription)  # refused
    await webhooks.to("acme").send(new_subscription, {"username": "ada"})  # refused
    await webhooks.to("acme").send(stopped, subscription)  # refused
    await webhooks.to("acme").send(stopped, subscription, reason=1)  # refused
    await webhooks.to("acme").send(stopped, subscription, reason="moved", region="us")  # refused
    await webhooks.to("acme").send(paid, invoice, note=b"thanks")  # refused
    await webhooks.to("acme").send(wrapped, invoice)  # refused
    await webhooks.to("acme").send(wrapped, webhooks.envelope(wrapped, subscription))  # refused
    await webhooks.to("acme").send(5, subscription)  # refused
    await webhooks.to(subscription).send(new_subscription, subscription)  # refused
    await webhooks.to(None).send(new_subscription, subscription)  # refused
    await webhooks.to("acme", keys="k").send(new_subscription, subscription)  # refused
    await webhooks.to("acme", deliver_at=5).send(new_subscription, subscription)  # refused
    webhooks.to("acme").send_sync(new_subscription, invoice)  # refused
    await outbox.send(new_subscription, invoice)  # refused
    await webhooks.endpoints.create("acme", url=5)  # refused
    await webhooks.endpoints.update("ep_1", urll="https://example.com")  # refused


async def forgotten(outbox: GivenOutbox) -> None:
    webhooks.to("acme").send(new_subscription, subscription)  # refused
    webhooks.to("acme").send("new-subscription", subscription)  # refused
    outbox.send(new_subscription, subscription)  # refused
    message: Message = webhooks.to("acme").send(new_subscription, subscription)  # refused
    assert message
    webhooks.endpoints.delete("ep_1")  # refused
