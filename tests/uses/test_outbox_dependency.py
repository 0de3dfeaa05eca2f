"""The `Outbox` dependency: the path operation's own customer and session, whatever form the dependency is given in."""

# Annotations are real objects here: FastAPI reads them, local ones too.
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Header
from fastapi.testclient import TestClient

from anzol import InvalidCustomer, Outbox, Settings, Webhooks
from anzol.storage.face import Accepted, NewMessage
from tests.uses.conftest import Subscription


class Session:
    """Stands for a session; what is written with it is kept."""

    def __init__(self) -> None:
        self.written: list[NewMessage] = []
        self.open = True


class Sessions:
    """Stands for the writing in callers' transactions: writes into `Session`."""

    async def write_async(self, session: Any, message: NewMessage) -> Accepted:
        return self.write(session, message)

    def write(self, session: Any, message: NewMessage) -> Accepted:
        session.written.append(message)
        return Accepted(message.id)

    def close(self) -> None: ...


opened: list[Session] = []


def get_session() -> Iterator[Session]:
    session = Session()
    opened.append(session)
    yield session
    session.open = False


def account_id(x_account: Annotated[str, Header()]) -> str:
    return x_account


SessionDep = Annotated[Session, Depends(get_session)]


@pytest.fixture(autouse=True)
def none_opened() -> None:
    opened.clear()


@pytest.fixture
def app() -> FastAPI:
    return FastAPI()


@pytest.fixture
def webhooks(app: FastAPI, settings: Settings) -> Iterator[Webhooks]:
    webhooks = Webhooks(app, settings)
    webhooks.core.sessions = Sessions()  # type: ignore[assignment]  # a fake of the functions that are used
    app.webhooks.post("new-subscription")(new_subscription)
    yield webhooks
    webhooks.wait(webhooks.close())


def new_subscription(body: Subscription) -> None: ...


def serve(app: FastAPI, given: Callable[..., Outbox], own: Any) -> TestClient:
    @app.post("/pay")
    async def pay(session: own, outbox: Annotated[Outbox, Depends(given)]) -> dict[str, Any]:
        message = await outbox.options(key="k", tags=["a"]).send(
            new_subscription, {"username": "ada", "monthly_fee": 1}
        )
        await outbox.send("new-subscription", {"username": "bob", "monthly_fee": 2})
        return {"id": message.id, "same": len(session.written) == 2 and session.open}

    return TestClient(app)


@pytest.mark.parametrize("form", ["function", "Depends", "Annotated"])
def test_an_outbox_writes_with_the_path_operations_own_session(app: FastAPI, webhooks: Webhooks, form: str) -> None:
    forms: dict[str, Any] = {"function": get_session, "Depends": Depends(get_session), "Annotated": SessionDep}
    client = serve(app, webhooks.outbox(to=account_id, session=forms[form]), SessionDep)

    answer = client.post("/pay", headers={"x-account": "acme"}).json()

    assert answer["same"] is True
    (session,) = opened
    assert [(message.customer, message.key, message.tags) for message in session.written] == [
        ("acme", "k", ("a",)),
        ("acme", None, ()),
    ]


def test_a_session_of_function_scope_is_shared_when_it_is_given_so(app: FastAPI, webhooks: Webhooks) -> None:
    scoped = Annotated[Session, Depends(get_session, scope="function")]
    client = serve(app, webhooks.outbox(to=account_id, session=scoped), scoped)

    assert client.post("/pay", headers={"x-account": "acme"}).json()["same"] is True
    assert len(opened) == 1


def test_an_override_of_the_session_holds_for_the_outbox(app: FastAPI, webhooks: Webhooks) -> None:
    session = Session()
    app.dependency_overrides[get_session] = lambda: session
    client = serve(app, webhooks.outbox(to=account_id, session=get_session), SessionDep)

    assert client.post("/pay", headers={"x-account": "acme"}).json()["same"] is True
    assert opened == []
    assert len(session.written) == 2


def test_an_outbox_without_a_session_stores_at_once(app: FastAPI, webhooks: Webhooks) -> None:
    client = serve(app, webhooks.outbox(to=account_id), SessionDep)

    message_id = client.post("/pay", headers={"x-account": "acme"}).json()["id"]

    assert webhooks.wait(webhooks.messages.get(message_id)).customer == "acme"


def test_what_the_customers_dependency_needs_is_asked_for(app: FastAPI, webhooks: Webhooks) -> None:
    client = serve(app, webhooks.outbox(to=account_id), SessionDep)

    (fault,) = client.post("/pay").json()["detail"]

    assert fault["loc"] == ["header", "x-account"]


def test_a_dependency_that_returns_no_id_is_refused(app: FastAPI, webhooks: Webhooks) -> None:
    client = serve(app, webhooks.outbox(to=lambda: None), SessionDep)

    with pytest.raises(InvalidCustomer):
        client.post("/pay")


def test_the_outbox_is_no_part_of_the_document(app: FastAPI, webhooks: Webhooks) -> None:
    serve(app, webhooks.outbox(to=account_id, session=get_session), SessionDep)

    operation = app.openapi()["paths"]["/pay"]["post"]

    assert [parameter["name"] for parameter in operation["parameters"]] == ["x-account"]
    assert "requestBody" not in operation
