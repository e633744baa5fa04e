"""The embedded metric format: metrics that a log event carries in itself, under `_aws`.

AWS's specification: Amazon CloudWatch user guide, "Embedded metric format".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from dock.aws.cloudwatch import Datum

_MOST_METRICS, _MOST_DIMENSIONS = 100, 30
# Two weeks back and two hours ahead, in milliseconds: what CloudWatch takes.
_OLDEST, _NEWEST = 14 * 86_400_000, 7_200_000


def embedded(message: str, now: int) -> Iterator[tuple[str, Datum]]:
    """The (namespace, datum) pairs of a log event; `now` in milliseconds since the epoch.

    What doesn't follow the specification yields nothing, as on AWS: the event is kept, and no metric comes of it.
    """
    if '"CloudWatchMetrics"' not in message:
        return
    try:
        document = json.loads(message)
        envelope = document["_aws"]
        at = int(envelope["Timestamp"])
        directives = envelope["CloudWatchMetrics"]
    except (ValueError, KeyError, TypeError):
        return
    if not now - _OLDEST <= at <= now + _NEWEST or not isinstance(directives, list):
        return
    for directive in directives:
        if isinstance(directive, dict):
            yield from _directive(document, directive, at / 1000)


def _directive(document: dict[str, Any], directive: dict[str, Any], at: float) -> Iterator[tuple[str, Datum]]:
    namespace, metrics, sets = (directive.get(key) for key in ("Namespace", "Metrics", "Dimensions"))
    if not isinstance(namespace, str) or not isinstance(metrics, list) or not isinstance(sets, list):
        return
    if namespace.startswith("AWS/") or len(metrics) > _MOST_METRICS:
        return
    dimensions = [found for keys in sets if (found := _dimensions(document, keys)) is not None]
    for metric in metrics:
        name = metric.get("Name") if isinstance(metric, dict) else None
        if isinstance(name, str) and (values := _numbers(document.get(name))):
            for each in dimensions:
                yield namespace, Datum(name, each, unit=metric.get("Unit", "None"), at=at, values=values)


def _dimensions(document: dict[str, Any], keys: Any) -> dict[str, str] | None:
    """None when the event lacks one, or when it isn't text."""
    if not isinstance(keys, list) or len(keys) > _MOST_DIMENSIONS:
        return None
    found = {key: document.get(key) for key in keys if isinstance(key, str)}
    good = {key: value for key, value in found.items() if isinstance(value, str) and value}
    return good if len(good) == len(keys) else None


def _numbers(value: Any) -> list[float]:
    values = value if isinstance(value, list) else [value]
    numbers = [float(each) for each in values if isinstance(each, int | float) and not isinstance(each, bool)]
    return numbers if len(numbers) == len(values) else []
