"""From a record to what runs, and back: starting, adopting, carrying on after a crash, changing, deleting."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from typing import Any

from dock.aws.elasticache.base import NODE_GROUP, PROBLEMS
from dock.aws.elasticache.group import Group
from dock.aws.elasticache.snapshots import Snapshots
from dock.aws.elasticache.windows import in_maintenance_window, in_snapshot_window
from dock.faults.engines import Engine, Part

log = logging.getLogger(__name__)

SETTLE_SECONDS = 120.0
_CLOCK_SECONDS = 30.0


class Lifecycle(Snapshots):
    """Start and stop of the service, and the background work on groups. A group's record says what is left to do."""

    _clock: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await asyncio.gather(*(self._resume(group) for group in self.groups.values()))
        if self._clock is None:
            self._clock = self.cloud.spawn(self._keep_time(), "elasticache: windows")

    async def stop(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        await self.end_work()
        results = await asyncio.gather(
            *(group.replication.stop() for group in self.groups.values()), return_exceptions=True
        )
        for problem in results:
            if isinstance(problem, BaseException):
                log.error("a replication group could not be stopped in order", exc_info=problem)

    def engines(self) -> list[Engine]:
        found = []
        for group in self.groups.values():
            record = group.record
            parts = [
                Part(
                    f"{group.owner}/{member['id']}",
                    "primary" if member["id"] == record["primary"] else member["id"],
                    member["zone"],
                )
                for member in record["members"]
            ]
            endpoints = (f"{group.owner}/primary", f"{group.owner}/reader")
            found.append(Engine("cache", record["id"], group.scope, parts, endpoints=endpoints))
        return found

    def status(self) -> list[dict[str, Any]]:
        """A group each, with its endpoints, and its nodes, with their problems."""
        found: list[dict[str, Any]] = []
        for group in self.groups.values():
            record = group.record
            where = {"account": group.scope.account, "region": group.scope.region}
            port = record["port"]
            found.append(
                {
                    "kind": "replication-group",
                    "name": record["id"],
                    "state": group.status,
                    **where,
                    "endpoint": f"{group.primary_address}:{port}",
                    "reader_endpoint": f"{group.reader_address}:{port}",
                    "tls": record["tls"],
                    "problem": record["problem"],
                }
            )
            for member in record["members"]:
                node = group.replication.nodes.get(member["id"])
                process = node.process if node else None
                found.append(
                    {
                        "kind": "cache-node",
                        "name": member["id"],
                        "state": group.member_status(member["id"]),
                        **where,
                        "role": "primary" if member["id"] == record["primary"] else "replica",
                        "zone": member["zone"],
                        "address": f"{group.node_address(member['id'])}:{port}",
                        "pid": process.pid if process else None,
                        "memory_bytes": node.state.used_memory if node and node.state else None,
                        "problem": group.replication.problems.get(member["id"]),
                    }
                )
        return found

    async def _resume(self, group: Group) -> None:
        record = group.record
        status = record["status"]
        if status == "creating":
            self.spawn(group, self.bring_up(group))
            return
        if status == "deleting":
            self.spawn(group, self.take_down(group))
            return
        if status == "create-failed":
            return
        try:
            await group.replication.begin()
        except PROBLEMS as problem:
            log.error("%s: %s", group.owner, problem)
        if status == "modifying":
            work = self.reboot(group) if record["rebooting"] else self.carry_out(group)
            self.spawn(group, work)
        elif status == "snapshotting":
            self.resume_snapshots(group)

    async def bring_up(self, group: Group) -> None:
        """Create what a new record names. May be repeated after a crash."""
        try:
            if seed := group.record["seed"]:
                await group.replication.seed(self.snapshot_file(group.scope, seed))
            await group.replication.begin()
            await group.replication.settled(SETTLE_SECONDS)
        except PROBLEMS as problem:
            await group.replication.destroy()
            await self.conclude(group, status="create-failed", problem=str(problem))
            group.happened(None, f"Replication group {group.identifier} could not be created: {problem}")
            return
        await self.conclude(group, status="available")
        group.happened(None, f"Replication group {group.identifier} created")

    async def carry_out(self, group: Group, done: str | None = None) -> None:
        """Bring the nodes to what the record says by now. May be repeated after a crash."""
        try:
            await group.replication.converge()
            group.release(group.record["leaving"])
            group.update(leaving=[])
            await group.replication.settled(SETTLE_SECONDS)
        except PROBLEMS as problem:
            group.happened(None, f"A change of replication group {group.identifier} is not complete: {problem}")
        else:
            if done:
                group.happened(None, done)
        await self.conclude(group, status="available", token_changing=None)

    async def fail_over(self, group: Group) -> None:
        """Kill the primary and wait for what comes of it."""
        try:
            await group.replication.fail_over()
        except PROBLEMS as problem:
            group.happened(None, f"Failover of node group {NODE_GROUP} failed: {problem}")
        await self.carry_out(group, f"Recovery of cache nodes completed after the failover of node group {NODE_GROUP}")

    async def reboot(self, group: Group) -> None:
        """Reboot the members that the record names. May be repeated after a crash."""
        for member in group.record["rebooting"]:
            try:
                await group.replication.reboot(member)
                group.happened(member, f"Cache node {member} restarted; its cache is empty until it is filled again")
            except PROBLEMS as problem:
                group.happened(member, f"Cache node {member} did not restart: {problem}")
        await self.conclude(group, rebooting=[])
        await self.carry_out(group)

    async def take_down(self, group: Group) -> None:
        """Delete a group, with its final snapshot if one was asked for. May be repeated after a crash."""
        final = group.record["final_snapshot"]
        if final and (self.snapshots.get(group.scope, final) or {}).get("status") != "available":
            try:
                if not group.replication.nodes:
                    await group.replication.begin()
                await self.save_snapshot(group, final)
            except PROBLEMS as problem:
                await self.conclude(group, status="available", final_snapshot=None)
                group.happened(None, f"Replication group {group.identifier} was not deleted: {problem}")
                return
        await group.replication.destroy()
        group.remove()
        self.groups.pop((group.scope, group.identifier), None)
        self.events.add(
            group.scope, "replication-group", group.identifier, f"Replication group {group.identifier} deleted"
        )

    async def _keep_time(self) -> None:
        """Do in each group's windows what belongs there."""
        while True:
            await asyncio.sleep(_CLOCK_SECONDS)
            now = dt.datetime.now(dt.UTC)
            for group in list(self.groups.values()):
                try:
                    self.keep_windows(group, now)
                except Exception:
                    log.exception("%s: its windows could not be kept", group.owner)

    def keep_windows(self, group: Group, now: dt.datetime) -> None:
        """What waits for the maintenance window is done in it, and the automatic snapshot is begun in its own."""
        record = group.record
        if record["status"] != "available":
            return
        if record["pending"] and in_maintenance_window(record["maintenance_window"], now):
            group.update(**record["pending"], pending={}, status="modifying")
            self.spawn(group, self.carry_out(group, "Pending changes were applied in the maintenance window"))
        elif record["snapshot_retention"] and in_snapshot_window(record["snapshot_window"], now):
            self.take_automatic(group, now)
