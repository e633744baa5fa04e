"""A cloud with ElastiCache alone, and what a user has: boto3, redis-py, the endpoint and the token."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from dock.cloud import ACCOUNTS, REGIONS, Cloud
from tests.dock.conftest import call

TOKEN = "canary-4b1d-A-token-of-the-tests"


@dataclass
class User:
    """Someone with an account on the dock."""

    cloud: Cloud
    account: str = ACCOUNTS[0]
    region: str = REGIONS[0]

    def __post_init__(self) -> None:
        self.elasticache = self.cloud.client("elasticache", self.account, self.region)

    async def ask(self, operation: str, **parameters: Any) -> Any:
        return await call(getattr(self.elasticache, operation), **parameters)

    async def create(self, identifier: str, nodes: int = 2, **parameters: Any) -> dict[str, Any]:
        """A group that is available; two nodes or more fail over automatically unless told otherwise."""
        await self.begin(identifier, nodes, **parameters)
        return await self.available(identifier)

    async def begin(self, identifier: str, nodes: int = 2, **parameters: Any) -> None:
        asked = {
            "ReplicationGroupId": identifier,
            "ReplicationGroupDescription": "of a test",
            "NumCacheClusters": nodes,
            "CacheNodeType": "cache.t4g.micro",
            "AutomaticFailoverEnabled": nodes > 1,
            **parameters,
        }
        await self.ask("create_replication_group", **asked)

    async def group(self, identifier: str) -> dict[str, Any]:
        answer = await self.ask("describe_replication_groups", ReplicationGroupId=identifier)
        return dict(answer["ReplicationGroups"][0])

    async def available(self, identifier: str, seconds: float = 30, status: str = "available") -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while (group := await self.group(identifier))["Status"] != status:
            if time.monotonic() > deadline:
                raise AssertionError(f"{identifier} is {group['Status']}: {await self.events()}")
            await asyncio.sleep(0.05)
        return group

    async def gone(self, identifier: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                await self.group(identifier)
            except self.elasticache.exceptions.ReplicationGroupNotFoundFault:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{identifier} is still there")

    async def events(self) -> list[str]:
        return [event["Message"] for event in (await self.ask("describe_events"))["Events"]]

    def connect(
        self, endpoint: dict[str, Any], *, token: str | None = None, tls: bool = False, **options: Any
    ) -> Redis:
        if tls:
            options |= {"ssl": True, "ssl_ca_certs": str(self.cloud.certificates.path)}
        return Redis(
            host=endpoint["Address"],
            port=endpoint["Port"],
            password=token,
            decode_responses=True,
            socket_timeout=2,
            retry=Retry(NoBackoff(), 0),
            **options,
        )


def primary_of(group: dict[str, Any]) -> str:
    return next(
        str(member["CacheClusterId"])
        for member in group["NodeGroups"][0]["NodeGroupMembers"]
        if member["CurrentRole"] == "primary"
    )


async def write_until_taken(client: Redis, key: str, seconds: float = 15) -> float:
    """Write until it is taken; returns how many seconds that took."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        try:
            await client.set(key, "yes")
            return time.monotonic() - began
        except (RedisError, OSError):
            await asyncio.sleep(0.01)
    raise AssertionError(f"no write was taken for {seconds} s")
