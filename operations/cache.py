"""Is the cache there, does it keep a key, is its replica connected, is it near its memory limit?"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from operations.checks import Check, judge, not_checked
from operations.database import reported_check
from operations.deadline import within
from operations.endpoints import Answer, sub_checks
from operations.manifest import Cache, Thresholds
from operations.observation import Missing, observe
from operations.redaction import redact

if TYPE_CHECKING:
    from operations.target import Target

AREA = "cache"
SESSION_SECONDS = 20.0
KEY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Group:
    """What ElastiCache says; `members` are the cache clusters, primary and replicas."""

    status: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Session:
    """What a client saw. `error` is set when it got no session, `key_error` when a key did not survive its
    round trip.

    `replicas` are (address, state). `memory_limit` is in bytes, 0 for none.
    """

    error: str = ""
    ping_seconds: float = 0.0
    key_error: str = ""
    role: str = ""
    replicas: tuple[tuple[str, str], ...] = ()
    memory_used: int = 0
    memory_limit: int = 0


@dataclass(frozen=True, slots=True)
class Observed:
    cache: Cache
    thresholds: Thresholds
    region: str
    group: Group | Missing | None
    session: Session | Missing
    reports: dict[str, Answer]


def gather(target: Target, reports: dict[str, Answer]) -> Observed:
    """`reports` are the answers of the services' health paths, which the endpoints' part has asked for
    already.
    """
    manifest = target.manifest
    cache = manifest.cache
    read_secret = f"aws secretsmanager describe-secret --region {manifest.region} --secret-id {cache.secret}"
    return Observed(
        cache=cache,
        thresholds=manifest.thresholds,
        region=manifest.region,
        group=observe(lambda: _group(target), next=_command(cache, manifest.region)),
        session=observe(lambda: _session(target), next=read_secret, seconds=SESSION_SECONDS + 30),
        reports=reports,
    )


def evaluate(seen: Observed) -> list[Check]:
    checks = [_evaluate_group(seen), *_evaluate_session(seen)]
    for name, answer in seen.reports.items():
        reported = (sub_checks(answer.body) or {}).get(AREA)
        if reported is not None:
            checks.append(reported_check(AREA, name, reported))
    return checks


def _evaluate_group(seen: Observed) -> Check:
    subject, expected = seen.cache.replication_group, "available"
    if isinstance(seen.group, Missing):
        return not_checked(AREA, subject, "replication group", seen.group, expected=expected)
    group = seen.group
    return judge(
        AREA,
        subject,
        "replication group",
        group is not None and group.status == "available",
        measured="none" if group is None else f"{group.status}, {len(group.members)} nodes",
        expected=expected,
        why=f"ElastiCache knows no group {subject} in {seen.region}" if group is None else f"it is {group.status}",
        next=_command(seen.cache, seen.region),
    )


_CRITICAL = frozenset({"ping", "key", "replicas"})


def _evaluate_session(seen: Observed) -> list[Check]:
    subject, limit = seen.cache.replication_group, seen.thresholds.cache_memory_percent
    wanted = len(seen.group.members) - 1 if isinstance(seen.group, Group) else None
    expected = {
        "ping": "PONG" + (", over TLS" if seen.cache.tls else "") + ", with the auth token",
        "key": f"what SET wrote, GET reads, with a TTL of {KEY_SECONDS} s",
        "replicas": "every replica online" if wanted is None else f"{wanted} online",
        "memory used": f"at most {limit:g} % of maxmemory",
    }
    command = _command(seen.cache, seen.region)

    def unknown(name: str, missing: Missing) -> Check:
        return not_checked(AREA, subject, name, missing, expected=expected[name], critical=name in _CRITICAL)

    if isinstance(seen.session, Missing):
        return [unknown(name, seen.session) for name in expected]
    session = seen.session
    ping = judge(
        AREA,
        subject,
        "ping",
        not session.error,
        measured="no answer" if session.error else f"PONG in {session.ping_seconds * 1000:.1f} ms",
        expected=expected["ping"],
        why=session.error,
        next=command,
        value=None if session.error else session.ping_seconds,
    )
    if session.error:
        missing = Missing("there was no session to check it in", command)
        return [ping, *(unknown(name, missing) for name in expected if name != "ping")]
    key = judge(
        AREA,
        subject,
        "key",
        not session.key_error,
        measured="kept, with its TTL" if not session.key_error else "refused",
        expected=expected["key"],
        why=session.key_error,
        next=command,
    )
    online = [address for address, state in session.replicas if state == "online"]
    if wanted is None:
        replicas = unknown("replicas", Missing("ElastiCache did not say how many there should be", command))
    else:
        replicas = judge(
            AREA,
            subject,
            "replicas",
            session.role == "master" and len(online) >= wanted,
            measured=f"{len(online)} online",
            expected=expected["replicas"],
            why="the endpoint leads to a replica" if session.role != "master" else "a failover would lose the cache",
            next=command,
            value=len(online),
        )
    if session.memory_limit == 0:
        memory = unknown("memory used", Missing("the server has no maxmemory to compare with", command))
    else:
        share = 100.0 * session.memory_used / session.memory_limit
        memory = judge(
            AREA,
            subject,
            "memory used",
            share <= limit,
            critical=False,
            measured=f"{_mib(session.memory_used)} of {_mib(session.memory_limit)} MiB ({share:.0f} %)",
            expected=expected["memory used"],
            why="close to the limit, keys will be evicted",
            next=command,
            value=share,
        )
    return [ping, key, replicas, memory]


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f}"


def _group(target: Target) -> Group | None:
    from botocore.exceptions import ClientError

    identifier = target.manifest.cache.replication_group
    try:
        answer = target.client("elasticache").describe_replication_groups(ReplicationGroupId=identifier)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ReplicationGroupNotFoundFault", "ReplicationGroupNotFound"):
            return None
        raise
    found = answer["ReplicationGroups"][0]
    return Group(found["Status"], tuple(found["MemberClusters"]))


def _session(target: Target) -> Session:
    import redis

    # Read apart from the session: a secret that can't be read says nothing of the cache.
    (token,) = target.secret(target.manifest.cache.secret, "auth_token")
    try:
        return within(SESSION_SECONDS, lambda: _look_around(target))
    except (redis.RedisError, OSError) as error:
        return Session(error=redact(str(error) or type(error).__name__, token))


def _look_around(target: Target) -> Session:
    import redis

    with target.cache() as client:
        client.ping()  # opens the connection, which is not what is timed
        start = time.perf_counter()
        client.ping()
        ping = time.perf_counter() - start
        try:
            key_error = _round_trip(client)
        except redis.ResponseError as error:
            key_error = redact(str(error))
        memory: dict[str, Any] = client.info("memory")
        replication: dict[str, Any] = client.info("replication")
        # INFO lists replicas as slave0, slave1, …
        listed = [value for name, value in replication.items() if name.startswith("slave") and isinstance(value, dict)]
        return Session(
            ping_seconds=ping,
            key_error=key_error,
            role=str(replication["role"]),
            replicas=tuple((f"{entry['ip']}:{entry['port']}", str(entry["state"])) for entry in listed),
            memory_used=int(memory["used_memory"]),
            memory_limit=int(memory["maxmemory"]),
        )


def _round_trip(client: Any) -> str:
    """Why a key was not kept, or an empty string. The key expires by itself if this process dies."""
    key, value = f"drydock:verify:{uuid.uuid4()}", uuid.uuid4().hex
    client.set(key, value, ex=KEY_SECONDS)
    try:
        if client.get(key) != value:
            return "GET did not return what SET wrote"
        remaining = client.ttl(key)
        if not 0 < remaining <= KEY_SECONDS:
            return f"the key's TTL is {remaining} s instead of {KEY_SECONDS} s"
        return ""
    finally:
        client.delete(key)


def _command(cache: Cache, region: str) -> str:
    return (
        f"aws elasticache describe-replication-groups --region {region}"
        f" --replication-group-id {cache.replication_group}"
    )
