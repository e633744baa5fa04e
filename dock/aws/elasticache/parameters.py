"""The parameters of a cache parameter group, and which of Redis's directives they become."""

from __future__ import annotations

import re
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dock.aws.service import AwsError
from dock.engines.redis import Server

YES_NO = "yes,no"
# Left to Redis beside its clients, as Redis itself reckons.
_OWN_DESCRIPTORS = 64
_BUFFER_LIMIT = "client-output-buffer-limit"
_POLICIES = "volatile-lru,allkeys-lru,volatile-lfu,allkeys-lfu,volatile-random,allkeys-random,volatile-ttl,noeviction"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. `allowed` is a range (`1-100`, `0-` without an end), names separated by commas, or free (empty);
    a range and single values may be joined (`0,20-`)."""

    name: str
    default: str
    allowed: str
    description: str
    modifiable: bool = True

    @property
    def data_type(self) -> str:
        return "integer" if re.fullmatch(r"-?\d+", self.default) else "string"

    @property
    def needs_reboot(self) -> bool:
        return self.name == "databases"

    def problem(self, value: str) -> str | None:
        """Why the value is refused; None when it is fine."""
        if not self.modifiable:
            return None if value == self.default else "can't be changed"
        if self.name == "notify-keyspace-events":
            return None if re.fullmatch(r"[KEg$lshzxetdmnA]*", value) else "is not made of Redis's event classes"
        if self.data_type == "string":
            return None if value in self.allowed.split(",") else f"must be one of {self.allowed}"
        if not re.fullmatch(r"-?\d{1,18}", value):
            return "must be an integer"
        return None if _within(int(value), self.allowed) else f"must be within {self.allowed}"

    def shape(self, value: str | None) -> dict[str, Any]:
        """As DescribeCacheParameters shows it; `value` is what a person set, None the default."""
        return {
            "ParameterName": self.name,
            "ParameterValue": self.default if value is None else value,
            "Description": self.description,
            "Source": "system" if value is None else "user",
            "DataType": self.data_type,
            "AllowedValues": self.allowed,
            "IsModifiable": self.modifiable,
            "MinimumEngineVersion": "7.0.0",
            "ChangeType": "requires-reboot" if self.needs_reboot else "immediate",
        }


def _parameter(name: str, default: str | int, allowed: str, description: str, modifiable: bool = True) -> Parameter:
    return Parameter(name, str(default), allowed, description, modifiable)


_ANY = "0-1000000000000"
PARAMETERS = {
    parameter.name: parameter
    for parameter in (
        _parameter("acllog-max-len", 128, "1-10000", "Entries of the access list's log"),
        _parameter("active-defrag-cycle-max", 75, "1-75", "Most CPU percent that defragmentation takes"),
        _parameter("active-defrag-cycle-min", 5, "1-75", "Least CPU percent that defragmentation takes"),
        _parameter("active-defrag-ignore-bytes", 104857600, "1048576-1000000000000", "Fragmentation that is let be"),
        _parameter("active-defrag-max-scan-fields", 1000, "1-1000000", "Fields that one scan of a key handles"),
        _parameter("active-defrag-threshold-lower", 10, "1-100", "Fragmentation percent at which it begins"),
        _parameter("active-defrag-threshold-upper", 100, "1-100", "Fragmentation percent of most effort"),
        _parameter("active-expire-effort", 1, "1-10", "Effort to find expired keys"),
        _parameter("activedefrag", "no", YES_NO, "Defragment memory while running"),
        _parameter("activerehashing", "yes", YES_NO, "Rehash the main dictionary in idle time"),
        _parameter("appendfsync", "everysec", "always,everysec,no", "When the append-only file is synced", False),
        _parameter("appendonly", "no", YES_NO, "Keep an append-only file", False),
        _parameter(f"{_BUFFER_LIMIT}-normal-hard-limit", 0, _ANY, "Bytes at which a client is disconnected"),
        _parameter(f"{_BUFFER_LIMIT}-normal-soft-limit", 0, _ANY, "Bytes at which a client is, after some time"),
        _parameter(f"{_BUFFER_LIMIT}-normal-soft-seconds", 0, "0-1000000", "Seconds above the soft limit"),
        _parameter(f"{_BUFFER_LIMIT}-pubsub-hard-limit", 33554432, _ANY, "Bytes at which a subscriber is disconnected"),
        _parameter(f"{_BUFFER_LIMIT}-pubsub-soft-limit", 8388608, _ANY, "Bytes at which it is, after some time"),
        _parameter(f"{_BUFFER_LIMIT}-pubsub-soft-seconds", 60, "0-1000000", "Seconds above the soft limit"),
        _parameter("client-query-buffer-limit", 1073741824, "1048576-1073741824", "Largest query buffer in bytes"),
        _parameter("cluster-enabled", "no", YES_NO, "Cluster mode", False),
        _parameter("databases", 16, "1-10000", "Number of logical databases"),
        _parameter("hash-max-listpack-entries", 512, _ANY, "Entries up to which a hash is packed"),
        _parameter("hash-max-listpack-value", 64, _ANY, "Bytes of a value up to which a hash is packed"),
        _parameter("hll-sparse-max-bytes", 3000, "1-16000", "Bytes of a sparse HyperLogLog"),
        _parameter("latency-tracking", "no", YES_NO, "Track each command's latency"),
        _parameter("lazyfree-lazy-eviction", "no", YES_NO, "Free evicted keys in the background"),
        _parameter("lazyfree-lazy-expire", "no", YES_NO, "Free expired keys in the background"),
        _parameter("lazyfree-lazy-server-del", "no", YES_NO, "Free overwritten keys in the background"),
        _parameter("lazyfree-lazy-user-del", "no", YES_NO, "Let DEL act like UNLINK"),
        _parameter("lazyfree-lazy-user-flush", "no", YES_NO, "Let FLUSHALL and FLUSHDB act asynchronously"),
        _parameter("lfu-decay-time", 1, "0-1000000", "Minutes after which the frequency counter decays"),
        _parameter("lfu-log-factor", 10, "1-1000000", "Growth of the frequency counter"),
        _parameter("list-compress-depth", 0, "0-1000000", "List nodes at each end that are not compressed"),
        _parameter("list-max-listpack-size", -2, "-5--1,1-1000000", "Size of a list's nodes"),
        _parameter("lua-time-limit", 5000, "5000-5000", "Milliseconds that a script may run", False),
        _parameter("maxclients", 65000, "1-65000", "Most clients at once"),
        _parameter("maxmemory-policy", "volatile-lru", _POLICIES, "What is evicted when memory is full"),
        _parameter("maxmemory-samples", 3, "1-64", "Keys that are looked at for an eviction"),
        _parameter("min-replicas-max-lag", 10, "0-1000000", "Seconds after which a replica doesn't count"),
        _parameter("min-replicas-to-write", 0, "0-5", "Replicas without which no write is taken"),
        _parameter("notify-keyspace-events", "", "", "Classes of events that are published"),
        _parameter("proto-max-bulk-len", 536870912, "1048576-536870912", "Largest element of a request in bytes"),
        _parameter("repl-backlog-size", 1048576, "16384-1000000000000", "Bytes that a replica may be behind"),
        _parameter("repl-backlog-ttl", 3600, "0-1000000", "Seconds the backlog is kept without replicas"),
        _parameter("replica-lazy-flush", "no", YES_NO, "Flush a replica in the background before a full sync"),
        _parameter("reserved-memory-percent", 25, "0-100", "Percent of a node's memory that is not for data"),
        _parameter("set-max-intset-entries", 512, "0-500000000", "Entries up to which a set of integers is packed"),
        _parameter("slowlog-log-slower-than", 10000, "-1-1000000000000", "Microseconds from which a command is slow"),
        _parameter("slowlog-max-len", 128, "0-1000000", "Entries of the slow log"),
        _parameter("stream-node-max-bytes", 4096, _ANY, "Bytes of a stream's node"),
        _parameter("stream-node-max-entries", 100, _ANY, "Entries of a stream's node"),
        _parameter("tcp-keepalive", 300, "0-1000000", "Seconds between keepalive probes"),
        _parameter("timeout", 0, "0,20-1000000", "Seconds after which an idle client is disconnected"),
        _parameter("tracking-table-max-keys", 1000000, "1-100000000", "Keys of client-side caching"),
        _parameter("zset-max-listpack-entries", 128, _ANY, "Entries up to which a sorted set is packed"),
        _parameter("zset-max-listpack-value", 64, _ANY, "Bytes of a value up to which a sorted set is packed"),
    )
}


def family(server: Server) -> str:
    """The parameter group family of an installed server, for example `redis7`."""
    return f"{server.engine}{server.major}"


def check_parameters(values: Mapping[str, str]) -> None:
    """Raises InvalidParameterValue, naming every parameter that doesn't exist or whose value is wrong."""
    problems = []
    for name, value in sorted(values.items()):
        parameter = PARAMETERS.get(name)
        if parameter is None:
            problems.append(f"{name} is not a parameter that the dock's Redis has")
        elif problem := parameter.problem(value):
            problems.append(f"{name} {problem}, not {value!r}")
    if problems:
        raise AwsError("InvalidParameterValueException", f"Invalid parameters: {'; '.join(problems)}.")


