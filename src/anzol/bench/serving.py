"""The REST API in a process of its own, served by uvicorn on loopback; and beside it a bare application.

Run as ``python -m anzol.bench.serving [bare]``; the settings come in the environment. It says its port, and a token of
its environment; to each line it answers with the processor time it has used, and it ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import uvicorn
from fastapi import APIRouter

from anzol.api.handing import environment_token
from anzol.app import Webhooks
from anzol.bench.children import Child, child
from anzol.bench.sites import of_environment
from anzol.bench.working import cpu

ANSWER: Final = b'{"id":"%b","payload":{}}' % (b"y" * 280)  # as long as the answer to a message
BARE: Final = "bare"


@dataclass(frozen=True, slots=True)
class Served:
    """A process that serves, as those who started it see it."""

    process: Child
    port: int
    token: str

    def cpu(self) -> float:
        """Return the processor time that it has used, in seconds."""
        return float(self.process.ask("usage")["cpu"])


@contextmanager
def served(variables: Mapping[str, str], *arguments: str) -> Iterator[Served]:
    """Serve in a process of its own while the context lasts."""
    with of_environment({}), child("anzol.bench.serving", *arguments, variables=variables) as process:
        said = process.hear()
        yield Served(process, said["port"], said["token"])


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """Read a request to its end, and answer it: what a server and a client do at best."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body", False):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


async def serve(application: Any, token: str) -> None:
    """Serve until standard input ends."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    config = uvicorn.Config(application, log_level="error", access_log=False, lifespan="off", proxy_headers=False)
    server = uvicorn.Server(config)
    threading.Thread(target=answer, args=(server,), daemon=True).start()
    say({"port": listener.getsockname()[1], "token": token})
    await server.serve([listener])


async def serve_api() -> None:
    """Serve the API over the database that the settings name."""
    webhooks = Webhooks(APIRouter())
    await webhooks.core.storage()
    await serve(webhooks.api, environment_token(webhooks.core.ground, lasting=timedelta(days=1)))
    await webhooks.close()


def answer(server: uvicorn.Server) -> None:
    """Answer each line, then have the server end."""
    while os.read(0, 64):
        say({"cpu": cpu()})
    server.should_exit = True


def say(facts: dict[str, object]) -> None:
    """Write one line."""
    os.write(1, json.dumps(facts).encode() + b"\n")


def main() -> None:
    """Serve what is asked for, on the loop that uvicorn makes."""
    started = serve(bare, "") if BARE in sys.argv[1:] else serve_api()
    with asyncio.Runner(loop_factory=uvicorn.Config(bare).get_loop_factory()) as runner:
        runner.run(started)


if __name__ == "__main__":
    main()
