"""The sender with receivers that behave: what goes on the wire, what is kept, what is told."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import cast

import pytest

from anzol.addresses import LOOPBACK, Policy, Target, check_url
from anzol.dialler import Proxy
from anzol.errors import SettingsError
from anzol.guard import Answer, Guard
from anzol.headers import header_lines, signed_headers
from anzol.http1 import MAX_BODY
from anzol.lifecycle import Outcome
from anzol.sender import Connection, Request, Sender
from tests.delivery.receivers import OK, Receiver, answering, answers, canary, closed_port, never_answers, saying

BOTH_LOOPS = True
POLICY = Policy(allow_networks=LOOPBACK)


@asynccontextmanager
async def sending(proxy: Proxy | None = None) -> AsyncIterator[Sender]:
    sender = Sender(Guard(POLICY), proxy=proxy)
    try:
        yield sender
    finally:
        await sender.close()


def request(url: str, *, method: str = "POST", head: bytes = b"", body: bytes = b"{}", deadline: float = 5) -> Request:
    return Request(check_url(url, POLICY), method, head or header_lines(), body, deadline)


async def test_a_request_is_on_the_wire_as_it_was_made() -> None:
    head = signed_headers("msg_1", 7, "v1,x") + header_lines([("content-type", "application/json"), ("x-a", "b")])
    async with Receiver(answers) as receiver, sending() as sender:
        asked = request(receiver.url + "?a=1", method="PUT", head=head, body=b'{"a": 1}')
        reply = await sender.send(asked)

    lines, body = receiver.requests[0].split(b"\r\n\r\n")
    start, *fields = lines.decode().split("\r\n")
    assert start == "PUT /webhooks?a=1 HTTP/1.1"
    assert fields == [
        f"host: 127.0.0.1:{receiver.port}",
        "webhook-id: msg_1",
        "webhook-timestamp: 7",
        "webhook-signature: v1,x",
        fields[4],
        "accept-encoding: identity",
        "content-type: application/json",
        "x-a: b",
        "content-length: 8",
    ]
    assert fields[4].startswith("user-agent: Anzol/")
    assert body == b'{"a": 1}'
    assert reply.outcome is Outcome.OK


@pytest.mark.parametrize("size", [0, 1, 1024, 1_000_000])
async def test_a_body_arrives_whole(size: int) -> None:
    async with Receiver(answers) as receiver, sending() as sender:
        reply = await sender.send(request(receiver.url, body=b"x" * size))

        assert reply.outcome is Outcome.OK
        assert receiver.requests[0].endswith(b"\r\n\r\n" + b"x" * size)


async def test_a_reply_tells_what_came() -> None:
    response = b"HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nX-A: b\r\ncontent-length: 4\r\n\r\nbusy"
    async with Receiver(saying(response, then="stay")) as receiver, sending() as sender:
        reply = await sender.send(request(receiver.url))

    assert (reply.outcome, reply.status, reply.body) == (Outcome.HTTP_STATUS, 503, b"busy")
    assert reply.headers == ((b"retry-after", b"120"), (b"x-a", b"b"), (b"content-length", b"4"))
    assert (reply.detail, reply.note, reply.sent) == ("The receiver answered 503.", "", True)
    assert reply.peer == f"127.0.0.1:{receiver.port}"


async def test_the_timing_is_split() -> None:
    async with Receiver(answers) as receiver, sending() as sender:
        fresh = (await sender.send(request(receiver.url))).timing
        kept = (await sender.send(request(receiver.url))).timing

    assert (fresh.resolve_us, fresh.tls_us) == (None, None)  # a literal, in plain text
    assert fresh.connect_us is not None
    assert fresh.first_byte_us is not None
    assert fresh.connect_us <= fresh.first_byte_us <= fresh.total_us
    assert (kept.resolve_us, kept.connect_us, kept.tls_us) == (None, None, None)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 226, 299])
async def test_any_2xx_is_success(status: int) -> None:
    async with Receiver(saying(f"HTTP/1.1 {status} Fine\r\n\r\n".encode())) as receiver, sending() as sender:
        reply = await sender.send(request(receiver.url))

    assert (reply.outcome, reply.status, reply.detail) == (Outcome.OK, status, "")


@pytest.mark.parametrize("status", [400, 401, 404, 410, 429, 500, 502, 504, 599])
async def test_any_other_status_is_told(status: int) -> None:
    response = f"HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n".encode()
    async with Receiver(saying(response)) as receiver, sending() as sender:
        reply = await sender.send(request(receiver.url))

    assert (reply.outcome, reply.status) == (Outcome.HTTP_STATUS, status)


async def test_a_few_interim_responses_are_passed_over() -> None:
    response = b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 103 Early Hints\r\nx-hint: y\r\n\r\n" * 9 + OK
    async with Receiver(answering(response)) as receiver, sending() as sender:
        reply = await sender.send(request(receiver.url))

        assert (reply.outcome, reply.status, reply.headers) == (Outcome.OK, 200, ((b"content-length", b"2"),))
        assert sender.idle == 1


# Connections


async def test_a_connection_is_used_again() -> None:
    async with Receiver(answers) as receiver, sending() as sender:
        replies = [await sender.send(request(receiver.url)) for _ in range(5)]

        assert [reply.reused for reply in replies] == [False, True, True, True, True]
        assert (receiver.connections, len(receiver.requests)) == (1, 5)
        assert (sender.idle, sender.busy) == (1, 0)


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 16385\r\n\r\n" + b"x" * (MAX_BODY + 1),
        OK + b"x",
    ],
    ids=["close", "HTTP/1.0", "more than is stored", "a byte too many"],
)
async def test_a_connection_that_may_not_be_used_again_is_closed(response: bytes) -> None:
    async with Receiver(saying(response, then="stay")) as receiver, sending() as sender:
        reply = await sender.send(request(receiver.url))

        assert reply.outcome is Outcome.OK
        assert sender.idle == 0


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 16384\r\n\r\n" + b"x" * MAX_BODY,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-trailer: y\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",
    ],
    ids=["as much as is stored", "no content", "chunked", "HTTP/1.0 that keeps", "an error"],
)
async def test_a_connection_whose_response_ended_well_is_kept(response: bytes) -> None:
    async with Receiver(answering(response)) as receiver, sending() as sender:
        await sender.send(request(receiver.url))
        again = await sender.send(request(receiver.url))

        assert again.reused
        assert receiver.connections == 1


async def test_requests_at_once_have_connections_of_their_own() -> None:
    async with Receiver(answers) as receiver, sending() as sender:
        replies = await asyncio.gather(*(sender.send(request(receiver.url)) for _ in range(20)))

        assert {reply.outcome for reply in replies} == {Outcome.OK}
        assert receiver.connections == 20
        assert sender.idle == 20


async def test_connections_are_not_shared_between_origins() -> None:
    async with Receiver(answers) as one, Receiver(answers) as other, sending() as sender:
        await sender.send(request(one.url))
        reply = await sender.send(request(other.url))

        assert not reply.reused
        assert (one.connections, other.connections) == (1, 1)


async def test_an_idle_connection_that_is_too_old_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anzol.sender.IDLE", 0.0)
    async with Receiver(answers) as receiver, sending() as sender:
        await sender.send(request(receiver.url))
        reply = await sender.send(request(receiver.url))

        assert not reply.reused
        assert receiver.connections == 2


async def test_idle_connections_are_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anzol.sender.IDLE", 0.01)
    async with Receiver(answers) as receiver, sending() as sender:
        await sender.send(request(receiver.url))
        async with asyncio.timeout(5):
            while sender.idle:
                await asyncio.sleep(0.01)

        assert sender._ticking is None or sender.idle == 0


async def test_kept_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anzol.sender.MAX_IDLE", 3)
    async with Receiver(answers) as receiver, sending() as sender:
        await asyncio.gather(*(sender.send(request(receiver.url)) for _ in range(10)))

        assert sender.idle == 3


async def test_kept_connections_leave_open_files_to_requests_and_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anzol.sender.open_files", lambda: 20)
    async with Receiver(answers) as receiver, sending() as sender:
        await asyncio.gather(*(sender.send(request(receiver.url)) for _ in range(10)))

        assert sender.idle == 5


async def test_a_connection_in_steady_use_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anzol.sender.MAX_AGE", -1.0)
    async with Receiver(answers) as receiver, sending() as sender:
        await sender.send(request(receiver.url))
        reply = await sender.send(request(receiver.url))

        assert (reply.outcome, reply.reused, receiver.connections) == (Outcome.OK, False, 2)


async def test_an_ipv6_literal_is_dialled() -> None:
    async with Receiver(answers, host="::1") as receiver, sending() as sender:
        reply = await sender.send(request(receiver.url))

        assert (reply.outcome, reply.peer) == (Outcome.OK, f"[::1]:{receiver.port}")
        assert f"host: [::1]:{receiver.port}\r\n".encode() in receiver.requests[0]


async def test_a_connection_closed_while_idle_is_not_used_again() -> None:
    async with Receiver(saying(OK)) as receiver, sending() as sender:  # says keep-alive, and closes
        await sender.send(request(receiver.url))
        async with asyncio.timeout(5):
            while sender.idle:
                await asyncio.sleep(0.001)
        reply = await sender.send(request(receiver.url))

        assert (reply.outcome, reply.reused) == (Outcome.OK, False)
        assert receiver.connections == 2


async def test_bytes_on_an_idle_connection_close_it() -> None:
    ready = asyncio.Event()

    async def talks_unasked(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.request(reader)
        writer.write(OK)
        await ready.wait()
        writer.write(OK)  # would be taken for the answer to the next request
        await reader.read()

    async with Receiver(talks_unasked) as receiver, sending() as sender:
        await sender.send(request(receiver.url))
        ready.set()
        async with asyncio.timeout(5):
            while sender.idle:
                await asyncio.sleep(0.001)


async def test_a_cancelled_send_closes_its_connection() -> None:
    async with Receiver(never_answers) as receiver, sending() as sender:
        sent = asyncio.create_task(sender.send(request(receiver.url)))
        async with asyncio.timeout(5):
            await receiver.arrived.wait()
        assert sender.busy == 1

        sent.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sent

        assert (sender.busy, sender.idle) == (0, 0)


async def test_closing_cancels_what_is_under_way() -> None:
    async with Receiver(never_answers) as receiver, sending() as sender:
        sent = asyncio.create_task(sender.send(request(receiver.url)))
        async with asyncio.timeout(5):
            await receiver.arrived.wait()

        await sender.close()

        with pytest.raises(asyncio.CancelledError):
            await sent
        assert (sender.busy, sender.idle) == (0, 0)


async def test_an_answer_that_lay_unread_when_a_write_failed_counts() -> None:
    """As when a receiver answers 413 and resets while we write: the transport ends without reading what came."""

    class Ended:
        def __init__(self, raw: socket.socket) -> None:
            self.raw = raw

        def get_extra_info(self, name: str) -> object:
            return self.raw if name == "socket" else None

        def write(self, data: bytes) -> None: ...

        def abort(self) -> None: ...

        def is_closing(self) -> bool:
            return True

    ours, theirs = socket.socketpair()
    async with sending() as sender:
        connection = Connection(sender, ("http", "127.0.0.1", 1), "127.0.0.1:1")
        connection.connection_made(cast("asyncio.Transport", Ended(ours)))
        exchange = asyncio.create_task(connection.exchange(request("http://127.0.0.1:1024/"), 0.0))
        await asyncio.sleep(0)
        theirs.sendall(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")

        connection.connection_lost(BrokenPipeError())
        reply = await exchange
    ours.close()
    theirs.close()

    assert (reply.outcome, reply.status) == (Outcome.HTTP_STATUS, 413)


# The environment and the proxy


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with canary() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with Receiver(answers) as receiver, sending() as sender:
            reply = await sender.send(request(receiver.url))

            assert reply.outcome is Outcome.OK
            assert proxy.touched() == 0


async def test_cookies_are_not_kept() -> None:
    response = b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n"
    async with Receiver(answering(response)) as receiver, sending() as sender:
        await sender.send(request(receiver.url))
        await sender.send(request(receiver.url))

        assert b"cookie" not in receiver.requests[1].lower()


async def tunnels(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A CONNECT proxy."""
    head = await reader.readuntil(b"\r\n\r\n")
    receiver.saw(head)
    host, _, port = head.split(b" ")[1].decode().rpartition(":")
    far_reader, far_writer = await asyncio.open_connection(host, int(port))
    writer.write(b"HTTP/1.1 200 Connection established\r\nx-proxy: y\r\n\r\n")

    async def pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)

    back = asyncio.create_task(pipe(far_reader, writer))
    try:
        await pipe(reader, far_writer)
    finally:
        back.cancel()
        far_writer.transport.abort()


