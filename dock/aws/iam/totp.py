"""One-time passwords by time (RFC 6238), as virtual MFA devices make them."""

from __future__ import annotations

import base64
import hashlib
import hmac

STEP_SECONDS = 30
DIGITS = 6
# A device's clock may be off by a step either way.
TOLERATED_STEPS = 1


def code(seed: str, step: int) -> str:
    """The code of a step (30 s since the epoch), from a seed in base 32."""
    digest = hmac.new(base64.b32decode(seed), step.to_bytes(8, "big"), hashlib.sha1).digest()
    offset = digest[-1] & 0xF
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def step_of(seed: str, given: str, now: float, after: int) -> int | None:
    """The step that a code is of; None when it is of none near `now`, or of one not later than `after`: no code is
    good twice."""
    current = int(now // STEP_SECONDS)
    for step in range(current - TOLERATED_STEPS, current + TOLERATED_STEPS + 1):
        if step > after and hmac.compare_digest(code(seed, step), given):
            return step
    return None
