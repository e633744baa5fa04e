"""DNS over UDP and TCP: packets in, packets out. Nothing that comes in may end the server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from collections.abc import Callable
from typing import cast

from dnslib import CLASS, EDNS0, OPCODE, QTYPE, RCODE, DNSHeader, DNSRecord

from dock.engines.dns import names
from dock.engines.dns.resolver import Answer, Resolver

log = logging.getLogger(__name__)

# Octets: what every client takes (RFC 1035); what the server offers and answers at most (DNS flag day 2020).
PLAIN_UDP = 512
MAX_UDP = 1232
MAX_TCP = 65535
TCP_IDLE_SECONDS = 10
MAX_TCP_CLIENTS = 256
_RESPONSE = 0x80
_BADVERS = 16


class Server:
    """Answers with whatever resolver `resolver` gives at the moment."""

    def __init__(self, resolver: Callable[[], Resolver]) -> None:
        self._resolver = resolver
        self._transport: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._clients = 0
        self.answered = 0

    async def start(self, address: str, port: int) -> None:
        """Listen on both. Raises OSError when the port is taken or may not be bound."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), (address, port))
        self._tcp = await asyncio.start_server(self._serve, address, port, backlog=256)

    async def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()
        if self._tcp is not None:
            self._tcp.close()

    def reply(self, packet: bytes, limit: int | None) -> bytes | None:
        """The answer to a packet, None where none is due. `limit` is None over TCP, else UDP's without EDNS."""
        if len(packet) < 12 or packet[2] & _RESPONSE:
            # No header to answer to, or an answer: two servers must not answer each other for ever.
            return None
        try:
            question = DNSRecord.parse(packet)
        except Exception:
            return _bare(packet, RCODE.FORMERR)
        try:
            answer = self._answer(question, limit)
        except Exception:
            log.exception("the question %s could not be answered", question.questions)
            answer = _bare(packet, RCODE.SERVFAIL)
        self.answered += 1
        return answer

    def _answer(self, question: DNSRecord, limit: int | None) -> bytes:
        extension = next((each for each in question.ar if each.rtype == QTYPE.OPT), None)
        reply = DNSRecord(
            DNSHeader(id=question.header.id, qr=1, opcode=question.header.opcode, rd=question.header.rd, ra=0),
            questions=question.questions,
        )
        if extension is not None:
            reply.add_ar(EDNS0(udp_len=MAX_UDP))
            limit = None if limit is None else min(max(extension.edns_len, PLAIN_UDP), MAX_UDP)
        code = _refusal(question)
        if extension is not None and extension.edns_ver != 0:
            code = _BADVERS & 0xF
            reply.ar[0] = EDNS0(udp_len=MAX_UDP, ext_rcode=_BADVERS >> 4)
        if code is not None:
            reply.header.rcode = code
            return bytes(reply.pack())
        asked = question.questions[0]
        kind = "ANY" if asked.qtype == QTYPE.ANY else QTYPE.get(asked.qtype)
        self._fill(reply, self._resolver().answer(names.of(asked.qname), str(kind)))
        packed = bytes(reply.pack())
        if limit is not None and len(packed) > limit:
            # The client comes again over TCP.
            reply.rr, reply.auth = [], []
            reply.header.tc = 1
            packed = bytes(reply.pack())
        return packed

    @staticmethod
    def _fill(reply: DNSRecord, answer: Answer) -> None:
        reply.header.aa = int(answer.authoritative)
        reply.header.rcode = answer.code
        reply.rr, reply.auth = answer.records, answer.authority

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            while self._clients <= MAX_TCP_CLIENTS:
                async with asyncio.timeout(TCP_IDLE_SECONDS):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    packet = await reader.readexactly(length)
                    answer = self.reply(packet, None)
                    if answer is None:
                        return
                    writer.write(struct.pack("!H", len(answer)) + answer)
                    await writer.drain()
        except (TimeoutError, OSError, EOFError):
            return
        finally:
            self._clients -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._server.reply(data, PLAIN_UDP)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)


def _refusal(question: DNSRecord) -> int | None:
    if question.header.opcode != OPCODE.QUERY:
        return int(RCODE.NOTIMP)
    if len(question.questions) != 1:
        return int(RCODE.FORMERR)
    (asked,) = question.questions
    if asked.qclass not in (CLASS.IN, CLASS.reverse["*"]) or asked.qtype in (QTYPE.AXFR, QTYPE.IXFR):
        return int(RCODE.REFUSED)
    return None


def _bare(packet: bytes, code: int) -> bytes:
    """A header alone, for a packet that can't be read further."""
    flags = (_RESPONSE << 8) | (packet[2] & 0x79) << 8 | code
    return packet[:2] + struct.pack("!HHHHH", flags, 0, 0, 0, 0)
