"""A commit whose answer is lost: what was written is not written again, and nobody takes it for another's."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from anzol.clock import OwnedClock
from anzol.errors import StorageUnreachable
from anzol.lifecycle import Cause, Incident, Outcome
from anzol.storage.face import LaneHealth, NewIncident, Settled
from anzol.storage.postgres.connections import connect
from anzol.storage.postgres.engine import PostgresStorage
from anzol.storage.postgres.migrating import migrate
from anzol.storage.vault import Vault
from tests.postgres import Server
from tests.storage.stage import Stage

COMMIT = b"commit\0"


async def nothing() -> None:
    """Between the loss and the next try."""


class Wire:
    """Stands between a storage and its server, and can cut the connection that says a certain thing.

    Args:
        server: Path of the server's socket.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._said: bytes | None = None
        self._passed_on = True
        self._meanwhile: Callable[[], Awaitable[None]] = nothing
        self._patience = asyncio.Event()
        self.down = False
        self.cuts = 0

    def lose(self) -> None:
        """Wait for no answer any more."""
        self._patience.set()

    def cut_at(
        self, said: bytes, *, passed_on: bool = True, meanwhile: Callable[[], Awaitable[None]] = nothing
    ) -> None:
        """Cut the next connection whose client says *said*: once the server has answered, or before it hears it."""
        self._said, self._passed_on, self._meanwhile = said, passed_on, meanwhile

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.down:
            writer.close()
            return
        heard, speak = await asyncio.open_unix_connection(self._server)
        answers = asyncio.ensure_future(copy(heard, writer))
        try:
            with suppress(ConnectionError):
                await self._carry(reader, speak, heard, answers)
        finally:
            answers.cancel()
            writer.transport.abort()
            speak.close()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        speak: asyncio.StreamWriter,
        heard: asyncio.StreamReader,
        answers: asyncio.Future[None],
    ) -> None:
        while data := await reader.read(1 << 20):
            if self._said is None or self._said not in data:
                speak.write(data)
                continue
            self._said = None
            self.cuts += 1
            if self._passed_on:
                answers.cancel()
                await asyncio.wait([answers])
                speak.write(data)
                await asyncio.wait(
                    [asyncio.ensure_future(heard.read(1 << 20)), asyncio.ensure_future(self._patience.wait())],
                    return_when=asyncio.FIRST_COMPLETED,
                )
            await self._meanwhile()
            return


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 20):
            writer.write(data)
    writer.close()


@pytest.fixture
async def wire(postgres: Server) -> AsyncIterator[tuple[Wire, str]]:
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    name = f".s.PGSQL.{postgres.port}"
    made = Wire(str(postgres.folder / name))
    listening = await asyncio.start_unix_server(made.carry, folder / name)
    yield made, postgres.uri().replace(str(postgres.folder), str(folder))
    listening.close()
    shutil.rmtree(folder)


@pytest.fixture
async def stage(postgres: Server, schema: str, wire: tuple[Wire, str]) -> AsyncIterator[Stage]:
    """As everywhere, but the storage speaks through the wire; its results have been spoken of once before."""
    await migrate(postgres.uri(), schema)
    clock = OwnedClock()
    storage = PostgresStorage(wire[1], schema=schema, clock=clock, vault=Vault(["k" * 43]))
    end = storage.listen(lambda: None)
    made = Stage(
        storage, clock, await connect(PostgresStorage(postgres.uri(), schema=schema, vault=storage.vault).place)
    )
    yield made
    try:
        assert await storage.broken() == ()
    finally:
        end()
        await storage.close()
        await made.connection.close()


async def test_deliveries_that_ended_are_known_again(stage: Stage, wire: tuple[Wire, str]) -> None:
    worker = await stage.worker()
    await stage.storage.settle(worker, [stage.accepted(await stage.claim(worker))])
    claims = [await stage.claim(worker) for _ in range(3)]
    wire[0].cut_at(b"")

    fenced = await stage.storage.settle(worker, [stage.accepted(claim) for claim in claims])

    assert (fenced, wire[0].cuts) == ((), 1)
    assert await stage.attempts() == [(Outcome.OK, 1)] * 4


