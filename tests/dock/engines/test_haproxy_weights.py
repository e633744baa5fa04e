"""Shares by weight, exactly."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from dock.engines.haproxy.model import Balancer, FixedResponse, Forward, Listener, Rule
from dock.engines.haproxy.weights import ROUND, slots, weight_map

weights = st.dictionaries(st.sampled_from(["a", "b", "c", "d", "e"]), st.integers(0, 999), min_size=1)


@given(weights)
def test_shares_are_the_weights_to_one_in_a_thousand(given_weights: dict[str, int]) -> None:
    order = slots(given_weights)
    total = sum(given_weights.values())
    if total == 0:
        assert order == []
        return
    assert len(order) == ROUND
    counts = Counter(order)
    for group, weight in given_weights.items():
        if weight == 0:
            assert counts[group] == 0
        else:
            assert counts[group] >= 1
            assert abs(counts[group] - ROUND * weight / total) <= len(given_weights)


def test_a_series_of_ten_already_has_the_shares() -> None:
    order = slots({"old": 90, "new": 10})
    assert all(Counter(order[start : start + 10]) == {"old": 9, "new": 1} for start in range(0, ROUND, 10))


def test_a_rule_with_one_group_that_counts_needs_one_entry_and_one_without_any_none() -> None:
    rules = (
        Rule("single", Forward({"a": 5, "b": 0})),
        Rule("nobody", Forward({"a": 0})),
        Rule("fixed", FixedResponse(200)),
    )
    assert weight_map(Balancer(listeners=(Listener("web", "127.0.0.1", 80, rules),))) == {"single": "a"}


def test_a_rule_with_shares_also_says_where_to_go_while_they_change() -> None:
    rule = Rule("split", Forward({"a": 1, "b": 3}))
    entries = weight_map(Balancer(listeners=(Listener("web", "127.0.0.1", 80, (rule,)),)))
    assert entries["split"] == "b"
    assert Counter(entries[f"split/{number}"] for number in range(ROUND)) == {"a": 250, "b": 750}
