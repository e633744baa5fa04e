"""Health: can this task serve? Four checks, side by side, each bounded."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
from redis.exceptions import RedisError

from chat import schema
from chat.service import Service

CHECK_SECONDS = 1.5


class Failing(Exception):
    """A check's finding, for people. Shown to whoever asks, so it names no host."""


Check = Callable[[Service], Awaitable[dict[str, Any]]]


async def database(service: Service) -> dict[str, Any]:
    """Reads the schema's revision: proves connection, login, a read, and that the release and the schema fit."""
    try:
        found = await schema.found(service.database)
    except psycopg.Error as error:
        raise Failing(f"does not answer ({type(error).__name__})") from error
    if not schema.fits(found, service.required_schema):
        raise Failing(
            f"schema is at {found or 'nothing'}, this release needs {service.required_schema}: run chat.migrate"
        )
    return {"schema": found}


async def cache(service: Service) -> dict[str, Any]:
    try:
        await service.redis.ping()
    except (RedisError, OSError) as error:
        raise Failing(f"does not answer ({type(error).__name__})") from error
    return {}


async def disk(service: Service) -> dict[str, Any]:
    free = shutil.disk_usage(tempfile.gettempdir()).free // 2**20
    if free < service.settings.health_minimum_disk_mb:
        raise Failing(f"{free} MiB free, {service.settings.health_minimum_disk_mb} needed")
    return {"free_mb": free}


async def memory(service: Service) -> dict[str, Any]:
    """Of the task's limit, where the container agent names one, else of the machine."""
    used, limit = resident_bytes(), service.task.memory_limit_bytes
    if limit is not None:
        percent = 100 * used / limit
    else:
        machine = _meminfo()
        percent = 100 * (1 - machine["MemAvailable"] / machine["MemTotal"])
    if percent > service.settings.health_maximum_memory_percent:
        raise Failing(f"{percent:.0f} % used, {service.settings.health_maximum_memory_percent} % allowed")
    return {"resident_mb": used // 2**20, "used_percent": round(percent, 1)}


CHECKS: dict[str, Check] = {"database": database, "cache": cache, "disk": disk, "memory": memory}


async def report(service: Service) -> tuple[bool, dict[str, Any]]:
    """Whether all is well, and the document to show."""
    results = await asyncio.gather(*(run(check, service) for check in CHECKS.values()))
    checks = dict(zip(CHECKS, results, strict=True))
    well = all(result["status"] == "ok" for result in results)
    status = "draining" if service.draining else "ok" if well else "failing"
    return status == "ok", {
        "status": status,
        "release": service.settings.release,
        "task": service.task.name,
        "checks": checks,
    }


async def run(check: Check, service: Service) -> dict[str, Any]:
    started = time.perf_counter()
    status, detail = "ok", {}
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            detail = await check(service)
    except TimeoutError:
        status, detail = "failing", {"problem": f"no answer in {CHECK_SECONDS} s"}
    except Failing as failing:
        status, detail = "failing", {"problem": str(failing)}
    return {"status": status, "latency_ms": round(1000 * (time.perf_counter() - started), 2), **detail}


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _meminfo() -> dict[str, int]:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
