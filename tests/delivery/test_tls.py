"""TLS: the name is verified while the checked address is dialled, 1.2 or newer, never a fallback to plain text."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
import trustme

from anzol.addresses import LOOPBACK, Policy, Target, check_url
from anzol.dialler import Proxy, tls_context
from anzol.errors import SettingsError
from anzol.guard import Answer, Guard
from anzol.headers import header_lines
from anzol.lifecycle import Outcome
from anzol.sender import Reply, Request, Sender
from tests.delivery.receivers import Certificates, Receiver, answers, never_reads, saying
from tests.delivery.test_sender import tunnels

BOTH_LOOPS = True
POLICY = Policy(allow_networks=LOOPBACK)


class Loopback:
    """Every name is 127.0.0.1."""

    async def resolve(self, name: str) -> Answer:
        return Answer((ip_address("127.0.0.1"),), 60)

    async def close(self) -> None: ...


@asynccontextmanager
async def sending(tls: ssl.SSLContext | None, proxy: Proxy | None = None) -> AsyncIterator[Sender]:
    sender = Sender(Guard(POLICY, Loopback()), tls=tls, proxy=proxy)
    try:
        yield sender
    finally:
        await sender.close()


def request(target: Target, deadline: float = 3) -> Request:
    return Request(target, "POST", header_lines(), b"{}", deadline)


async def refused(receiver: Receiver, tls: ssl.SSLContext | None, host: str = "127.0.0.1") -> Reply:
    """Send over TLS; assert that nothing of the request was read."""
    target = check_url(f"https://{host}:{receiver.port}/", POLICY)
    async with sending(tls) as sender, asyncio.timeout(4):
        reply = await sender.send(request(target))
        assert sender.idle == 0
    assert (receiver.requests, reply.sent, reply.status) == ([], False, None)
    return reply


async def test_a_private_authority_is_trusted_once_it_is_given(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with Receiver(answers, tls=server_tls) as receiver, sending(client_tls) as sender:
        first = await sender.send(request(check_url(receiver.url, POLICY)))
        second = await sender.send(request(check_url(receiver.url, POLICY)))

        assert (first.outcome, second.outcome) == (Outcome.OK, Outcome.OK)
        assert (first.reused, second.reused, receiver.connections) == (False, True, 1)
        assert first.timing.tls_us is not None
        assert first.timing.connect_us is not None
        assert second.timing.tls_us is None


async def test_the_name_is_verified_and_shown_while_the_address_is_dialled(
    certificates: Certificates, client_tls: ssl.SSLContext
) -> None:
    shown: list[str | None] = []
    server = certificates.server("a.example")
    server.sni_callback = lambda _socket, name, _context: shown.append(name)
    async with Receiver(answers, tls=server) as receiver, sending(client_tls) as sender:
        right = await sender.send(request(Target("https", "a.example", receiver.port, "/")))
        wrong = await sender.send(request(Target("https", "b.example", receiver.port, "/")))

        assert (right.outcome, right.peer) == (Outcome.OK, f"127.0.0.1:{receiver.port}")
        assert wrong.outcome is Outcome.TLS_ERROR
        assert "b.example" in wrong.detail
        assert shown == ["a.example", "b.example"]
        assert len(receiver.requests) == 1


async def test_an_unknown_authority_is_a_tls_error(server_tls: ssl.SSLContext) -> None:
    async with Receiver(answers, tls=server_tls) as receiver:
        reply = await refused(receiver, None)

    assert reply.outcome is Outcome.TLS_ERROR
    assert "certificate" in reply.detail


async def test_a_self_signed_certificate_is_a_tls_error(client_tls: ssl.SSLContext, tmp_path: Path) -> None:
    other = trustme.CA()
    path = tmp_path / "self-signed.pem"
    path.write_bytes(other.cert_pem.bytes() + other.private_key_pem.bytes())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    async with Receiver(answers, tls=server) as receiver:
        reply = await refused(receiver, client_tls)

    assert reply.outcome is Outcome.TLS_ERROR
    assert "self-signed" in reply.detail


async def test_an_expired_certificate_is_a_tls_error(certificates: Certificates, client_tls: ssl.SSLContext) -> None:
    async with Receiver(answers, tls=certificates.server("127.0.0.1", days=-1)) as receiver:
        reply = await refused(receiver, client_tls)

    assert reply.outcome is Outcome.TLS_ERROR
    assert "expired" in reply.detail


async def test_a_wrong_name_is_a_tls_error(certificates: Certificates, client_tls: ssl.SSLContext) -> None:
    async with Receiver(answers, tls=certificates.server("other.example")) as receiver:
        reply = await refused(receiver, client_tls)

    assert reply.outcome is Outcome.TLS_ERROR
    assert "mismatch" in reply.detail


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
async def test_a_server_of_old_versions_only_is_a_tls_error(
    certificates: Certificates, client_tls: ssl.SSLContext
) -> None:
    server = certificates.server("127.0.0.1")
    server.set_ciphers("ALL:@SECLEVEL=0")
    server.minimum_version = ssl.TLSVersion.TLSv1
    server.maximum_version = ssl.TLSVersion.TLSv1_1
    async with Receiver(answers, tls=server) as receiver:
        reply = await refused(receiver, client_tls)

    assert reply.outcome is Outcome.TLS_ERROR
    assert client_tls.minimum_version is ssl.TLSVersion.TLSv1_2


async def test_plain_http_on_the_https_port_is_a_tls_error(client_tls: ssl.SSLContext) -> None:
    async def speaks_plainly(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        await reader.read()

    async with Receiver(speaks_plainly) as receiver:
        reply = await refused(receiver, client_tls)

    assert reply.outcome is Outcome.TLS_ERROR
    assert receiver.connections == 1  # and no second one in plain text


async def test_https_on_the_plain_port_is_no_crash(server_tls: ssl.SSLContext) -> None:
    async with Receiver(answers, tls=server_tls) as receiver, sending(None) as sender:
        reply = await sender.send(request(check_url(f"http://127.0.0.1:{receiver.port}/", POLICY)))

        assert reply.outcome in {Outcome.BAD_RESPONSE, Outcome.CONNECTION_CLOSED}
        assert receiver.requests == []


async def test_a_handshake_that_stalls_is_a_timeout(client_tls: ssl.SSLContext) -> None:
    async with Receiver(never_reads) as receiver, sending(client_tls) as sender:
        async with asyncio.timeout(1.3):
            reply = await sender.send(request(check_url(f"https://127.0.0.1:{receiver.port}/", POLICY), deadline=0.3))

        assert reply.outcome is Outcome.TIMEOUT
        assert "TLS" in reply.detail
        assert (reply.sent, receiver.connections) == (False, 1)


async def test_the_reason_that_a_server_gives_is_told(client_tls: ssl.SSLContext) -> None:
    async def alerts(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x15\x03\x01\x00\x02\x02\x46")  # a fatal alert: protocol_version
        await reader.read()

    async with Receiver(alerts) as receiver:
        reply = await refused(receiver, client_tls)

    assert reply.outcome is Outcome.TLS_ERROR
    assert "protocol version" in reply.detail


async def test_a_handshake_that_is_cut_is_a_tls_error(client_tls: ssl.SSLContext) -> None:
    async def hangs_up(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with Receiver(hangs_up) as receiver:
        reply = await refused(receiver, client_tls)

    assert reply.outcome is Outcome.TLS_ERROR
    assert "TLS" in reply.detail


async def test_a_client_certificate_that_is_asked_for_is_a_tls_error(
    certificates: Certificates, client_tls: ssl.SSLContext
) -> None:
    server = certificates.server("127.0.0.1")
    server.verify_mode = ssl.CERT_REQUIRED
    async with Receiver(answers, tls=server) as receiver, sending(client_tls) as sender:
        reply = await sender.send(request(check_url(receiver.url, POLICY)))

        # TLS 1.3 servers ask after our side has finished: the alert comes once the request is on the wire.
        assert reply.outcome in {Outcome.TLS_ERROR, Outcome.CONNECTION_CLOSED}
        assert receiver.requests == []


async def test_a_close_without_farewell_ends_an_unframed_body(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with (
        Receiver(saying(b"HTTP/1.1 200 OK\r\n\r\nhello"), tls=server_tls) as receiver,
        sending(client_tls) as sender,
    ):
        reply = await sender.send(request(check_url(receiver.url, POLICY)))

    assert (reply.outcome, reply.body) == (Outcome.OK, b"hello")


async def test_tls_goes_through_the_proxy_to_the_receiver_itself(
    certificates: Certificates, client_tls: ssl.SSLContext
) -> None:
    async with Receiver(answers, tls=certificates.server("a.example")) as receiver, Receiver(tunnels) as proxy:
        async with sending(client_tls, Proxy("127.0.0.1", proxy.port)) as sender:
            reply = await sender.send(request(Target("https", "a.example", receiver.port, "/")))

        assert reply.outcome is Outcome.OK
        assert (proxy.connections, len(receiver.requests)) == (1, 1)


def test_a_bundle_adds_to_the_systems_authorities(bundle: Path) -> None:
    assert len(tls_context(str(bundle)).get_ca_certs()) >= len(tls_context().get_ca_certs())
    assert tls_context().verify_mode is ssl.CERT_REQUIRED
    assert tls_context().check_hostname


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_bundle_that_cannot_be_read_is_told(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "bundle.pem"
    if content is not None:
        path.write_text(content)

    with pytest.raises(SettingsError, match="cannot be read"):
        tls_context(str(path))
