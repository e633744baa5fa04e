"""Whether a dashboard's body is one that CloudWatch would draw."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from dock.aws.cloudwatch import statistics

MOST_WIDGETS = 500
COLUMNS = 24
_BODY = {"widgets", "start", "end", "periodOverride", "variables"}
_WIDGET = {"type", "x", "y", "width", "height", "properties"}
# What a widget's properties must have, and which others are known (API reference, "Dashboard body structure").
_REQUIRED = {
    "metric": ("region",),
    "text": ("markdown",),
    "log": ("query", "region"),
    "alarm": ("alarms",),
    "explorer": ("metrics", "labels"),
    "custom": ("endpoint",),
}
_KNOWN = {
    "metric": {
        "accountId", "annotations", "end", "gauge", "labels", "legend", "liveData", "metrics", "period",
        "region", "setPeriodToTimeRange", "singleValueFullPrecision", "sparkline", "stacked", "start", "stat", "table",
        "timezone", "title", "trend", "view", "yAxis",
    },
    "text": {"markdown", "background"},
    "log": {"accountId", "legend", "query", "queryLanguage", "region", "stacked", "title", "view", "yAxis"},
    "alarm": {"alarms", "sortBy", "states", "title"},
    "explorer": {"aggregateBy", "labels", "metrics", "period", "region", "splitBy", "title", "widgetOptions"},
    "custom": {"endpoint", "params", "title", "updateOn"},
}  # fmt: skip
_TYPES: dict[str, type | tuple[type, ...]] = {
    "alarms": list, "annotations": dict, "legend": dict, "liveData": bool, "markdown": str, "metrics": list,
    "period": int, "query": str, "region": str, "sparkline": bool, "stacked": bool, "stat": str, "title": str,
    "view": str, "yAxis": dict,
}  # fmt: skip
_VIEWS = {"timeSeries", "singleValue", "gauge", "bar", "pie", "table"}
_PLACES = {"x": (0, COLUMNS - 1), "y": (0, None), "width": (1, COLUMNS), "height": (1, 1000)}


class Finding(NamedTuple):
    """What is wrong, and where (a JSON pointer)."""

    dataPath: str
    message: str


def check(body: str) -> tuple[list[Finding], list[Finding]]:
    """What CloudWatch refuses, and what it only warns of."""
    try:
        document = json.loads(body)
    except ValueError as problem:
        return [Finding("", f"The field DashboardBody must be a valid JSON object: {problem}")], []
    if not isinstance(document, dict):
        return [Finding("", "The field DashboardBody must be a valid JSON object")], []
    check_ = _Check()
    check_.body(document)
    return check_.errors, check_.warnings


class _Check:
    def __init__(self) -> None:
        self.errors: list[Finding] = []
        self.warnings: list[Finding] = []

    def _wrong(self, path: str, message: str) -> None:
        self.errors.append(Finding(path, message))

    def body(self, document: dict[str, Any]) -> None:
        self._unknown("", document, _BODY)
        widgets = document.get("widgets")
        if not isinstance(widgets, list):
            self._wrong("/widgets", "Should be an array of widgets")
            return
        if len(widgets) > MOST_WIDGETS:
            self._wrong("/widgets", f"Should have at most {MOST_WIDGETS} widgets")
        if document.get("periodOverride", "auto") not in ("auto", "inherit"):
            self._wrong("/periodOverride", "Should be auto or inherit")
        for index, widget in enumerate(widgets):
            self._widget(f"/widgets/{index}", widget)

    def _unknown(self, path: str, given: dict[str, Any], known: set[str]) -> None:
        for name in sorted(set(given) - known):
            self.warnings.append(Finding(f"{path}/{name}", f"Unknown property {name}"))

    def _widget(self, path: str, widget: Any) -> None:
        if not isinstance(widget, dict):
            self._wrong(path, "Should be an object")
            return
        self._unknown(path, widget, _WIDGET)
        for name, (least, most) in _PLACES.items():
            value = widget.get(name, least)
            if not isinstance(value, int) or value < least or (most is not None and value > most):
                limits = f"{least} to {most}" if most is not None else f"{least} or more"
                self._wrong(f"{path}/{name}", f"Should be a whole number of {limits}")
        kind, properties = widget.get("type"), widget.get("properties")
        if kind not in _REQUIRED:
            self._wrong(f"{path}/type", f"Should be one of {', '.join(sorted(_REQUIRED))}")
        elif not isinstance(properties, dict):
            self._wrong(f"{path}/properties", "Should be an object")
        else:
            self._properties(f"{path}/properties", kind, properties)

    def _properties(self, path: str, kind: str, properties: dict[str, Any]) -> None:
        self._unknown(path, properties, _KNOWN[kind])
        for name in _REQUIRED[kind]:
            if name not in properties:
                self._wrong(path, f"Should have required property '{name}'")
        for name, expected in _TYPES.items():
            value = properties.get(name)
            if name in properties and (
                not isinstance(value, expected) or (isinstance(value, bool) and expected is int)
            ):
                self._wrong(f"{path}/{name}", f"Should be of the type {_word(expected)}")
        if kind == "metric":
            self._metric(path, properties)

    def _metric(self, path: str, properties: dict[str, Any]) -> None:
        annotations = properties.get("annotations")
        if "metrics" not in properties and not (isinstance(annotations, dict) and "alarms" in annotations):
            self._wrong(path, "Should have required property 'metrics', or annotations with alarms")
        view = properties.get("view", "timeSeries")
        if view not in _VIEWS:
            self._wrong(f"{path}/view", f"Should be one of {', '.join(sorted(_VIEWS))}")
        self._stat(f"{path}/stat", properties.get("stat", "Average"))
        metrics = properties.get("metrics", [])
        for index, metric in enumerate(metrics if isinstance(metrics, list) else []):
            self._metric_line(f"{path}/metrics/{index}", metric)

    def _stat(self, path: str, stat: Any) -> None:
        try:
            statistics.parse(str(stat))
        except ValueError as problem:
            self._wrong(path, str(problem))

    def _metric_line(self, path: str, metric: Any) -> None:
        """`[namespace, name, dimension, value, …, {options}]`, or `[{"expression": …}]`."""
        if not isinstance(metric, list) or not metric:
            self._wrong(path, "Should be an array that names a metric, or has an expression")
            return
        options = metric[-1] if isinstance(metric[-1], dict) else {}
        names = metric[:-1] if options or metric[-1] == {} else metric
        if "stat" in options:
            self._stat(f"{path}/{len(metric) - 1}/stat", options["stat"])
        if "expression" in options:
            if names:
                self._wrong(path, "Should not name a metric beside an expression")
        elif not all(isinstance(name, str) for name in names) or len(names) < 2 or len(names) % 2:
            self._wrong(path, "Should have a namespace, a metric name, and pairs of dimension name and value")


def _word(expected: type | tuple[type, ...]) -> str:
    words = {list: "array", dict: "object", bool: "boolean", str: "string", int: "number"}
    return words[expected] if isinstance(expected, type) else ""
