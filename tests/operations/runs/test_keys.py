from __future__ import annotations

from operations.runs.store import EXPIRY, KEYS
from tests.components.build import build


def test_the_tables_that_the_control_stack_makes_have_the_keys_that_runs_rely_on() -> None:
    made = build("run_store", "RunStore")
    for noun, keys in KEYS.items():
        table = made.one("Table", noun).inputs
        assert tuple(filter(None, (table["hashKey"], table.get("rangeKey")))) == keys
        assert {attribute["type"] for attribute in table["attributes"]} == {"S"}
        if "ttl" in table:
            assert table["ttl"]["attributeName"] == EXPIRY
