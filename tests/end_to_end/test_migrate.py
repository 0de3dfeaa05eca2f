"""The scripts that bring other senders' data over, run from one server to another."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from svix.api import EndpointListOptions, Svix, SvixOptions
from svix.models import (
    ApplicationIn,
    EndpointHeadersIn,
    EndpointIn,
    EndpointSecretRotateIn,
    EventTypeIn,
)

from tests.api.conftest import Service, make, served

EXAMPLES = Path(__file__).parents[2] / "examples/migrate"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + "b" * 32
SCHEMAS = {"1": {"type": "object"}}
URL = "https://127.0.0.1:9/hook"


class Side:
    """A server, and a client of it."""

    def __init__(self, service: Service, address: str) -> None:
        self.address = address
        self.token = service.token()
        self.client = Svix(self.token, SvixOptions(server_url=address))


@pytest.fixture
def sides(tmp_path: Path) -> Iterator[tuple[Side, Side]]:
    with ExitStack() as stack:
        made = []
        for name in ("source", "target"):
            (tmp_path / name).mkdir()
            service = make(f"sqlite:///{tmp_path}/{name}/anzol.db", worker=False)
            made.append(Side(service, stack.enter_context(served(service))))
        yield made[0], made[1]
        for side in made:
            side.client._httpx_client.close()  # the SDK has no word for it


def migrate(source: Side, target: Side, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "from_svix.py", source.address, target.address, *arguments],
        env={**os.environ, "SOURCE_TOKEN": source.token, "TARGET_TOKEN": target.token},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def fill(client: Svix) -> None:
    client.event_type.create(EventTypeIn(name="invoice.paid", description="Paid.", schemas=SCHEMAS))
    client.event_type.create(EventTypeIn(name="invoice.lost", description="Lost.", archived=True))
    client.application.create(ApplicationIn(name="Acme", uid="acme", metadata={"plan": "gold"}))
    client.application.create(ApplicationIn(name="Nameless"))
    made = EndpointIn(url=URL, uid="billing", secret=SECRET, event_types=["invoice.paid"], channels=["eu"])
    client.endpoint.create("acme", made)
    client.endpoint.create("acme", EndpointIn(url=f"{URL}/2", secret=OTHER, disabled=True))
    client.endpoint.set_headers("acme", "billing", EndpointHeadersIn(headers={"x-floor": "3"}))


def test_from_svix_everything_is_copied_as_often_as_one_likes(sides: tuple[Side, Side]) -> None:
    source, target = sides
    fill(source.client)
    assert migrate(source, target, "--dry-run") == "found 2 event types, 2 applications, 2 endpoints\n"
    assert target.client.application.list().data == []

    for _ in range(2):
        assert migrate(source, target) == "copied 2 event types, 2 applications, 2 endpoints\n"

    copied = target.client
    [second] = [one for one in copied.endpoint.list("acme", EndpointListOptions()).data if one.uid != "billing"]
    first = copied.endpoint.get("acme", "billing")
    assert (first.url, first.event_types, first.channels, first.disabled) == (URL, ["invoice.paid"], ["eu"], False)
    assert (second.url, second.disabled) == (f"{URL}/2", True)
    assert copied.endpoint.get_secret("acme", "billing").key == SECRET
    assert copied.endpoint.get_secret("acme", second.id).key == OTHER
    assert copied.endpoint.get_headers("acme", "billing").headers == {"x-floor": "3"}
    assert copied.application.get("acme").metadata == {"plan": "gold"}
    assert sorted(one.name for one in copied.application.list().data) == ["Acme", "Nameless"]
    assert copied.event_type.get("invoice.paid").schemas == SCHEMAS
    assert copied.event_type.get("invoice.lost").archived


def test_from_svix_what_changed_at_the_source_is_brought_up_to_date(sides: tuple[Side, Side]) -> None:
    source, target = sides
    fill(source.client)
    migrate(source, target)
    source.client.endpoint.rotate_secret("acme", "billing", EndpointSecretRotateIn(key=OTHER))
    source.client.application.upsert("acme", ApplicationIn(name="Acme Ltd", uid="acme"))

    migrate(source, target)

    assert target.client.endpoint.get_secret("acme", "billing").key == OTHER
    assert target.client.application.get("acme").name == "Acme Ltd"


def test_from_svix_receivers_go_on_finding_the_headers_that_they_look_for(sides: tuple[Side, Side]) -> None:
    source, target = sides
    fill(source.client)
    migrate(source, target)

    import httpx

    bearer = {"authorization": f"Bearer {target.token}"}
    shown = httpx.get(f"{target.address}/api/v1/app/acme/endpoint/billing", headers=bearer).json()
    assert shown["headerPrefix"] == "svix-"


TABLES = """
CREATE TABLE webhook (id INTEGER PRIMARY KEY, account TEXT, url TEXT, secret TEXT, events TEXT, active INTEGER);
INSERT INTO webhook VALUES
  (1, 'acme', 'https://example.com/hooks', 'a secret of ours, 30 characters', 'invoice.paid invoice.lost', 1),
  (2, 'umbrella', 'https://example.org/hooks', 'another secret, also long enough', '', 0);
"""


def test_from_tables_rows_become_endpoints_as_often_as_one_likes(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "app.db") as connection:
        connection.executescript(TABLES)
    connection.close()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANZOL_", "FASTAPI_"))}
    told = []
    for arguments in (["--dry-run"], [], []):
        done = subprocess.run(
            [sys.executable, EXAMPLES / "from_tables.py", "app.db", *arguments],
            cwd=tmp_path,
            env=kept,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told.append(done.stdout.splitlines())

    anzol = Path(sys.executable).with_name("anzol")
    listed = subprocess.run(
        [anzol, "endpoints", "list", "--database", "sqlite:///anzol.db"],
        cwd=tmp_path,
        env=kept,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert told[0] == ["would copy acme/1", "would copy umbrella/2"]
    assert told[1] == told[2] == ["copied acme/1", "copied umbrella/2"]
    assert listed.count("https://example.com/hooks") == listed.count("https://example.org/hooks") == 1
