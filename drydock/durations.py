"""Lengths of time as people write them."""

from __future__ import annotations

import re

from drydock.errors import DrydockError

_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|)")


def seconds(text: str) -> float:
    """`90s`, `1.5m`, `200ms`, `2h`, or plain seconds. Raises DrydockError for anything else."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise DrydockError(f"{text!r} is no length of time: write for example 90s, 5m, 200ms or 2h", "")
    return float(found[1]) * _UNITS[found[2]]
