"""The records of the control plane, by kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from dock.cloudflare.errors import ApiError
from dock.store import Record, Scope, Store, Table

# As with AWS's accounts, the dock has two. Cloudflare has no regions.
ACCOUNTS = {"00000000000000000000000000000001": "Drydock", "00000000000000000000000000000002": "Drydock, the other"}
REGION = "cloudflare"


class Records:
    """Everything but zones and lists belongs to a zone, or to an account as a whole (`zone_id` None)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.zones = store.table("cloudflare/zone")
        self.dns = store.table("cloudflare/dns-record")
        self.settings = store.table("cloudflare/zone-setting")
        self.rulesets = store.table("cloudflare/ruleset")
        self.versions = store.table("cloudflare/ruleset-version")
        self.lists = store.table("cloudflare/list")
        self.items = store.table("cloudflare/list-item")
        self.operations = store.table("cloudflare/bulk-operation")
        self.access = store.table("cloudflare/access-rule")

    def transaction(self) -> AbstractContextManager[None]:
        return self._store.transaction()

    def account(self, identifier: str) -> Scope:
        """Raises ApiError for an account that isn't the dock's."""
        if identifier not in ACCOUNTS:
            raise ApiError(
                9109, f"Unauthorized to access requested resource: the dock has no account {identifier}", 403
            )
        return Scope(identifier, REGION)

    def zone(self, identifier: str) -> Record:
        for account in ACCOUNTS:
            if (found := self.zones.get(Scope(account, REGION), identifier)) is not None:
                return found
        raise ApiError(7003, f"Could not route to /zones/{identifier}, perhaps your object identifier is invalid?", 404)

    def every_zone(self) -> Iterator[Record]:
        for _, _, record in self.zones.all():
            yield record

    def of_zone(self, table: Table, zone: Record) -> list[Record]:
        scope = Scope(zone["account"], REGION)
        return [record for record in table.list(scope) if record["zone_id"] == zone["id"]]

    @staticmethod
    def scope(record: Record) -> Scope:
        return Scope(record["account"], REGION)

    def put(self, table: Table, record: Record) -> None:
        table.put(self.scope(record), record["id"], record)

    def delete(self, table: Table, record: Record) -> None:
        table.delete(self.scope(record), record["id"])


def shown(record: Record, *hidden: str) -> dict[str, Any]:
    """A record as the API shows it: without what is only the dock's."""
    return {name: value for name, value in record.items() if name not in ("account", *hidden)}
