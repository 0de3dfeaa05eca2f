"""The address guard: what a name resolves to is judged, and nothing else is dialled. Counted at the socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, ip_address

import pytest

from anzol.addresses import LOOPBACK, Policy, Target, check_url
from anzol.errors import AddressRefused, NameNotResolved
from anzol.guard import MAX_ANSWERS, MAX_NAMES, Answer, AresResolver, Guard
from anzol.lifecycle import Outcome
from anzol.sender import Reply, Request, Sender
from tests.delivery.nameserver import NXDOMAIN, SERVFAIL, NameServer, Zone
from tests.delivery.receivers import Canary, Receiver, answers, canary
from tests.rules.test_addresses import SPELLINGS

BOTH_LOOPS = True
PUBLIC = "93.184.215.14"  # never dialled: `Guard.addresses` only judges
OPEN = Policy()
LOCAL = Policy(allow_networks=LOOPBACK)


class Names:
    """A resolver that answers from a table; `asked` is what was asked, in order. ``gate`` holds answers back."""

    def __init__(self, **table: tuple[str, ...] | NameNotResolved) -> None:
        self.table = {name.replace("_", "."): found for name, found in table.items()}
        self.ttl = 60.0
        self.asked: list[str] = []
        self.gate: asyncio.Event | None = None

    async def resolve(self, name: str) -> Answer:
        self.asked.append(name)
        if self.gate:
            await self.gate.wait()
        found = self.table.get(name, ())
        if isinstance(found, NameNotResolved):
            raise found
        return Answer(tuple(ip_address(text) for text in found), self.ttl)

    async def close(self) -> None: ...


def to(host: str, port: int = 8000) -> Target:
    return Target("http", host, port, "/")


async def send(guard: Guard, target: Target) -> Reply:
    sender = Sender(guard)
    try:
        return await sender.send(Request(target, "POST", b"", b"{}", deadline=2, connect_timeout=1))
    finally:
        await sender.close()


@pytest.fixture
def canary_port() -> Iterator[Canary]:
    """A listener on 127.0.0.1 that must not be reached."""
    with canary() as listener:
        yield listener


# What a name resolves to


@pytest.mark.parametrize(
    "found",
    [
        ("127.0.0.1",),
        ("10.0.0.1",),
        ("169.254.1.1",),
        ("::1",),
        ("::ffff:127.0.0.1",),
        ("fe80::1",),
        (PUBLIC, "127.0.0.1"),
        ("127.0.0.1", PUBLIC),
        (PUBLIC, "2606:4700::1111", "fd00::1"),
        (PUBLIC,) * 60 + ("10.0.0.1",),
    ],
)
async def test_one_forbidden_answer_refuses_the_name(found: tuple[str, ...], canary_port: Canary) -> None:
    reply = await send(Guard(OPEN, Names(a_example=found)), to("a.example", canary_port.port))

    assert reply.outcome is Outcome.ADDRESS_REFUSED
    assert canary_port.touched() == 0


async def test_a_refusal_does_not_tell_what_was_found_or_what_listens(canary_port: Canary) -> None:
    names = Names(a_example=("127.0.0.1",))

    listening = await send(Guard(OPEN, names), to("a.example", canary_port.port))
    closed = await send(Guard(OPEN, names), to("a.example", 1))

    assert (listening.outcome, listening.status, listening.detail) == (closed.outcome, closed.status, closed.detail)
    assert "127" not in listening.detail
    assert not listening.sent
    assert canary_port.touched() == 0


@pytest.mark.parametrize("url", SPELLINGS)
async def test_no_spelling_reaches_a_socket(url: str, canary_port: Canary) -> None:
    spelt = url.replace("8000", str(canary_port.port))

    with pytest.raises(AddressRefused):
        await send(Guard(OPEN, AresResolver()), check_url(spelt, OPEN))

    assert canary_port.touched() == 0


@pytest.mark.parametrize("literal", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::", "::127.0.0.1"])
async def test_a_literal_in_a_target_is_judged_again_when_it_is_dialled(literal: str, canary_port: Canary) -> None:
    address = ip_address(literal)

    reply = await send(Guard(OPEN, Names()), Target("http", literal, canary_port.port, "/", address))

    assert reply.outcome is Outcome.ADDRESS_REFUSED
    assert canary_port.touched() == 0


@pytest.mark.parametrize("host", ["0x7f.1", "2130706433", "127.1", "localhost", "127.0.0.1"])
async def test_a_spelling_that_came_past_the_reader_is_refused_at_the_connection(
    host: str, canary_port: Canary
) -> None:
    """As from a row that an older version stored."""
    reply = await send(Guard(OPEN, AresResolver()), to(host, canary_port.port))

    assert reply.outcome in {Outcome.ADDRESS_REFUSED, Outcome.DNS_ERROR}
    assert canary_port.touched() == 0


async def test_connect_refuses_a_forbidden_address_whoever_asks(canary_port: Canary) -> None:
    with pytest.raises(AddressRefused):
        await Guard(OPEN, Names()).connect(IPv4Address("127.0.0.1"), canary_port.port)

    assert canary_port.touched() == 0


async def test_a_peer_other_than_the_one_dialled_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from anzol import guard

    async with Receiver(answers) as receiver:
        real = guard.connect_to
        monkeypatch.setattr(guard, "connect_to", lambda _address, port: real(IPv4Address("127.0.0.1"), port))

        with pytest.raises(AddressRefused, match="peer"):
            await Guard(LOCAL, Names()).connect(IPv4Address("127.0.0.2"), receiver.port)


async def test_an_open_name_gives_its_addresses_ipv4_first() -> None:
    names = Names(a_example=("2606:4700::1111", PUBLIC))

    found = await Guard(OPEN, names).addresses(to("a.example"))

    assert [str(address) for address in found] == [PUBLIC, "2606:4700::1111"]


async def test_an_allowed_network_lets_a_name_through() -> None:
    async with Receiver(answers) as receiver:
        reply = await send(Guard(LOCAL, Names(a_example=("127.0.0.1",))), to("a.example", receiver.port))

        assert reply.outcome is Outcome.OK
        assert reply.peer == f"127.0.0.1:{receiver.port}"
        assert f"host: a.example:{receiver.port}\r\n".encode() in receiver.requests[0]


async def test_the_next_address_is_tried_when_one_refuses() -> None:
    async with Receiver(answers) as receiver:
        names = Names(a_example=("127.0.0.2", "127.0.0.1"))  # the receiver listens on the second only

        reply = await send(Guard(LOCAL, names), to("a.example", receiver.port))

        assert reply.outcome is Outcome.OK
        assert (receiver.connections, len(receiver.requests)) == (1, 1)


# Rebinding: what was judged is what is dialled


async def test_a_name_that_turns_bad_after_the_first_look_up_is_refused(canary_port: Canary) -> None:
    now = [0.0]
    names = Names(a_example=(PUBLIC,))
    guard = Guard(OPEN, names, now=lambda: now[0])
    good = await guard.addresses(to("a.example"))

    names.table["a.example"] = ("127.0.0.1",)
    still_good = await guard.addresses(to("a.example"))
    now[0] = 61.0
    reply = await send(guard, to("a.example", canary_port.port))

    assert good == still_good == (IPv4Address(PUBLIC),)
    assert reply.outcome is Outcome.ADDRESS_REFUSED
    assert canary_port.touched() == 0


async def test_one_send_looks_a_name_up_once() -> None:
    names = Names(a_example=("127.0.0.1",))
    async with Receiver(answers) as receiver:
        sender = Sender(Guard(LOCAL, names))
        for _ in range(3):
            await sender.send(Request(to("a.example", receiver.port), "POST", b"", b"{}"))
        await sender.close()

        assert names.asked == ["a.example"]
        assert receiver.connections == 1


# Flights and the cache


async def test_many_waiters_make_one_question() -> None:
    names = Names(a_example=(PUBLIC,))
    names.gate = asyncio.Event()
    guard = Guard(OPEN, names)

    waiting = [asyncio.create_task(guard.addresses(to("a.example"))) for _ in range(50)]
    await asyncio.sleep(0)
    names.gate.set()
    found = await asyncio.gather(*waiting)

    assert names.asked == ["a.example"]
    assert set(found) == {(IPv4Address(PUBLIC),)}


async def test_a_waiter_that_leaves_does_not_take_the_answer_from_the_others() -> None:
    names = Names(a_example=(PUBLIC,))
    names.gate = asyncio.Event()
    guard = Guard(OPEN, names)
    first = asyncio.create_task(guard.addresses(to("a.example")))
    second = asyncio.create_task(guard.addresses(to("a.example")))
    await asyncio.sleep(0)

    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    names.gate.set()

    assert await second == (IPv4Address(PUBLIC),)


@pytest.mark.parametrize(("ttl", "kept"), [(0.0, 1.0), (30.0, 30.0), (86400.0, 300.0)])
async def test_an_answer_is_kept_for_its_ttl_within_bounds(ttl: float, kept: float) -> None:
    now = [0.0]
    names = Names(a_example=(PUBLIC,))
    names.ttl = ttl
    guard = Guard(OPEN, names, now=lambda: now[0])
    await guard.addresses(to("a.example"))

    now[0] = kept - 0.01
    await guard.addresses(to("a.example"))
    before = len(names.asked)
    now[0] = kept + 0.01
    await guard.addresses(to("a.example"))

    assert (before, len(names.asked)) == (1, 2)


async def test_a_failure_is_kept_for_a_second_only() -> None:
    now = [0.0]
    names = Names(a_example=NameNotResolved("a.example was not resolved.", name="a.example"))
    guard = Guard(OPEN, names, now=lambda: now[0])

    for _ in range(3):
        with pytest.raises(NameNotResolved):
            await guard.addresses(to("a.example"))
    names.table["a.example"] = (PUBLIC,)
    now[0] = 1.01

    assert await guard.addresses(to("a.example")) == (IPv4Address(PUBLIC),)
    assert len(names.asked) == 2


async def test_the_cache_is_bounded() -> None:
    names = Names()
    guard = Guard(OPEN, names)
    names.table = {f"{number}.example": (PUBLIC,) for number in range(MAX_NAMES + 10)}

    for name in names.table:
        await guard.addresses(to(name))

    assert len(guard._known) == MAX_NAMES


async def test_too_many_answers_are_a_dns_error() -> None:
    many = tuple(f"93.184.{number // 256}.{number % 256}" for number in range(10_000))

    reply = await send(Guard(OPEN, Names(a_example=many, b_example=many[: MAX_ANSWERS + 1])), to("a.example"))

    assert reply.outcome is Outcome.DNS_ERROR
    assert "10000 addresses" in reply.detail


async def test_closing_gives_up_what_is_being_looked_up() -> None:
    names = Names()
    names.gate = asyncio.Event()
    guard = Guard(OPEN, names)
    waiting = asyncio.create_task(guard.addresses(to("a.example")))
    await asyncio.sleep(0)

    await guard.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting


# A real name server, asked by c-ares


@asynccontextmanager
async def served(zone: Zone, policy: Policy, ttl: int = 60) -> AsyncIterator[tuple[NameServer, Guard]]:
    async with NameServer(zone, ttl=ttl) as server:
        guard = Guard(policy, AresResolver([server.address], timeout=0.2, tries=1))
        try:
            yield server, guard
        finally:
            await guard.close()


async def test_c_ares_finds_both_families_and_the_ttl() -> None:
    async with NameServer({"a.example": [PUBLIC, "2606:4700::1111"]}, ttl=77) as server:
        resolver = AresResolver([server.address])
        found = await resolver.resolve("a.example")
        await resolver.close()

    assert sorted(map(str, found.addresses)) == ["2606:4700::1111", PUBLIC]
    assert found.ttl == 77


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (NXDOMAIN, "not found"),
        (SERVFAIL, "was not resolved"),
        (None, "was not resolved"),
        ([], "was not resolved"),
        ([f"93.184.{number // 256}.{number % 256}" for number in range(2_000)], "addresses"),
    ],
    ids=["NXDOMAIN", "SERVFAIL", "timeout", "no records", "thousands"],
)
async def test_a_name_server_that_fails_is_a_dns_error(found: list[str] | int | None, said: str) -> None:
    async with served({"a.example": found}, OPEN) as (server, guard):
        reply = await send(guard, to("a.example"))

        assert reply.outcome is Outcome.DNS_ERROR
        assert said in reply.detail
        assert server.asked["a.example"] >= 1
        assert reply.timing.resolve_us is not None
        assert reply.timing.connect_us is None


async def test_a_name_server_that_never_answers_ends_within_the_connect_timeout() -> None:
    async with NameServer({"a.example": None}) as server:
        guard = Guard(OPEN, AresResolver([server.address], timeout=30, tries=1))
        sender = Sender(guard)
        async with asyncio.timeout(1.3):
            reply = await sender.send(Request(to("a.example"), "POST", b"", b"", deadline=0.3))
        await sender.close()

    assert reply.outcome is Outcome.DNS_ERROR
    assert "in time" in reply.detail


@pytest.mark.parametrize(
    "zone",
    [
        {"a.example": ["127.0.0.1"]},
        {"a.example": [PUBLIC, "127.0.0.1"]},
        {"a.example": ["127.0.0.1", PUBLIC]},
        {"a.example": [PUBLIC, "::1"]},
        {"a.example": ["cname:b.example"], "b.example": ["127.0.0.1"]},
        {"a.example": ["cname:b.example"], "b.example": ["cname:c.example"], "c.example": [PUBLIC, "10.0.0.1"]},
        {"a.example": ["::ffff:127.0.0.1"]},
        {"a.example": ["64:ff9b::127.0.0.1"]},
    ],
)
async def test_a_name_server_that_answers_with_an_inside_address_is_refused(zone: Zone, canary_port: Canary) -> None:
    async with served(zone, OPEN) as (_, guard):
        reply = await send(guard, to("a.example", canary_port.port))

        assert reply.outcome is Outcome.ADDRESS_REFUSED
        assert canary_port.touched() == 0


async def test_an_answer_that_changes_between_two_look_ups_is_judged_each_time(canary_port: Canary) -> None:
    async with served({"a.example": [PUBLIC]}, OPEN, ttl=0) as (server, guard):
        guard._now = lambda: len(server.asked) * 1000.0  # every look-up is long past when the next one comes
        assert await guard.addresses(to("a.example")) == (IPv4Address(PUBLIC),)

        server.zone["a.example"] = ["127.0.0.1"]
        guard._known.clear()
        await guard._resolver.close()  # c-ares keeps answers of its own
        reply = await send(guard, to("a.example", canary_port.port))

        assert reply.outcome is Outcome.ADDRESS_REFUSED
        assert canary_port.touched() == 0


async def test_a_cname_to_an_allowed_address_is_dialled() -> None:
    zone: Zone = {"a.example": ["cname:b.example"], "b.example": ["127.0.0.1"]}
    async with Receiver(answers) as receiver, served(zone, LOCAL) as (_, guard):
        reply = await send(guard, to("a.example", receiver.port))

        assert reply.outcome is Outcome.OK


async def test_a_thousand_stuck_names_do_not_hold_up_another() -> None:
    zone: Zone = {f"stuck-{number}.example": None for number in range(1000)} | {"a.example": [PUBLIC]}
    async with NameServer(zone) as server:
        guard = Guard(OPEN, AresResolver([server.address], timeout=30, tries=1))
        stuck: list[asyncio.Task[object]] = []
        for number in range(1000):
            stuck.append(asyncio.create_task(guard.addresses(to(f"stuck-{number}.example"))))
            if number % 50 == 49:  # the kernel drops datagrams that come faster than they are read
                async with asyncio.timeout(5):
                    while len(server.asked) <= number:
                        await asyncio.sleep(0.001)

        try:
            async with asyncio.timeout(5):
                found = await guard.addresses(to("a.example"))
            assert found == (IPv4Address(PUBLIC),)
            assert not any(task.done() for task in stuck)
        finally:
            await guard.close()
            await asyncio.gather(*stuck, return_exceptions=True)
