"""What AWS says about its actions and resources, and what `targets.yaml` adds."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_FOLDER = Path(__file__).parent
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_CREATIONS = ("Create", "Register", "Run", "Request", "Restore", "Copy", "Put", "Allocate")
# They are the request's, and not what a name fills.
_PLACE = {"Partition", "Region", "Account"}


@dataclass(frozen=True)
class ResourceType:
    """One kind of resource: the form of its ARN, and where a request names it."""

    name: str
    template: str
    parameters: tuple[str, ...] = ()
    others: Mapping[str, str] = field(default_factory=dict)
    arn: str | None = None
    default: str | None = None
    latest: str = ""
    strip: tuple[str, ...] = ()
    path: str | None = None
    keys_of: str | None = None

    @functools.cached_property
    def variables(self) -> tuple[str, ...]:
        return tuple(name for name in _VARIABLE.findall(self.template) if name not in _PLACE)

    @functools.cached_property
    def form(self) -> re.Pattern[str]:
        """What ARNs of this kind look like, in any region and account."""
        parts = []
        for index, part in enumerate(_VARIABLE.split(self.template)):
            if index % 2 == 0:
                parts.append(re.escape(part))
            elif part in _PLACE:
                parts.append("[^:]*")
            else:
                # A name may hold slashes where it is the last.
                parts.append(".+" if part == self.variables[-1] else "[^:/]+")
        return re.compile("".join(parts))

    def fill(self, region: str, account: str, values: Mapping[str, str]) -> str:
        """The ARN; what isn't known is `*`."""
        known = {"Partition": "aws", "Region": region, "Account": account, **values}
        return _VARIABLE.sub(lambda match: known.get(match[1], "*"), self.template)


@dataclass(frozen=True, slots=True)
class Action:
    name: str
    level: str
    required: tuple[str, ...]
    optional: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Passing:
    """Roles that an operation hands over: at `roles` as ARNs, at `names` by name, or in the task definition that
    `definition` names."""

    to: str
    roles: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    definition: str | None = None


@dataclass(frozen=True, slots=True)
class ServiceReference:
    """All of one service. `prefix` is IAM's."""

    prefix: str
    actions: Mapping[str, Action]
    resources: Mapping[str, ResourceType]
    operations: Mapping[str, tuple[str, ...]]
    keys: Mapping[str, str]
    passes: Mapping[str, Passing]
    policy_writes: frozenset[str]
    alternatives: bool
    ids: str | None
    tagging: str | None

    def tagging_of(self, operation: str) -> str | None:
        """The action that a creation with tags needs besides."""
        verb = next((verb for verb in _CREATIONS if operation.startswith(verb)), None)
        return self.tagging.format(operation.removeprefix(verb)) if self.tagging and verb else None

    def actions_of(self, operation: str) -> tuple[Action, ...]:
        """The actions that an operation needs; none when they aren't known."""
        names = self.operations.get(operation, (operation,))
        found = tuple(self.actions[name] for name in names if name in self.actions)
        return found if len(found) == len(names) else ()


@functools.cache
def _targets() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((_FOLDER / "targets.yaml").read_text())
    return found


@functools.cache
def _prefixes() -> dict[str, str]:
    """IAM's prefix by botocore's name."""
    return {entry.get("service", prefix): prefix for prefix, entry in _targets().items()}


@functools.cache
def of(service: str) -> ServiceReference | None:
    """What is known of a service, by botocore's name; None when nothing is."""
    prefix = _prefixes().get(service)
    return load(prefix) if prefix is not None else None


def prefixes() -> list[str]:
    return sorted(_targets())


@functools.cache
def load(prefix: str) -> ServiceReference:
    """The same by IAM's prefix."""
    generated = json.loads((_FOLDER / "reference" / f"{prefix}.json").read_text())
    own = _targets()[prefix]
    ignored = set(own.get("ignore", ()))
    described = own.get("resources", {})
    return ServiceReference(
        prefix=prefix,
        actions={
            name: _action(name, entry, ignored) for name, entry in (generated["actions"] | own.get("newer", {})).items()
        },
        resources={
            name: _resource(name, template, described.get(name, {}))
            for name, template in generated["resources"].items()
            if name not in ignored
        },
        operations={name: tuple(actions) for name, actions in own.get("actions", {}).items()},
        keys=own.get("keys", {}),
        passes={
            name: Passing(
                entry["to"], tuple(entry.get("roles", ())), tuple(entry.get("names", ())), entry.get("definition")
            )
            for name, entry in own.get("passes", {}).items()
        },
        policy_writes=frozenset(own.get("policy_writes", ())),
        alternatives=bool(own.get("alternatives")),
        ids=own.get("ids"),
        tagging=own.get("tagging"),
    )


def _action(name: str, entry: list[str], ignored: set[str]) -> Action:
    level, *types = entry
    required = tuple(each.rstrip("*") for each in types if each.endswith("*"))
    return Action(
        name,
        level,
        tuple(each for each in required if each not in ignored),
        tuple(each for each in types if not each.endswith("*") and each not in ignored),
    )


def _resource(name: str, template: str, own: dict[str, Any]) -> ResourceType:
    return ResourceType(
        name=name,
        template=template,
        parameters=tuple(own.get("name", ())),
        others=own.get("with", {}),
        arn=own.get("arn"),
        default=own.get("else"),
        latest=own.get("latest", ""),
        strip=tuple(own.get("strip", ())),
        path=own.get("path"),
        keys_of=own.get("keys_of"),
    )
