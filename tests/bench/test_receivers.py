"""What receives and what posts: counted by message id, answered at once, ended with whoever started it."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from anzol.bench import posting, receivers
from anzol.bench.answering import request_size
from anzol.bench.children import child, until
from anzol.bench.figures import checked
from anzol.bench.receivers import NGINX, OWN, listens, nginx, receiver
from anzol.errors import BenchError

WRK = posting.wrk()
KINDS = [
    OWN,
    pytest.param(NGINX, marks=pytest.mark.skipif(nginx() is None, reason="nginx is not installed")),
]


def exchanged(port: int, *pieces: bytes, answers: int) -> bytes:
    """Send the pieces, each as a packet of its own, and return so many answers."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.01)  # so that the pieces arrive apart; what is asserted holds either way
        got = b""
        while got.count(b"\r\n\r\n") < answers:
            got += connection.recv(65536)
    return got


def request(message_id: str, path: str = "/in", body: bytes = b"{}") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\nWebhook-Id: {message_id}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize("kind", KINDS)
def test_what_arrives_is_counted_by_message_id(kind: str) -> None:
    with receiver(kind) as target:
        before = time.time()
        exchanged(target.port, request("msg_Early"), answers=1)
        early = target.arrivals() if until(lambda: target.log.read_text().count("\n") == 1) else None
        assert early is not None
        exchanged(target.port, request("msg_a"), request("msg_B"), request("msg_a"), answers=3)
        counts = early.written(["msg_a", "msg_B"])

        assert target.kind == kind
        assert counts == {"msg_a": 2, "msg_B": 1}
        assert early.count() == 3
        assert all(before - 0.001 <= at <= time.time() for at in early.times().values())


@pytest.mark.parametrize("kind", KINDS)
def test_requests_for_the_limit_are_answered_and_not_counted(kind: str) -> None:
    with receiver(kind) as target:
        arrivals = target.arrivals()
        answer = exchanged(target.port, request("msg_limit", "/limit"), request("msg_a"), answers=2)

        assert answer.count(b"HTTP/1.1 204") == 2
        assert arrivals.written(["msg_a"]) == {"msg_a": 1}


def test_requests_in_pieces_and_several_in_one_are_read() -> None:
    one, other = request("msg_one", body=b"y" * 300), request("msg_other")
    with receiver(OWN) as target:
        arrivals = target.arrivals()
        exchanged(target.port, one[:10], one[10:90], one[90:] + other + one[:40], one[40:], answers=3)

        assert arrivals.written(["msg_one", "msg_other"]) == {"msg_one": 2, "msg_other": 1}


@pytest.mark.parametrize(
    ("buffer", "size"),
    [
        (b"", None),
        (b"POST / HTTP/1.1\r\n", None),
        (b"POST / HTTP/1.1\r\n\r\nPOST", 19),
        (b"POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\nPOS", None),
        (b"POST / HTTP/1.1\r\nCONTENT-LENGTH: 4\r\n\r\nPOSTP", 42),
    ],
)
def test_a_request_is_its_head_and_its_body(buffer: bytes, size: int | None) -> None:
    assert request_size(buffer) == size


def test_without_nginx_there_is_a_receiver_of_our_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "nginx"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(receivers, "nginx", lambda: str(broken))
    monkeypatch.setattr(receivers, "PATIENCE", 0.3)
    with receiver() as target:
        assert target.kind == OWN


@pytest.mark.parametrize("kind", KINDS)
def test_the_receiver_ends_with_whoever_started_it(kind: str) -> None:
    program = f"import time; from anzol.bench.receivers import receiver\nwith receiver({kind!r}) as target:\n"
    program += "    print(target.port, flush=True); time.sleep(60)"
    starter = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    port = int(starter.stdout.readline())
    assert listens(port)
    starter.kill()
    starter.wait()
    starter.stdout.close()

    assert until(lambda: not listens(port))


def test_a_process_that_ends_by_itself_is_noticed(capfd: pytest.CaptureFixture[str]) -> None:
    with child("anzol.bench.nothing_there") as running, pytest.raises(BenchError, match="has ended"):
        running.ask("usage")

    assert "nothing_there" in capfd.readouterr().err


@pytest.mark.skipif(WRK is None, reason="wrk is not installed")
def test_wrk_posts_where_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "wrk", lambda: WRK)
    with receiver(OWN) as target:
        rate, by = posting.post_rate(target, seconds=1)

        assert by == "wrk"
        assert rate > 0
        assert target.log.read_bytes() == b""


@pytest.mark.parametrize("wrk", [None, "/bin/true"])
def test_without_wrk_a_client_of_our_own_posts(wrk: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "wrk", lambda: wrk)
    with receiver(OWN) as target:
        rate, by = posting.post_rate(target, seconds=0.2)

        assert by == "own client"
        assert rate > 0
        assert target.log.read_bytes() == b""


def test_a_bare_client_sees_how_long_the_way_is() -> None:
    with receiver(OWN) as target:
        delays = asyncio.run(posting.post_delays(target, rate=200, seconds=0.1))

    assert len(delays) == 20
    assert all(0 <= delay < 10 for delay in delays)


def test_what_was_lost_doubled_or_not_recorded_is_counted() -> None:
    found = checked(["a", "b", "c", "d"], {"a": 1, "b": 3, "d": 2, "another": 1}, requests=7, attempts=5)

    assert (found.accepted, found.delivered, found.lost, found.duplicates, found.unrecorded) == (4, 3, 1, 3, 2)
