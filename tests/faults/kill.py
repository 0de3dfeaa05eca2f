"""``kill -9`` of sending and delivering processes, again and again, and what a receiver and the database say then.

Run: ``.venv/bin/python -m tests.faults.kill --cycles 100 --database postgresql``. On SQLite one process sends and
delivers; on PostgreSQL three deliver and two send, some are frozen for longer than their lease instead of killed, and
with ``--server`` the server crashes too, and has its connections cut. What is counted is said in `counting.Counts`.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.faults.counting import Counts, Monitor, count, read_all, wait_until_quiet
from tests.faults.fleet import Fleet, Nest
from tests.faults.program import CUSTOMERS, TERM, make
from tests.faults.receiver import CountingReceiver
from tests.postgres import Server, running_postgres

ONE: tuple[tuple[str, ...], ...] = (("send", "deliver"),)
MANY: tuple[tuple[str, ...], ...] = (("deliver",), ("deliver",), ("deliver",), ("send",), ("send",))


@dataclass(slots=True)
class Scenario:
    """What is done to whom: a fleet on a database, and its server where it has one that may be hurt."""

    fleet: Fleet
    chance: random.Random
    server: Server | None
    receiver: CountingReceiver
    tried: collections.Counter[str] = field(default_factory=collections.Counter)

    def act(self) -> None:
        """Do one thing to it, by chance; one cycle."""
        self.fleet.thaw()
        ways: dict[Callable[[], None], int] = {self.kill_any: 60}
        if len(self.fleet.kinds) > 1:
            ways |= {self.kill_all_workers: 8, self.kill_everything: 7, self.freeze_a_worker: 25}
        if self.server is not None:
            ways |= {self.crash: 40, self.cut: 60}
        (way,) = self.chance.choices(list(ways), list(ways.values()))
        way()

    def kill_any(self) -> None:
        found = self.fleet.those()
        if found:
            self.tried["killed"] += 1
            self.fleet.kill([self.chance.choice(found)])

    def kill_all_workers(self) -> None:
        self.tried["all workers killed"] += 1
        self.fleet.kill(self.fleet.those("deliver"))

    def kill_everything(self) -> None:
        self.tried["all killed"] += 1
        self.fleet.kill(self.fleet.those())

    def freeze_a_worker(self) -> None:
        found = self.fleet.those("deliver")
        if len(found) > 1:  # somebody is left to find out
            self.tried["frozen"] += 1
            self.chance.choice(found).freeze(TERM.total_seconds() * (1.2 + self.chance.random()))

    def crash(self) -> None:
        assert self.server is not None
        self.tried["server crashed"] += 1
        self.server.restart(signal.SIGQUIT)

    def cut(self) -> None:
        assert self.server is not None
        self.tried["connections cut"] += 1
        self.server.kill_backends(self.fleet.database)


async def register(database: str, port: int) -> None:
    """Give every customer an endpoint at the receiver."""
    _, webhooks = make(database)
    for number in range(CUSTOMERS):
        await webhooks.endpoints.create(f"customer-{number}", url=f"http://127.0.0.1:{port}/in")
    await webhooks.close()


def run(
    cycles: int,
    database: str,
    *,
    seed: int,
    folder: Path,
    kinds: tuple[tuple[str, ...], ...] = ONE,
    server: Server | None = None,
    pause: float = 1.2,
    patience: float = 90,
) -> Counts:
    """Hurt it *cycles* times under load, let the workers finish, and count.

    Args:
        pause: Seconds between two cycles, at most.
        patience: Seconds that the workers get to finish, from the last cycle on.
    """
    chance = random.Random(seed)
    errors = folder / "errors"
    nest = Nest(errors)
    with closing(nest), CountingReceiver(chance) as receiver, Monitor(database) as monitor:
        asyncio.run(register(database, receiver.port))
        fleet = Fleet(database, kinds, nest, chance)
        scenario = Scenario(fleet, chance, server, receiver)
        try:
            hurt(scenario, cycles, pause)
            stuck, seconds = finish(fleet, patience)
        finally:
            fleet.thaw(all_of_them=True)
            fleet.kill(list(fleet.processes), replaced=False)
            print(errors.read_text())
        stored = asyncio.run(read_all(database))
    return count(
        dict(scenario.tried),
        fleet.acknowledged,
        receiver,
        stored,
        stuck=stuck,
        broken=tuple(sorted(monitor.broken)),
        crashes=errors.read_text().count("Traceback (most recent call last)"),
        seconds_until_quiet=seconds,
    )


def hurt(scenario: Scenario, cycles: int, pause: float) -> None:
    """Start everything, and hurt it again and again."""
    scenario.fleet.start()
    for cycle in range(cycles):
        time.sleep(0.05 + scenario.chance.random() * pause)
        wait_for_load(scenario.fleet)
        scenario.act()
        print(f"{cycle + 1}: {dict(scenario.tried)}, {scenario.receiver.seen.total()} requests", flush=True)


def wait_for_load(fleet: Fleet) -> None:
    """Wait until of each kind somebody is at work: it is under load that things are to be hurt."""
    for words in set(fleet.kinds):
        for place, process in enumerate(fleet.processes):
            if process.words[: len(words)] == words and process.wakes_at is None:
                fleet.wait_until_ready(place)
                break


def finish(fleet: Fleet, patience: float) -> tuple[int, float]:
    """Let the workers finish what there is; return how much they did not, and how many seconds it took."""
    began = time.monotonic()
    fleet.thaw(all_of_them=True)
    if fleet.kinds == ONE:  # its place takes one that does not send
        fleet.kill(fleet.processes, replaced=False)
        fleet.kinds = (("deliver",),)
        fleet.start()
    for place in range(len(fleet.processes)):
        fleet.wait_until_ready(place)
    fleet.kill(fleet.those("send"), replaced=False)
    stuck = asyncio.run(wait_until_quiet(fleet.database, patience))
    seconds = time.monotonic() - began
    return stuck, round(seconds, 1)


@contextmanager
def postgres_database(server: Server) -> Iterator[str]:
    """A database with Anzol's tables in it."""
    from anzol.storage.postgres.migrating import migrate

    with server.database() as uri:
        asyncio.run(migrate(uri, "anzol"))
        yield uri


def run_on_postgres(cycles: int, *, seed: int, folder: Path, hurt_server: bool = False, patience: float = 90) -> Counts:
    """Run on a server of one's own; its files go with it."""
    with running_postgres() as server, postgres_database(server) as uri:
        return run(
            cycles,
            uri,
            seed=seed,
            folder=folder,
            kinds=MANY,
            server=server if hurt_server else None,
            pause=4.0,
            patience=patience,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=50)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--server", action="store_true", help="PostgreSQL: hurt the server too")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--patience", type=float, default=90, help="seconds to finish in, after the last cycle")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory() as name:
        if options.database == "sqlite":
            counts = run(
                options.cycles,
                f"sqlite:///{name}/faults.db",
                seed=options.seed,
                folder=Path(name),
                patience=options.patience,
            )
        else:
            counts = run_on_postgres(
                options.cycles,
                seed=options.seed,
                folder=Path(name),
                hurt_server=options.server,
                patience=options.patience,
            )
    print(asdict(counts))
    if counts.faults:
        sys.exit(f"NOT WELL: {counts.faults}")


if __name__ == "__main__":
    main()
