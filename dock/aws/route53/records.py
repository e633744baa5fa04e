"""What Route 53 keeps, and which generation of it the DNS server has to serve. The service is global: no region."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dock.aws.route53 import names
from dock.aws.service import AwsError
from dock.store import EVERYWHERE, Record, Scope, Store

MAX_CHANGES = 1000
_PRUNE_EVERY = 100


@dataclass(frozen=True, slots=True)
class Submitted:
    """A change that was kept, as ChangeInfo tells of it."""

    identifier: str
    at: float
    comment: str | None


def scope_of(account: str) -> Scope:
    return Scope(account, "")


class Records:
    """The tables. Zones and health checks by their id, records by zone, name, type and set identifier."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.zones = store.table("route53/zone")
        self.records = store.table("route53/record")
        self.checks = store.table("route53/health-check")
        self.tags = store.table("route53/tags")
        self.changes = store.table("route53/change")
        self.references = store.table("route53/caller-reference")
        self._settings = store.table("setting")

    @property
    def generation(self) -> int:
        """Grows with each change that the server has to know of."""
        kept = self._settings.get(EVERYWHERE, "route53")
        return int(kept["generation"]) if kept else 0

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Puts and deletes inside become durable together, as one generation."""
        with self._store.transaction():
            self._settings.put(EVERYWHERE, "route53", {"generation": self.generation + 1})
            yield

    def submit(self, scope: Scope, comment: str | None = None) -> Submitted:
        """Note the change that is being made, inside `changing`."""
        submitted = Submitted(names.new_id("C"), time.time(), comment)
        generation = self.generation
        self.changes.put(
            scope, submitted.identifier, {"generation": generation, "at": submitted.at, "comment": comment}
        )
        if generation % _PRUNE_EVERY == 0:
            self._prune()
        return submitted

    def zone(self, scope: Scope, identifier: str) -> Record:
        """Raises NoSuchHostedZone."""
        found = self.zones.get(scope, names.bare(identifier))
        if found is None:
            raise AwsError("NoSuchHostedZone", f"No hosted zone found with ID: {names.bare(identifier)}")
        return found

    def check(self, scope: Scope, identifier: str) -> Record:
        """Raises NoSuchHealthCheck."""
        found = self.checks.get(scope, identifier)
        if found is None:
            raise AwsError("NoSuchHealthCheck", f"No health check exists with the specified ID: {identifier}")
        return found

    def records_of(self, scope: Scope, zone: str) -> list[Record]:
        return [record for record in self.records.list(scope) if record["zone"] == zone]

    def _prune(self) -> None:
        known = sorted(self.changes.all(), key=lambda entry: entry[2]["at"])
        for scope, identifier, _ in known[:-MAX_CHANGES]:
            self.changes.delete(scope, identifier)


def key(record: Record) -> str:
    """The id of a record: what must be unique in a zone."""
    return f"{record['zone']} {record['name']} {record['type']} {record['identifier'] or ''}"
