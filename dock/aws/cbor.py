"""Writing CBOR (RFC 8949) as Smithy's RPC v2 has it: values as they are, moments as tag 1. botocore reads it."""

from __future__ import annotations

import datetime as dt
import struct
from typing import Any


def encode(value: Any) -> bytes:
    """One data item. Raises TypeError for what has no form in CBOR."""
    match value:
        case None:
            return b"\xf6"
        case bool():
            return b"\xf5" if value else b"\xf4"
        case int():
            return _head(0, value) if value >= 0 else _head(1, -1 - value)
        case float():
            return b"\xfb" + struct.pack(">d", value)
        case str():
            text = value.encode()
            return _head(3, len(text)) + text
        case bytes():
            return _head(2, len(value)) + value
        case dt.datetime():
            return b"\xc1" + encode(value.timestamp())
        case list() | tuple():
            return _head(4, len(value)) + b"".join(map(encode, value))
        case dict():
            return _head(5, len(value)) + b"".join(encode(part) for item in value.items() for part in item)
    raise TypeError(f"{type(value).__name__} has no form in CBOR")


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    for extra, (width, code) in enumerate(((1, "B"), (2, "H"), (4, "I"), (8, "Q"))):
        if number < 1 << 8 * width:
            return bytes([major << 5 | 24 + extra]) + struct.pack(f">{code}", number)
    raise TypeError(f"{number} is too great a number for CBOR")
