"""From a target to a connected socket: resolve, judge, connect, through the proxy if there is one."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from base64 import b64encode
from collections.abc import Coroutine
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from time import monotonic
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from anzol.addresses import Address, Target
from anzol.errors import AddressRefused, NameNotResolved, SettingsError
from anzol.guard import MAX_DIALS, AresResolver, Guard, Resolver, connect_to
from anzol.lifecycle import Outcome

MAX_PROXY_HEAD: Final = 16 * 1024
NO_ROUTE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM})


class Undialled(Exception):
    """No connection came of it; the sender makes a reply of this, nobody else sees it."""

    def __init__(self, outcome: Outcome, detail: str) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail


@dataclass(slots=True)
class Phases:
    """How long the steps towards a connection took, in microseconds; None: it did not come to that."""

    resolve: int | None = None
    connect: int | None = None
    tls: int | None = None


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy that is asked to CONNECT; chosen by the operator, so its own address is not judged."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """Read ``http://user:password@host:port``.

        Raises:
            SettingsError: it is not that.
        """
        try:
            read = urlsplit(url)
            if read.scheme != "http" or not read.hostname or read.path not in ("", "/"):
                raise ValueError(url)
            user = f"{unquote(read.username or '')}:{unquote(read.password or '')}" if "@" in read.netloc else ""
            token = f"Basic {b64encode(user.encode()).decode('ascii')}" if user else ""
            return cls(read.hostname, read.port or 3128, token)
        except ValueError as cause:
            do = "Write it like http://proxy.internal:3128."
            raise SettingsError("The proxy's URL is not one.", do=do) from cause

    def request(self, address: Address, port: int) -> bytes:
        """Return the CONNECT request for an address that was judged; the proxy is given no name to look up."""
        authority = f"[{address}]:{port}" if isinstance(address, IPv6Address) else f"{address}:{port}"
        lines = [f"CONNECT {authority} HTTP/1.1", f"host: {authority}"]
        if self.authorization:
            lines.append(f"proxy-authorization: {self.authorization}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


@dataclass(frozen=True, slots=True)
class Dialler:
    """Opens TCP connections to what the guard let through."""

    guard: Guard
    proxy: Proxy | None = None
    resolver: Resolver = field(default_factory=AresResolver)  # of the proxy's own name

    async def dial(self, target: Target, phases: Phases, *, limit: float) -> socket.socket:
        """Return a connected socket; resolving and connecting have *limit* seconds each.

        Raises:
            Undialled: there is none, and why.
        """
        addresses = await self._resolved(target, phases, limit)
        began = monotonic()
        try:
            if self.proxy is not None:
                return await self._through(self.proxy, addresses[0], target.port, limit)
            return await self._first(addresses, target.port, limit)
        finally:
            phases.connect = micros_since(began)

    async def _resolved(self, target: Target, phases: Phases, limit: float) -> tuple[Address, ...]:
        began = monotonic()
        try:
            async with asyncio.timeout(limit):
                return await self.guard.addresses(target)
        except AddressRefused as error:
            raise Undialled(Outcome.ADDRESS_REFUSED, error.what) from error
        except NameNotResolved as error:
            raise Undialled(Outcome.DNS_ERROR, error.what) from error
        except TimeoutError as error:
            raise Undialled(Outcome.DNS_ERROR, f"{target.host} was not resolved in time.") from error
        finally:
            if target.literal is None:
                phases.resolve = micros_since(began)

    async def _first(self, addresses: tuple[Address, ...], port: int, limit: float) -> socket.socket:
        """Return a socket to the first address that answers; the last one's failure counts."""
        until = monotonic() + limit
        left = addresses[:MAX_DIALS]
        while True:
            share = max(until - monotonic(), 0) / len(left)
            try:
                return await self._one(left[0], port, share)
            except Undialled as error:
                left = left[1:]
                if not left or error.outcome is Outcome.ADDRESS_REFUSED:
                    raise

    async def _one(self, address: Address, port: int, limit: float) -> socket.socket:
        try:
            async with asyncio.timeout(limit):
                return await self.guard.connect(address, port)
        except AddressRefused as error:
            raise Undialled(Outcome.ADDRESS_REFUSED, error.what) from error
        except TimeoutError as error:
            raise Undialled(Outcome.CONNECT_TIMEOUT, "Nobody answered at this address and port in time.") from error
        except OSError as error:
            raise Undialled(*told(error)) from error

    async def _through(self, proxy: Proxy, address: Address, port: int, limit: float) -> socket.socket:
        """Return a socket through the proxy; whatever fails here is the proxy's, not the endpoint's."""
        try:
            async with asyncio.timeout(limit):
                found = (await self.resolver.resolve(proxy.host)).addresses
                if not found:
                    raise Undialled(Outcome.PROXY_ERROR, "The proxy's name has no address.")
                connected = await connect_to(found[0], proxy.port)
                return await closing_on_failure(connected, ask(connected, proxy.request(address, port)))
        except NameNotResolved as error:
            raise Undialled(Outcome.PROXY_ERROR, "The proxy's name was not resolved.") from error
        except TimeoutError as error:
            raise Undialled(Outcome.PROXY_ERROR, "The proxy did not answer in time.") from error
        except OSError as error:
            raise Undialled(Outcome.PROXY_ERROR, f"The proxy could not be used: {error.strerror or error}.") from error

    async def close(self) -> None:
        await self.guard.close()
        await self.resolver.close()


