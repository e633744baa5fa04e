"""Shares by weight, exactly: a round of slots that requests take in turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from dock.engines.haproxy.model import Balancer, Forward

ROUND = 1000
"""How many requests make a round: a share is a multiple of one in a thousand."""


def slots(weights: Mapping[str, int], length: int = ROUND) -> list[str]:
    """Which group serves each request of a round; empty when no weight is above 0.

    Shares are rounded to whole slots so that they add up, and a weight above 0 gets one at least. The slots of a
    group are spread over the round (smooth weighted round robin), so that short series come out right too.
    """
    positive = {group: weight for group, weight in weights.items() if weight > 0}
    if not positive:
        return []
    shares = _whole_shares(positive, length)
    credit = dict.fromkeys(shares, 0)
    order = []
    for _ in range(length):
        for group, share in shares.items():
            credit[group] += share
        chosen = max(credit, key=lambda group: credit[group])
        credit[chosen] -= length
        order.append(chosen)
    return order


def _whole_shares(weights: Mapping[str, int], length: int) -> dict[str, int]:
    total = sum(weights.values())
    shares = {group: max(1, weight * length // total) for group, weight in weights.items()}
    # What rounding left goes to those who lost most by it; what the ones of "at least" took comes from the largest.
    remainders = sorted(weights, key=lambda group: weights[group] * length % total, reverse=True)
    for group in remainders:
        if sum(shares.values()) < length:
            shares[group] += 1
    while sum(shares.values()) > length:
        shares[max(shares, key=lambda group: shares[group])] -= 1
    return shares


def weight_map(balancer: Balancer) -> dict[str, str]:
    """HAProxy's map from `rule` and `rule/slot` to the group that serves.

    A rule with one group that counts has the first form alone, which also is what a request falls back to when it
    meets a change half-way. A rule whose weights are all 0 has no entry: it has nobody to serve it.
    """
    entries: dict[str, str] = {}
    for listener in balancer.listeners:
        for rule in listener.rules:
            if not isinstance(rule.action, Forward) or not (order := slots(rule.action.weights)):
                continue
            entries[rule.name] = Counter(order).most_common(1)[0][0]
            if len(set(order)) > 1:
                entries |= {f"{rule.name}/{number}": group for number, group in enumerate(order)}
    return entries
