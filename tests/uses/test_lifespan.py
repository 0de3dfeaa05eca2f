"""With an application: inside its own lifespan, once for all of them, and never in its way."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient

from anzol import AppError, DeclarationError, InvalidValue, Settings, Status, Webhooks
from anzol.app import lifespan as module
from anzol.app.lifespan import UnwatchedUse, Watch, overdue
from anzol.clock import SystemClock
from anzol.model import WorkerCard
from tests.uses.conftest import Shop

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


class FakeWorker:
    def __init__(self, order: list[str]) -> None:
        self.order = order

    def start(self) -> None:
        self.order.append("worker started")

    def drain(self) -> None:
        self.order.append("worker drained")


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    order: list[str] = []
    monkeypatch.setattr(module, "make_worker", lambda core, handlers: FakeWorker(order))
    return order


@pytest.fixture
def working(settings: Settings) -> Settings:
    return settings.model_copy(update={"worker": True})


def test_the_worker_runs_inside_the_applications_own_lifespan(working: Settings, order: list[str]) -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        order.append("app started")
        yield {"answer": 42}
        order.append("app ended")

    app = FastAPI(lifespan=lifespan)
    Webhooks(app, working)

    with TestClient(app) as client:
        assert client.app_state == {"answer": 42}
        order.append("serving")

    assert order == ["app started", "worker started", "serving", "worker drained", "app ended"]


@pytest.mark.filterwarnings(r"ignore:\s*on_event is deprecated:DeprecationWarning")
def test_handlers_of_on_event_still_run(working: Settings, order: list[str]) -> None:
    app = FastAPI()
    Webhooks(app, working)
    app.on_event("startup")(lambda: order.append("app started"))
    app.on_event("shutdown")(lambda: order.append("app ended"))

    with TestClient(app):
        pass

    assert order == ["app started", "worker started", "worker drained", "app ended"]


def test_an_application_that_fails_to_start_leaves_no_worker(working: Settings, order: list[str]) -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        raise RuntimeError("no database")
        yield

    app = FastAPI(lifespan=lifespan)
    Webhooks(app, working)

    with pytest.raises(RuntimeError, match="no database"), TestClient(app):
        pass
    assert order == []


def test_the_worker_is_drained_when_the_application_fails(working: Settings, order: list[str]) -> None:
    app = FastAPI()
    webhooks = Webhooks(app, working)

    async def fail() -> None:
        async with webhooks.running():
            raise RuntimeError("crash")

    with pytest.raises(RuntimeError, match="crash"):
        asyncio.run(fail())
    assert order == ["worker started", "worker drained"]


def test_worker_off_starts_none(settings: Settings, order: list[str]) -> None:
    app = FastAPI()
    Webhooks(app, settings)

    with TestClient(app):
        pass

    assert order == []


def test_an_application_may_be_started_again_and_again(working: Settings, order: list[str]) -> None:
    app = FastAPI()
    Webhooks(app, working)

    for _ in range(2):
        with TestClient(app):
            pass

    assert order == ["worker started", "worker drained"] * 2


def test_several_applications_share_one_worker(working: Settings, order: list[str]) -> None:
    router = APIRouter()
    webhooks = Webhooks(router, working)
    first, second = FastAPI(webhooks=router), FastAPI(webhooks=router)
    webhooks.install(first)
    webhooks.install(second)

    with TestClient(first):
        with TestClient(second):
            order.append("both")
        order.append("one")

    assert order == ["worker started", "both", "one", "worker drained"]


def test_installing_again_changes_nothing(working: Settings, order: list[str]) -> None:
    app = FastAPI()
    webhooks = Webhooks(app, working)
    document = app.openapi

    webhooks.install(app)

    assert app.openapi is document
    with TestClient(app):
        pass
    assert order == ["worker started", "worker drained"]


def test_a_second_webhooks_on_one_application_is_refused(shop: Shop) -> None:
    with pytest.raises(DeclarationError, match="another Webhooks already"):
        Webhooks(shop.app, shop.settings)


def test_the_webhooks_of_an_application_are_found(shop: Shop) -> None:
    assert Webhooks.of(shop.app) is shop.webhooks
    with pytest.raises(AppError, match="has no Webhooks"):
        Webhooks.of(FastAPI())


def test_an_app_that_a_test_built_is_let_go(settings: Settings) -> None:
    import gc
    import weakref

    router = APIRouter()
    webhooks = Webhooks(router, settings)
    app = FastAPI(webhooks=router)
    webhooks.install(app)
    gone = weakref.ref(app)

    del app
    gc.collect()

    assert gone() is None
    assert webhooks.core.sources == [router]


# --- what start-up says ---------------------------------------------------------------------------------------------


def test_start_up_lists_the_webhooks_in_one_line(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "anzol")

    with TestClient(shop.app):
        pass

    listed = [record.getMessage() for record in caplog.records if "new-subscription" in record.getMessage()]
    assert listed == ["Webhooks of environment default: new-subscription (POST), stopped (POST)."]


def test_start_up_stores_what_is_declared(shop: Shop) -> None:
    with TestClient(shop.app):
        pass

    with closing(sqlite3.connect(str(shop.settings.place))) as database:
        names = [name for (name,) in database.execute("select name from anzol_event_type order by name")]
    assert names == ["new-subscription", "stopped"]


def test_start_up_says_once_where_the_database_is(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "anzol")

    for _ in range(2):
        with TestClient(shop.app):
            pass

    said = [record.getMessage() for record in caplog.records if str(shop.settings.place) in record.getMessage()]
    assert said == [f"The database is {shop.settings.place}."]


def test_start_up_warns_of_doubtful_declarations(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    shop.app.webhooks.post("twice")(lambda: None)
    shop.app.webhooks.post("twice")(lambda: None)

    with TestClient(shop.app):
        pass

    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any("'twice'" in text and "only the last one counts" in text for text in warned)


def test_an_application_without_webhooks_is_warned(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()
    Webhooks(app, settings)

    with TestClient(app):
        pass

    assert "No webhook is declared" in caplog.text


def test_the_document_is_mended_and_says_the_schedule(shop: Shop) -> None:
    shop.webhooks.core._settings = shop.settings.model_copy(
        update={"retry_schedule": (timedelta(0), timedelta(minutes=7))}
    )

    operation = TestClient(shop.app).get("/openapi.json").json()["webhooks"]["new-subscription"]["post"]

    assert "webhook-signature" in [parameter["name"] for parameter in operation["parameters"]]
    assert "7 minutes" in operation["description"]


# --- overdue work ---------------------------------------------------------------------------------------------------


def status(**facts: Any) -> Status:
    known = dict.fromkeys(Status.__dataclass_fields__, 0) | {"oldest_due": None, "workers": ()}
    return Status(**(known | facts))


CARD = WorkerCard(1, "host", 1, "0", NOW, NOW, 0, 0)


@pytest.mark.parametrize(
    ("facts", "loud"),
    [
        ({}, False),
        ({"due": 3, "oldest_due": NOW - timedelta(seconds=61)}, True),
        ({"accepted_waiting": 3, "oldest_due": NOW - timedelta(days=1)}, True),
        ({"due": 3, "oldest_due": NOW - timedelta(seconds=30)}, False),
        ({"due": 3, "oldest_due": NOW - timedelta(days=1), "workers": (CARD,)}, False),
    ],
)
def test_overdue_work_is_an_error_when_nobody_works(facts: dict[str, Any], loud: bool) -> None:
    assert bool(overdue(status(**facts), NOW)) is loud


class Later:
    """A wall clock that is ahead."""

    ahead = timedelta()

    def micros(self) -> int:
        return SystemClock().micros() + self.ahead // timedelta(microseconds=1)

    def monotonic(self) -> float:
        raise AssertionError("not asked for")


async def test_overdue_work_is_said_once_in_ten_minutes(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    clock = Later()
    await shop.webhooks.to("acme").send(shop.new_subscription, shop.subscription)
    shop.webhooks.core.clock = clock
    watch = Watch(shop.webhooks.core)

    await watch.look()
    assert "no worker is alive" not in caplog.text
    for minutes in (2, 3, 8, 13):
        clock.ahead = timedelta(minutes=minutes)
        await watch.look()

    said = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(said) == 2
    assert "1 messages and deliveries are due" in said[0].getMessage()


async def test_overdue_work_is_seen_where_no_lifespan_runs(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    clock = Later()
    clock.ahead = timedelta(minutes=2)
    await shop.webhooks.to("acme").send(shop.new_subscription, shop.subscription)
    shop.webhooks.core.clock = clock
    use = UnwatchedUse(shop.webhooks.core)

    for now in (0.0, 59.0):
        use.note(now)
        await asyncio.gather(*use._looks)
    assert "no worker is alive" not in caplog.text
    use.note(60.0)
    await asyncio.gather(*use._looks)

    assert "no worker is alive" in caplog.text


async def test_only_use_without_a_lifespan_is_noted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[float] = []
    monkeypatch.setattr(UnwatchedUse, "note", lambda _, now: noted.append(now))

    async with shop.webhooks.running():
        noted.clear()
        await shop.webhooks.status()
        assert noted == []
    await shop.webhooks.status()

    assert len(noted) == 1


# --- handlers -------------------------------------------------------------------------------------------------------


def test_a_handler_of_an_unknown_incident_is_refused(shop: Shop) -> None:
    with pytest.raises(InvalidValue, match=r"Did you mean 'endpoint\.disabled'"):
        shop.webhooks.on("endpoint.disable")


def test_a_handler_stays_the_function_that_it_was(shop: Shop) -> None:
    @shop.webhooks.on("endpoint.failing")
    def tell(report: Any) -> str:
        return "told"

    assert tell(None) == "told"


def test_nothing_stays_open_after_the_lifespan_and_all_opens_again(shop: Shop) -> None:
    before = set(threading.enumerate())
    with TestClient(shop.app):
        first = shop.webhooks.to("acme").send_sync(shop.new_subscription, shop.subscription)
    left = {thread.name for thread in set(threading.enumerate()) - before}

    assert [name for name in left if name.startswith("anzol")] == []
    assert shop.webhooks.wait(shop.webhooks.messages.get(first.id)).customer == "acme"


# --- pages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["docs", "development"])
def test_the_documentation_needs_no_internet_when_asked(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "development":
        monkeypatch.setenv("FASTAPI_ENV", "development")
    app = FastAPI()
    Webhooks(app, settings, docs=how == "docs")

    page = TestClient(app).get("/docs").text

    assert "swagger" in page
    assert "cdn" not in page


def test_the_documentation_stays_fastapis_otherwise(settings: Settings) -> None:
    app = FastAPI()
    Webhooks(app, settings)

    assert "cdn" in TestClient(app).get("/docs").text


def test_the_public_page_shows_the_webhooks_alone(shop: Shop) -> None:
    shop.app.get("/secret")(lambda: None)
    shop.app.include_router(shop.webhooks.docs, prefix="/webhooks")
    client = TestClient(shop.app)

    document = client.get("/webhooks/openapi.json").json()

    assert client.get("/webhooks/").status_code == 200
    assert list(document["webhooks"]) == ["new-subscription", "stopped"]
    assert document["paths"] == {}
