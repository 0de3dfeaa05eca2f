from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

from fastapi import Depends, FastAPI
from pydantic import BaseModel
from sqlmodel import Field, Session, SQLModel, create_engine, select

import anzol

app = FastAPI()
webhooks = anzol.Webhooks(app)

CUSTOMER = "acme"  # who is told; in your app, the account of whoever is logged in


class Subscription(BaseModel):
    username: str
    monthly_fee: float
    start_date: datetime


@app.webhooks.post("new-subscription")
def new_subscription(body: Subscription):
    """
    When a new user subscribes to your service we'll send you a POST request with this
    data to the URL that you register for the event `new-subscription` in the dashboard.
    """


class User(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    username: str


engine = create_engine("sqlite:///app.db")
anzol.outbox_table(SQLModel.metadata)
SQLModel.metadata.create_all(engine)


def get_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(get_session)]


@app.get("/users/")
def read_users(session: SessionDep) -> list[str]:
    return list(session.exec(select(User.username)))


@app.post("/subscriptions", status_code=201)
def subscribe(subscription: Subscription, session: SessionDep) -> Subscription:
    session.add(User(username=subscription.username))
    webhooks.to(CUSTOMER, session=session).send_sync(new_subscription, subscription)
    session.commit()  # the user and the message exist from here on, both or neither
    return subscription
