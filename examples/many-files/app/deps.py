from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Header
from sqlmodel import Session, create_engine

import anzol
from app.events import webhooks

engine = create_engine("sqlite:///app.db")


def get_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


def account_id(x_account: Annotated[str, Header()]) -> str:
    return x_account  # in your app, from the login


SessionDep = Annotated[Session, Depends(get_session)]
Outbox = Annotated[anzol.Outbox, Depends(webhooks.outbox(to=account_id, session=get_session))]
