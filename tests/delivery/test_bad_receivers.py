"""Receivers that behave badly: the attempt ends, with the class named, and costs little."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from anzol.addresses import LOOPBACK, Policy, check_url
from anzol.guard import Guard
from anzol.headers import header_lines
from anzol.http1 import MAX_BODY, MAX_HEAD
from anzol.lifecycle import Outcome
from anzol.sender import Reply, Request, Sender
from tests.delivery.receivers import (
    BEHAVIOURS,
    OK,
    Certificates,
    Receiver,
    answers,
    black_hole,
    canary,
    closed_port,
    resets,
    saying,
)

BOTH_LOOPS = True
ROOT = Path(__file__).resolve().parents[2]
POLICY = Policy(allow_networks=LOOPBACK)
DEADLINE = 0.3
BIG = b"x" * (8 * 1024 * 1024)  # more than the kernel's buffers take of an unread request


def request(url: str, body: bytes = b"{}", deadline: float = 10, connect_timeout: float = 5.0) -> Request:
    return Request(check_url(url, POLICY), "POST", header_lines(), body, deadline, connect_timeout)


@asynccontextmanager
async def sending(tls: ssl.SSLContext | None = None) -> AsyncIterator[Sender]:
    sender = Sender(Guard(POLICY), tls=tls)
    try:
        yield sender
    finally:
        await sender.close()


async def bounded(sender: Sender, asked: Request) -> Reply:
    """Send; fail if the reply comes later than the deadline and a second."""
    async with asyncio.timeout(asked.deadline + 1):
        return await sender.send(asked)


# name: outcome, status, note
CASES: dict[str, tuple[Outcome, int | None, str]] = {
    "never answers": (Outcome.TIMEOUT, None, ""),
    "resets": (Outcome.CONNECTION_CLOSED, None, ""),
    "closes without a byte": (Outcome.CONNECTION_CLOSED, None, ""),
    "closes within the head": (Outcome.CONNECTION_CLOSED, None, ""),
    "slow head": (Outcome.TIMEOUT, None, ""),
    "slow status line": (Outcome.TIMEOUT, None, ""),
    "slow body": (Outcome.TIMEOUT, 200, ""),
    "slow chunks": (Outcome.TIMEOUT, 200, ""),
    "endless body": (Outcome.OK, 200, "body_cut"),
    "endless body of a length": (Outcome.OK, 200, "body_cut"),
    "endless chunks": (Outcome.OK, 200, "body_cut"),
    "endless tiny chunks": (Outcome.OK, 200, "body_cut"),
    "endless trailers": (Outcome.OK, 200, "body_cut"),
    "endless head": (Outcome.BAD_RESPONSE, None, ""),
    "endless header": (Outcome.BAD_RESPONSE, None, ""),
    "endless status line": (Outcome.BAD_RESPONSE, None, ""),
    "endless 100": (Outcome.BAD_RESPONSE, None, ""),
    "endless 102": (Outcome.BAD_RESPONSE, None, ""),
    "endless 103": (Outcome.BAD_RESPONSE, None, ""),
    "slow 100": (Outcome.TIMEOUT, None, ""),
    "101": (Outcome.BAD_RESPONSE, None, ""),
    "101 without upgrade": (Outcome.BAD_RESPONSE, None, ""),
    "reset in the body": (Outcome.OK, 200, "body_incomplete"),
    "close in the body": (Outcome.OK, 200, "body_incomplete"),
    "close in a chunk": (Outcome.OK, 200, "body_incomplete"),
    "reset in an unframed body": (Outcome.OK, 200, "body_incomplete"),
    "giant chunk": (Outcome.OK, 200, "body_incomplete"),
    "giant chunk that fits 64 bits": (Outcome.OK, 200, "body_incomplete"),
    "bad chunk": (Outcome.OK, 200, "body_incomplete"),
    "chunk longer than said": (Outcome.OK, 200, "body_incomplete"),
    "length with chunked": (Outcome.BAD_RESPONSE, None, ""),
    "chunked with length": (Outcome.BAD_RESPONSE, None, ""),
    "two lengths": (Outcome.BAD_RESPONSE, None, ""),
    "negative length": (Outcome.BAD_RESPONSE, None, ""),
    "NUL in a header": (Outcome.BAD_RESPONSE, None, ""),
    "NUL in a header's name": (Outcome.BAD_RESPONSE, None, ""),
    "10,000 headers": (Outcome.BAD_RESPONSE, None, ""),
    "a header of 100 KB": (Outcome.BAD_RESPONSE, None, ""),
    "HTTP/0.9": (Outcome.BAD_RESPONSE, None, ""),
    "HTTP/0.9 by name": (Outcome.BAD_RESPONSE, None, ""),
    "HTTP/2": (Outcome.BAD_RESPONSE, None, ""),
    "HTTP/2 frames": (Outcome.BAD_RESPONSE, None, ""),
    "status 000": (Outcome.BAD_RESPONSE, None, ""),
    "status 999": (Outcome.BAD_RESPONSE, None, ""),
    "bare line feeds": (Outcome.BAD_RESPONSE, None, ""),
    "a folded header": (Outcome.BAD_RESPONSE, None, ""),
    "gzip as transfer coding": (Outcome.BAD_RESPONSE, None, ""),
    "a response too many": (Outcome.OK, 200, ""),
    "bytes after the response": (Outcome.OK, 200, ""),
    "gzip bomb": (Outcome.OK, 200, "body_cut"),
    "br bomb": (Outcome.OK, 200, "body_cut"),
    "zstd bomb": (Outcome.OK, 200, "body_cut"),
    "no bytes fit for text": (Outcome.OK, 200, ""),
}
# A reset under TLS that was not announced may reach the reader before what was written ahead of it.
PLAIN_ONLY = {"reset in the body", "reset in an unframed body"}
UNREAD = {
    "never reads",
    "reads slowly",
    "resets unread",
    "closes unread",
    "early 200",
    "early 413, open",
    "early 413, closed",
}


def test_every_behaviour_is_a_case() -> None:
    assert set(BEHAVIOURS) == set(CASES) | UNREAD


@pytest.mark.parametrize("name", CASES)
async def test_a_bad_receiver_gets_one_request_and_its_class(name: str) -> None:
    await judge(name, None, None)


@pytest.mark.parametrize("name", [name for name in CASES if name not in PLAIN_ONLY])
async def test_a_bad_receiver_behind_tls_gets_one_request_and_its_class(
    name: str, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    await judge(name, server_tls, client_tls)


async def judge(name: str, server: ssl.SSLContext | None, client: ssl.SSLContext | None) -> None:
    async with Receiver(BEHAVIOURS[name], tls=server) as receiver, sending(client) as sender:
        # Long where it must not be reached: this machine may be busy.
        deadline = DEADLINE if CASES[name][0] is Outcome.TIMEOUT else 10
        reply = await bounded(sender, request(receiver.url, deadline=deadline))

        assert (reply.outcome, reply.status, reply.note) == CASES[name]
        assert reply.sent
        assert bool(reply.detail) == (reply.outcome is not Outcome.OK)
        assert len(reply.body) <= MAX_BODY
        assert sum(len(key) + len(value) for key, value in reply.headers) <= MAX_HEAD
        assert (receiver.connections, len(receiver.requests)) == (1, 1)
        assert (sender.idle, sender.busy) == (0, 0)


async def test_a_reset_after_the_head_behind_tls_is_no_crash(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with Receiver(BEHAVIOURS["reset in the body"], tls=server_tls) as receiver, sending(client_tls) as sender:
        reply = await bounded(sender, request(receiver.url))

        assert (reply.outcome, reply.note) in {(Outcome.OK, "body_incomplete"), (Outcome.CONNECTION_CLOSED, "")}
        assert receiver.connections == 1


@pytest.mark.parametrize("name", ["closes unread", "resets unread"])
async def test_a_receiver_that_hangs_up_at_once_is_connection_closed(name: str) -> None:
    async with Receiver(BEHAVIOURS[name]) as receiver, sending() as sender:
        reply = await bounded(sender, request(receiver.url))

        assert reply.outcome is Outcome.CONNECTION_CLOSED
        assert (receiver.connections, sender.idle) == (1, 0)


@pytest.mark.parametrize("name", ["never reads", "reads slowly"])
async def test_a_receiver_that_reads_a_large_request_slowly_or_never_is_a_timeout(name: str) -> None:
    async with Receiver(BEHAVIOURS[name]) as receiver, sending() as sender:
        reply = await bounded(sender, request(receiver.url, BIG, deadline=DEADLINE))

        assert reply.outcome is Outcome.TIMEOUT
        assert receiver.connections == 1


@pytest.mark.parametrize(
    ("name", "outcome", "status"),
    [
        ("early 200", Outcome.OK, 200),
        ("early 413, open", Outcome.HTTP_STATUS, 413),
        ("early 413, closed", Outcome.HTTP_STATUS, 413),
    ],
)
async def test_an_answer_before_our_request_was_read_counts(name: str, outcome: Outcome, status: int) -> None:
    async with Receiver(BEHAVIOURS[name]) as receiver, sending() as sender:
        reply = await bounded(sender, request(receiver.url, BIG))

        assert (reply.outcome, reply.status) == (outcome, status)
        assert (receiver.connections, sender.idle) == (1, 0)


async def test_a_dropped_syn_is_a_connect_timeout() -> None:
    async with black_hole() as port, sending() as sender:
        reply = await bounded(sender, request(f"http://127.0.0.1:{port}/", connect_timeout=0.2))

        assert reply.outcome is Outcome.CONNECT_TIMEOUT
        assert (reply.sent, reply.status) == (False, None)


async def test_a_refused_connection_is_connection_refused() -> None:
    with closed_port() as port:
        async with sending() as sender:
            reply = await bounded(sender, request(f"http://127.0.0.1:{port}/"))

    assert reply.outcome is Outcome.CONNECTION_REFUSED
    assert not reply.sent


async def test_a_reused_connection_that_is_closed_without_a_byte_is_not_tried_again() -> None:
    async def once_then_closes(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.request(reader)
        writer.write(OK)
        await resets(receiver, reader, writer)

    async with Receiver(once_then_closes) as receiver, sending() as sender:
        first = await bounded(sender, request(receiver.url))
        second = await bounded(sender, request(receiver.url))

        assert first.outcome is Outcome.OK
        assert (second.outcome, second.reused, second.sent) == (Outcome.CONNECTION_CLOSED, True, True)
        assert (receiver.connections, len(receiver.requests)) == (1, 2)


@pytest.mark.parametrize("status", range(300, 309))
async def test_a_redirect_is_a_status_and_never_followed(status: int) -> None:
    with canary() as elsewhere:
        there = f"HTTP/1.1 {status} Go\r\nlocation: http://127.0.0.1:{elsewhere.port}/\r\ncontent-length: 0\r\n\r\n"
        async with Receiver(saying(there.encode(), then="stay")) as receiver, sending() as sender:
            reply = await bounded(sender, request(receiver.url))

            assert (reply.outcome, reply.status) == (Outcome.HTTP_STATUS, status)
            assert (len(receiver.requests), elsewhere.touched()) == (1, 0)


async def test_a_bomb_is_stored_as_it_came_and_cut() -> None:
    async with Receiver(BEHAVIOURS["gzip bomb"]) as receiver, sending() as sender:
        reply = await bounded(sender, request(receiver.url))

    assert reply.body.startswith(b"\x1f\x8b")
    assert len(reply.body) == MAX_BODY
    assert b"accept-encoding: identity\r\n" in receiver.requests[0]


async def test_bytes_that_are_no_text_are_stored_as_they_came() -> None:
    async with Receiver(BEHAVIOURS["no bytes fit for text"]) as receiver, sending() as sender:
        reply = await bounded(sender, request(receiver.url))

    assert reply.body == b"\0\xed\xa0\x80\xff\xfe<script>alert(1)"


async def test_healthy_receivers_do_not_notice_bad_ones() -> None:
    async with Receiver(BEHAVIOURS["never answers"]) as bad, Receiver(answers) as good, sending() as sender:
        stuck = [asyncio.create_task(sender.send(request(bad.url, deadline=30))) for _ in range(100)]
        replies = [await bounded(sender, request(good.url, deadline=5)) for _ in range(100)]

        assert {reply.outcome for reply in replies} == {Outcome.OK}
        assert not any(task.done() for task in stuck)
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)
        assert sender.busy == 0


@pytest.mark.parametrize("name", ["never answers", "endless body", "slow head", "endless tiny chunks"])
async def test_five_hundred_at_once_cost_little_memory(name: str) -> None:
    assert await cost_of_five_hundred(name, "http", []) <= 64 * 1024 * 1024


@pytest.mark.asyncio(loop_factories=["uvloop"])  # asyncio's own loop keeps 256 KB for each TLS connection
async def test_five_hundred_at_once_behind_tls_cost_little_memory(
    certificates: Certificates, client_tls: ssl.SSLContext
) -> None:
    pem = certificates.pem("127.0.0.1")

    assert await cost_of_five_hundred("never answers", "https", [str(pem)], client_tls) <= 64 * 1024 * 1024


async def cost_of_five_hundred(name: str, scheme: str, pem: list[str], tls: ssl.SSLContext | None = None) -> int:
    """Send 500 at once to a receiver in another process; return by how many bytes this one grew."""
    command = [sys.executable, "-m", "tests.delivery.receivers", name, *pem]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        until_end = (4 if tls else 2) if CASES[name][0] is Outcome.TIMEOUT else 30
        async with sending(tls) as sender:
            asked = request(f"{scheme}://127.0.0.1:{port}/", b"x" * 1024, deadline=until_end)
            before = peak = resident()
            sends = [asyncio.create_task(sender.send(asked)) for _ in range(500)]
            until = time.monotonic() + asked.deadline + 10
            while not all(task.done() for task in sends) and time.monotonic() < until:
                await asyncio.sleep(0.02)
                peak = max(peak, resident())
            replies = await asyncio.gather(*sends)
        process.stdin.close()
    assert {reply.outcome for reply in replies} == {CASES[name][0]}
    return peak - before


def resident() -> int:
    """This process's resident memory in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
