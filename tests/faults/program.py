"""The process that is killed: an app that sends without pause, with its worker inside.

It prints the id of every message whose ``send`` has returned, a line each, in one write.
"""

from __future__ import annotations

import asyncio
import os
import sys

from fastapi import FastAPI
from pydantic import BaseModel

from anzol import Settings, Webhooks

CUSTOMERS = 5
CALLERS = 16


class Tick(BaseModel):
    number: int
    filling: str = "x" * 300


def make(database: str) -> tuple[FastAPI, Webhooks]:
    """Build the app over *database*; it may deliver to loopback."""
    app = FastAPI()
    settings = Settings(database_url=f"sqlite:///{database}", allow_networks=["127.0.0.0/8"])
    webhooks = Webhooks(app, settings)

    @app.webhooks.post("tick")
    def tick(body: Tick) -> None: ...

    return app, webhooks


async def send_without_pause(webhooks: Webhooks) -> None:
    """Send from several callers, each telling of its message only when it is acknowledged."""

    async def caller(first: int) -> None:
        number = first
        while True:
            message = await webhooks.to(f"customer-{number % CUSTOMERS}").send("tick", Tick(number=number))
            os.write(1, f"{message.id}\n".encode())
            number += CALLERS

    await asyncio.gather(*(caller(number) for number in range(CALLERS)))


async def main(database: str, sends: bool) -> None:
    app, webhooks = make(database)
    async with app.router.lifespan_context(app):
        os.write(1, b"ready\n")
        if sends:
            await send_without_pause(webhooks)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sends=sys.argv[2] == "send"))