async def test_a_proxy_is_asked_to_connect_to_the_address_that_was_judged() -> None:
    class Names:
        async def resolve(self, name: str) -> Answer:
            return Answer((ip_address("127.0.0.1"),), 60)

        async def close(self) -> None: ...

    async with Receiver(answers) as receiver, Receiver(tunnels) as proxy:
        sender = Sender(Guard(POLICY, Names()), proxy=Proxy.parse(f"http://user:p%40ss@127.0.0.1:{proxy.port}"))
        target = Target("http", "a.example", receiver.port, "/")
        replies = [await sender.send(Request(target, "POST", header_lines(), b"{}")) for _ in range(2)]
        await sender.close()

        assert [reply.outcome for reply in replies] == [Outcome.OK, Outcome.OK]
        assert (proxy.connections, receiver.connections) == (1, 1)
        assert proxy.requests[0].startswith(f"CONNECT 127.0.0.1:{receiver.port} HTTP/1.1\r\n".encode())
        assert b"proxy-authorization: Basic " + base64.b64encode(b"user:p@ss") in proxy.requests[0]
        assert b"proxy-authorization" not in receiver.requests[0]
        assert f"host: a.example:{receiver.port}".encode() in receiver.requests[0]


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 5000,
    ],
    ids=["407", "502", "closes", "not HTTP", "endless head"],
)
async def test_what_a_proxy_does_wrong_is_a_proxy_error(response: bytes) -> None:
    with canary() as receiver:
        async with Receiver(saying(response)) as proxy, sending(Proxy("127.0.0.1", proxy.port)) as sender:
            reply = await sender.send(request(f"http://127.0.0.1:{receiver.port}/"))

        assert (reply.outcome, reply.sent) == (Outcome.PROXY_ERROR, False)
        assert receiver.touched() == 0


