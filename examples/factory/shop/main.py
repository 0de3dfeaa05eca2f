from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy import Engine
from sqlmodel import Field, Session, SQLModel, create_engine

import anzol
from shop import events
from shop.events import Order, order_placed


class StoredOrder(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    sku: str
    quantity: int


anzol.outbox_table(SQLModel.metadata)


def create_app(engine: Engine | None = None) -> FastAPI:
    database = engine or create_engine("sqlite:///shop.db")
    SQLModel.metadata.create_all(database)

    def get_session() -> Iterator[Session]:
        with Session(database) as session:
            yield session

    app = FastAPI(webhooks=events.router)
    events.webhooks.install(app)  # may be called for each app that a test builds

    @app.post("/orders", status_code=201)
    def place(order: Order, session: Annotated[Session, Depends(get_session)]) -> Order:
        session.add(StoredOrder(sku=order.sku, quantity=order.quantity))
        events.webhooks.to("acme", session=session).send_sync(order_placed, order)
        if order.quantity > 99:
            raise HTTPException(409, "We do not have that many.")  # not committed: nobody is told
        session.commit()
        return order

    return app
