"""What one POST costs: the sender alone, 1 KB, keep-alive, against nginx (or a small asyncio server without it).

    python benchmarks/sender.py [--posts 50000] [--at-once 64] [--loop asyncio]

Prints the sender's own CPU time for each POST (user and system, of this process, by getrusage), and beside it, from
the same run, what the same bytes cost when a bare protocol writes them and counts the answers without reading them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from anzol.addresses import Policy, check_url
from anzol.guard import Guard
from anzol.headers import header_lines, signed_headers
from anzol.lifecycle import Outcome
from anzol.sender import Request, Sender

NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_buffer_size 64k;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "ok"; }} }}
}}
"""
ANSWERING = """
import asyncio, sys
class Answering(asyncio.Protocol):
    def connection_made(self, transport): self.transport, self.seen = transport, b""
    def data_received(self, data):
        self.seen += data
        while (end := self.seen.find(b"\\r\\n\\r\\n")) >= 0:
            start = self.seen.lower().find(b"content-length: ") + 16
            whole = end + 4 + int(self.seen[start:self.seen.find(b"\\r\\n", start)])
            if len(self.seen) < whole: return
            self.seen = self.seen[whole:]
            self.transport.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nok")
async def main():
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()
asyncio.run(main())
"""


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def receiver() -> Iterator[tuple[str, int]]:
    """A server in a process of its own: its name and port."""
    port = free_port()
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=port))
        command = [nginx, "-c", str(config)] if nginx else [sys.executable, "-c", ANSWERING, str(port)]
        process = subprocess.Popen(command)
        try:
            wait_for(port)
            yield ("nginx" if nginx else "asyncio"), port
        finally:
            process.terminate()
            process.wait()


def wait_for(port: int) -> None:
    import socket

    until = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def measured(posts: int, at_once: int, post: Callable[[], Awaitable[None]]) -> dict[str, float]:
    """Run *post* so many times, so many at once; CPU microseconds and rate of each."""

    async def one_after_another(count: int) -> None:
        for _ in range(count):
            await post()

    await asyncio.gather(*(one_after_another(20) for _ in range(at_once)))
    began, used = time.perf_counter(), cpu()
    await asyncio.gather(*(one_after_another(posts // at_once) for _ in range(at_once)))
    done = posts // at_once * at_once
    return {
        "cpu_us": round((cpu() - used) / done * 1e6, 1),
        "per_second": round(done / (time.perf_counter() - began)),
    }


class Bare(asyncio.Protocol):
    """Writes the bytes and takes any bytes as the answer: what loop and kernel cost at the least."""

    waiter: asyncio.Future[None]
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's are not of that class

    def data_received(self, _data: bytes) -> None:
        self.waiter.set_result(None)


async def run(posts: int, at_once: int, port: int) -> dict[str, object]:
    policy = Policy.allowing("127.0.0.0/8")
    target = check_url(f"http://127.0.0.1:{port}/webhooks", policy)
    lines = header_lines([("content-type", "application/json"), ("webhook-event", "invoice.paid")])
    signed = signed_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, "v1," + "x" * 44)
    request = Request(target, "POST", lines + signed, b"x" * 1024)
    sender = Sender(Guard(policy))

    async def post() -> None:
        reply = await sender.send(request)
        if reply.outcome is not Outcome.OK:
            raise SystemExit(f"{reply.outcome.label}: {reply.detail}")

    ours = await measured(posts, at_once, post)
    await sender.close()

    loop = asyncio.get_running_loop()
    idle = [(await loop.create_connection(Bare, "127.0.0.1", port))[1] for _ in range(at_once)]
    wire = request.wire()

    async def bare() -> None:
        connection = idle.pop()
        connection.waiter = loop.create_future()
        connection.transport.write(wire)
        await connection.waiter
        idle.append(connection)

    limit = await measured(posts, at_once, bare)
    for connection in idle:
        connection.transport.abort()
    return {"sender": ours, "bare": limit}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--posts", type=int, default=50_000)
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    asked = parser.parse_args()
    with receiver() as (server, port):
        if asked.loop == "uvloop":
            import uvloop

            result = uvloop.run(run(asked.posts, asked.at_once, port))
        else:
            result = asyncio.run(run(asked.posts, asked.at_once, port))
    print(json.dumps({"receiver": server, "loop": asked.loop, "at_once": asked.at_once, **result}))


if __name__ == "__main__":
    main()
