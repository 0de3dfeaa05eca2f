"""HTTP/1.1 responses, held against h11 on generated and mutated ones."""

from __future__ import annotations

import re
from dataclasses import dataclass

import h11
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anzol.http1 import MAX_BODY, MAX_HEAD, MAX_HEADERS, MAX_INTERIM, MAX_WIRE, Response
from tests.fuzz.responses import mutated, responses, split

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Read:
    """What a reader made of some bytes followed by the peer's closing."""

    status: int  # 0: no response
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    whole: bool = False


def ours(*pieces: bytes) -> Read:
    response = Response()
    if not any(response.feed(piece) for piece in pieces):
        response.end()
    if response.fault or not response.status:
        return Read(0)
    return Read(response.status, tuple(response.headers), response.body, not response.incomplete)


def h11s(data: bytes) -> Read:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1_000_000)
    connection.send(h11.Request(method="POST", target="/", headers=[("host", "a"), ("content-length", "0")]))
    connection.send(h11.EndOfMessage())
    read = Read(0)
    try:
        connection.receive_data(data)
        connection.receive_data(b"")
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                read = Read(event.status_code, tuple(event.headers))
            elif isinstance(event, h11.Data):
                read = Read(read.status, read.headers, read.body + bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                return Read(read.status, read.headers, read.body, True)
            elif not isinstance(event, h11.InformationalResponse):
                return read
    except h11.RemoteProtocolError:
        return read


ZERO = b"content-length: 0\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"

# Where we refuse, or read less than, what h11 reads: the reason, how the bytes show it, and an example.
STRICTER = {
    "a line ends without CR": (rb"(?<!\r)\n", HEAD + b"a: b\n" + ZERO),
    "a header is folded": (rb"\r?\n[ \t]", HEAD + b"a: b\r\n c\r\n" + ZERO),
    "there are lengths twice": (rb"(?is)content-length.*content-length", HEAD + b"content-length: 0\r\n" + ZERO),
    "a length is a list": (rb"(?i)content-length[^\r]*,", HEAD + b"content-length: 0, 0\r\n\r\n"),
    "there is a length with chunks": (
        rb"(?is)content-length.*transfer-encoding|transfer-encoding.*content-length",
        HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "a status over 599": (rb"HTTP/\d\.\d [6-9]\d\d", b"HTTP/1.1 600 OK\r\n" + ZERO),
    "a version other than 1.0 and 1.1": (rb"HTTP/(?!1\.[01] )", b"HTTP/2.0 200 OK\r\n" + ZERO),
    "a control character in a header": (rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]", HEAD + b"a: b\x01\r\n" + ZERO),
    "blanks after a chunk's size": (rb"(?m)^[0-9a-fA-F]+[ \t]", CHUNKED + b"0 \r\n\r\n"),
    "a chunk extension outside the grammar": (rb"(?m)^[0-9a-fA-F]+;", CHUNKED + b"0;\x01\r\n\r\n"),
    "many interim responses": (rb"(?s)(?:HTTP/1\.\d 1\d\d.*){11}", INTERIM * 11 + HEAD + ZERO),
}
# Where we read what h11 refuses.
LAXER = {
    "empty lines ahead of a response": (rb"(?:\A|\n)[\r\n]+HTTP/", b"\r\n" + HEAD + ZERO),
    "a NUL in the reason phrase, which is dropped": (rb"HTTP/1\.\d \d\d\d[^\r\n]*\0", b"HTTP/1.1 200 \0\r\n" + ZERO),
    "a chunk's size of more than 20 digits": (rb"[0-9a-fA-F]{20}", CHUNKED + b"0" * 21 + b"1\r\na\r\n0\r\n\r\n"),
    "a trailer that frames, which is dropped": (
        rb"(?is)chunked.*\r\n0+\r\n.*transfer-encoding",
        CHUNKED + b"0\r\ntransfer-encoding: x\r\n\r\n",
    ),
}


def less(one: Read, other: Read) -> bool:
    """Say whether *one* accepts less than *other*."""
    return (one.status, one.whole) < (other.status, other.whole) or len(one.body) < len(other.body)


def unexplained(data: bytes, mine: Read, theirs: Read) -> str:
    """Return what differs and for no known reason, or nothing."""
    if mine == theirs:
        return ""
    reasons = STRICTER if less(mine, theirs) else LAXER
    if any(re.search(pattern, data) for pattern, _ in reasons.values()):
        return ""
    return f"{'stricter' if reasons is STRICTER else 'laxer'}: {mine} {theirs}"


@pytest.mark.parametrize("reason", STRICTER)
def test_we_refuse_what_h11_takes(reason: str) -> None:
    pattern, example = STRICTER[reason]

    assert re.search(pattern, example)
    assert less(ours(example), h11s(example))


@pytest.mark.parametrize("reason", LAXER)
def test_we_take_what_h11_refuses(reason: str) -> None:
    pattern, example = LAXER[reason]

    assert re.search(pattern, example)
    assert less(h11s(example), ours(example))


@settings(max_examples=300, deadline=None)
@given(responses())
def test_a_proper_response_is_read_as_h11_reads_it(data: bytes) -> None:
    read = ours(data)

    assert read == h11s(data)
    assert read.status
    assert read.whole


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_a_spoilt_response_is_read_as_h11_reads_it_or_for_a_known_reason_otherwise(data: bytes) -> None:
    assert unexplained(data, ours(data), h11s(data)) == ""


@settings(max_examples=300, deadline=None)
@given(st.data(), st.one_of(responses(), mutated()))
def test_how_the_bytes_are_cut_changes_nothing(draw: st.DataObject, data: bytes) -> None:
    assert ours(*draw.draw(split(data))) == ours(data)


# The caps


def test_a_body_is_cut_at_its_cap() -> None:
    response = Response()

    assert response.feed(HEAD + b"content-length: 999999\r\n\r\n" + b"x" * (MAX_BODY + 1))
    assert (len(response.body), response.cut, response.incomplete, response.reusable) == (MAX_BODY, True, False, False)


def test_a_body_of_just_the_cap_is_whole() -> None:
    response = Response()

    assert response.feed(HEAD + b"content-length: %d\r\n\r\n" % MAX_BODY + b"x" * MAX_BODY)
    assert (len(response.body), response.cut, response.reusable) == (MAX_BODY, False, True)


def test_framing_counts_towards_a_cap_of_its_own() -> None:
    response = Response()
    response.feed(CHUNKED)
    piece, fed = b"1;" + b"e" * 998 + b"\r\nx\r\n", 0
    while not response.feed(piece):
        fed += len(piece)

    assert fed <= MAX_WIRE
    assert (response.cut, response.status) == (True, 200)


@pytest.mark.parametrize("count", [MAX_HEADERS, MAX_HEADERS + 1])
def test_headers_are_capped_in_number(count: int) -> None:
    response = Response()
    response.feed(HEAD + b"a: b\r\n" * (count - 1) + b"content-length: 0\r\n\r\n")

    assert bool(response.fault) == (count > MAX_HEADERS)


def test_headers_are_capped_in_bytes_however_they_arrive() -> None:
    at_once, slowly = Response(), Response()

    assert at_once.feed(HEAD + b"a: " + b"b" * MAX_HEAD + b"\r\ncontent-length: 0\r\n\r\n")
    slowly.feed(HEAD + b"a: ")
    while not slowly.feed(b"b" * 100):
        assert slowly._wire <= MAX_HEAD + 100
    assert "bytes" in at_once.fault
    assert "bytes" in slowly.fault


@pytest.mark.parametrize("count", [MAX_INTERIM, MAX_INTERIM + 1])
def test_interim_responses_are_capped(count: int) -> None:
    response = Response()
    response.feed(b"HTTP/1.1 100 Continue\r\n\r\n" * count + HEAD + b"content-length: 0\r\n\r\n")

    assert bool(response.fault) == (count > MAX_INTERIM)


# One connection, several responses


def test_the_next_response_knows_nothing_of_the_last() -> None:
    response = Response()
    response.feed(b"HTTP/1.1 500 No\r\nx-a: b\r\ncontent-length: 4\r\n\r\nbusy")
    response.begin()

    assert response.silent
    assert response.feed(HEAD + b"content-length: 2\r\n\r\nok")
    assert (response.status, response.headers, response.body) == (200, [(b"content-length", b"2")], b"ok")


def test_what_follows_a_response_makes_the_connection_useless_and_not_the_response() -> None:
    for after in (b"x", b"HTTP/1.1 500 No\r\n\r\n", b"\0", b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"):
        response = Response()

        assert response.feed(HEAD + b"content-length: 2\r\n\r\nok" + after)
        assert (response.status, response.body, response.reusable) == (200, b"ok", False)


def test_a_reset_in_an_unframed_body_leaves_it_incomplete_and_a_close_does_not() -> None:
    for broken in (True, False):
        response = Response()
        response.feed(HEAD + b"\r\nhalf")

        assert response.end(broken=broken)
        assert (response.body, response.incomplete) == (b"half", broken)
