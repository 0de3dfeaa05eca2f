from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from shop import events
from shop.main import create_app
from sqlmodel import create_engine
from sqlmodel.pool import StaticPool

from anzol.testing import Bench, harness


@pytest.fixture(autouse=True)
def bench() -> Iterator[Bench]:
    """Anzol on a test bench: nothing is delivered before a test says so."""
    with harness(events.webhooks) as bench:
        yield bench


@pytest.fixture
def client() -> Iterator[TestClient]:
    """The app on a database in memory."""
    engine = create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)
    app = create_app(engine)
    with TestClient(app) as client:
        yield client
    engine.dispose()
