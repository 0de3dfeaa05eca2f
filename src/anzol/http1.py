"""HTTP/1.1 responses: bytes in, a response out. No sockets, no clock.

llhttp does the grammar, strictly. What it lets through and a sender must not take is refused here: other versions,
other status codes, other transfer codings, endless heads; and what is too much to store is cut.
"""

from __future__ import annotations

from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

MAX_BODY: Final = 16 * 1024
MAX_HEAD: Final = 32 * 1024  # bytes before the body, with everything that came before the final head
MAX_HEADERS: Final = 128
MAX_INTERIM: Final = 10  # 1xx responses before the final one
MAX_WIRE: Final = 128 * 1024  # bytes of one response, however they are framed: chunk lines and trailers count


class Stop(Exception):
    """Ends the parser's work within one feed; never leaves this file."""


class Response:
    """Reads one response after another from one connection.

    ``feed`` and ``end`` say whether the response has come to its end; then either ``fault`` says why it is none, or
    ``status``, ``headers``, ``body`` hold it. ``reusable`` says whether the connection may carry another request.
    """

    __slots__ = (
        "_framed",
        "_interim",
        "_kept",
        "_parser",
        "_size",
        "_wire",
        "body",
        "cut",
        "done",
        "fault",
        "headers",
        "incomplete",
        "reusable",
        "status",
    )

    def __init__(self) -> None:
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """Forget the last response and wait for another."""
        self.status = 0  # until the final head is complete
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.done = False
        self.fault = ""
        self.cut = False  # there was more body than is stored
        self.incomplete = False  # the peer went away within the body
        self.reusable = False
        self._framed = False
        self._interim = 0
        self._kept = 0
        self._size = 0
        self._wire = 0

    def close(self) -> None:
        """Let go of the parser, which holds on to this object."""
        self._parser = None

    @property
    def silent(self) -> bool:
        """Nothing has come since `begin`."""
        return self._wire == 0

    def feed(self, data: bytes) -> bool:
        """Take what arrived; return whether the response has come to its end."""
        self._wire += len(data)
        try:
            assert self._parser is not None
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._stopped(error)
        if not self.done:
            self._limit()
        return self.done

    def end(self, *, broken: bool = False) -> bool:
        """Take the peer's closing (*broken*: by a reset); return whether that leaves a response."""
        self.reusable = False
        if not self.done and self.status:
            self.incomplete = self._framed or broken
            self.done = True
        return self.done

    def _stopped(self, error: Exception) -> None:
        self.reusable = False
        if self.done:  # bytes after the end of a response that was whole
            return
        if self.status:  # it had answered: what is wrong with the body changes nothing about that
            self.incomplete = not self.cut
            self.done = True
            return
        self._refuse(self.fault or str(error) or "not HTTP/1.1")

    def _refuse(self, why: str) -> None:
        self.fault = why
        self.done = True

    def _limit(self) -> None:
        if not self.status:
            if self._wire > MAX_HEAD:
                self._refuse(f"more than {MAX_HEAD} bytes before the body")
        elif self.cut or self._wire > MAX_WIRE:
            self.cut = self.done = True

    # Called by the parser.

    def on_message_begin(self) -> None:
        if self.done:
            raise Stop

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.status:  # a trailer
            return
        self.headers.append((name.lower(), value.rstrip(b" \t")))
        self._size += len(name) + len(value)
        if len(self.headers) > MAX_HEADERS or self._size > MAX_HEAD:
            self.fault = f"more than {MAX_HEADERS} headers or {MAX_HEAD} bytes of them"
            raise Stop

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        self.fault = self._head_fault(status, self._parser.get_http_version())
        if self.fault:
            raise Stop
        if status < 200:
            self._interim += 1
            self.headers.clear()
        else:
            self.status = status

    def _head_fault(self, status: int, version: str) -> str:
        """Return what is wrong with a complete head, or nothing."""
        if version not in ("1.1", "1.0"):
            return f"HTTP/{version}"
        if not 100 <= status <= 599:
            return f"status {status:03}"
        if status == 101:
            return "101: another protocol, which nobody asked for"
        if status < 200:
            return f"more than {MAX_INTERIM} interim responses" if self._interim >= MAX_INTERIM else ""
        for name, value in self.headers:
            if name == b"content-length":
                self._framed = True
            elif name == b"transfer-encoding":
                if self._framed or value.lower() != b"chunked":
                    return "a transfer coding other than chunked, once"
                self._framed = True
        return ""

    def on_body(self, data: bytes) -> None:
        if self.cut:
            raise Stop
        room = MAX_BODY - self._kept
        if len(data) > room:
            data = data[:room]
            self.cut = True
        self._kept += len(data)
        self.body += data

    def on_message_complete(self) -> None:
        if self.status:
            assert self._parser is not None
            self.done = True
            self.reusable = not self.cut and self._parser.should_keep_alive()
