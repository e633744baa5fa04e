"""A resource's properties, between the wire's markers and plain Python values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value  # type: ignore[import-untyped]

# The engine's markers, part of its public wire format.
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  (the marker, not what it marks)
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_UNKNOWN_STRING = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS = {
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
    _UNKNOWN_STRING,
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
    "030794c1-ac77-496b-92df-f27374a8bd58",
    "e48ece36-62e2-4504-bad9-02848725956a",
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
}


class _Unknown:
    """A value that is known only after an update (in previews)."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()


@dataclass(slots=True)
class Properties:
    """Plain values by their Pulumi names, UNKNOWN among them, and the names of those that hold a secret.

    A name counts as secret when anything below it is: the whole property then travels under the marker.
    """

    values: dict[str, Any] = field(default_factory=dict)
    secret: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, struct: Struct) -> Properties:
        properties = cls()
        for name, value in struct.fields.items():
            plain, secret = _decode(value)
            properties.values[name] = plain
            if secret:
                properties.secret.add(name)
        return properties

    def struct(self) -> Struct:
        encoded = Struct()
        for name, value in self.values.items():
            if value is None:
                continue
            _encode({_SIGNATURE: _SECRET, "value": value} if name in self.secret else value, encoded.fields[name])
        return encoded

    def marked(self, secret: Iterable[str]) -> Properties:
        """The same values, with these names secret too."""
        return Properties(self.values, self.secret | set(secret))


def holds_unknown(value: Any) -> bool:
    """Whether the value is unknown, wholly or in part."""
    if value is UNKNOWN:
        return True
    if isinstance(value, Mapping):
        return any(holds_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(holds_unknown(item) for item in value)
    return False


def texts(value: Any) -> Iterable[str]:
    """Every string below the value: what must not be seen when the value is secret."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def _decode(value: Value) -> tuple[Any, bool]:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        fields = value.struct_value.fields
        signature = fields[_SIGNATURE].string_value if _SIGNATURE in fields else ""
        if signature == _SECRET:
            return _decode(fields["value"])[0], True
        if signature == _OUTPUT:
            secret = "secret" in fields and fields["secret"].bool_value
            if "value" not in fields:
                return UNKNOWN, secret
            plain, inner = _decode(fields["value"])
            return plain, secret or inner
        items = {name: _decode(item) for name, item in fields.items()}
        return {name: plain for name, (plain, _) in items.items()}, any(secret for _, secret in items.values())
    if kind == "list_value":
        decoded = [_decode(item) for item in value.list_value.values]
        return [plain for plain, _ in decoded], any(secret for _, secret in decoded)
    if kind == "string_value":
        return (UNKNOWN if value.string_value in _UNKNOWNS else value.string_value), False
    if kind == "number_value":
        number = value.number_value
        return (int(number) if number.is_integer() else number), False
    if kind == "bool_value":
        return value.bool_value, False
    return None, False


def _encode(value: Any, into: Value) -> None:
    if value is None:
        into.null_value = 0
    elif value is UNKNOWN:
        into.string_value = _UNKNOWN_STRING
    elif isinstance(value, bool):
        into.bool_value = value
    elif isinstance(value, (int, float)):
        into.number_value = value
    elif isinstance(value, str):
        into.string_value = value
    elif isinstance(value, Mapping):
        into.struct_value.SetInParent()
        for name, item in value.items():
            _encode(item, into.struct_value.fields[name])
    elif isinstance(value, (list, tuple)):
        into.list_value.SetInParent()
        for item in value:
            _encode(item, into.list_value.values.add())
    else:
        # Times, for example, as the API's client parses them.
        into.string_value = value.isoformat() if hasattr(value, "isoformat") else str(value)
