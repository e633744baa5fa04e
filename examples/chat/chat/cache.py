"""Redis: sessions, recent messages, announcements and the voice queue.

Nothing in it is the only copy, but for sessions: who loses one logs in again.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ReadOnlyError, RedisError

from chat.problems import Unavailable
from chat.settings import Settings

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 2.0
"""A request hears within this time that the cache is away."""


class CacheAway(Unavailable):
    code = "cache_unavailable"


def connect(settings: Settings) -> Redis:
    """A client. Connects at the first command, and anew after a failover."""
    token = settings.cache_auth_token
    return Redis(
        host=settings.cache_host,
        port=settings.cache_port,
        password=token.get_secret_value() if token else None,
        ssl=settings.cache_tls,
        ssl_ca_certs=settings.ssl_cert_file or ssl.get_default_verify_paths().cafile,
        protocol=2,
        max_connections=100,
        socket_connect_timeout=1.0,
        socket_timeout=1.0,
        health_check_interval=5,
        retry=Retry(ExponentialBackoff(base=0.05, cap=0.3), retries=3),
        # A primary that was demoted still answers, but refuses writes.
        retry_on_error=[ReadOnlyError],
    )


@asynccontextmanager
async def bounded(seconds: float = DEADLINE_SECONDS) -> AsyncIterator[None]:
    """Commands inside are done within `seconds` or raise CacheAway."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except (RedisError, OSError) as error:  # TimeoutError is an OSError
        raise CacheAway("the cache does not answer at the moment") from error
