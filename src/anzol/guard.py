"""Who may be dialled: a name is resolved once, every answer is judged, and what was judged is what is connected to."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING, Final, Protocol

from anzol.addresses import Address, Policy, Target, check_address, classify
from anzol.errors import AddressRefused, NameNotResolved

if TYPE_CHECKING:
    import aiodns

MAX_ANSWERS: Final = 64  # a name with more addresses than this is an attack or a mistake
MAX_NAMES: Final = 10_000
SHORTEST: Final = 1.0  # seconds that an answer is kept, whatever its TTL
LONGEST: Final = 300.0
KEPT_FAILURE: Final = 1.0  # so that a thousand waiting deliveries ask once, and the next try asks anew
MAX_DIALS: Final = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """What a name resolves to; ``ttl`` in seconds."""

    addresses: tuple[Address, ...]
    ttl: float


class Resolver(Protocol):
    """Where names become addresses."""

    async def resolve(self, name: str) -> Answer:
        """Return every address of *name*.

        Raises:
            NameNotResolved: it has none, or nobody answered.
        """
        ...

    async def close(self) -> None: ...


class AresResolver:
    """Names by c-ares: no thread waits for an answer, so a thousand stuck names hold nobody up."""

    def __init__(self, servers: Sequence[str] = (), *, timeout: float = 1.5, tries: int = 3) -> None:
        """Ask *servers* (``"127.0.0.1:5353"``), or those of the machine; *timeout* in seconds for each try."""
        self._servers = tuple(servers)
        self._timeout = timeout
        self._tries = tries
        self._channel: aiodns.DNSResolver | None = None

    async def resolve(self, name: str) -> Answer:
        """Return every address of *name*.

        Raises:
            NameNotResolved: it has none, or nobody answered.
        """
        from aiodns.error import DNSError

        try:
            found = await self._opened().getaddrinfo(name, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM)
        except DNSError as cause:
            raise NameNotResolved(f"{name} was not resolved: {cause.args[-1]}.", name=name) from cause
        addresses = dict.fromkeys(address_of(node.addr[0]) for node in found.nodes)
        return Answer(tuple(addresses), min((node.ttl for node in found.nodes), default=0))

    async def close(self) -> None:
        if self._channel is not None:
            channel, self._channel = self._channel, None
            await channel.close()

    def _opened(self) -> aiodns.DNSResolver:
        if self._channel is None:
            import aiodns

            self._channel = aiodns.DNSResolver(
                self._servers or None,
                loop=asyncio.get_running_loop(),
                timeout=self._timeout,
                tries=self._tries,
            )
        return self._channel


def address_of(text: str | bytes) -> Address:
    """Read an address as a resolver or a socket gives it."""
    return ip_address(text.decode("ascii") if isinstance(text, bytes) else text)


@dataclass(frozen=True, slots=True)
class Entry:
    """A judged answer, kept until ``until`` (monotonic seconds): addresses, or why there are none to dial."""

    until: float
    addresses: tuple[Address, ...] = ()
    refused: bool = False
    failure: str = ""


class Guard:
    """Stands before every outgoing connection. One per event loop."""

    def __init__(
        self,
        policy: Policy,
        resolver: Resolver | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy
        self._resolver = resolver or AresResolver()
        self._now = now
        self._known: dict[str, Entry] = {}
        self._flights: dict[str, asyncio.Task[Entry]] = {}

    async def addresses(self, target: Target) -> tuple[Address, ...]:
        """Return the addresses of *target* that may be dialled, IPv4 first.

        Raises:
            AddressRefused: at least one answer is forbidden. Which one is not said: the name is the customer's, the
                inside of the network is not.
            NameNotResolved: the name has no address, or nobody answered.
        """
        if target.literal is not None:
            check_address(target.literal, self._policy)
            return (target.literal,)
        entry = await self._entry(target.host)
        if entry.failure:
            raise NameNotResolved(entry.failure, name=target.host)
        if entry.refused:
            raise AddressRefused(
                f"{target.host} resolves to an address that is not open to webhooks.",
                reason="address",
                do="An operator opens networks with ANZOL_ALLOW_NETWORKS.",
            )
        return entry.addresses

    async def connect(self, address: Address, port: int) -> socket.socket:
        """Return a socket connected to *address*, which is judged again; no name is looked up here.

        Raises:
            AddressRefused: *address* is forbidden, or the connection's peer is another one.
            OSError: it could not be connected.
        """
        check_address(address, self._policy)
        connected = await connect_to(address, port)
        peer = address_of(connected.getpeername()[0])
        if peer != address:
            connected.close()
            raise AddressRefused("The connection's peer is another than the one dialled.", reason="address")
        return connected

    async def close(self) -> None:
        """Give up what is being looked up, and the resolver."""
        for flight in self._flights.values():
            flight.cancel()
        await asyncio.gather(*self._flights.values(), return_exceptions=True)
        await self._resolver.close()

    async def _entry(self, name: str) -> Entry:
        known = self._known.get(name)
        if known is not None and self._now() < known.until:
            return known
        flight = self._flights.get(name)
        if flight is None:
            flight = self._flights[name] = asyncio.ensure_future(self._look_up(name))
            flight.add_done_callback(lambda _: self._flights.pop(name, None))
        # Shielded: whoever runs out of time leaves, the others still get the answer.
        return await asyncio.shield(flight)

    async def _look_up(self, name: str) -> Entry:
        try:
            answer = await self._resolver.resolve(name)
        except NameNotResolved as fault:
            entry = Entry(self._now() + KEPT_FAILURE, failure=fault.what)
        else:
            entry = self._judged(name, answer)
        self._remember(name, entry)
        return entry

    def _judged(self, name: str, answer: Answer) -> Entry:
        """Classify every answer; one that is forbidden spoils the name."""
        until = self._now() + min(max(answer.ttl, SHORTEST), LONGEST)
        if not answer.addresses:
            return Entry(until, failure=f"{name} has no address.")
        if len(answer.addresses) > MAX_ANSWERS:
            return Entry(until, failure=f"{name} has {len(answer.addresses)} addresses; {MAX_ANSWERS} are the most.")
        if any(classify(address, self._policy) for address in answer.addresses):
            return Entry(until, refused=True)
        return Entry(until, tuple(sorted(answer.addresses, key=lambda address: address.version)))

    def _remember(self, name: str, entry: Entry) -> None:
        self._known.pop(name, None)
        self._known[name] = entry
        if len(self._known) > MAX_NAMES:
            del self._known[next(iter(self._known))]


async def connect_to(address: Address, port: int) -> socket.socket:
    """Return a non-blocking TCP socket connected to *address*.

    Raises:
        OSError: it could not be connected.
    """
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    dialling = socket.socket(family, socket.SOCK_STREAM)
    try:
        dialling.setblocking(False)
        dialling.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(dialling, (str(address), port))
    except BaseException:
        dialling.close()
        raise
    return dialling
