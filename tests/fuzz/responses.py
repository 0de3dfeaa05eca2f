"""Responses made by chance: well-formed ones, and what becomes of them when bytes are changed."""

from __future__ import annotations

from hypothesis import strategies as st

TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_!#$%&'*+.^`|~", min_size=1, max_size=12)
VALUE = st.one_of(
    st.just(""),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20),
    st.builds("{} \t{}".format, TOKEN, TOKEN),
    st.text(st.characters(min_codepoint=0x80, max_codepoint=0xFF), min_size=1, max_size=4),
)
RESERVED = {"content-length", "transfer-encoding", "connection", "upgrade", "trailer", "keep-alive", "proxy-connection"}
STATUS = st.one_of(st.sampled_from([200, 201, 204, 301, 304, 400, 404, 410, 429, 500, 503]), st.integers(200, 599))
BODY = st.binary(max_size=60)
REASON = st.sampled_from(["", " ", " OK", " Not Found", " a b\tc"])


@st.composite
def lines(draw: st.DrawFn, most: int = 4) -> bytes:
    """A few header lines that frame nothing."""
    made = b""
    for _ in range(draw(st.integers(0, most))):
        name = draw(TOKEN.filter(lambda text: text.lower() not in RESERVED))
        padding = draw(st.sampled_from(["", " ", "\t", "  "]))
        made += f"{name}:{padding}{draw(VALUE)}\r\n".encode("latin-1")
    return made


@st.composite
def chunked(draw: st.DrawFn, body: bytes) -> bytes:
    """*body* in chunks, with extensions and trailers now and then."""
    made, rest = b"", body
    while rest:
        size = draw(st.integers(1, len(rest)))
        extension = draw(st.sampled_from([b"", b"", b";a", b";a=b", b';a="b c"']))
        digits = draw(st.sampled_from([b"%x", b"%X", b"0%x"])) % size
        made += digits + extension + b"\r\n" + rest[:size] + b"\r\n"
        rest = rest[size:]
    return made + b"0\r\n" + draw(lines(2)) + b"\r\n"


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """A well-formed response to a POST, with interim ones ahead of it now and then."""
    interim = b"".join(
        b"HTTP/1.1 %d Interim\r\n%b\r\n" % (draw(st.sampled_from([100, 102, 103])), draw(lines(2)))
        for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3])))
    )
    status, body = draw(STATUS), draw(BODY)
    framing = draw(st.sampled_from(["length", "chunked", "close", "old"]))
    start = f"HTTP/1.{0 if framing == 'old' else 1} {status}{draw(REASON)}\r\n".encode()
    before, after = draw(lines()), draw(lines())
    if status in (204, 304):
        return interim + start + before + after + b"\r\n"
    if framing == "chunked":
        name = draw(st.sampled_from([b"transfer-encoding", b"Transfer-Encoding"]))
        return interim + start + before + name + b": chunked\r\n" + after + b"\r\n" + draw(chunked(body))
    if framing == "length":
        return interim + start + before + b"Content-Length: %d\r\n" % len(body) + after + b"\r\n" + body
    return interim + start + before + b"connection: close\r\n" + after + b"\r\n" + body


PIECES = [b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b";", b"\t", b"0", b"-1", b"\xff", b"\r\n\r\n", b"a: b\r\n"]
PIECES += [b"content-length: 3\r\n", b"content-length: -3\r\n", b"content-length: 3, 3\r\n", b"content-length: +3\r\n"]
PIECES += [b"transfer-encoding: chunked\r\n", b"transfer-encoding: gzip, chunked\r\n", b"upgrade: x\r\n"]
PIECES += [b"HTTP/1.1 ", b"HTTP/1.0 ", b"HTTP/2.0 ", b"FFFFFFFFFFFFFFFF\r\n", b"connection: close\r\n", b" folded\r\n"]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A response that a few bytes were put into, taken from, changed in, or that was cut."""
    data = draw(responses())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["insert", "delete", "replace", "cut", "again"]))
        if kind == "insert":
            data = data[:at] + draw(st.sampled_from(PIECES)) + data[at:]
        elif kind == "delete":
            data = data[:at] + data[at + draw(st.integers(1, 4)) :]
        elif kind == "replace":
            data = data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at]
        else:
            data += data[at:]
    return data


@st.composite
def split(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """*data* in pieces, as a network may deliver it."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < end]
