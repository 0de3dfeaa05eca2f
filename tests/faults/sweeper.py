"""A process that carries on sweeps, a small page at a time, until there is none left, or it is killed."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta
from typing import Final

from anzol.storage.opening import open_storage

KEY: Final = "k" * 43
TERM: Final = timedelta(seconds=30)  # longer than the test takes: nothing is taken over because its time is up
PAGE: Final = 40


async def sweep(url: str) -> None:
    storage = open_storage(url, secret_key=KEY)
    me = await storage.enlist(host="here", pid=os.getpid(), version="1", term=TERM)
    while await storage.advance_sweep(me, limit=PAGE, term=TERM):
        await asyncio.sleep(0.002)
    await storage.resign(me)
    await storage.close()


if __name__ == "__main__":
    asyncio.run(sweep(sys.argv[1]))
