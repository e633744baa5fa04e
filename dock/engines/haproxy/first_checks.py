"""A new target's first health checks, made by the dock.

A real load balancer checks a new target at once, and the first check that passes makes it healthy: the healthy
threshold is for those that were unhealthy. HAProxy makes its first check of a server that was added while it runs only
after a whole interval, and knows one threshold. So the dock checks a new target from the moment it comes, until it
passes or has failed as often as makes it unhealthy; HAProxy's own checks go on all the while.
"""

from __future__ import annotations

import asyncio

import aiohttp

from dock.engines.haproxy.model import HealthCheck, Target
from dock.engines.haproxy.render import CHECK_AGENT


async def passes_first_checks(target: Target, check: HealthCheck) -> bool:
    """Whether one of its first checks succeeds, before as many in a row fail as make a target unhealthy."""
    for number in range(check.fall):
        if number:
            await asyncio.sleep(check.interval)
        if await _passes(target, check):
            return True
    return False


async def _passes(target: Target, check: HealthCheck) -> bool:
    url = f"http://{target.address}:{check.port or target.port}{check.path}"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=check.timeout)) as session,
            session.get(url, headers={"User-Agent": CHECK_AGENT}, allow_redirects=False) as answer,
        ):
            return matches(check.matcher, answer.status)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return False


def matches(matcher: str, status: int) -> bool:
    """Whether a status is among codes and ranges like `200-299,404`."""
    for part in matcher.split(","):
        low, _, high = part.partition("-")
        if int(low) <= status <= int(high or low):
            return True
    return False
