"""Domain names as the server compares them: labels in lower case, the last one (the root's, empty) left out."""

from __future__ import annotations

from dnslib import DNSLabel

Name = tuple[bytes, ...]

MAX_LABEL = 63
MAX_NAME = 255


def parse(text: str) -> Name:
    r"""A name with or without its final dot; `\ooo` (octal) stands for an octet, as Route 53 writes it.

    Raises ValueError for what is no name.
    """
    labels: list[bytes] = []
    label = bytearray()
    rest = text[:-1] if text.endswith(".") and not text.endswith("\\.") else text
    position = 0
    while position < len(rest):
        character = rest[position]
        if character == "\\":
            digits = rest[position + 1 : position + 4]
            if len(digits) != 3 or any(digit not in "01234567" for digit in digits) or int(digits, 8) > 255:
                raise ValueError(f"{text!r}: a backslash begins an octet in octal, such as \\052")
            label.append(int(digits, 8))
            position += 4
            continue
        if character == ".":
            labels.append(bytes(label))
            label.clear()
        else:
            if not character.isascii():
                raise ValueError(f"{text!r}: write {character!r} in Punycode (xn--…)")
            label += character.encode()
        position += 1
    labels.append(bytes(label))
    if any(not each for each in labels):
        raise ValueError(f"{text!r} has an empty label")
    if any(len(each) > MAX_LABEL for each in labels):
        raise ValueError(f"{text!r} has a label of more than {MAX_LABEL} octets")
    if sum(len(each) + 1 for each in labels) + 1 > MAX_NAME:
        raise ValueError(f"{text!r} has more than {MAX_NAME} octets")
    return tuple(each.lower() for each in labels)


def text(name: Name) -> str:
    r"""The name with its final dot, with `\ooo` for what is no letter, digit, hyphen or underscore."""
    plain = b"abcdefghijklmnopqrstuvwxyz0123456789-_"
    labels = ("".join(chr(octet) if octet in plain else f"\\{octet:03o}" for octet in label) for label in name)
    return "".join(f"{label}." for label in labels)


def of(label: DNSLabel) -> Name:
    """The name in a packet."""
    return tuple(each.lower() for each in label.label)


def within(name: Name, zone: Name) -> bool:
    return len(name) >= len(zone) and name[len(name) - len(zone) :] == zone
