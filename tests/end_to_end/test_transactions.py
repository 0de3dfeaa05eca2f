"""A send in the caller's own transaction, all the way: what is committed arrives, what is rolled back never was."""

# Annotations are real objects here: FastAPI reads them, local ones too.
import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.testclient import TestClient
from pydantic import BaseModel
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from anzol import InvalidPayload, Message, Outbox, OutboxMissing, SessionRefused, Settings, Webhooks, outbox_table
from anzol.storage.postgres.migrating import migrate
from tests.postgres import Server
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


# --- on PostgreSQL, where Anzol's tables lie beside the app's --------------------------------------------------------


@pytest.fixture
def shared(postgres: Server, postgres_database: str) -> str:
    """A database with the app's table and Anzol's; no outbox between them."""
    postgres.execute("create table invoice (id integer primary key)", database=postgres_database)
    asyncio.run(migrate(postgres_database, "anzol"))
    return postgres_database


@pytest.fixture
def on_postgres(shared: str) -> Iterator[Webhooks]:
    app = FastAPI()
    webhooks = Webhooks(
        app, Settings(database_url=shared, secret_key="k" * 43, allow_networks="127.0.0.0/8", worker=True)
    )
    app.webhooks.post("invoice.paid")(paid)
    webhooks.app = app  # type: ignore[attr-defined]  # kept for the test
    yield webhooks
    webhooks.wait(webhooks.close())


def alchemy_url(uri: str, driver: str) -> str:
    return uri.replace("postgresql://", f"postgresql+{driver}://", 1)


async def pay_in(session: AsyncSession, outbox: Outbox, number: int) -> Message:
    """What a path operation does."""
    session.add(Invoice(id=number))
    return await outbox.options(key=f"invoice {number}").send(paid, Paid(invoice=number))


@pytest.mark.parametrize("commits", ["inside", "on exit"])
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_a_path_operation_on_postgresql_sends_what_it_commits(
    driver: str,
    commits: str,
    on_postgres: Webhooks,
    shared: str,
    postgres: Server,
    receiver: Receiver,  # noqa: F811
) -> None:
    app: FastAPI = on_postgres.app  # type: ignore[attr-defined]  # kept by the fixture
    engine = create_async_engine(alchemy_url(shared, driver))

    async def get_session() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(engine) as session:
            yield session
            if commits == "on exit":
                await session.commit()

    given = on_postgres.outbox(to=lambda: "acme", session=get_session)

    @app.post("/pay/{number}")
    async def pay(
        number: int,
        session: Annotated[AsyncSession, Depends(get_session)],
        outbox: Annotated[Outbox, Depends(given)],
    ) -> dict[str, Any]:
        first = await pay_in(session, outbox, number)
        second = await outbox.options(key=f"invoice {number}").send(paid, Paid(invoice=number))
        if commits == "inside":
            await session.commit()
        return {"id": first.id, "again": second.id, "duplicate": second.duplicate}

    @app.post("/fail/{number}")
    async def fail(
        number: int,
        session: Annotated[AsyncSession, Depends(get_session)],
        outbox: Annotated[Outbox, Depends(given)],
    ) -> None:
        await pay_in(session, outbox, number)
        raise HTTPException(409)

    with TestClient(app) as client:
        on_postgres.wait(on_postgres.endpoints.create("acme", url=receiver.url))
        failed = client.post("/fail/1").status_code
        kept = client.post("/pay/2").json()
        receiver.wait_for(1)
        later = client.post("/pay/3").json()
        receiver.wait_for(2)
        client.portal.call(engine.dispose)  # type: ignore[union-attr]  # open within the block

    arrived = {headers["webhook-id"]: body for _, _, headers, body in receiver.arrived}
    assert failed == 409
    assert arrived == {kept["id"]: b'{"invoice":2}', later["id"]: b'{"invoice":3}'}
    assert (kept["again"], kept["duplicate"]) == (kept["id"], True)
    assert postgres.execute("select id from invoice order by id", database=shared) == [(2,), (3,)]


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "pg8000"])
def test_a_plain_path_operation_on_postgresql_sends_with_its_own_session(
    driver: str,
    on_postgres: Webhooks,
    shared: str,
    receiver: Receiver,  # noqa: F811
) -> None:
    app: FastAPI = on_postgres.app  # type: ignore[attr-defined]  # kept by the fixture
    url = shared.replace("host=", "unix_sock=") + "/.s.PGSQL.5432" if driver == "pg8000" else shared
    pytest.importorskip(driver)
    engine = create_engine(alchemy_url(url, driver))

    def get_session() -> Iterator[Session]:
        with Session(engine) as session, session.begin():
            yield session

    @app.post("/pay/{number}")
    def pay(number: int, session: Annotated[Session, Depends(get_session)]) -> str:
        session.add(Invoice(id=number))
        return on_postgres.to("acme", session=session).send_sync(paid, Paid(invoice=number)).id

    @app.post("/pay-awaiting/{number}")
    async def pay_awaiting(number: int, session: Annotated[Session, Depends(get_session)]) -> str:
        session.add(Invoice(id=number))
        return (await on_postgres.to("acme", session=session).send(paid, Paid(invoice=number))).id

    with TestClient(app) as client:
        on_postgres.wait(on_postgres.endpoints.create("acme", url=receiver.url))
        sent = [client.post("/pay/1").json(), client.post("/pay-awaiting/2").json()]
        receiver.wait_for(2)
    engine.dispose()

    assert {headers["webhook-id"] for _, _, headers, _ in receiver.arrived} == set(sent)


def test_a_drivers_connection_from_a_pool_is_a_session_too(
    on_postgres: Webhooks,
    shared: str,
    receiver: Receiver,  # noqa: F811
) -> None:
    app: FastAPI = on_postgres.app  # type: ignore[attr-defined]  # kept by the fixture

    async def get_connection() -> AsyncIterator[Any]:
        pool = asyncpg.create_pool(shared, min_size=1, max_size=1)
        async with pool, pool.acquire() as connection, connection.transaction():
            yield connection

    given = on_postgres.outbox(to=lambda: "acme", session=get_connection)

    @app.post("/pay/{number}")
    async def pay(
        number: int,
        connection: Annotated[Any, Depends(get_connection)],
        outbox: Annotated[Outbox, Depends(given)],
    ) -> str:
        await connection.execute("insert into invoice values ($1)", number)
        return (await outbox.send(paid, Paid(invoice=number))).id

    with TestClient(app) as client:
        on_postgres.wait(on_postgres.endpoints.create("acme", url=receiver.url))
        sent = client.post("/pay/1").json()
        receiver.wait_for(1)

    assert [headers["webhook-id"] for _, _, headers, _ in receiver.arrived] == [sent]
