"""What a Redis node is told: its configuration file and its access list, as text."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

# Who the dock and the replicas are to a node. Its password is random, one for each group of nodes.
INTERNAL_USER = "drydock"

# Redis reads these at its start alone.
STATIC_DIRECTIVES = frozenset({"databases"})

# A managed cache keeps to itself what changes the server, its role, its files or its users.
REFUSED_COMMANDS = (
    *("acl|deluser", "acl|getuser", "acl|list", "acl|load", "acl|log", "acl|save", "acl|setuser", "acl|users"),
    *("bgrewriteaof", "bgsave", "config", "debug", "failover", "migrate", "module", "psync", "replconf"),
    *("replicaof", "save", "shutdown", "slaveof", "sync"),
    *("cluster|addslots", "cluster|addslotsrange", "cluster|bumpepoch", "cluster|delslots", "cluster|delslotsrange"),
    *("cluster|failover", "cluster|flushslots", "cluster|forget", "cluster|meet", "cluster|replicate"),
    *("cluster|reset", "cluster|saveconfig", "cluster|set-config-epoch", "cluster|setslot"),
)

# At most this many seconds of writes are missing when a lone node is killed and comes back.
SAVE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Configuration:
    """What all nodes of a group share.

    `maxmemory` is in bytes. `directives` are Redis's own, by name. `passwords` are hexadecimal SHA-256 digests of what
    the default user may log in with; with `open_access` it needs none.
    """

    maxmemory: int
    directives: Mapping[str, str] = field(default_factory=dict)
    passwords: tuple[str, ...] = ()
    open_access: bool = True

    @property
    def static(self) -> dict[str, str]:
        """The directives that take effect at a node's next start."""
        return {name: value for name, value in self.directives.items() if name in STATIC_DIRECTIVES}

    @property
    def live(self) -> dict[str, str]:
        """What `CONFIG SET` takes while the node runs."""
        changing = {name: value for name, value in self.directives.items() if name not in STATIC_DIRECTIVES}
        return {**changing, "maxmemory": str(self.maxmemory)}

    @property
    def default_user_rules(self) -> list[str]:
        """How the default user logs in, as `ACL SETUSER` takes it after `resetpass`."""
        # Redis forgets every password of a user that has `nopass`.
        return ["nopass"] if self.open_access else [f"#{digest}" for digest in self.passwords]


def digest(password: str) -> str:
    """The form in which Redis keeps a password."""
    return hashlib.sha256(password.encode()).hexdigest()


def access_list(configuration: Configuration, internal_password: str) -> str:
    """The ACL file: the default user without dangerous commands, and the dock's own user. Digests only."""
    login = " ".join(configuration.default_user_rules)
    refused = " ".join(f"-{command}" for command in REFUSED_COMMANDS)
    return (
        f"user default on {login} ~* &* +@all {refused}\n"
        f"user {INTERNAL_USER} on #{digest(internal_password)} ~* &* +@all\n"
    )


def configuration_file(
    configuration: Configuration,
    *,
    address: str,
    port: int,
    tls: bool,
    folder: Path,
    authority: Path,
    internal_password: str,
    primary: tuple[str, int] | None,
) -> str:
    """`redis.conf` of one node, which is a replica when `primary` (address, port) is given.

    It holds the internal password in clear text, as Redis wants it: keep it readable by its owner only.
    """
    lines: list[tuple[str, str]] = [
        ("bind", address),
        ("bind-source-addr", address),
        ("replica-announce-ip", address),
        ("protected-mode", "no"),
        ("port", "0" if tls else str(port)),
    ]
    if tls:
        lines += [
            ("tls-port", str(port)),
            ("tls-cert-file", _quoted(folder / "server.pem")),
            ("tls-key-file", _quoted(folder / "server.key")),
            ("tls-ca-cert-file", _quoted(authority)),
            ("tls-auth-clients", "no"),
            ("tls-replication", "yes"),
        ]
    lines += [
        ("dir", _quoted(folder)),
        ("aclfile", _quoted(folder / "users.acl")),
        ("masteruser", INTERNAL_USER),
        ("masterauth", internal_password),
        ("save", f"{SAVE_SECONDS} 1"),
        ("appendonly", "no"),
        # A planned stop ends also when the disk is full; the last save stays.
        ("shutdown-on-sigterm", "save force"),
        # A full disk must not stop a cache from taking writes; the dock says that it can't be saved.
        ("stop-writes-on-bgsave-error", "no"),
        ("repl-diskless-sync", "yes"),
        ("repl-diskless-sync-delay", "0"),
        ("repl-ping-replica-period", "1"),
        ("maxmemory", str(configuration.maxmemory)),
        *sorted((name, _value(value)) for name, value in configuration.directives.items()),
    ]
    if primary is not None:
        lines.append(("replicaof", f"{primary[0]} {primary[1]}"))
    return "".join(f"{name} {value}\n" for name, value in lines)


def _value(value: str) -> str:
    return value if value else '""'


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