async def test_a_proxy_that_is_not_there_is_a_proxy_error() -> None:
    with closed_port() as port:
        async with sending(Proxy("127.0.0.1", port)) as sender:
            reply = await sender.send(request("http://127.0.0.1:8000/"))

    assert reply.outcome is Outcome.PROXY_ERROR


async def test_a_proxy_that_never_answers_is_a_proxy_error() -> None:
    async with Receiver(never_answers) as proxy, sending(Proxy("127.0.0.1", proxy.port)) as sender:
        async with asyncio.timeout(1.3):
            reply = await sender.send(request("http://127.0.0.1:8000/", deadline=0.3))

    assert reply.outcome is Outcome.PROXY_ERROR


async def test_the_guard_stands_before_the_proxy() -> None:
    async with Receiver(tunnels) as proxy:
        sender = Sender(Guard(Policy()), proxy=Proxy("127.0.0.1", proxy.port))
        target = Target("http", "127.0.0.1", 8000, "/", ip_address("127.0.0.1"))
        reply = await sender.send(Request(target, "POST", b"", b""))
        await sender.close()

        assert reply.outcome is Outcome.ADDRESS_REFUSED
        assert proxy.connections == 0


@pytest.mark.parametrize("url", ["", "proxy:3128", "https://proxy", "socks5://proxy", "http://", "http://proxy/path"])
def test_what_is_no_proxy_is_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        Proxy.parse(url)


def test_a_proxys_password_is_not_in_a_repr() -> None:
    assert "cGFzcw" not in repr(Proxy.parse("http://user:pass@proxy:3128"))
