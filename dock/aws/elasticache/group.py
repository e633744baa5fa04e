"""A replication group that runs: between its record and its nodes."""

from __future__ import annotations

import logging
import secrets
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dock.addresses import Pool
from dock.aws.elasticache.events import EventLog
from dock.aws.elasticache.node_types import maxmemory
from dock.aws.elasticache.parameters import directives, reserved_memory_percent
from dock.aws.service import AwsError
from dock.certificates import write_private
from dock.engines.redis import Configuration, Fronts, Node, Place, Replication, Server, Topology, installed
from dock.home import unprivileged_user
from dock.store import Record, Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud

log = logging.getLogger(__name__)

# The file with the password of the dock's own user, one for each group.
_INTERNAL = "internal.password"


class Group:
    """Translates a group's record into what should run, and keeps in the record what its nodes decide."""

    def __init__(self, cloud: Cloud, events: EventLog, scope: Scope, identifier: str) -> None:
        self.scope = scope
        self.identifier = identifier
        self._cloud = cloud
        self._events = events
        self._table = cloud.store.table("elasticache/group")
        self._parameter_groups = cloud.store.table("elasticache/parameter-group")
        self.folder = cloud.home.data("elasticache") / "groups" / scope.account / scope.region / identifier
        self.replication = Replication(
            name=self.owner,
            folder=self.folder,
            keeper=self,
            make_node=self._make_node,
            fronts=Fronts(self.owner, self.primary_address, self.reader_address, self.record["port"]),
            endpoints=cloud.endpoints,
            supervisor=cloud.supervisor,
            spawn=cloud.spawn,
        )

    @property
    def owner(self) -> str:
        """What processes, addresses and endpoints of this group are named after."""
        return f"elasticache/{self.scope.account}/{self.scope.region}/{self.identifier}"

    @property
    def primary_address(self) -> str:
        return self._cloud.addresses.allocate(Pool.CACHE_ENDPOINT, f"{self.owner}/primary")

    @property
    def reader_address(self) -> str:
        return self._cloud.addresses.allocate(Pool.CACHE_ENDPOINT, f"{self.owner}/reader")

    def node_address(self, member: str) -> str:
        return self._cloud.addresses.allocate(Pool.NODE, f"{self.owner}/{member}")

    @property
    def record(self) -> Record:
        """A copy of the record. KeyError when the group is deleted."""
        record = self._table.get(self.scope, self.identifier)
        if record is None:
            raise KeyError(self.identifier)
        return record

    def update(self, **changes: Any) -> Record:
        """Change fields of the record, durably."""
        record = {**self.record, **changes}
        self._table.put(self.scope, self.identifier, record)
        return record

    @property
    def status(self) -> str:
        """AWS's status: what the record says, but `modifying` while a node is down or not in sync."""
        status = str(self.record["status"])
        return "modifying" if status == "available" and not self.replication.in_order else status

    def member_status(self, member: str) -> str:
        """AWS's status of one node."""
        record = self.record
        if record["status"] in {"creating", "deleting", "create-failed"}:
            return "incompatible-network" if record["status"] == "create-failed" else str(record["status"])
        if member in record["rebooting"]:
            return "rebooting cluster nodes"
        node = self.replication.nodes.get(member)
        ready = node is not None and node.process is not None and node.state is not None and node.state.in_sync
        return "available" if ready else "creating"

    def reserve(self, members: list[str]) -> None:
        """Allocate the addresses of nodes that are to be made. Raises InsufficientCacheClusterCapacityFault."""
        try:
            for member in members:
                self.node_address(member)
        except RuntimeError as problem:
            self.release(members)
            raise AwsError("InsufficientCacheClusterCapacityFault", f"No node can be made: {problem}.") from None

    def release(self, members: list[str]) -> None:
        """Give the addresses of nodes that are gone back."""
        for member in members:
            self._cloud.addresses.release(f"{self.owner}/{member}")

    def remove(self) -> None:
        """Remove all that is left of a group whose nodes are gone: addresses, folder, record."""
        record = self.record
        shutil.rmtree(self.folder, ignore_errors=True)
        with self._cloud.store.transaction():
            self.release([member["id"] for member in record["members"]] + record["leaving"])
            for front in ("primary", "reader"):
                self._cloud.addresses.release(f"{self.owner}/{front}")
            self._table.delete(self.scope, self.identifier)

    # what Replication asks its keeper

    def topology(self) -> Topology:
        record = self.record
        return Topology(
            members=tuple(member["id"] for member in record["members"]),
            primary=record["primary"],
            automatic_failover=record["automatic_failover"],
            configuration=self._configuration(record),
            history=record["history"],
        )

    def keep_primary(self, name: str, history: str | None) -> None:
        self.update(primary=name, history=history)

    def happened(self, member: str | None, message: str) -> None:
        kind = "replication-group" if member is None else "cache-cluster"
        try:
            self._events.add(self.scope, kind, member or self.identifier, message)
        except sqlite3.OperationalError as problem:
            # A full disk must not keep a node from being replaced.
            log.error("%s: %s (the event could not be kept: %s)", self.owner, message, problem)

    def _configuration(self, record: Record) -> Configuration:
        group = self._parameter_groups.get(self.scope, record["parameter_group"])
        values = group["values"] if group else {}
        return Configuration(
            maxmemory=maxmemory(record["node_type"], reserved_memory_percent(values)),
            directives=directives(values),
            passwords=tuple(record["tokens"]),
            open_access=not record["token_required"],
        )

    def _make_node(self, member: str) -> Node:
        record = self.record
        user = unprivileged_user("redis")
        address = self.node_address(member)
        place = Place(
            name=f"{self.owner}/{member}",
            address=address,
            port=record["port"],
            tls=record["tls"],
            folder=self.folder / member,
            log=self._cloud.home.logs / "elasticache" / f"{self.scope.account}-{self.scope.region}-{member}.log",
            certified=(address, self.primary_address, self.reader_address),
        )
        return Node(
            place,
            self._server(record),
            self._cloud.supervisor,
            self._cloud.certificates,
            self._internal_password(),
            (user.pw_uid, user.pw_gid) if user else None,
        )

    def _server(self, record: Record) -> Server:
        for server in installed():
            if server.engine == record["engine"]:
                return server
        # Its start will say that there is no such program.
        return Server(Path(f"{record['engine']}-server"), record["engine"], record["version"])

    def _internal_password(self) -> str:
        file = self.folder / _INTERNAL
        if not file.exists():
            base = self._cloud.home.data("elasticache")
            for folder in (base, base / "groups", *reversed(self.folder.parents[:2]), self.folder):
                folder.mkdir(exist_ok=True)
                # Nodes run as another user and must come through to their own folders.
                folder.chmod(0o711)
            write_private(file, secrets.token_hex(32).encode())
        return file.read_text()
