from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anzol.addresses import LOOPBACK, Policy, Target, check_url, classify, without_userinfo
from anzol.errors import AddressRefused

OPEN = Policy()

# The first and the last address of each forbidden network.
EDGES_4 = [
    ("0.0.0.0", "0.255.255.255"),
    ("10.0.0.0", "10.255.255.255"),
    ("100.64.0.0", "100.127.255.255"),
    ("127.0.0.0", "127.255.255.255"),
    ("169.254.0.0", "169.254.255.255"),
    ("172.16.0.0", "172.31.255.255"),
    ("192.0.0.0", "192.0.0.255"),
    ("192.0.2.0", "192.0.2.255"),
    ("192.88.99.0", "192.88.99.255"),
    ("192.168.0.0", "192.168.255.255"),
    ("198.18.0.0", "198.19.255.255"),
    ("198.51.100.0", "198.51.100.255"),
    ("203.0.113.0", "203.0.113.255"),
    ("224.0.0.0", "239.255.255.255"),
    ("240.0.0.0", "255.255.255.255"),
    ("168.63.129.16", "168.63.129.16"),
]
EDGES_6 = [
    ("::", "ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("64:ff9b::", "64:ff9b:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("100::", "100::ffff:ffff:ffff:ffff"),
    ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
]
EMBEDDED = [
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b:1::127.0.0.1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "::1",
    "fe80::1%lo",
    "2606:4700::1%1",
    "4000::1",
    "8000::1",
    "1::1",
]


@pytest.mark.parametrize("edge", [edge for edges in (*EDGES_4, *EDGES_6) for edge in edges])
def test_the_edges_of_every_forbidden_network_are_refused(edge: str) -> None:
    assert classify(ip_address(edge), OPEN)


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "168.63.129.15",
        "168.63.129.17",
        "223.255.255.255",
        "2000::1",
        "2606:4700::1111",
        "2001:200::",
        "2001:db9::",
        "2003::",
        "3ffe::1",
        "3fff:1000::",
    ],
)
def test_what_lies_beside_them_is_open(address: str) -> None:
    assert classify(ip_address(address), OPEN) is None


@pytest.mark.parametrize("address", EMBEDDED)
def test_an_address_within_an_address_is_refused(address: str) -> None:
    assert classify(ip_address(address), OPEN)


@given(st.ip_addresses(v=6))
def test_of_ipv6_only_global_unicast_is_open(address: IPv6Address) -> None:
    if classify(address, OPEN) is None:
        assert address in ip_network("2000::/3")


@given(st.ip_addresses(v=4))
def test_what_python_calls_private_is_never_open(address: IPv4Address) -> None:
    if address.is_private or address.is_multicast or address.is_reserved or address.is_loopback:
        assert classify(address, OPEN) is not None or address in ip_network("192.0.0.0/24")


def test_allowed_networks_are_open_and_their_neighbours_are_not() -> None:
    policy = Policy.allowing("10.1.0.0/16", "::1/128")

    assert classify(IPv4Address("10.1.255.255"), policy) is None
    assert classify(IPv6Address("::1"), policy) is None
    assert classify(IPv4Address("10.2.0.0"), policy) == "private"
    assert classify(IPv6Address("::ffff:10.1.0.1"), policy)


