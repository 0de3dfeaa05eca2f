"""A program that ends with its commit: what it sent is found by workers of other processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from anzol.relay import Relay
from anzol.storage.face import Selection
from anzol.storage.opening import open_storage
from tests.sessions import hosts

PROGRAM = """
import asyncio, sqlite3
import aiosqlite
from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from anzol import Webhooks

router = APIRouter()
webhooks = Webhooks(router)

class Body(BaseModel):
    x: int

@router.post("a")
def a(body: Body) -> None: ...
"""
ENDINGS = {
    "sqlite3": """
connection = sqlite3.connect("app.db")
webhooks.to("acme", session=connection).send_sync(a, Body(x=1))
connection.commit()
connection.close()
""",
    "aiosqlite": """
async def main():
    async with aiosqlite.connect("app.db") as connection:
        await webhooks.to("acme", session=connection).send(a, Body(x=1))
        await connection.commit()
asyncio.run(main())
""",
    "Session": """
with Session(create_engine("sqlite:///app.db")) as session:
    webhooks.to("acme", session=session).send_sync(a, Body(x=1))
    session.commit()
""",
    "AsyncSession": """
async def main():
    engine = create_async_engine("sqlite+aiosqlite:///app.db")
    async with AsyncSession(engine) as session:
        await webhooks.to("acme", session=session).send(a, Body(x=1))
        await session.commit()
    await engine.dispose()
asyncio.run(main())
""",
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
async def test_a_program_may_end_right_after_its_commit(ending: str, path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM + ending], cwd=path.parent, capture_output=True, text=True)
    storage = open_storage(f"sqlite:///{path.parent}/anzol.db")
    await storage.prepare(deployment="default")
    moved = await Relay(storage).drain()
    page = await storage.messages("default", Selection())
    await storage.close()

    assert (done.returncode, done.stderr) == (0, "")
    assert moved == 1
    assert [(message.event_type, message.customer) for message in page.items] == [("a", "acme")]
    assert hosts.outbox(path) == []
