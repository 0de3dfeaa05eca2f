"""A receiver in a thread of its own: counts what comes, and answers after a short, random while."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import random
import threading
from typing import Self


class CountingReceiver:
    """``seen`` are requests by message id; ``ids`` which messages came with one number in their body."""

    def __init__(self, chance: random.Random) -> None:
        self.seen: collections.Counter[str] = collections.Counter()
        self.ids: dict[int, set[str]] = {}
        self.port = 0
        self._chance = chance
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for waiting in asyncio.all_tasks(self._loop):
            waiting.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
                body = await reader.readexactly(int(headers[b"content-length"]))
                self._count(self._id(head), body)
                await asyncio.sleep(self._chance.random() * 0.02)
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    def _count(self, message_id: str, body: bytes) -> None:
        self.seen[message_id] += 1
        self.ids.setdefault(json.loads(body)["number"], set()).add(message_id)

    @staticmethod
    def _id(head: bytes) -> str:
        start = head.lower().index(b"webhook-id: ") + len(b"webhook-id: ")
        return head[start : head.index(b"\r\n", start)].decode()