async def closing_on_failure(connected: socket.socket, work: Coroutine[Any, Any, None]) -> socket.socket:
    """Do *work* on a socket; return it, or close it."""
    try:
        await work
    except BaseException:
        connected.close()
        raise
    return connected


async def ask(connected: socket.socket, request: bytes) -> None:
    """Send a CONNECT request and read the head of its answer, byte by byte: what follows is not ours to read.

    Raises:
        Undialled: the proxy said anything but 2xx.
    """
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(connected, request)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        read = await loop.sock_recv(connected, 1)
        if not read or len(head) > MAX_PROXY_HEAD:
            raise Undialled(Outcome.PROXY_ERROR, "The proxy closed the connection, or does not speak HTTP.")
        head += read
    status = head.split(b" ", 2)[1:2]
    if not head.startswith(b"HTTP/1.") or not status or status[0][:1] != b"2":
        shown = b"".join(status)[:3].decode("latin-1")
        raise Undialled(Outcome.PROXY_ERROR, f"The proxy refused to connect: {shown}.")


def told(error: OSError) -> tuple[Outcome, str]:
    """Return the class of a failed connect, and the reason in words."""
    if isinstance(error, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
        return Outcome.CONNECTION_CLOSED, "The connection was reset while it was made."
    if error.errno == errno.ETIMEDOUT:
        return Outcome.CONNECT_TIMEOUT, "Nobody answered at this address and port in time."
    if error.errno in NO_ROUTE:
        return Outcome.CONNECTION_REFUSED, "There is no way to this address from here."
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return Outcome.CONNECTION_REFUSED, "The sender has no more file descriptors."
    return Outcome.CONNECTION_REFUSED, "Nobody listens at this address and port."


def told_of_tls(error: Exception) -> tuple[Outcome, str]:
    """Return the class of a failure of TLS, and the reason in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Outcome.TLS_ERROR, f"The certificate is not accepted: {error.verify_message}."
    if isinstance(error, ssl.SSLError) and error.reason:
        return Outcome.TLS_ERROR, f"TLS: {error.reason.replace('_', ' ').lower()}."
    # How many servers say that they share no version, no cipher, or do not know the name.
    return Outcome.TLS_ERROR, "The receiver closed the connection in the TLS handshake."


def tls_context(ca_bundle: str | None = None) -> ssl.SSLContext:
    """Return the context for https: the system's authorities and those of *ca_bundle*, names checked, 1.2 or newer.

    Raises:
        SettingsError: *ca_bundle* cannot be read.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if ca_bundle:
        try:
            context.load_verify_locations(cafile=ca_bundle)
        except (OSError, ssl.SSLError) as cause:
            raise SettingsError(f"The CA bundle {ca_bundle} cannot be read: {cause}.") from cause
    return context


def micros_since(began: float) -> int:
    """Return whole microseconds since *began*, a monotonic time in seconds."""
    return int((monotonic() - began) * 1e6)
