"""Facts, and what stands in their place when they could not be had."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from operations.deadline import within
from operations.errors import OperationError
from operations.redaction import redact

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Missing:
    """A fact that could not be observed. It proves nothing: a check on it is "not checked", never passed or
    failed.
    """

    why: str
    next: str


def observe(call: Callable[[], T], *, next: str, seconds: float = 30.0) -> T | Missing:
    """What the call returns, or `Missing` when the cloud's API refuses, can't be reached or hangs."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return within(seconds, call)
    except OperationError as error:
        return Missing(redact(f"{error.what}: {error.why}"), error.next)
    except (BotoCoreError, ClientError, TimeoutError) as error:
        return Missing(redact(str(error) or type(error).__name__), next)
