"""What the service keeps, and changes to it that are tried on the engine before they are kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dock.aws.service import AwsError
from dock.store import Record, Scope, Store, Table

LOAD_BALANCER = "elbv2/load-balancer"
TARGET_GROUP = "elbv2/target-group"
TARGET = "elbv2/target"
LISTENER = "elbv2/listener"
RULE = "elbv2/rule"
TAGS = "elbv2/tags"

_NOT_FOUND = {
    LOAD_BALANCER: ("LoadBalancerNotFoundException", "Load balancers '[{}]' not found"),
    TARGET_GROUP: ("TargetGroupNotFoundException", "Target groups '{}' not found"),
    LISTENER: ("ListenerNotFoundException", "One or more listeners not found: {}"),
    RULE: ("RuleNotFoundException", "One or more rules not found: {}"),
}


class Change:
    """Records to put and to delete, all of one scope. Reads through `Records.all` see it as done."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], Record | None] = {}

    def put(self, kind: str, identifier: str, record: Record) -> Change:
        self.entries[kind, identifier] = record
        return self

    def delete(self, kind: str, identifier: str) -> Change:
        self.entries[kind, identifier] = None
        return self


class Records:
    """The tables of one dock. A record's id is its ARN; a target's is `<target group ARN> <address>:<port>`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        kinds = (LOAD_BALANCER, TARGET_GROUP, TARGET, LISTENER, RULE, TAGS)
        self._tables: dict[str, Table] = {kind: store.table(kind) for kind in kinds}

    def scopes(self) -> set[Scope]:
        """The accounts and regions that have anything."""
        return {scope for table in self._tables.values() for scope, _, _ in table.all()}

    def all(self, scope: Scope, kind: str, change: Change | None = None) -> list[Record]:
        """All records of a kind, with a change that isn't kept yet."""
        if change is None:
            return self._tables[kind].list(scope)
        changed = {identifier: record for (of, identifier), record in change.entries.items() if of == kind}
        kept = [record for record in self._tables[kind].list(scope) if record["id"] not in changed]
        return kept + [record for record in changed.values() if record is not None]

    def find(self, scope: Scope, kind: str, identifier: str) -> Record | None:
        return self._tables[kind].get(scope, identifier)

    def get(self, scope: Scope, kind: str, identifier: str) -> Record:
        """The record, or AWS's error for its kind."""
        record = self._tables[kind].get(scope, identifier)
        if record is None:
            code, message = _NOT_FOUND[kind]
            raise AwsError(code, message.format(identifier))
        return record

    def commit(self, scope: Scope, change: Change) -> None:
        """Keep a change: all of it or nothing, durable when this returns."""
        with self._store.transaction():
            for (kind, identifier), record in change.entries.items():
                if record is None:
                    self._tables[kind].delete(scope, identifier)
                else:
                    self._tables[kind].put(scope, identifier, record)

    def rules(self, scope: Scope, listener: str, change: Change | None = None) -> list[Record]:
        """A listener's rules by priority; the default one is part of the listener."""
        found = [rule for rule in self.all(scope, RULE, change) if rule["ListenerArn"] == listener]
        return sorted(found, key=lambda rule: int(rule["Priority"]))

    def listeners(self, scope: Scope, load_balancer: str, change: Change | None = None) -> list[Record]:
        found = [each for each in self.all(scope, LISTENER, change) if each["LoadBalancerArn"] == load_balancer]
        return sorted(found, key=lambda listener: int(listener["Port"]))

    def targets(self, scope: Scope, group: str, change: Change | None = None) -> list[Record]:
        return [target for target in self.all(scope, TARGET, change) if target["group"] == group]

    def load_balancers_of(self, scope: Scope, group: str, change: Change | None = None) -> list[str]:
        """The ARNs of the load balancers that have an action which forwards to this group."""
        owners = {each["id"]: each["LoadBalancerArn"] for each in self.all(scope, LISTENER, change)}
        users = [
            each["LoadBalancerArn"]
            for each in self.all(scope, LISTENER, change)
            if group in groups_of(each["DefaultActions"])
        ]
        users += [
            owners[rule["ListenerArn"]]
            for rule in self.all(scope, RULE, change)
            if group in groups_of(rule["Actions"]) and rule["ListenerArn"] in owners
        ]
        return sorted(set(users))

    def users_of_certificate(self, scope: Scope, certificate: str) -> list[str]:
        """The ARNs of the load balancers with a listener that serves this certificate."""
        return sorted(
            {
                each["LoadBalancerArn"]
                for each in self.all(scope, LISTENER)
                if any(entry["CertificateArn"] == certificate for entry in each["Certificates"])
            }
        )


def groups_of(actions: Iterable[dict[str, Any]]) -> list[str]:
    """The target groups that actions forward to, those with weight 0 among them."""
    return [
        group["TargetGroupArn"]
        for action in actions
        for group in action.get("ForwardConfig", {}).get("TargetGroups", [])
    ]


def page(items: list[Any], request: dict[str, Any]) -> tuple[list[Any], dict[str, str]]:
    """A page of a list, and `NextMarker` when there is more. Raises AwsError for a marker that we didn't give."""
    marker = request.get("Marker", "0")
    if not marker.isdigit():
        raise AwsError("ValidationError", f"Marker {marker!r} is not one that was returned")
    start = int(marker)
    end = start + min(request.get("PageSize", 400), 400)
    return items[start:end], {"NextMarker": str(end)} if end < len(items) else {}
