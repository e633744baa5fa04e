"""What a record says: from Route 53's text to what goes into a packet."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

import dnslib
from dnslib import RD, DNSLabel

from dock.engines.dns import names

MAX_STRING = 255
MAX_TEXT = 4000
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb"\\(?:([0-7]{3})|(.))", re.DOTALL)


def parse(kind: str, text: str) -> RD:
    """The data of a record of this type. Raises ValueError with the reason."""
    parser = _PARSERS.get(kind)
    if parser is None:
        raise ValueError(f"there are no records of type {kind} here: {', '.join(sorted(_PARSERS))}")
    return parser(text.strip())


def text(kind: str, data: RD) -> str:
    """The data as Route 53 writes it; the opposite of `parse`."""
    if kind in ("TXT", "SPF"):
        return " ".join('"' + _escaped(each) + '"' for each in data.data)
    return str(data)


def kinds() -> frozenset[str]:
    return frozenset(_PARSERS)


def label(text: str) -> DNSLabel:
    """A name for a packet. Raises ValueError."""
    return DNSLabel(list(names.parse(text)))


def _address(text: str) -> RD:
    try:
        return dnslib.A(str(ipaddress.IPv4Address(text)))
    except ValueError:
        raise ValueError(
            f"ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address) encountered with '{text}'"
        ) from None


def _address6(text: str) -> RD:
    try:
        return dnslib.AAAA(str(ipaddress.IPv6Address(text)))
    except ValueError:
        raise ValueError(
            f"AAAARRDATAIllegalIPv6Address (Value is not a valid IPv6 address) encountered with '{text}'"
        ) from None


def _fields(text: str, count: int, what: str) -> list[str]:
    found = text.split()
    if len(found) != count:
        raise ValueError(f"{what} encountered with '{text}'")
    return found


def _number(text: str, maximum: int) -> int:
    if not text.isdigit() or int(text) > maximum:
        raise ValueError(f"a number from 0 to {maximum} was expected instead of '{text}'")
    return int(text)


def _exchange(text: str) -> RD:
    preference, host = _fields(text, 2, "MXRRDATANotTwoFields (MX record doesn't have 2 fields)")
    return dnslib.MX(label(host), _number(preference, 65535))


def _service(text: str) -> RD:
    priority, weight, port, target = _fields(text, 4, "SRVRRDATANotFourFields (SRV record doesn't have 4 fields)")
    return dnslib.SRV(_number(priority, 65535), _number(weight, 65535), _number(port, 65535), label(target))


def _authority(text: str) -> RD:
    primary, mailbox, *times = _fields(text, 7, "SOARRDATANotSevenFields (SOA record doesn't have 7 fields)")
    return dnslib.SOA(label(primary), label(mailbox), tuple(_number(each, 2**32 - 1) for each in times))


def _strings(text: str) -> RD:
    if len(text) > MAX_TEXT:
        raise ValueError(f"TXTRRDATATooLong (more than {MAX_TEXT} characters) encountered")
    if _QUOTED.sub("", text).strip() or not text:
        raise ValueError(
            f"InvalidCharacterString (Value should be enclosed in quotation marks) encountered with '{text}'"
        )
    found = [_unescaped(each) for each in _QUOTED.findall(text)]
    if any(len(each) > MAX_STRING for each in found):
        raise ValueError("CharacterStringTooLong (Value is too long) encountered with a string of more than 255 octets")
    return dnslib.TXT(found)


def _authorization(text: str) -> RD:
    fields = text.split(None, 2)
    if len(fields) != 3 or not _QUOTED.fullmatch(fields[2]):
        raise ValueError(f"CAARRDATA (flags, tag and a value in quotes were expected) encountered with '{text}'")
    return dnslib.CAA(_number(fields[0], 255), fields[1], fields[2][1:-1])


def _unescaped(text: str) -> bytes:
    def octet(match: re.Match[bytes]) -> bytes:
        return bytes([int(match[1], 8) & 255]) if match[1] else match[2]

    return _ESCAPE.sub(octet, text.encode())


def _escaped(data: bytes) -> str:
    plain = (chr(octet) if 32 <= octet < 127 else f"\\{octet:03o}" for octet in data)
    return "".join(f"\\{each}" if each in '"\\' else each for each in plain)


_PARSERS: dict[str, Callable[[str], RD]] = {
    "A": _address,
    "AAAA": _address6,
    "CAA": _authorization,
    "CNAME": lambda text: dnslib.CNAME(label(text)),
    "MX": _exchange,
    "NS": lambda text: dnslib.NS(label(text)),
    "PTR": lambda text: dnslib.PTR(label(text)),
    "SOA": _authority,
    "SPF": _strings,
    "SRV": _service,
    "TXT": _strings,
}