# Every one means 127.0.0.1, or is written to be taken for something else.
SPELLINGS = {
    "http://127.0.0.1:8000/": "address",
    "http://127.1:8000/": "spelling",
    "http://127.0.1:8000/": "spelling",
    "http://2130706433:8000/": "spelling",
    "http://0x7f000001:8000/": "spelling",
    "http://0x7f.0x0.0x0.0x1:8000/": "spelling",
    "http://0X7F.1:8000/": "spelling",
    "http://017700000001:8000/": "spelling",
    "http://0177.0.0.1:8000/": "spelling",
    "http://0177.0.0.01:8000/": "spelling",
    "http://127.0.0.001:8000/": "spelling",
    "http://0x7f.0.0.1:8000/": "spelling",
    "http://127.0x0.1:8000/": "spelling",
    "http://0x:8000/": "spelling",
    "http://127.0.0.1.:8000/": "spelling",
    "http://127.0.0.1..:8000/": "host",
    "http://127..0.1:8000/": "spelling",
    "http://.127.0.0.1:8000/": "spelling",
    "http://127.0.0.256:8000/": "spelling",
    "http://1.2.3.4.5:8000/": "spelling",
    "http://４７:8000/": "spelling",
    "http://１２７.0.0.1:8000/": "spelling",
    "http://①②⑦.⓪.⓪.①:8000/": "spelling",
    "http://127。0。0。1:8000/": "spelling",
    "http://127．0．0．1:8000/": "spelling",
    "http://127｡0｡0｡1:8000/": "spelling",
    "http://localhost:8000/": "address",
    "http://LOCALHOST:8000/": "address",
    "http://a.localhost:8000/": "address",
    "http://ｌｏｃａｌｈｏｓｔ:8000/": "address",
    "http://localhost.:8000/": "host",
    "http://example.com.:8000/": "host",
    "http://example..com:8000/": "host",
    "http://.example.com:8000/": "host",
    "http://[::1]:8000/": "address",
    "http://[0:0:0:0:0:0:0:1]:8000/": "address",
    "http://[::ffff:127.0.0.1]:8000/": "address",
    "http://[::ffff:7f00:1]:8000/": "address",
    "http://[::127.0.0.1]:8000/": "address",
    "http://[64:ff9b::127.0.0.1]:8000/": "address",
    "http://[::]:8000/": "address",
    "http://[fe80::1%25lo]:8000/": "host",
    "http://[fe80::1%lo]:8000/": "host",
    "http://[::1%25lo]:8000/": "host",
    "http://[v1.::1]:8000/": "host",
    "http://[127.0.0.1]:8000/": "host",
    "http://[localhost]:8000/": "host",
    "http://[example.com]:8000/": "host",
    "http://[::1:8000/": "host",
    "http://::1:8000/": "host",
    "http://::1]:8000/": "host",
    "http://[[::1]]:8000/": "host",
    "http://[::1].example.com:8000/": "host",
    "http://example.com[::1]:8000/": "host",
    "http://user@127.0.0.1:8000/": "userinfo",
    "http://user:password@example.com:8000/": "userinfo",
    "http://example.com@127.0.0.1:8000/": "userinfo",
    "http://@127.0.0.1:8000/": "userinfo",
    "http://example.com%40127.0.0.1:8000/": "spelling",
    "http://127.0.0.1%2f@example.com:8000/": "userinfo",
    "http://127.0.0.1%00.example.com:8000/": "host",
    "http://127%2e0%2e0%2e1:8000/": "host",
    "http://127.0.0.1:8000#@example.com/": "fragment",
    "http://127.0.0.1:8000?@example.com/": "userinfo",
    "http://example.com#@127.0.0.1:8000/": "fragment",
    "http://example.com?@127.0.0.1:8000/": "userinfo",
    "http://example.com/#x": "fragment",
    "http://127.0.0.1:8000\\@example.com/": "not_a_url",
    "http://example.com\\@127.0.0.1:8000/": "not_a_url",
    "http:\\\\127.0.0.1:8000\\": "not_a_url",
    "http:/127.0.0.1:8000/": "not_a_url",
    "http:127.0.0.1:8000/": "not_a_url",
    "//127.0.0.1:8000/": "not_a_url",
    "127.0.0.1:8000": "not_a_url",
    "": "not_a_url",
    "http://127.0.0.1\t:8000/": "not_a_url",
    "ht\ttp://127.0.0.1:8000/": "not_a_url",
    "http://exam\tple.com/": "not_a_url",
    "http://example.com/\r\nhost: 127.0.0.1": "not_a_url",
    "http://example.com/ HTTP/1.1\r\nx: ": "not_a_url",
    "http://example.com\r\n@127.0.0.1/": "not_a_url",
    " http://127.0.0.1:8000/": "not_a_url",
    "http://127.0.0.1:8000/ ": "not_a_url",
    "http://127.0.0.1\u00a0:8000/": "not_a_url",
    "http://127.0.0.1\u2028:8000/": "not_a_url",
    "http://example.com/\x00": "not_a_url",
    "http://example.com/\ud800": "not_a_url",
    "http://exam\u200bple\u00ad.127.0.0.1:8000/": "spelling",
    "http://\u2100.com:8000/": "host",
    "http:///127.0.0.1:8000/": "host",
    "http://:8000/": "host",
    "http://-a.com/": "host",
    "http://a-.com/": "host",
    "http://a b.com/": "not_a_url",
    "http://a*b.com/": "host",
    "http://a,b.com/": "host",
    f"http://{'a' * 64}.com/": "host",
    f"http://{'a.' * 126}ab/": "host",
    f"http://example.com/{'a' * 2048}": "too_long",
    "ftp://example.com/": "scheme",
    "file:///etc/passwd": "scheme",
    "gopher://127.0.0.1:8000/": "scheme",
    "javascript://example.com/": "scheme",
    "http://example.com:0/": "port",
    "http://example.com:22/": "port",
    "http://example.com:1023/": "port",
    "http://example.com:65536/": "port",
    "http://example.com:/": "port",
    "http://example.com:080/": "port",
    "http://example.com:8000:8001/": "host",
    "http://example.com:+80/": "port",
    "http://example.com:８０/": "port",
    "http://example.com:80 80/": "not_a_url",
}


