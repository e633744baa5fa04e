"""Time limits for calls that have none of their own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# How often a long pause looks whether it should go on.
_LOOK_SECONDS = 0.2


def within(seconds: float, call: Callable[[], T]) -> T:
    """The call's result or its exception; TimeoutError when neither is there after `seconds`.

    A call that hangs (a server that is stopped, not dead, still acknowledges packets) is left behind in a
    daemon thread: it can't keep the interpreter alive.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # handed to the caller, whatever it is
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no answer in {seconds:g} s")
    return results[0]


class Deadline:
    """A point in time that several waits share. `check` is called in every pause: what it raises ends the wait."""

    def __init__(self, seconds: float, check: Callable[[], None] | None = None) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._check = check

    @property
    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        return self.left == 0.0

    def pause(self, seconds: float) -> None:
        """Sleep, but not beyond the deadline."""
        until = min(time.monotonic() + seconds, self._end)
        while True:
            if self._check is not None:
                self._check()
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _LOOK_SECONDS) if self._check is not None else left)