@pytest.mark.parametrize("passed_on", [True, False], ids=["the answer", "the commit"])
async def test_a_transaction_that_lost_its_end_is_written_once(
    stage: Stage, wire: tuple[Wire, str], passed_on: bool
) -> None:
    worker = await stage.worker()
    ended, again, unstarted = [await stage.claim(worker) for _ in range(3)]
    lost = Settled(ended.id + 1000, Cause.GAVE_UP, None, 0, stage.accepted(ended).attempt)
    results = [stage.gave_up(ended), stage.failed(again), Settled(unstarted.id, None, None, 0, None), lost]
    told = [
        NewIncident(Incident.MESSAGE_EXHAUSTED, ended.endpoint, ended.message, "gave up"),
        NewIncident(Incident.ENDPOINT_FAILING, again.endpoint, again.message, "500"),
    ]
    wire[0].cut_at(COMMIT, passed_on=passed_on)

    fenced = await stage.storage.settle(worker, results, [LaneHealth(again.endpoint, 1, 1, None, 0)], told)

    assert (fenced, wire[0].cuts) == ((lost.id,), 1)
    assert len(await stage.attempts()) == 2
    assert [(number, holder, tries) for number, holder, tries, _ in await stage.pending()] == [
        (again.id, None, 1),
        (unstarted.id, None, 0),
    ]
    assert [one.kind for one in await stage.storage.take_incidents(10)] == [
        Incident.MESSAGE_EXHAUSTED,
        Incident.ENDPOINT_FAILING,
    ]


async def test_a_claim_that_was_given_back_and_taken_anew_meanwhile_stays_taken(
    stage: Stage, wire: tuple[Wire, str]
) -> None:
    worker = await stage.worker()
    again, unstarted = await stage.claim(worker), await stage.claim(worker)
    results = [stage.failed(again), Settled(unstarted.id, None, None, 0, None)]

    async def taken_anew() -> None:
        await stage.ask("update anzol.pending set holder = $1", worker)

    wire[0].cut_at(COMMIT, meanwhile=taken_anew)

    fenced = await stage.storage.settle(worker, results)

    assert (fenced, wire[0].cuts) == ((), 1)
    assert [(holder, tries) for _, holder, tries, _ in await stage.pending()] == [(worker, 1), (worker, 0)]
    assert len(await stage.attempts()) == 1


@pytest.mark.parametrize("goes_on", [False, True], ids=["ended", "due again"])
async def test_results_that_were_written_before_a_long_silence_are_known_after_it(
    stage: Stage, wire: tuple[Wire, str], goes_on: bool
) -> None:
    worker = await stage.worker()
    await stage.storage.settle(worker, [stage.accepted(await stage.claim(worker))])
    claim = await stage.claim(worker)
    results = [stage.failed(claim) if goes_on else stage.accepted(claim)]

    async def silence() -> None:
        wire[0].down = True

    wire[0].cut_at(COMMIT if goes_on else b"", meanwhile=silence)

    with pytest.raises(StorageUnreachable):
        await stage.storage.settle(worker, results)
    wire[0].down = False

    assert await stage.storage.settle(worker, results) == ()
    assert len(await stage.attempts()) == 2


async def test_a_transaction_that_the_server_has_not_ended_yet_is_waited_for(
    stage: Stage, wire: tuple[Wire, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await stage.worker()
    claim = await stage.claim(worker)
    results = [stage.failed(claim)]
    async with stage.open() as other:
        # Its commit stands still: it has to wait for somebody.
        await stage.ask(
            "create function anzol.wait() returns trigger language plpgsql as $$begin perform pg_advisory_xact_lock_shared(4712); return null; end$$"
        )
        await stage.ask(
            "create constraint trigger wait after update on anzol.pending deferrable initially deferred for each row execute function anzol.wait()"
        )
        await other.run("select pg_advisory_xact_lock(4712)")
        wire[0].cut_at(COMMIT, passed_on=True)
        settling = asyncio.ensure_future(stage.storage.settle(worker, results))
        await other.blocks(settling)
        wire[0].lose()
        with pytest.raises(StorageUnreachable, match="not ended"):
            await settling
        await other.commit()

    assert await stage.storage.settle(worker, results) == ()
    assert len(await stage.attempts()) == 1
