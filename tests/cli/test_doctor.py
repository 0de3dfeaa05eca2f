"""`anzol doctor`: every finding on facts that call for it, silence on those that do not; then the whole, as a command."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from anzol.cli.facts import DatabaseFile, Facts, KeyFile, Source, filesystem_of, look_at_file
from anzol.cli.findings import CHECKS, Finding, Level, examine
from anzol.declarations import Finding as Lint
from anzol.errors import AppError, OutboxMissing, SettingsError, VaultError
from anzol.lifecycle import Disabled
from anzol.model import Endpoint, Health, PauseRule, Status, StoredMessage, WorkerCard
from anzol.settings import Settings
from tests.cli.conftest import APP, World

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
GB = 1024**3


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("ANZOL_", "FASTAPI_")):
            monkeypatch.delenv(name)


def worker(**changes: Any) -> WorkerCard:
    card = WorkerCard(
        id=1,
        host="here",
        pid=7,
        version="1.0",
        started_at=NOW - timedelta(hours=1),
        expires_at=NOW + timedelta(seconds=20),
        lanes=0,
        in_flight=0,
    )
    return replace(card, **changes)


def status(*workers: WorkerCard, **changes: Any) -> Status:
    calm = Status(
        accepted_waiting=0,
        pending=0,
        due=0,
        parked=0,
        in_flight=0,
        oldest_due=None,
        failing_endpoints=0,
        disabled_endpoints=0,
        workers=workers,
        schema_version=1,
    )
    return replace(calm, **changes)


def endpoint(**changes: Any) -> Endpoint:
    one = Endpoint(
        id="ep_1",
        uid=None,
        customer="acme",
        url="https://hooks.example.com/",
        description="",
        event_types=(),
        channels=(),
        headers=(),
        throttle=None,
        fifo=False,
        contact=None,
        header_prefix=None,
        schedule=None,
        metadata={},
        enabled=True,
        disabled_because=None,
        paused=False,
        health=Health(),
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(one, **changes)


def message(created_at: datetime) -> StoredMessage:
    return StoredMessage(
        id="msg_1",
        customer="acme",
        event_type="new-subscription",
        method="POST",
        content_type="application/json",
        body=b"{}",
        headers=(),
        query="",
        channels=(),
        tags=(),
        key=None,
        deliver_at=None,
        created_at=created_at,
    )


def file(**changes: Any) -> DatabaseFile:
    sound = DatabaseFile(
        path=Path("/data/anzol.db"),
        exists=True,
        folder_exists=True,
        folder_writable=True,
        writable=True,
        wal=0,
        free=50 * GB,
        total=100 * GB,
        filesystem="ext4",
    )
    return replace(sound, **changes)


def settings(**changes: Any) -> Settings:
    return Settings(**{"database_url": "sqlite:////data/anzol.db", **changes})


def healthy(**changes: Any) -> Facts:
    sound = Facts(
        now=NOW,
        host="here",
        environ={},
        descriptors=65536,
        with_app=True,
        settings=settings(),
        declared=("new-subscription",),
        database=file(),
        key=KeyFile(Path("/data/anzol.key"), True, 0o600),
        schema=(1, 1),
        status=status(worker()),
        endpoints=(endpoint(),),
        newest=message(NOW - timedelta(minutes=1)),
    )
    return replace(sound, **changes)


def found(facts: Facts) -> list[tuple[str, str]]:
    return [(finding.level.value, finding.check) for finding in examine(facts)]


def test_a_sound_installation_has_nothing_to_mend() -> None:
    assert examine(healthy()) == []


LATE = NOW - timedelta(minutes=5)
UNHEALTHY: dict[str, tuple[Any, tuple[str, str]]] = {
    "the app is not found": (lambda: {"app_error": AppError("No app.", do="Name it.")}, ("error", "app")),
    "a setting is misspelt": (lambda: {"settings_error": SettingsError("No such setting.")}, ("error", "settings")),
    "a declaration cannot be sent": (
        lambda: {"lints": (Lint("/x", "it begins with /.", "Leave it out.", fatal=True),)},
        ("error", "declarations"),
    ),
    "a declaration is doubtful": (lambda: {"lints": (Lint("x", "bare dict.", ""),)}, ("warning", "declarations")),
    "nothing is declared": (lambda: {"declared": ()}, ("warning", "nothing-declared")),
    "an endpoint waits for what nobody sends": (
        lambda: {"endpoints": (endpoint(event_types=("invoice.paid",)),)},
        ("warning", "subscription"),
    ),
    "the folder is missing": (lambda: {"database": file(folder_exists=False, exists=False)}, ("error", "database")),
    "the folder is read-only": (lambda: {"database": file(folder_writable=False)}, ("error", "database")),
    "the file is read-only": (lambda: {"database": file(writable=False)}, ("error", "database")),
    "there is no database yet": (lambda: {"database": file(exists=False), "key": None}, ("note", "no-database")),
    "nobody chose the database": (lambda: {"settings": Settings()}, ("warning", "database-implicit")),
    "the file is on a network disk": (lambda: {"database": file(filesystem="nfs4")}, ("error", "network-disk")),
    "the disk is nearly full": (lambda: {"database": file(free=1024)}, ("error", "disk-full")),
    "the log is never folded back": (lambda: {"database": file(wal=2 * GB)}, ("warning", "long-log")),
    "others may read the key": (lambda: {"key": KeyFile(Path("k"), True, 0o644)}, ("error", "key-file")),
    "the key file is gone": (lambda: {"key": KeyFile(Path("k"), False, 0)}, ("error", "key-file")),
    "the schema is behind": (lambda: {"schema": (0, 1)}, ("error", "schema")),
    "the schema is newer": (lambda: {"schema": (2, 1)}, ("error", "schema")),
    "the key is wrong": (lambda: {"storage_error": VaultError("Wrong key.")}, ("error", "storage")),
    "a host's database lacks the table": (
        lambda: {"sources": (Source("sqlite:///shop.db", OutboxMissing("No table.", do="anzol migrate --outbox")),)},
        ("error", "outbox"),
    ),
    "work is overdue and nobody works": (
        lambda: {"status": status(oldest_due=LATE, due=3, accepted_waiting=2)},
        ("error", "no-worker"),
    ),
    "the worker is off and there is none": (
        lambda: {"status": status(), "settings": settings(worker=False)},
        ("warning", "no-worker"),
    ),
    "the workers do not keep up": (lambda: {"status": status(worker(), oldest_due=LATE, due=3)}, ("warning", "behind")),
    "a worker is on another machine": (lambda: {"status": status(worker(host="there"))}, ("error", "other-host")),
    "workers differ in version": (
        lambda: {"status": status(worker(), worker(id=2, version="0.9"))},
        ("warning", "versions"),
    ),
    "the clock was set back": (lambda: {"newest": message(NOW + timedelta(hours=1))}, ("error", "clock")),
    "something is paused": (
        lambda: {"pauses": (PauseRule(1, "acme", None, None, NOW, "anzol"),)},
        ("note", "paused"),
    ),
    "too few descriptors": (lambda: {"descriptors": 256}, ("warning", "descriptors")),
    "an endpoint answered 410": (
        lambda: {"endpoints": (endpoint(enabled=False, disabled_because=Disabled.GONE),)},
        ("warning", "disabled"),
    ),
    "an endpoint fails": (
        lambda: {"endpoints": (endpoint(health=Health(failures=4, failing_since=NOW)),)},
        ("warning", "failing"),
    ),
    "an endpoint's address is refused": (
        lambda: {"endpoints": (endpoint(url="https://10.0.0.1/"),)},
        ("error", "address"),
    ),
    "the test inbox was left behind": (
        lambda: {"endpoints": (endpoint(url="https://127.0.0.1/_anzol/inbox/to/acme", uid="anzol-dev-inbox"),)},
        ("error", "address"),
    ),
    "the secret key is easily guessed": (
        lambda: {"settings": settings(secret_key="hunter2")},
        ("warning", "key-length"),
    ),
    "an endpoint's port is refused": (
        lambda: {"endpoints": (endpoint(url="https://hooks.example.com:22/"),)},
        ("error", "address"),
    ),
    "an endpoint is not encrypted": (
        lambda: {"endpoints": (endpoint(url="http://hooks.example.com/"),)},
        ("warning", "plain-http"),
    ),
    "a private network is open": (
        lambda: {"settings": settings(allow_networks="10.0.0.0/8")},
        ("warning", "open-network"),
    ),
    "everything is open": (lambda: {"settings": settings(allow_networks="0.0.0.0/0")}, ("error", "open-network")),
    "IPv6 is open": (lambda: {"settings": settings(allow_networks="fd00::/8")}, ("warning", "open-network")),
    "the schedule outlasts retention": (lambda: {"settings": settings(retention="1d")}, ("error", "retention")),
}


@pytest.mark.parametrize("what", UNHEALTHY)
def test_each_misconfiguration_is_found_and_nothing_else(what: str) -> None:
    changes, finding = UNHEALTHY[what]

    assert found(healthy(**changes())) == [finding]


def test_every_finding_says_what_and_what_to_do() -> None:
    for changes, _ in UNHEALTHY.values():
        for finding in examine(healthy(**changes())):
            assert finding.what.endswith(".")
            assert finding.check


def test_development_is_noted_and_softens_what_it_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTAPI_ENV", "development")
    facts = healthy(
        settings=settings(allow_networks="127.0.0.0/8"), endpoints=(endpoint(url="http://127.0.0.1:8000/"),)
    )

    assert found(facts) == [("note", "development")]


def test_a_key_from_the_environment_needs_no_key_file() -> None:
    assert examine(healthy(settings=settings(secret_key="k" * 32), key=KeyFile(Path("k"), False, 0))) == []


def test_a_public_network_may_be_opened() -> None:
    assert examine(healthy(settings=settings(allow_networks="8.8.8.0/24"))) == []


def test_the_worst_comes_first() -> None:
    facts = healthy(pauses=(PauseRule(1, None, None, None, NOW, "x"),), descriptors=1, schema=(0, 1))

    assert [finding.level for finding in examine(facts)] == [Level.ERROR, Level.WARNING, Level.NOTE]


def test_many_endpoints_are_named_by_a_few() -> None:
    many = tuple(endpoint(id=f"ep_{number}", url="http://a.example/") for number in range(9))

    [finding] = examine(healthy(endpoints=many))

    assert "9 endpoints" in finding.what
    assert "and 6 more" in finding.what


def test_every_question_has_an_answer_that_finds_something() -> None:
    asked = {check for changes, _ in UNHEALTHY.values() for check in CHECKS if list(check(healthy(**changes())))}

    assert {check.__name__ for check in set(CHECKS) - asked} == {"mode_is_meant"}  # see the test of development


# --- gathering


def test_a_file_is_looked_at_without_making_it(tmp_path: Path) -> None:
    there = look_at_file(tmp_path / "anzol.db")

    assert (there.exists, there.folder_exists, there.folder_writable) == (False, True, True)
    assert there.total > 0
    assert list(tmp_path.iterdir()) == []
    assert look_at_file(tmp_path / "no" / "anzol.db").folder_exists is False


def test_the_filesystem_of_a_folder_is_known(tmp_path: Path) -> None:
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        pytest.skip("this system has no /proc")

    assert filesystem_of(Path("/proc")) == "proc"
    assert filesystem_of(tmp_path)


# --- the command


def checks(world: World, *arguments: str) -> dict[str, str]:
    return {one["check"]: one["level"] for one in world.data("doctor", *arguments)["findings"]}


def test_doctor_on_a_fresh_folder_changes_nothing(world: World) -> None:
    before = sorted(path.name for path in world.folder.iterdir() if path.name != "__pycache__")

    result = world.call("doctor")

    assert "There is no database" in result.stdout
    assert f"{len(CHECKS)} questions asked" in result.stdout
    assert sorted(path.name for path in world.folder.iterdir() if path.name != "__pycache__") == before


def test_doctor_finds_the_key_file_that_others_may_read(world: World) -> None:
    world.call("migrate")
    assert "key-file" not in checks(world)

    (world.folder / "anzol.key").chmod(0o644)

    assert checks(world)["key-file"] == "error"
    assert world.call("doctor").exit_code == 1


def test_doctor_finds_a_missing_and_a_wrong_key(world: World) -> None:
    world.call("migrate")
    key = world.folder / "anzol.key"
    kept = key.read_text()

    key.unlink()
    assert checks(world)["key-file"] == "error"
    key.write_text("another-key-than-the-one-it-was-made-with\n")
    key.chmod(0o600)
    assert checks(world)["storage"] == "error"
    key.write_text(kept)
    assert "storage" not in checks(world)


def test_doctor_finds_work_that_nobody_does(world: World) -> None:
    world.call("trigger", "new-subscription", "--customer", "acme")
    with closing(sqlite3.connect("anzol.db")) as database, database:
        database.execute("update anzol_message set created_at = created_at - 600000000")

    assert checks(world)["no-worker"] == "error"


def test_doctor_finds_a_router_that_became_a_path(world: World) -> None:
    misplaced = (
        "from fastapi import APIRouter\nrouter = APIRouter()\n\n@router.post('invoice.sent')\ndef sent() -> None: ...\n"
    )
    world.write("main.py", f"{APP}\n{misplaced}\napp.include_router(router)\n")

    assert "declarations" in checks(world)


@pytest.mark.parametrize(
    ("main", "check"),
    [("raise RuntimeError('broken')\n", "app"), ("from fastapi import FastAPI\napp = FastAPI()\n", "app")],
)
def test_doctor_says_that_the_app_is_the_trouble(world: World, main: str, check: str) -> None:
    world.write("main.py", main)

    assert checks(world)[check] == "error"


def test_doctor_finds_a_misspelt_setting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANZOL_WORKR", "off")

    assert checks(world)["settings"] == "error"


def test_doctor_finds_a_file_that_is_no_database(world: World) -> None:
    world.write("anzol.db", "not a database, for sure" * 100)

    assert checks(world)["storage"] == "error"


def test_doctor_finds_another_deployment_s_database(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.call("migrate")
    monkeypatch.setenv("ANZOL_DEPLOYMENT", "staging")

    assert checks(world)["storage"] == "error"


def test_a_finding_for_people_has_a_sign_a_word_and_what_to_do(world: World) -> None:
    from anzol.cli.working import told

    assert told(Finding(Level.ERROR, "x", "It is so.", "Do this.")) == "✗ error    It is so.\n           Do this."
