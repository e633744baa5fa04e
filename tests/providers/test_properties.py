from __future__ import annotations

from google.protobuf.struct_pb2 import Struct

from dock.providers.properties import UNKNOWN, Properties, holds_unknown


def round_trip(properties: Properties) -> Properties:
    return Properties.of(properties.struct())


def test_plain_values_survive_the_wire() -> None:
    values = {"text": "a", "count": 3, "share": 0.5, "on": True, "list": [1, "b", [False]], "object": {"x": {"y": ""}}}
    assert round_trip(Properties(values)).values == values


def test_an_empty_list_and_an_empty_object_are_not_lost() -> None:
    assert round_trip(Properties({"list": [], "object": {}})).values == {"list": [], "object": {}}


def test_a_whole_number_is_an_integer_again() -> None:
    assert isinstance(round_trip(Properties({"port": 5432})).values["port"], int)


def test_a_secret_keeps_its_marker() -> None:
    back = round_trip(Properties({"password": "p", "name": "n"}, {"password"}))
    assert back.values == {"password": "p", "name": "n"}
    assert back.secret == {"password"}


def test_a_secret_deep_inside_makes_the_whole_property_secret() -> None:
    struct = Struct()
    inner = struct.fields["tags"].struct_value.fields["token"].struct_value.fields
    inner["4dabf18193072939515e22adb298388d"].string_value = "1b47061264138c4ac30d75fd1eb44270"
    inner["value"].string_value = "hidden"
    properties = Properties.of(struct)
    assert properties.values == {"tags": {"token": "hidden"}}
    assert properties.secret == {"tags"}


def test_what_is_not_known_yet_stays_unknown() -> None:
    back = round_trip(Properties({"id": UNKNOWN, "ids": ["a", UNKNOWN]}))
    assert back.values["id"] is UNKNOWN
    assert holds_unknown(back.values["ids"])


def test_an_output_value_counts_as_its_value() -> None:
    struct = Struct()
    fields = struct.fields["subnet"].struct_value.fields
    fields["4dabf18193072939515e22adb298388d"].string_value = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
    assert Properties.of(struct).values["subnet"] is UNKNOWN
    fields["value"].string_value = "subnet-1"
    fields["secret"].bool_value = True
    assert Properties.of(struct) == Properties({"subnet": "subnet-1"}, {"subnet"})


def test_nothing_is_said_of_a_property_without_a_value() -> None:
    assert "gone" not in round_trip(Properties({"gone": None, "here": 1})).values
