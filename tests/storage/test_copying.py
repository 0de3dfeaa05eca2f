"""A SQLite database in PostgreSQL: everything is there, cut off anywhere it goes on, and nothing is sent twice."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from anzol import ids
from anzol.clock import OwnedClock
from anzol.errors import Conflict, StorageBusy, StorageError, VaultError, WrongDeployment
from anzol.lifecycle import Cause, Disabled, Outcome, State, SweepState
from anzol.storage.copying import source as reading
from anzol.storage.copying.parts import PARTS, Keys
from anzol.storage.copying.whole import Copied, copy
from anzol.storage.face import NewEndpoint, Retention, Selection
from anzol.storage.postgres.connections import Place, connect, shut
from anzol.storage.postgres.engine import PostgresStorage
from anzol.storage.postgres.migrating import migrate
from anzol.storage.sqlite.engine import SqliteStorage
from anzol.storage.vault import Vault
from tests.contract.conftest import ENVIRONMENT, Scene
from tests.postgres import Server

FORMER, NEW = "f" * 43, "n" * 43
SCHEMA = "hooks"


class Cut(Exception):
    """A copy that is cut off."""


@dataclass(slots=True)
class Move:
    """A file to copy, and where to."""

    path: Path
    uri: str
    clock: OwnedClock
    told: list[tuple[str, int, int]] = field(default_factory=list)
    cut_at: int = -1

    def tell(self, table: str, done: int, total: int) -> None:
        self.told.append((table, done, total))
        if len(self.told) == self.cut_at:
            raise Cut

    async def copy(self, *, key: str = FORMER, deployment: str = "test") -> Copied:
        await migrate(self.uri, SCHEMA, pooler=False)
        connection = await connect(Place(self.uri, SCHEMA, pooler=False, patience=5.0))
        keys = Keys(source=Vault([key]), target=Vault([NEW]))
        try:
            return await copy(self.path, connection, SCHEMA, keys, deployment=deployment, whereto="pg", tell=self.tell)
        finally:
            await shut(connection)

    @asynccontextmanager
    async def file(self) -> AsyncIterator[Scene]:
        storage = SqliteStorage(self.path, clock=self.clock, vault=Vault([FORMER]), nap=0.0)
        await storage.prepare(deployment="test")
        yield Scene(storage, self.clock)
        await storage.close()

    @asynccontextmanager
    async def copied(self) -> AsyncIterator[Scene]:
        storage = PostgresStorage(self.uri, schema=SCHEMA, clock=self.clock, vault=Vault([NEW]))
        await storage.prepare(deployment="test")
        yield Scene(storage, self.clock)
        await storage.close()


@pytest.fixture
async def move(tmp_path: Path, postgres_database: str, clock: OwnedClock, monkeypatch: pytest.MonkeyPatch) -> Move:
    """A file with something in every table, and pages so small that each has several."""
    monkeypatch.setattr(reading, "PAGE", 2)
    made = Move(tmp_path / "anzol.db", postgres_database, clock)
    async with made.file() as scene:
        await fill(scene)
    fill_beside(made.path)
    return made


@pytest.fixture
def clock() -> OwnedClock:
    return OwnedClock()


async def fill(scene: Scene) -> None:
    """Put something into every table."""
    storage = scene.storage
    await storage.sync_event_types(ENVIRONMENT, [("invoice.paid", "An invoice", {"type": "object"})])
    await storage.put_customer(ENVIRONMENT, "acme", name="Acme", metadata={"plan": "gold\0"}, throttle=50)
    first = await scene.endpoint(headers=(("X-Key", "canary"),), event_types=("invoice.paid",), uid="main", fifo=True)
    failing = await scene.endpoint(schedule=(timedelta(0), timedelta(hours=1)), throttle=3, contact="ops@acme.example")
    disabled = await scene.endpoint("globex", enabled=False)
    await scene.endpoint("globex", channels=("eu",), metadata={"team": "ü"})
    await storage.rotate_secret(ENVIRONMENT, first.id, "whsec_" + "b" * 32, keep_old=timedelta(days=1))
    for number in range(5):
        await scene.send(body=b'{"n": %d}' % number, tags=("t", f"t{number}"), key=f"k{number}")
        scene.later(1)
    await scene.send("globex", channels=("eu", "us"), body=b"\x00\xff")
    await scene.send("nobody")
    worker = await scene.worker()
    claims = (await worker.round()).claims
    good = [claim for claim in claims if claim.content.body != b'{"n": 0}' and claim.endpoint_id != failing_id(failing)]
    bad = [claim for claim in claims if claim.endpoint_id == failing_id(failing)]
    await worker.settle(good)
    await storage.settle(worker.me, [scene.failed(claim, 3600) for claim in bad])
    await storage.resign(worker.me)
    await storage.pause(ENVIRONMENT, customer=None, event_type="invoice.void", endpoint_id=first.id, actor="ops")
    await storage.disable_endpoint(ENVIRONMENT, disabled.id, Disabled.BY_OPERATOR)
    await storage.add_outbox_source("mysql://user:canary@db/shop")
    await storage.create_endpoint(ENVIRONMENT, NewEndpoint("gone", "https://gone.example", "whsec_" + "c" * 32))
    await storage.delete_customer(ENVIRONMENT, "gone")
    await scene.endpoint("former", event_types=("renamed",))
    await storage.rename_customer(ENVIRONMENT, "former", "renamed")
    await scene.send("acme", body=b"not fanned out", deliver_at=scene.now + 60_000_000)


def fill_beside(path: Path) -> None:
    """Put something into the tables of the REST API, as a file has them: a sweep waits, another is under way."""
    with closing(sqlite3.connect(path)) as file:
        file.executemany(
            "insert into anzol_api_key (id, environment, digest, name, hint, scopes, created_at, created_by) "
            "values (?, 1, ?, 'Billing', 'abcd', ?, 5, 'code')",
            [(bytes([number]) * 16, bytes([number]) * 32, '["messages","read"]') for number in range(3)],
        )
        file.executemany(
            "insert into anzol_revocation values (1, ?, 5, ?, 9)",
            [("customer:app_1", 6), ("customer:app_1", 7), ("token:ab", 6)],
        )
        file.execute("insert into anzol_audit values (null, 1, 5, 'cli', 'endpoint.deleted', 'ep_1', null, '{}')")
        file.executemany(
            "insert into anzol_sweep (id, environment, kind, scope, place, changed, actor, created_at, updated_at) "
            "values (?, 1, 'recover', '{\"since\": 1}', ?, ?, 'cli', 5, 5)",
            [(b"w" * 16, None, 0), (b"u" * 16, "12.3", 40)],
        )
        file.commit()


def failing_id(endpoint: Any) -> bytes:
    from tests.contract.conftest import raw

    return raw(endpoint.id)


async def seen(scene: Scene) -> dict[str, Any]:
    """Everything that the face shows."""
    storage, anything = scene.storage, Selection()
    endpoints = (await storage.endpoints(ENVIRONMENT, limit=100)).items
    status = await storage.status(ENVIRONMENT)
    return {
        "customers": (await storage.customers(ENVIRONMENT, limit=100)).items,
        "endpoints": endpoints,
        "secrets": [await storage.secrets(ENVIRONMENT, endpoint.id) for endpoint in endpoints],
        "messages": (await storage.messages(ENVIRONMENT, anything, limit=100)).items,
        "deliveries": sorted((await scene.deliveries()), key=lambda one: (one.message_id, one.endpoint_id)),
        "attempts": (await storage.attempts(ENVIRONMENT, anything, limit=100)).items,
        "rules": await storage.pause_rules(ENVIRONMENT),
        "sources": list(await storage.outbox_sources()),
        "numbers": (status.accepted_waiting, status.pending, status.due, status.parked, status.disabled_endpoints),
    }


async def test_everything_is_there_and_rows_are_counted(move: Move) -> None:
    async with move.file() as before:
        expected = await seen(before)

    copied = await move.copy()

    async with move.copied() as after:
        found = await seen(after)
        await after.intact()
    assert found == expected
    assert copied.rows["message"] == len(expected["messages"])
    assert copied.rows["attempt"] == len(expected["attempts"]) > 0
    assert all(copied.rows[part.name] for part in PARTS if part.name != "incident")
    assert not copied.resumed


async def test_a_change_to_many_that_was_under_way_has_failed_and_says_why(move: Move) -> None:
    await move.copy()

    async with connection_of(move) as copied:
        rows = await copied.fetch(f"select id, state, changed, error from {SCHEMA}.sweep order by number")
        scopes = await copied.fetchval(f"select scopes from {SCHEMA}.api_key limit 1")
    assert [(row[1], row[2]) for row in rows] == [(SweepState.RUNNING, 0), (SweepState.FAILED, 40)]
    assert rows[0][3] == ""
    assert "begin it again" in rows[1][3]
    assert scopes == ["messages", "read"]


async def test_what_waited_is_delivered_from_the_copy(move: Move) -> None:
    await move.copy()

    async with move.copied() as scene:
        worker = await scene.worker()
        for _ in range(6):
            scene.later(4000)
            await scene.reap()
            worker = await scene.worker()
            while claims := (await worker.round()).claims:
                await worker.settle(claims)
        states = {delivery.state for delivery in await scene.deliveries(customer="acme")}
        fresh = await scene.endpoint("acme")
        accepted = await scene.accept(key="k1", body=b'{"n": 1}')
        await scene.intact()

    assert states == {State.DELIVERED}
    assert fresh.id
    assert accepted.duplicate


async def test_who_sends_to_a_customers_former_uid_is_another_in_the_copy_too(move: Move) -> None:
    await move.copy()

    async with move.copied() as scene:
        while await scene.storage.clean(Retention(), limit=100):
            pass
        scene.later(1)
        worker = await scene.worker()
        await worker.round()
        await scene.send("former", event_type="renamed")
        stray = (await worker.round()).claims
        meant = await scene.send("renamed", event_type="renamed")
        claims = (await worker.round()).claims

    assert list(stray) == []
    assert [ids.show(ids.MESSAGE, claim.content.message_id) for claim in claims] == [meant]


async def test_attempts_keep_their_numbers_and_outcomes(move: Move) -> None:
    await move.copy()

    async with move.copied() as scene:
        attempts = (await scene.storage.attempts(ENVIRONMENT, Selection(), outcomes=(Outcome.HTTP_STATUS,))).items
        ended = [one for one in await scene.deliveries() if one.cause is Cause.ACCEPTED]

    assert {attempt.number for attempt in attempts} == {1}
    assert ended


@pytest.mark.parametrize("cut_at", [1, 5, 12, 20, 28])
async def test_a_copy_that_was_cut_off_goes_on(move: Move, cut_at: int) -> None:
    async with move.file() as before:
        expected = await seen(before)
    move.cut_at = cut_at
    with pytest.raises(Cut):
        await move.copy()
    async with (
        connection_of(move) as half,
    ):
        rows_before = await half.fetchval(f"select count(*) from {SCHEMA}.customer")
    with pytest.raises(WrongDeployment, match="not finished"):
        async with move.copied():
            pass  # pragma: no cover
    move.cut_at = -1

    copied = await move.copy()

    assert copied.resumed
    assert rows_before <= copied.rows["customer"]
    async with move.copied() as after:
        assert await seen(after) == expected


@asynccontextmanager
async def connection_of(move: Move) -> AsyncIterator[Any]:
    connection = await connect(Place(move.uri, SCHEMA, pooler=False, patience=5.0))
    yield connection
    await shut(connection)


async def test_a_source_that_changed_meanwhile_is_copied_anew(move: Move) -> None:
    move.cut_at = 25
    with pytest.raises(Cut):
        await move.copy()
    async with move.file() as scene:
        await scene.send("late", body=b"late")
        expected = await seen(scene)
    move.cut_at = -1

    copied = await move.copy()

    assert not copied.resumed
    async with move.copied() as after:
        assert await seen(after) == expected


async def test_a_target_that_holds_anything_is_refused(move: Move) -> None:
    await migrate(move.uri, SCHEMA, pooler=False)
    async with move.copied() as scene:
        await scene.send("somebody")

    with pytest.raises(Conflict, match="not empty"):
        await move.copy()

    async with move.copied() as scene:
        assert (await scene.storage.status(ENVIRONMENT)).accepted_waiting == 1


async def test_a_file_with_a_worker_is_refused(move: Move) -> None:
    async with move.file() as scene:
        await scene.worker()

        with pytest.raises(StorageBusy, match="has workers: here"):
            await move.copy()


async def test_a_file_that_is_being_written_to_is_refused(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    other = sqlite3.connect(move.path, isolation_level=None)
    other.execute("begin immediate")
    with monkeypatch.context() as patched:
        patched.setattr(reading, "PATIENCE", 0.05)

        with pytest.raises(StorageBusy, match="being written to"):
            await move.copy()
    other.close()


async def test_the_file_is_marked_as_moved_and_can_be_taken_back(move: Move) -> None:
    await move.copy()

    with pytest.raises(WrongDeployment, match="moved to PostgreSQL"):
        async with move.file():
            pass  # pragma: no cover
    with pytest.raises(WrongDeployment, match="moved to PostgreSQL"):
        await move.copy()
    storage = SqliteStorage(move.path, clock=move.clock, vault=Vault([FORMER]), nap=0.0)
    await storage.adopt(deployment="test", withdraw_pending=False)
    await storage.close()
    async with move.file() as scene:
        endpoints = (await scene.storage.endpoints(ENVIRONMENT)).items
        assert len(await scene.storage.secrets(ENVIRONMENT, endpoints[-1].id)) == 2


async def test_another_deployments_file_is_refused(move: Move) -> None:
    with pytest.raises(WrongDeployment, match="belongs to the deployment 'test'"):
        await move.copy(deployment="staging")


async def test_a_key_that_does_not_open_the_secrets_is_refused_and_leaves_the_file_as_it_was(move: Move) -> None:
    with pytest.raises(VaultError):
        await move.copy(key="x" * 43)

    assert (await move.copy()).rows["endpoint_secret"] > 0


async def test_what_somebody_changed_in_the_target_is_seen(move: Move) -> None:
    move.cut_at = 25
    with pytest.raises(Cut):
        await move.copy()
    async with connection_of(move) as connection:
        await connection.execute(f"update {SCHEMA}.endpoint set url = 'https://evil.example'")
    move.cut_at = -1

    with pytest.raises(StorageError, match="copy of endpoint differs"):
        await move.copy()


async def test_no_file_and_no_database_are_told_apart(move: Move, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("no database at all, but long enough to be taken for one " * 100)
    with pytest.raises(StorageError, match="is no"):
        await Move(tmp_path / "none.db", move.uri, move.clock).copy()
    with pytest.raises(StorageError, match="not a database of Anzol's"):
        await Move(notes, move.uri, move.clock).copy()


def test_the_command_copies_and_says_what_comes_next(
    tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    from typer.testing import CliRunner

    from anzol.cli.program import program
    from anzol.storage.opening import open_storage

    path = tmp_path / "anzol.db"

    async def begin() -> None:
        storage = open_storage(f"sqlite:///{path}")
        await storage.prepare(deployment="default")
        await storage.create_endpoint("default", NewEndpoint("acme", "https://a.example", "whsec_" + "a" * 32))
        await storage.close()

    asyncio.run(begin())
    spare = tmp_path / "spare"
    spare.mkdir()
    shutil.copy(path, spare)
    run = CliRunner().invoke
    with postgres.database() as uri:
        arguments = ["copy", "--from", f"sqlite:///{path}", "--to", uri]
        no_key = run(program, arguments)
        monkeypatch.setenv("ANZOL_SECRET_KEY", NEW)
        done = run(program, arguments)
        again = run(program, arguments)
        backwards = run(program, ["copy", "--from", uri, "--to", f"sqlite:///{path}"])
        listed = run(program, ["endpoints", "list", "--database", uri, "--json"])

    assert (no_key.exit_code, "ANZOL_SECRET_KEY is needed" in no_key.stderr) == (2, True)
    assert done.exit_code == 0, done.stderr
    assert "every row compared" in done.stdout
    assert "Set ANZOL_DATABASE_URL" in done.stdout
    assert (again.exit_code, "moved to PostgreSQL" in again.stderr) == (5, True)
    assert backwards.exit_code == 2
    assert "https://a.example" in listed.stdout
