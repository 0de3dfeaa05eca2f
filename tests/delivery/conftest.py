"""What the tests of delivery share."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import trustme
import uvloop

from anzol.dialler import tls_context
from tests.delivery.receivers import Certificates


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run the tests of a module that says ``BOTH_LOOPS = True`` on asyncio's own loop and on uvloop."""
    if getattr(getattr(item, "module", None), "BOTH_LOOPS", False):
        return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.SelectorEventLoop}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(trustme.CA(), tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def server_tls(certificates: Certificates) -> ssl.SSLContext:
    """For a receiver on loopback whose certificate is right."""
    return certificates.server("127.0.0.1", "localhost")


@pytest.fixture(scope="session")
def client_tls(certificates: Certificates) -> ssl.SSLContext:
    """For a sender that trusts the tests' own authority."""
    return tls_context(str(certificates.bundle))


@pytest.fixture
def bundle(certificates: Certificates) -> Path:
    return certificates.bundle
