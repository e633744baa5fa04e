"""The clusters behind the instances: what each is made of, and what is being done to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dock.addresses import Pool
from dock.aws.rds import classes, description, jobs
from dock.aws.rds.records import Records
from dock.aws.service import AwsError
from dock.certificates import write_private
from dock.engines.postgres import (
    Binaries,
    Catalogue,
    Cluster,
    Happening,
    MissingBinariesError,
    Settings,
    Site,
)
from dock.home import unprivileged_user
from dock.store import Record, Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud

log = logging.getLogger(__name__)

FORCE_TLS = "rds.force_ssl"
# As RDS has it from version 15 on.
FORCE_TLS_DEFAULT = "1"
_BROKEN = frozenset({"failed", "storage-full", "incompatible-parameters"})

_EVENTS: dict[Happening, tuple[str, list[str]]] = {
    Happening.FAILOVER_STARTED: ("Multi-AZ instance failover started.", ["failover"]),
    Happening.FAILOVER_COMPLETED: ("Multi-AZ instance failover completed", ["failover"]),
    Happening.CRASHED: ("Recovery of the DB instance has started. Recovery time will vary.", ["recovery"]),
    Happening.RECOVERED: ("Recovery of the DB instance is complete.", ["recovery"]),
    Happening.FAILED: ("The DB instance can't be started", ["failure"]),
    Happening.STANDBY_LOST: ("The Multi-AZ standby is lost; the primary goes on without it", ["availability"]),
    Happening.STANDBY_SYNCHRONOUS: ("The Multi-AZ standby is synchronous", ["availability"]),
}


class Fleet:
    """Clusters by resource id, and at most one job for each instance."""

    def __init__(self, cloud: Cloud, records: Records) -> None:
        self.cloud = cloud
        self.records = records
        self.root = cloud.home.data("rds")
        self._clusters: dict[str, Cluster] = {}
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._catalogue: Catalogue | None = None
        self._catalogue_lock = asyncio.Lock()
        self._binaries: Binaries | None = None

    # the engine

    def binaries(self) -> Binaries:
        """The PostgreSQL that is installed. Raises AwsError when there is none."""
        if self._binaries is None:
            try:
                self._binaries = Binaries.find()
            except MissingBinariesError as problem:
                raise AwsError("InsufficientDBInstanceCapacityFault", str(problem)) from None
        return self._binaries

    def user(self) -> tuple[int, int] | None:
        """Who the servers run as; None: the daemon's own user."""
        account = unprivileged_user("postgres")
        return (account.pw_uid, account.pw_gid) if account else None

    async def catalogue(self) -> Catalogue:
        """The parameters that the installed version has. Raises AwsError."""
        async with self._catalogue_lock:
            if self._catalogue is None:
                binaries = self.binaries()
                self.make_root()
                self._catalogue = await asyncio.to_thread(Catalogue.load, binaries, self.root, self.user())
            return self._catalogue

    def make_root(self) -> None:
        for folder in (self.root, self.snapshots):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o711)

    @property
    def snapshots(self) -> Path:
        return self.root / "snapshots"

    # clusters

    def address(self, resource: str) -> str:
        """The address of an instance's endpoint. Raises AwsError when the dock has none left."""
        try:
            return self.cloud.addresses.allocate(Pool.DATABASE_ENDPOINT, f"rds/{resource}")
        except RuntimeError as problem:
            raise AwsError("InsufficientDBInstanceCapacityFault", str(problem)) from None

    def known(self, resource: str) -> Cluster | None:
        """The cluster of an instance, if it was made in this daemon's life."""
        return self._clusters.get(resource)

    def cluster(self, scope: Scope, record: Record) -> Cluster:
        """The cluster of an instance. Raises OSError when its folders can't be made, RuntimeError without addresses."""
        resource = record["resource_id"]
        if resource not in self._clusters:
            self.make_root()
            folder = self.root / resource
            addresses = {
                node: self.cloud.addresses.allocate(Pool.NODE, f"rds/{resource}/{node}") for node in ("a", "b")
            }
            for path in (folder, folder / "tls"):
                path.mkdir(exist_ok=True)
                path.chmod(0o711)
            certificate = self.cloud.certificates.issue(
                folder / "tls",
                record["shape"]["DBInstanceIdentifier"],
                [self.address(resource), *addresses.values()],
                owner=self.user(),
            )
            site = Site(
                name=f"rds/{resource}",
                folder=folder,
                # Short: a socket's path has 107 bytes at most.
                sockets=self.cloud.home.run / "pg" / resource[3:11].lower(),
                logs=self.cloud.home.logs,
                addresses=addresses,
                certificate=certificate,
                user=self.user(),
                binaries=self.binaries(),
                supervisor=self.cloud.supervisor,
            )
            site.sockets.parent.mkdir(exist_ok=True)
            site.sockets.parent.chmod(0o711)
            self._clusters[resource] = Cluster(
                site,
                self.cloud.store.table("postgres/cluster"),
                self.settings(record),
                lambda happening, detail: self._happened(scope, resource, happening, detail),
                lambda target: self._route(scope, resource, target),
                self.cloud.spawn,
            )
            if "zones" not in record:
                self._settle_zones(scope, resource)
        return self._clusters[resource]

    def _settle_zones(self, scope: Scope, resource: str) -> None:
        """Keep which node is in which zone: while one takes over from the other, the instance's own zone says it of
        neither."""
        record, cluster = self.records.instances.get(scope, resource), self._clusters.get(resource)
        if record is not None and cluster is not None:
            shape = record["shape"]
            zones = {cluster.primary.name: shape["AvailabilityZone"]}
            if second := shape.get("SecondaryAvailabilityZone"):
                zones[cluster.standby.name] = second
            self.records.update(scope, resource, zones=zones)

    def forget(self, resource: str) -> None:
        """The instance is deleted: give back what is kept beyond its records."""
        self._clusters.pop(resource, None)
        for owner in (f"rds/{resource}", f"rds/{resource}/a", f"rds/{resource}/b"):
            self.cloud.addresses.release(owner)
        self.verifier_path(resource).unlink(missing_ok=True)

    def settings(self, record: Record) -> Settings:
        """What the cluster is to be now: the parameters in force, not those that wait for a reboot."""
        size = classes.instance_class(record["shape"]["DBInstanceClass"])
        parameters = {
            "shared_buffers": size.shared_buffers,
            "max_connections": self.evaluate(classes.MAX_CONNECTIONS_FORMULA, record),
            **{
                name: self.evaluate(value, record) if classes.is_formula(value) else value
                for name, value in record["parameters"].items()
                if name != FORCE_TLS
            },
        }
        return Settings(
            parameters=parameters,
            force_tls=record["parameters"].get(FORCE_TLS, FORCE_TLS_DEFAULT) == "1",
            standby=record["shape"]["MultiAZ"],
            archive=record["shape"]["BackupRetentionPeriod"] > 0,
        )

    def evaluate(self, formula: str, record: Record) -> str:
        size = classes.instance_class(record["shape"]["DBInstanceClass"])
        return classes.evaluate(formula, size, record["shape"]["AllocatedStorage"], record["port"])

    def group_values(self, scope: Scope, name: str) -> dict[str, str]:
        """What a parameter group sets, as `postgresql.conf` has it (formulas as they are)."""
        group = self.records.parameter_groups.get(scope, name)
        return {key: entry["value"] for key, entry in group["values"].items()} if group else {}

    def in_sync(self, scope: Scope, record: Record) -> bool:
        """Whether everything that the parameter group says is in force."""
        if record["parameters"] != self.group_values(scope, record["parameter_group"]):
            return False
        cluster = self._clusters.get(record["resource_id"])
        if cluster is None or self._catalogue is None:
            return True
        return not _static_differences(
            self._catalogue, cluster.state.started_with.get(cluster.state.primary, {}), self.settings(record).parameters
        )

    async def apply_group(self, scope: Scope, name: str, changed: Mapping[str, str]) -> None:
        """A parameter group has changed; `changed` maps names to methods. What can act without a reboot acts now."""
        catalogue = await self.catalogue()
        values = self.group_values(scope, name)
        for record in self.records.instances.list(scope):
            if record["parameter_group"] != name:
                continue
            parameters = record["parameters"]
            for parameter, method in changed.items():
                static = parameter in catalogue.parameters and catalogue.parameters[parameter].static
                if static or method == "immediate":
                    # A static one is in the server's configuration from now on, and acts when it restarts.
                    parameters.pop(parameter, None)
                    parameters |= {parameter: values[parameter]} if parameter in values else {}
            record = self.records.update(scope, record["resource_id"], parameters=parameters)
            cluster = self._clusters.get(record["resource_id"])
            if cluster is not None and record["status"] != "creating" and record["endpoint"]:
                self.cloud.spawn(cluster.apply(self.settings(record)), f"{cluster.site.name} takes its parameters")

    # secrets

    def verifier_path(self, resource: str) -> Path:
        """Where a password's verifier waits until the server has it; only root, or the dock's user, reads it."""
        return self.root / f"{resource}.verifier"

    def keep_verifier(self, resource: str, verifier: str) -> None:
        self.make_root()
        write_private(self.verifier_path(resource), verifier.encode())

    # jobs

    def begin(self, scope: Scope, resource: str, status: str, job: dict[str, Any], **changes: Any) -> Record:
        """Record what is to be done, durably, and begin. A job that is under way is given up for it."""
        record = self.records.update(scope, resource, status=status, job=job, **changes)
        self.launch(scope, resource)
        return record

    def launch(self, scope: Scope, resource: str) -> None:
        """Do, or do again from its beginning, the job in the instance's record."""
        before = self._jobs.get(resource)
        self._jobs[resource] = self.cloud.spawn(self._run(scope, resource, before), f"rds/{resource} job")

    async def _run(self, scope: Scope, resource: str, before: asyncio.Task[None] | None) -> None:
        if before is not None and not before.done():
            before.cancel()
            await asyncio.gather(before, return_exceptions=True)
        record = self.records.instances.get(scope, resource)
        if record is None or record["job"] is None:
            return
        job = record["job"]
        try:
            await jobs.JOBS[job["kind"]](self, scope, resource, job)
        except Exception as problem:
            if not isinstance(problem, (RuntimeError, OSError)):
                log.exception("rds/%s: %s failed", resource, job["kind"])
            await jobs.give_up(self, scope, resource, job, problem)

    async def resume(self, scope: Scope, record: Record) -> None:
        """Bring one instance to what its record says; a daemon before this one may have died anywhere."""
        resource = record["resource_id"]
        job = record["job"]
        if job is not None and job["kind"] in ("create", "delete"):
            self.launch(scope, resource)
            return
        if not record["endpoint"] or (record["status"] == "stopped" and job is None):
            return
        try:
            cluster = self.cluster(scope, record)
            await cluster.start()
            if record["status"] in _BROKEN and job is None:
                self.records.update(scope, resource, status="available", problem=None)
        except Exception as problem:  # one broken instance must not keep the dock from starting
            log.warning("rds/%s can't be started: %s", resource, problem)
            self._happened(scope, resource, Happening.FAILED, str(problem))
        if job is not None:
            self.launch(scope, resource)

    async def stop(self) -> None:
        """End every job and stop every cluster, in order."""
        for task in self._jobs.values():
            task.cancel()
        await asyncio.gather(*self._jobs.values(), return_exceptions=True)
        self._jobs.clear()
        results = await asyncio.gather(*(cluster.stop() for cluster in self._clusters.values()), return_exceptions=True)
        for problem in results:
            if isinstance(problem, BaseException):
                log.error("a cluster could not be stopped: %s", problem)

    # what clusters tell

    def event(self, scope: Scope, record: Record, message: str, *categories: str) -> None:
        identifier = record["shape"]["DBInstanceIdentifier"]
        self.records.add_event(
            scope, "db-instance", identifier, description.arn(scope, "db", identifier), message, list(categories)
        )

    def _happened(self, scope: Scope, resource: str, happening: Happening, detail: str) -> None:
        record = self.records.instances.get(scope, resource)
        if record is None:
            return
        message, categories = _EVENTS[happening]
        self.event(scope, record, f"{message}: {detail}" if detail else message, *categories)
        shape = record["shape"]
        if happening is Happening.FAILED:
            status = "storage-full" if "No space left on device" in detail else "failed"
            self.records.update(scope, resource, status=status, problem=detail)
        elif happening in (Happening.RECOVERED, Happening.FAILOVER_COMPLETED) and record["status"] in _BROKEN:
            self.records.update(scope, resource, status="available", problem=None)
        if happening is Happening.STANDBY_SYNCHRONOUS:
            self._settle_zones(scope, resource)
        if happening is Happening.FAILOVER_COMPLETED and "SecondaryAvailabilityZone" in shape:
            zones = (shape["SecondaryAvailabilityZone"], shape["AvailabilityZone"])
            self.records.update(
                scope, resource, shape={"AvailabilityZone": zones[0], "SecondaryAvailabilityZone": zones[1]}
            )

    async def _route(self, scope: Scope, resource: str, target: tuple[str, int] | None) -> None:
        record = self.records.instances.get(scope, resource)
        if record is None:
            return
        owner = f"rds/{resource}"
        if target is not None:
            await self.cloud.endpoints.publish(owner, self.address(resource), record["port"], target)
        else:
            # Before the first target, and after the last, there is no endpoint to close.
            with contextlib.suppress(KeyError):
                await self.cloud.endpoints.retarget(owner, None)

    async def withdraw(self, resource: str) -> None:
        """The instance has no endpoint any more."""
        await self.cloud.endpoints.withdraw(f"rds/{resource}")


def _static_differences(catalogue: Catalogue, started: Mapping[str, str], wanted: Mapping[str, str]) -> set[str]:
    """Parameters that act only after a restart, and have another value since the last."""
    return {
        name
        for name in started.keys() | wanted.keys()
        if started.get(name) != wanted.get(name) and name in catalogue.parameters and catalogue.parameters[name].static
    }
