"""Which addresses may be dialled, and how a URL is read. Pure: no look-up is made here.

A URL is read by one strict reader, and what it read is what is dialled: two readers that disagree are how a refused
address is reached. Nothing here asks the properties of `ipaddress` (``is_global`` and the like): they let forbidden
addresses through, other ones in each version of Python.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final, Literal
from urllib.parse import quote, unquote_to_bytes

from anzol.errors import AddressRefused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Reason = Literal[
    "not_a_url", "too_long", "scheme", "https_only", "userinfo", "fragment", "host", "spelling", "port", "address"
]

# Why each may not be dialled, in the words that a customer is shown.
FORBIDDEN_4: Final[tuple[tuple[IPv4Network, str], ...]] = tuple(
    (IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "this host"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a carrier"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud platform's own"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "a relay of 6to4"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
# Of IPv6 only 2000::/3 is open, less these.
OPEN_6: Final = IPv6Network("2000::/3")
FORBIDDEN_6: Final[tuple[tuple[IPv6Network, str], ...]] = tuple(
    (IPv6Network(network), why)
    for network, why in (
        ("2001::/23", "protocol assignments and tunnels"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4, which can hold any IPv4 address"),
        ("3fff::/20", "documentation"),
        ("::/8", "an embedded IPv4 address or loopback"),
        ("64:ff9b::/32", "NAT64, which can hold any IPv4 address"),
        ("100::/64", "discard-only"),
        ("5f00::/16", "segment routing"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)

MAX_URL: Final = 2048
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
PORTS: Final = (range(80, 81), range(443, 444), range(1024, 65536))
URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^#]*)(#.*)?", re.ASCII | re.DOTALL)
LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
# A last label like this makes browsers and resolvers read the whole name as an IPv4 address.
NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
DOTTED: Final = re.compile(r"(?:0|[1-9][0-9]{0,2})(?:\.(?:0|[1-9][0-9]{0,2})){3}", re.ASCII)
PORT: Final = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
# Sent as they are; everything else is percent-encoded, as browsers do.
KEPT_IN_PATH: Final = "/!$%&'()*+,;=:@[]~|?"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator lets through: networks that are open in spite of the table, schemes, ports."""

    allow_networks: tuple[Network, ...] = ()
    https_only: bool = False
    ports: tuple[range, ...] = PORTS

    @classmethod
    def allowing(cls, *networks: str, https_only: bool = False) -> Policy:
        """Make a policy from CIDRs, such as ``"127.0.0.0/8"``.

        Raises:
            ValueError: one of them is not a network.
        """
        return cls(allow_networks=tuple(ip_network(network) for network in networks), https_only=https_only)


LOOPBACK: Final = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


