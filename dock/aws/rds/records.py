"""RDS's records, and how they are found."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from typing import Any

from dock.aws.service import AwsError, Request
from dock.store import Record, Scope, Store

_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_EVENTS_KEPT_SECONDS = 14 * 86400


class Records:
    """The tables of RDS. Instances are kept by resource id, which stays when the identifier changes.

    An instance's record: `shape` (what DescribeDBInstances shows as it is), `status`, `problem`, `created` (epoch
    seconds), `port`, `parameter_group`, `parameters` (those in force), `force_tls`, `subnet_group`, `security_groups`,
    `tags`, `pending` (changes for the maintenance window), `job` (what is being done; a restarted daemon carries on).
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.instances = store.table("rds/instance")
        self.snapshots = store.table("rds/snapshot")
        self.retained_backups = store.table("rds/retained-backup")
        self.parameter_groups = store.table("rds/parameter-group")
        self.subnet_groups = store.table("rds/subnet-group")
        self._events = store.table("rds/event")

    def instance(self, scope: Scope, identifier: str) -> Record:
        """The instance of an identifier or ARN. Raises AwsError."""
        name = identifier.rpartition(":db:")[2] if identifier.startswith("arn:") else identifier
        for record in self.instances.list(scope):
            if record["shape"]["DBInstanceIdentifier"] == name.lower():
                return record
        raise AwsError("DBInstanceNotFoundFault", f"DBInstance {name} not found.")

    def has_instance(self, scope: Scope, identifier: str) -> bool:
        return any(
            record["shape"]["DBInstanceIdentifier"] == identifier.lower() for record in self.instances.list(scope)
        )

    def update(self, scope: Scope, resource: str, /, **changes: Any) -> Record:
        """Change some fields of an instance, durably; `shape` is merged, the rest replaced. KeyError: it is gone."""
        record = self.instances.get(scope, resource)
        if record is None:
            raise KeyError(resource)
        record["shape"].update(changes.pop("shape", {}))
        record.update(changes)
        self.instances.put(scope, resource, record)
        return record

    def snapshot(self, scope: Scope, identifier: str) -> Record:
        """The snapshot of an identifier or ARN. Raises AwsError."""
        name = identifier.rpartition(":snapshot:")[2] if identifier.startswith("arn:") else identifier
        record = self.snapshots.get(scope, name.lower())
        if record is None:
            raise AwsError("DBSnapshotNotFoundFault", f"DBSnapshot {name} not found.")
        return record

    def add_event(
        self, scope: Scope, source_type: str, identifier: str, arn: str, message: str, categories: list[str]
    ) -> None:
        """Write an event for DescribeEvents; those past their time are removed."""
        now = time.time()
        with self.store.transaction():
            for event in self._events.list(scope):
                if event["Date"] < now - _EVENTS_KEPT_SECONDS:
                    self._events.delete(scope, event["id"])
            # Sorted by id is sorted by time.
            key = f"{now:017.6f}-{secrets.token_hex(4)}"
            event = {
                "id": key,
                "SourceType": source_type,
                "SourceIdentifier": identifier,
                "SourceArn": arn,
                "Message": message,
                "EventCategories": categories,
                "Date": now,
            }
            self._events.put(scope, key, event)

    def events(self, scope: Scope) -> list[Record]:
        """All events, the oldest first."""
        return self._events.list(scope)


def new_resource_id() -> str:
    """For example `db-` and 26 characters."""
    return "db-" + "".join(secrets.choice(_BASE32) for _ in range(26))


def tag_list(tags: Iterable[dict[str, str]] | None) -> list[dict[str, str]]:
    """Tags as they are kept: each key once, the last value counts."""
    return [
        {"Key": key, "Value": value} for key, value in {tag["Key"]: tag.get("Value", "") for tag in tags or []}.items()
    ]


def page(items: list[Any], request: Request, *, smallest: int = 20) -> tuple[list[Any], dict[str, str]]:
    """One page of a list after `MaxRecords` and `Marker`, and the next marker for the answer. Raises AwsError."""
    size = request.get("MaxRecords", 100)
    if not smallest <= size <= 100:
        raise AwsError(
            "InvalidParameterValue", f"Invalid value {size} for MaxRecords. Must be between {smallest} and 100"
        )
    marker = request.get("Marker") or "0"
    if not marker.isdigit():
        raise AwsError("InvalidParameterValue", f"Invalid marker: {marker}")
    begin = int(marker)
    more = {"Marker": str(begin + size)} if begin + size < len(items) else {}
    return items[begin : begin + size], more


def apply_filters(items: list[Record], request: Request, known: dict[str, str]) -> list[Record]:
    """Keep what matches every filter; `known` maps filter names to members of the items. Raises AwsError."""
    for wanted in request.get("Filters", []):
        if wanted["Name"] not in known:
            raise AwsError("InvalidParameterValue", f"Unrecognized filter name: {wanted['Name']}")
        member = known[wanted["Name"]]
        values = {value.rpartition(":")[2] if value.startswith("arn:") else value for value in wanted["Values"]}
        items = [item for item in items if str(item.get(member)) in values]
    return items
