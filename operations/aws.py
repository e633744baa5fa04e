"""Clients of AWS, as this process's shell is set up."""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from typing import Any

# What decides whom a session talks to, and as whom. A process may be attached to another account later.
_DECIDING = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ENDPOINT_URL",
)
_one_at_a_time = threading.Lock()


def client(service: str, region: str, config: Any) -> Any:
    """A client of this service in this region.

    Clients share a session, for reading AWS's descriptions of services takes most of the time that a client costs.
    """
    # Making a client from a session is not safe in two threads at once; using it is.
    with _one_at_a_time:
        return _session(tuple(os.environ.get(name, "") for name in _DECIDING)).client(
            service, region_name=region, config=config
        )


@lru_cache(maxsize=2)
def _session(_: tuple[str, ...]) -> Any:
    import boto3

    return boto3.session.Session()