@dataclass(frozen=True, slots=True)
class Target:
    """A URL, read once: where to connect and what to ask for. ``path`` has the query with it.

    ``literal`` is the address when the host is one; ``host`` has no brackets then either.
    """

    scheme: str
    host: str
    port: int
    path: str
    literal: Address | None = None
    origin: tuple[str, str, int] = field(init=False, repr=False, compare=False)  # by which connections are kept
    start: bytes = field(init=False, repr=False, compare=False)  # of the request, after its method

    def __post_init__(self) -> None:
        object.__setattr__(self, "origin", (self.scheme, self.host, self.port))
        object.__setattr__(self, "start", f" {self.path} HTTP/1.1\r\nhost: {self.authority}\r\n".encode("ascii"))

    @property
    def tls(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """The value of the Host header: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if isinstance(self.literal, IPv6Address) else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    def asking(self, query: str) -> Target:
        """Return the same target with *query* (``a=1&b=2``, encoded) added to what its URL asks."""
        if not query:
            return self
        return replace(self, path=f"{self.path}{'&' if '?' in self.path else '?'}{query}")


def classify(address: Address, policy: Policy = Policy()) -> str | None:
    """Return why *address* may not be dialled, in words such as ``private``; None if it may."""
    if any(address in network for network in policy.allow_networks):
        return None
    if isinstance(address, IPv4Address):
        return next((why for network, why in FORBIDDEN_4 if address in network), None)
    if address.scope_id is not None:
        return "bound to a network interface"
    why = next((why for network, why in FORBIDDEN_6 if address in network), None)
    return why or (None if address in OPEN_6 else "not in use on the internet")


def check_url(url: str, policy: Policy) -> Target:
    """Read *url* strictly, and refuse what may not be dialled whatever it resolves to.

    Names are not resolved: what they resolve to is judged at every connection, by the guard.

    Raises:
        AddressRefused: ``reason`` is one of `Reason`.
    """
    scheme, authority, rest = parts(url, policy)
    host, port = split_port(authority, scheme)
    name, literal = read_host(host)
    if literal is not None:
        check_address(literal, policy)
    elif name == "localhost" or name.endswith(".localhost"):
        check_address(LOOPBACK[0].network_address + 1, policy)
    if not any(port in ports for ports in policy.ports):
        raise refused("port", f"Port {port} is not open to webhooks.", "Use 80, 443, or 1024 and up.")
    return Target(scheme, name, port, encoded_path(rest), literal)


def check_address(address: Address, policy: Policy) -> None:
    """Refuse a forbidden address.

    Raises:
        AddressRefused: its ``reason`` is ``address``.
    """
    if why := classify(address, policy):
        raise refused(
            "address",
            f"The address {address} is {why}.",
            "Webhooks go to public addresses; an operator opens others with ANZOL_ALLOW_NETWORKS.",
        )


def parts(url: str, policy: Policy) -> tuple[str, str, str]:
    """Split *url* into scheme, authority, and path with query; refuse what no URL for webhooks has."""
    if len(url) > MAX_URL:
        raise refused("too_long", f"The URL has {len(url)} characters; {MAX_URL} are the most.")
    found = URL.fullmatch(url)
    if found is None or any(mark <= " " or mark in "\\\x7f" or not encodable(mark) for mark in url):
        raise refused("not_a_url", "This is not a URL.", "Write it like https://example.com/webhooks.")
    scheme, authority, rest, fragment = found[1].lower(), found[2], found[3], found[4]
    if scheme not in DEFAULT_PORTS:
        raise refused("scheme", f"Webhooks go to https or http, not to {scheme}.")
    if policy.https_only and scheme != "https":
        raise refused("https_only", "Only https is open to webhooks.")
    # `host?@other` and `host#@other` are read as either host, depending on the reader.
    if "@" in authority or (rest.startswith("?") and "@" in rest):
        raise refused("userinfo", "A webhook's URL has no user and password.", "Set an Authorization header instead.")
    if fragment is not None:
        raise refused("fragment", "A webhook's URL has no part after #.")
    return scheme, authority, rest


def encodable(mark: str) -> bool:
    """Say whether a character can stand in a URL: no blank of any alphabet, no half of a surrogate pair."""
    return mark.isascii() or not (mark.isspace() or "\ud800" <= mark <= "\udfff")


def split_port(authority: str, scheme: str) -> tuple[str, int]:
    """Split ``host:port`` at the colon after the host, which may be in brackets."""
    host, colon, port = authority.rpartition(":")
    if not colon or port.endswith("]"):
        return authority, DEFAULT_PORTS[scheme]
    if not PORT.fullmatch(port) or int(port) > 65535:
        raise refused("port", f"{port!r} is not a port.")
    return host, int(port)


def read_host(host: str) -> tuple[str, Address | None]:
    """Return the host in its one spelling, and the address if it is one."""
    if host.startswith("["):
        address = read_ipv6(host)
        return str(address), address
    name = host.lower() if host.isascii() else to_ascii(host)
    labels = name.split(".")
    if NUMBER.fullmatch(labels[-1] or labels[-2:][0]):
        literal = read_ipv4(name, spelt=host)
        return str(literal), literal
    if not 0 < len(name) <= 253 or not all(LABEL.fullmatch(label) for label in labels):
        raise refused("host", f"{host[:80]!r} is not a host's name.")
    return name, None


def read_ipv6(host: str) -> IPv6Address:
    """Read an IPv6 address in its brackets, without a zone."""
    try:
        if "%" in host or not host.endswith("]"):
            raise ValueError(host)
        return IPv6Address(host[1:-1])
    except ValueError as cause:
        raise refused("host", f"{host[:80]!r} is not an IPv6 address in brackets.") from cause


def read_ipv4(name: str, *, spelt: str) -> IPv4Address:
    """Read four decimal numbers. Hex, octal, short and circled spellings are only ever written to get past a guard."""
    try:
        if name != spelt or not DOTTED.fullmatch(name):
            raise ValueError(name)
        return IPv4Address(name)
    except ValueError as cause:
        do = "Write an IPv4 address as four decimal numbers."
        raise refused("spelling", f"{spelt[:80]!r} is another spelling of a number.", do) from cause


def to_ascii(host: str) -> str:
    """Return an internationalised name as it is looked up (``xn--...``), its compatibility characters mapped."""
    import idna

    try:
        return idna.encode(host, uts46=True, std3_rules=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as cause:
        raise refused("host", f"{host[:80]!r} is not a host's name.") from cause


def encoded_path(rest: str) -> str:
    """Return path and query as they go into the request line: ASCII, and a slash in front."""
    return quote(rest if rest.startswith("/") else f"/{rest}", safe=KEPT_IN_PATH)


def without_userinfo(url: str) -> tuple[str, str | None]:
    """Take user and password out of an imported URL; return it, and the ``Authorization`` value that says the same."""
    found = URL.fullmatch(url)
    userinfo, at, host = found[2].rpartition("@") if found else ("", "", "")
    if found is None or not at:
        return url, None
    user, _, password = userinfo.partition(":")
    token = b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password)).decode("ascii")
    return url.replace(f"{userinfo}@{host}", host, 1), f"Basic {token}"


def refused(reason: Reason, what: str, do: str = "") -> AddressRefused:
    """Make the error, its reason one of the closed list."""
    return AddressRefused(what, reason=reason, do=do)
