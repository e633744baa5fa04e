"""When AWS may back up and maintain something."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.domain import minutes


def apart(name: str, daily: str, weekly: str) -> Iterator[str]:
    """AWS wants both windows to be half an hour at least, and never at once."""
    for each, window, times in ((name, daily, 7), ("maintenance_window", weekly, 1)):
        if len(minutes(window)) < 30 * times:
            yield f"{each}: {window} is shorter than 30 minutes"
    if minutes(daily) & minutes(weekly):
        yield f"{name} {daily} and maintenance_window {weekly} overlap"
