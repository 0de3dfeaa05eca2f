"""Many senders use the same keys at once, from several processes: one message for each key, and one sender who made it.

Run: ``.venv/bin/python -m tests.faults.keys --keys 1000 --senders 50 --database postgresql``.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from anzol.errors import StorageBusy
from tests.faults.counting import read_all
from tests.faults.program import Tick, make

ROOT = Path(__file__).parent.parent.parent
PROCESSES = 5
AT_ONCE = 20  # keys


@dataclass(frozen=True, slots=True)
class Told:
    """What one sender was answered."""

    key: str
    id: str
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it.

    Args:
        split: Keys whose senders were told different ids.
        made: Keys that not exactly one sender was told to have made.
        short: Keys of which not every sender was answered.
        doubled: Messages more than keys.
    """

    keys: int
    sends: int
    split: int
    made: int
    short: int
    doubled: int

    @property
    def well(self) -> bool:
        return not (self.split or self.made or self.short or self.doubled)


def judge(told: Iterable[Told], keys: int, senders: int, stored: int) -> Found:
    """Say what came of *senders* sends with each of *keys* keys."""
    by_key: dict[str, list[Told]] = collections.defaultdict(list)
    for one in told:
        by_key[one.key].append(one)
    return Found(
        keys=keys,
        sends=sum(map(len, by_key.values())),
        split=sum(len({one.id for one in answers}) != 1 for answers in by_key.values()),
        made=sum(sum(not one.duplicate for one in answers) != 1 for answers in by_key.values()),
        short=keys - sum(len(answers) == senders for answers in by_key.values()),
        doubled=stored - keys,
    )


async def send_all(database: str, keys: int, senders: int, seed: int) -> list[Told]:
    """Send with every key, so many times, in an order of one's own within each handful of keys."""
    _, webhooks = make(database)
    chance = random.Random(seed)
    told = []
    for first in range(0, keys, AT_ONCE):
        numbers = [number for number in range(first, min(first + AT_ONCE, keys)) for _ in range(senders)]
        chance.shuffle(numbers)
        told += await asyncio.gather(*(send(webhooks, number) for number in numbers))
    await webhooks.close()
    return told


async def send(webhooks: object, number: int) -> Told:
    key = f"key-{number}"
    while True:
        try:
            to = webhooks.to(f"customer-{number % 7}", key=key)  # type: ignore[attr-defined]  # as `make` returns it
            message = await to.send("tick", Tick(number=number))
        except StorageBusy:  # a file that somebody else writes to for longer than the patience: asked again
            continue
        return Told(key, message.id, message.duplicate)


def run(database: str, *, keys: int, senders: int, processes: int = PROCESSES) -> Found:
    """Have several processes send at once, and count."""
    each = senders // processes
    asyncio.run(prepared(database))
    command = [sys.executable, "-m", "tests.faults.keys", "--one", database, "--keys", str(keys)]
    running = [
        subprocess.Popen(
            [*command, "--senders", str(each), "--seed", str(place)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for place in range(processes)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    told: list[Told] = []
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in running:
        output, _ = process.communicate()
        told += [Told(key, shown, word == "True") for key, shown, word in map(str.split, output.splitlines())]
    return judge(told, keys, each * processes, len(asyncio.run(read_all(database)).messages))


async def prepared(database: str) -> None:
    _, webhooks = make(database)
    await webhooks.core.storage()
    await webhooks.close()


def send_in_this_process(database: str, keys: int, senders: int, seed: int) -> None:
    print("ready", flush=True)
    sys.stdin.readline()
    for one in asyncio.run(send_all(database, keys, senders, seed)):
        print(one.key, one.id, one.duplicate)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1000)
    parser.add_argument("--senders", type=int, default=50)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--one", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        return send_in_this_process(options.one, options.keys, options.senders, options.seed)
    if options.database == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            found = run(f"sqlite:///{folder}/keys.db", keys=options.keys, senders=options.senders)
    else:
        from tests.faults.kill import postgres_database
        from tests.postgres import running_postgres

        with running_postgres() as server, postgres_database(server) as uri:
            found = run(uri, keys=options.keys, senders=options.senders)
    print(asdict(found))
    sys.exit(not found.well)


if __name__ == "__main__":
    main()
