"""A target: one environment, with the connections that an operation opens to it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from operations import aws
from operations import manifest as manifests
from operations.errors import OperationError
from operations.manifest import Manifest
from operations.redaction import remember

if TYPE_CHECKING:
    import httpx
    import psycopg
    import redis

    from operations.parameters import Where

Connect = Callable[[str, str], Any]

# Fields of a secret that may be shown.
_NO_SECRETS = frozenset({"username"})

CONNECT_SECONDS = 5
ANSWER_SECONDS = 10


class Target:
    """A manifest and, made when first asked for, the clients for what it names, each with time limits."""

    def __init__(self, manifest: Manifest, connect: Connect | None = None) -> None:
        """`connect` makes the client of a service in a region; by default boto3 does, as the shell is set up."""
        self.manifest = manifest
        self._connect = connect or _connect
        self._connect_once = connect or partial(_connect, attempts=1)
        self._acting: dict[str, Any] = {}
        self._clients: dict[tuple[str, str], Any] = {}

    @classmethod
    def open(cls, where: Where) -> Self:
        """The environment that `where` names; raises what `manifest.load` raises."""
        return cls(manifests.load(where.platform, where.environment, where.region, where.recovery_region))

    def client(self, service: str, region: str | None = None) -> Any:
        """A boto3 client in the environment's region (or another), for example `client("ecs")`."""
        key = (service, region or self.manifest.region)
        if key not in self._clients:
            self._clients[key] = self._connect(*key)
        return self._clients[key]

    def acting(self, service: str) -> Any:
        """A client for calls that change something. It never sends one twice: a call whose answer got lost may have
        acted, and the step looks (operations/steps.py)."""
        if service not in self._acting:
            self._acting[service] = self._connect_once(service, self.manifest.region)
        return self._acting[service]

    def secret(self, arn: str, *fields: str) -> tuple[str, ...]:
        """These fields of the secret's JSON object. Errors name the secret and the field, never a value."""
        value = self.client("secretsmanager").get_secret_value(SecretId=arn).get("SecretString", "")
        try:
            document = json.loads(value)
            found = tuple(str(document[field]) for field in fields)
        except (ValueError, KeyError, TypeError):
            raise OperationError(
                f"the secret {arn} can't be used",
                f"its value is not a JSON object with {', '.join(fields)}",
                f"`pulumi up --stack {self.manifest.environment}` writes it anew",
            ) from None
        for field, text in zip(fields, found, strict=True):
            if field not in _NO_SECRETS:
                remember(text)
        return found

    def database(self) -> psycopg.Connection[tuple[Any, ...]]:
        """A new connection as the application, over TLS with the server's certificate verified.

        PGSSLROOTCERT names the authority to trust (on AWS: Amazon's RDS bundle), else SSL_CERT_FILE, else the
        system's. Raises psycopg.OperationalError; nothing on the server runs longer than ten seconds.
        """
        import psycopg

        database = self.manifest.database
        username, password = self.secret(database.application_secret, "username", "password")
        return psycopg.connect(
            host=database.endpoint,
            port=database.port,
            dbname=database.name,
            user=username,
            password=password,
            sslmode="verify-full",
            sslrootcert=os.environ.get("PGSSLROOTCERT") or os.environ.get("SSL_CERT_FILE") or "system",
            connect_timeout=CONNECT_SECONDS,
            application_name="drydock",
            options=f"-c statement_timeout={ANSWER_SECONDS * 1000} -c lock_timeout={ANSWER_SECONDS * 1000}",
        )

    def cache(self) -> redis.Redis:
        """A client of the cache with its auth token, over TLS where the manifest says so (SSL_CERT_FILE is
        honoured).
        """
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        cache = self.manifest.cache
        (token,) = self.secret(cache.secret, "auth_token")
        return redis.Redis(
            host=cache.endpoint,
            port=cache.port,
            password=token,
            ssl=cache.tls,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=CONNECT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )

    def http(self, timeout: float = ANSWER_SECONDS) -> httpx.Client:
        """An HTTP client that opens a connection for each request, as a new user does; `timeout` is in s."""
        import ssl

        import httpx

        return httpx.Client(
            verify=ssl.create_default_context(),
            timeout=httpx.Timeout(timeout, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_keepalive_connections=0, max_connections=None),
            headers={"user-agent": "drydock"},
            # A proxy of the operator's shell is not on the users' way to the service.
            trust_env=False,
        )

    def __repr__(self) -> str:
        return "\n".join(f"{name + ':':<10} {value}" for name, value in self._lines())

    def _repr_html_(self) -> str:
        from operations.tables import pairs

        return pairs(self._lines())

    def _lines(self) -> list[tuple[str, str]]:
        manifest = self.manifest
        fallback = manifest.read_from not in (None, manifest.region)
        source = (
            f"{manifest.read_from} (RECOVERY REGION: the primary did not answer)" if fallback else manifest.read_from
        )
        return [
            ("target", f"{manifest.platform} {manifest.environment}"),
            ("account", f"{manifest.account}, {manifest.region}"),
            ("manifest", f"version {manifest.schema_version}, read from {source or 'a document'}"),
            *((name, service.url) for name, service in sorted(manifest.services.items())),
            (
                "database",
                f"{manifest.database.identifier} at {manifest.database.endpoint}:{manifest.database.port}",
            ),
            (
                "cache",
                f"{manifest.cache.replication_group} at {manifest.cache.endpoint}:{manifest.cache.port}",
            ),
        ]


def _connect(service: str, region: str, attempts: int = 3) -> Any:
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=ANSWER_SECONDS,
        retries={"mode": "standard", "total_max_attempts": attempts},
        user_agent_extra="drydock",
    )
    return aws.client(service, region, config)
