"""Who this process is: its task, its address and its memory limit, as the container agent tells them."""

import ipaddress
import json
import os
import time
import urllib.request
from dataclasses import dataclass
from typing import Any

ATTEMPTS = 5
TIMEOUT_SECONDS = 2.0


class TaskError(Exception):
    """The metadata endpoint is named but does not say which address is ours."""


@dataclass(frozen=True, kw_only=True)
class Task:
    name: str
    address: str
    memory_limit_bytes: int | None = None


def discover() -> Task:
    """Ask `ECS_CONTAINER_METADATA_URI_V4`; without it this is a process on a developer's machine, on 127.0.0.1.

    Raises TaskError: falling back to loopback inside a task would put two tasks on one address.
    """
    uri = os.environ.get("ECS_CONTAINER_METADATA_URI_V4")
    if not uri:
        return Task(name=f"process-{os.getpid()}", address="127.0.0.1")
    failure: Exception | None = None
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(0.2 * 2**attempt)
        try:
            with urllib.request.urlopen(f"{uri}/task", timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 the agent's
                return from_metadata(json.load(answer))
        except (OSError, ValueError) as error:
            failure = error
    raise TaskError(f"the task metadata endpoint gives no address after {ATTEMPTS} attempts: {failure}") from failure


def from_metadata(document: dict[str, Any]) -> Task:
    """Read an ECS task metadata document, version 4. Raises ValueError when it has no usable address."""
    addresses = [
        address
        for container in document.get("Containers") or []
        for network in container.get("Networks") or []
        for address in network.get("IPv4Addresses") or []
    ]
    if not addresses:
        raise ValueError("the task has no IPv4 address yet")
    address = ipaddress.IPv4Address(addresses[0])
    if address.is_unspecified or address.is_multicast:
        raise ValueError(f"{address} is not an address to listen on")
    limits = [container.get("Limits") or {} for container in document["Containers"]]
    memory = (document.get("Limits") or {}).get("Memory") or next(
        (x["Memory"] for x in limits if x.get("Memory")), None
    )
    return Task(
        name=str(document.get("TaskARN", "task")).rsplit("/", 1)[-1],
        address=str(address),
        memory_limit_bytes=int(memory) * 1024 * 1024 if memory else None,
    )
