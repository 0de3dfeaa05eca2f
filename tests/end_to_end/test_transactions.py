"""A send in the caller's own transaction, all the way: what is committed arrives, what is rolled back never was."""

# Annotations are real objects here: FastAPI reads them, local ones too.
import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from anzol import InvalidPayload, Outbox, OutboxMissing, SessionRefused, Settings, Webhooks, outbox_table
from tests.uses.conftest import Receiver, receiver  # noqa: F401 - a fixture


class Paid(BaseModel):
    invoice: int


class Base(DeclarativeBase):
    pass


class Invoice(Base):
    __tablename__ = "invoice"
    id: Mapped[int] = mapped_column(primary_key=True)


outbox_table(Base.metadata)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "own.db"
    engine = create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    engine.dispose()
    return path


@pytest.fixture
def engine(database: Path) -> Iterator[AsyncEngine]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{database}")
    yield engine
    asyncio.run(engine.dispose())


@pytest.fixture
def webhooks(tmp_path: Path) -> Iterator[Webhooks]:
    app = FastAPI()
    webhooks = Webhooks(
        app, Settings(database_url=f"sqlite:///{tmp_path}/anzol.db", allow_networks="127.0.0.0/8", worker=True)
    )
    app.webhooks.post("invoice.paid")(paid)
    webhooks.app = app  # type: ignore[attr-defined]  # kept for the test
    yield webhooks
    webhooks.wait(webhooks.close())


def paid(body: Paid) -> None: ...


def test_what_is_committed_arrives_and_what_is_rolled_back_never_was(
    webhooks: Webhooks,
    engine: AsyncEngine,
    receiver: Receiver,  # noqa: F811
) -> None:
    app: FastAPI = webhooks.app  # type: ignore[attr-defined]  # kept by the fixture

    async def get_session() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(engine) as session:
            yield session

    given = webhooks.outbox(to=lambda: "acme", session=get_session)

    @app.post("/pay/{number}")
    async def pay(
        number: int,
        commit: bool,
        session: Annotated[AsyncSession, Depends(get_session)],
        outbox: Annotated[Outbox, Depends(given)],
    ) -> str:
        session.add(Invoice(id=number))
        message = await outbox.send(paid, Paid(invoice=number))
        await (session.commit() if commit else session.rollback())
        return message.id

    with TestClient(app) as client:
        webhooks.wait(webhooks.endpoints.create("acme", url=receiver.url))
        dropped = client.post("/pay/1", params={"commit": False}).json()
        kept = client.post("/pay/2", params={"commit": True}).json()
        receiver.wait_for(1)
        later = client.post("/pay/3", params={"commit": True}).json()
        receiver.wait_for(2)

    arrived = {headers["webhook-id"]: body for _, _, headers, body in receiver.arrived}
    assert arrived == {kept: b'{"invoice":2}', later: b'{"invoice":3}'}
    assert dropped not in arrived


async def test_a_synchronous_session_is_awaited_or_not_as_is_said(webhooks: Webhooks, database: Path) -> None:
    engine = create_engine(f"sqlite:///{database}")
    with Session(engine) as session:
        first = await webhooks.to("acme", session=session).send(paid, Paid(invoice=1))
        second = webhooks.to("acme", session=session).send_sync(paid, Paid(invoice=2))
        session.commit()
        rows = session.connection().exec_driver_sql("select count(*) from anzol_outbox").scalar()
    engine.dispose()

    assert rows == 2
    assert first.id < second.id


async def test_an_asynchronous_session_must_be_awaited(webhooks: Webhooks, engine: AsyncEngine) -> None:
    async with AsyncSession(engine) as session:
        with pytest.raises(SessionRefused, match="await"):
            webhooks.to("acme", session=session).send_sync(paid, Paid(invoice=1))


@pytest.mark.parametrize("given", ["acme", 5, object()])
async def test_what_is_no_session_is_refused(webhooks: Webhooks, given: Any) -> None:
    with pytest.raises(SessionRefused):
        await webhooks.to("acme", session=given).send(paid, Paid(invoice=1))


async def test_a_database_without_the_table_is_refused_with_the_way_out(webhooks: Webhooks, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/bare.db")
    with Session(engine) as session, pytest.raises(OutboxMissing, match=r"anzol migrate --outbox|outbox_table"):
        await webhooks.to("acme", session=session).send(paid, Paid(invoice=1))
    engine.dispose()


async def test_an_invalid_body_leaves_the_transaction_as_it_was(webhooks: Webhooks, engine: AsyncEngine) -> None:
    async with AsyncSession(engine) as session:
        session.add(Invoice(id=1))
        with pytest.raises(InvalidPayload, match=r"body\.invoice"):
            await webhooks.to("acme", session=session).send("invoice.paid", {"invoice": "x"})
        await session.commit()
        query = (await session.connection()).exec_driver_sql

        assert (await query("select count(*) from anzol_outbox")).scalar() == 0
        assert (await query("select count(*) from invoice")).scalar() == 1


def test_no_thread_is_left(webhooks: Webhooks, engine: AsyncEngine) -> None:
    async def send() -> None:
        async with AsyncSession(engine) as session:
            await webhooks.to("acme", session=session).send(paid, Paid(invoice=1))
            await session.commit()
        await engine.dispose()

    app: FastAPI = webhooks.app  # type: ignore[attr-defined]  # kept by the fixture
    before = set(threading.enumerate())
    with TestClient(app):
        asyncio.run(send())
    left = {thread.name for thread in set(threading.enumerate()) - before}

    assert [name for name in left if name.startswith("anzol")] == []