def reserved_memory_percent(values: Mapping[str, str]) -> int:
    """How much of a node's memory is not for data, in percent."""
    return int(_effective(values, "reserved-memory-percent"))


def directives(values: Mapping[str, str]) -> dict[str, str]:
    """Redis's directives for these parameters and the defaults of all others."""
    found = {
        name: _effective(values, name)
        for name, parameter in PARAMETERS.items()
        if parameter.modifiable and name != "reserved-memory-percent" and not name.startswith(_BUFFER_LIMIT)
    }
    # More clients than the operating system gives descriptors for can't be promised.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most != resource.RLIM_INFINITY:
        found["maxclients"] = str(max(1, min(int(found["maxclients"]), most - _OWN_DESCRIPTORS)))
    limits = []
    for kind in ("normal", "pubsub"):
        parts = (
            _effective(values, f"{_BUFFER_LIMIT}-{kind}-{limit}")
            for limit in ("hard-limit", "soft-limit", "soft-seconds")
        )
        limits.append(" ".join((kind, *parts)))
    found[_BUFFER_LIMIT] = " ".join(limits)
    return found


def _effective(values: Mapping[str, str], name: str) -> str:
    return values.get(name, PARAMETERS[name].default)


def _within(value: int, allowed: str) -> bool:
    for part in allowed.split(","):
        match = re.fullmatch(r"(-?\d+)(?:-(-?\d+))?", part)
        assert match is not None, allowed
        if int(match[1]) <= value <= int(match[2] or match[1]):
            return True
    return False