@pytest.mark.parametrize("url", SPELLINGS)
def test_a_spelling_is_refused_with_its_reason(url: str) -> None:
    with pytest.raises(AddressRefused) as caught:
        check_url(url, OPEN)

    assert caught.value.reason == SPELLINGS[url]
    assert caught.value.field == "url"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.com", Target("https", "example.com", 443, "/")),
        ("HTTPS://Example.COM/A?b=C", Target("https", "example.com", 443, "/A?b=C")),
        ("http://example.com:8080?x=1", Target("http", "example.com", 8080, "/?x=1")),
        ("http://8.8.8.8/x", Target("http", "8.8.8.8", 80, "/x", IPv4Address("8.8.8.8"))),
        (
            "http://[2606:4700:0:0::1111]:8080/",
            Target("http", "2606:4700::1111", 8080, "/", IPv6Address("2606:4700::1111")),
        ),
        ("https://пример.рф/é", Target("https", "xn--e1afmkfd.xn--p1ai", 443, "/%C3%A9")),
        ("https://my_host.a-b.example:1024/", Target("https", "my_host.a-b.example", 1024, "/")),
        ("https://example.com//a/../b", Target("https", "example.com", 443, "//a/../b")),
        ("https://example.com/a%20b?c=%2F&d={e}", Target("https", "example.com", 443, "/a%20b?c=%2F&d=%7Be%7D")),
        ("https://example.com/a@b?c@d", Target("https", "example.com", 443, "/a@b?c@d")),
        ("https://1e100.net/", Target("https", "1e100.net", 443, "/")),
    ],
)
def test_a_url_is_read_in_one_way(url: str, target: Target) -> None:
    assert check_url(url, OPEN) == target


def test_a_target_tells_its_url_host_header_and_start() -> None:
    target = check_url("http://[2606:4700::1111]:8080/x", OPEN)

    assert target.url == "http://[2606:4700::1111]:8080/x"
    assert target.start == b" /x HTTP/1.1\r\nhost: [2606:4700::1111]:8080\r\n"
    assert check_url("https://example.com:443/", OPEN).authority == "example.com"
    assert check_url("https://example.com:80/", OPEN).authority == "example.com:80"


def test_a_declared_query_is_added() -> None:
    assert check_url("https://example.com/x", OPEN).asking("a=1").path == "/x?a=1"
    assert check_url("https://example.com/x?b=2", OPEN).asking("a=1").path == "/x?b=2&a=1"
    assert check_url("https://example.com/x", OPEN).asking("").path == "/x"


def test_https_only_refuses_http() -> None:
    with pytest.raises(AddressRefused) as caught:
        check_url("http://example.com/", Policy(https_only=True))

    assert caught.value.reason == "https_only"


def test_ports_can_be_configured() -> None:
    policy = Policy(ports=(range(22, 23),))

    assert check_url("http://example.com:22/", policy).port == 22
    with pytest.raises(AddressRefused):
        check_url("http://example.com/", policy)


def test_loopback_can_be_opened_for_development() -> None:
    policy = Policy(allow_networks=LOOPBACK)

    assert check_url("http://localhost:8000/", policy).host == "localhost"
    assert check_url("http://127.0.0.1:8000/", policy).literal == IPv4Address("127.0.0.1")
    assert check_url("http://[::1]:8000/", policy).literal == IPv6Address("::1")
    with pytest.raises(AddressRefused):
        check_url("http://0.0.0.0:8000/", policy)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for url in (text, f"http://{text}/", f"http://example.com/{text}"):
        try:
            target = check_url(url, OPEN)
        except AddressRefused:
            continue
        assert target.host.isascii()
        assert target.start.count(b"\r\n") == 2
        assert b" " not in target.start.split(b" HTTP/1.1")[0][1:]
        assert target.literal is None or classify(target.literal, OPEN) is None


@given(st.ip_addresses(v=4))
def test_every_spelling_of_an_ipv4_address_is_refused_or_read_as_that_address(address: IPv4Address) -> None:
    number, (a, b, c, d) = int(address), address.packed
    spellings = [str(number), hex(number), f"0{number:o}", f"{a}.{number & 0xFFFFFF}", f"{a}.{b}.{c * 256 + d}"]
    spellings += [f"{a:#x}.{b:#o}.{c}.{d}".replace("0o", "0"), f"{a}.{b}.{c}.{d}.", f"0{a}.{b}.{c}.{d}", str(address)]
    for spelling in spellings:
        try:
            target = check_url(f"http://{spelling}/", OPEN)
        except AddressRefused:
            continue
        assert target.literal == address


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("https://user:pass@example.com/x", ("https://example.com/x", "Basic dXNlcjpwYXNz")),
        ("https://u%40x:p%3A@example.com:8443", ("https://example.com:8443", "Basic dUB4OnA6")),
        ("https://token@example.com/", ("https://example.com/", "Basic dG9rZW46")),
        ("https://example.com/a@b", ("https://example.com/a@b", None)),
        ("nonsense", ("nonsense", None)),
    ],
)
def test_userinfo_becomes_an_authorization_header(url: str, taken: tuple[str, str | None]) -> None:
    assert without_userinfo(url) == taken
