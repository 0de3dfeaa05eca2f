"""A process that relays until it is killed: `python relaying.py ANZOL_DATABASE`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from anzol.relay import Relay
from anzol.storage.opening import open_storage


async def main(path: Path) -> None:
    storage = open_storage(f"sqlite:///{path}")
    await storage.prepare(deployment="default")
    relay = Relay(storage)
    print("relaying", flush=True)
    while True:
        await relay.move()
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
