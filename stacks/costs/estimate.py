"""From resources to a monthly sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stacks.costs.prices import table
from stacks.costs.resources import Resource
from stacks.costs.rules import Tasks, UnknownPrice, priced

_DATABASE = "aws:rds/instance:Instance"


@dataclass(frozen=True)
class Item:
    """One thing that is paid for. `usd` is for a month."""

    component: str
    resource: str
    what: str
    usd: float


@dataclass(frozen=True)
class Estimate:
    items: Sequence[Item]
    unpriced: Sequence[str]
    table: Mapping[str, Any] = field(repr=False)

    @property
    def monthly(self) -> float:
        return sum(item.usd for item in self.items)

    @property
    def components(self) -> dict[str, float]:
        """US dollars a month by component, the dearest first."""
        sums: dict[str, float] = {}
        for item in self.items:
            sums[item.component] = sums.get(item.component, 0.0) + item.usd
        return dict(sorted(sums.items(), key=lambda entry: (-entry[1], entry[0])))

    def document(self) -> dict[str, Any]:
        """For `--json`: docs/costs.md describes it."""
        return {
            "schema_version": 1,
            "currency": self.table["currency"],
            "as_of": self.table["as_of"],
            "region": self.table["region"],
            "monthly": round(self.monthly, 2),
            "components": [
                {
                    "component": component,
                    "monthly": round(usd, 2),
                    "items": [
                        {"resource": item.resource, "what": item.what, "monthly": round(item.usd, 2)}
                        for item in self.items
                        if item.component == component
                    ],
                }
                for component, usd in self.components.items()
            ],
            "unpriced": list(self.unpriced),
            "usage": self.table["usage"],
        }


def estimate(resources: Sequence[Resource], tasks: Tasks | None = None) -> Estimate:
    """Sum the resources up. What the table has no price for, a new instance class for example, is named rather than
    guessed."""
    storage = sum(each.inputs.get("allocatedStorage", 0) for each in resources if each.type == _DATABASE)
    items: list[Item] = []
    unpriced: list[str] = []
    for resource in resources:
        if is_free(resource.type):
            continue
        try:
            for what, usd in priced(resource, tasks, storage):
                items.append(Item(resource.component, resource.name, what, usd))
        except UnknownPrice as missing:
            unpriced.append(f"{resource.name}: {missing}")
    return Estimate(items, unpriced, table())


def is_free(type_: str) -> bool:
    return type_ in table()["free"] or type_.startswith(tuple(table()["free_prefixes"]))
