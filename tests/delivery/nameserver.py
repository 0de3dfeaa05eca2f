"""A name server on loopback, UDP and TCP, that answers what a test says."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, ip_address
from typing import Self

NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3
A, CNAME, AAAA = 1, 5, 28
Zone = dict[str, "Sequence[str] | int | None"]


class NameServer:
    """`zone` maps a name to addresses (or ``cname:other``), to an error code, or to None for no answer at all.

    Names that it does not hold are NXDOMAIN. `asked` counts the questions for each name.
    """

    def __init__(self, zone: Zone, *, ttl: int = 60) -> None:
        self.zone = zone
        self.ttl = ttl
        self.asked: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            tcp.bind(("127.0.0.1", 0))
            port = tcp.getsockname()[1]
            tcp.listen(8)
            self._tcp = await asyncio.start_server(self._stream, sock=tcp.dup())
        self._udp, _ = await loop.create_datagram_endpoint(lambda: Datagrams(self), local_addr=("127.0.0.1", port))
        self.address = f"127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._udp.close()
        self._tcp.close()
        await asyncio.sleep(0)

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
        if answer := self.answer(await reader.readexactly(size), 65535):
            writer.write(struct.pack("!H", len(answer)) + answer)
            await writer.drain()
        writer.close()

    def answer(self, query: bytes, room: int) -> bytes | None:
        """Answer one question in at most *room* bytes; what does not fit is left out, and said to be so."""
        name, kind, question = read_question(query)
        self.asked[name] = self.asked.get(name, 0) + 1
        found = self.zone.get(name, NXDOMAIN)
        if found is None:
            return None
        code, records = (found, []) if isinstance(found, int) else (NOERROR, self._records(name, kind, found))
        size, taken = 12 + len(question), 0
        for record in records:
            if size + len(record) > room:
                break
            size += len(record)
            taken += 1
        flags = 0x8180 | code | (0x0200 if taken < len(records) and room < 65535 else 0)
        return query[:2] + struct.pack("!5H", flags, 1, taken, 0, 0) + question + b"".join(records[:taken])

    def _records(self, name: str, kind: int, found: Sequence[str]) -> list[bytes]:
        records = []
        for text in found:
            if text.startswith("cname:"):
                other = text.removeprefix("cname:")
                records.append(self._record(name, CNAME, written(other)))
                further = self.zone.get(other)
                records += [] if further is None or isinstance(further, int) else self._records(other, kind, further)
                continue
            address = ip_address(text)
            own = A if isinstance(address, IPv4Address) else AAAA
            if own == kind:
                records.append(self._record(name, own, address.packed))
        return records

    def _record(self, name: str, kind: int, data: bytes) -> bytes:
        return written(name) + struct.pack("!HHIH", kind, 1, self.ttl, len(data)) + data


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if answer := self._server.answer(data, 512):
            self._transport.sendto(answer, addr)  # type: ignore[attr-defined]  # uvloop's are not of that class


def written(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def read_question(query: bytes) -> tuple[str, int, bytes]:
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode())
        at += 1 + length
    (kind,) = struct.unpack("!H", query[at + 1 : at + 3])
    return ".".join(labels).lower(), kind, query[12 : at + 5]
