"""Tags: one declaration for each service, in the provider's `tagging.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml

from dock.providers.declaration import FOLDER, Declaration
from dock.providers.expressions import evaluate, fill


@cache
def services(package: str) -> dict[str, Any]:
    """A provider's `tagging.yaml`."""
    found: dict[str, Any] = yaml.load((FOLDER / package / "tagging.yaml").read_text(), yaml.CSafeLoader)
    return found


def on_create(declared: Declaration, document: Mapping[str, Any]) -> dict[str, Any]:
    """What a creation's parameters say of tags; nothing when there are none."""
    if declared.tags is None or not document["self"]["tags"] or not declared.tag_on_create:
        return {}
    return fill(services(declared.package)[declared.service].get("create", {}), document) or {}


def calls(
    declared: Declaration, document: dict[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]
) -> list[tuple[str, dict[str, Any]]]:
    """The calls that make the tags `new`, in order."""
    if declared.tags is None or old == new:
        return []
    spec = services(declared.package)[declared.service]
    added = {name: value for name, value in new.items() if old.get(name) != value}
    removed = sorted(old.keys() - new.keys())
    about = {
        **document["self"],
        "tagged": evaluate(declared.tags, document),
        "tag_kind": declared.tag_kind,
        "removed": removed,
        "tags": added,
        "all_tags": dict(new),
    }
    scope = {**document, "self": about}
    found = [_call(spec, kind, declared, scope) for kind, wanted in (("remove", removed), ("add", added)) if wanted]
    return found[:1] if len(found) == 2 and found[0] == found[1] else found


def listing(declared: Declaration) -> Mapping[str, Any] | None:
    """The read call that lists the tags, where the resource's own description doesn't have them."""
    return None if declared.tags is None else services(declared.package)[declared.service].get("list")


def read(declared: Declaration, found: Mapping[str, Any]) -> dict[str, str]:
    """The tags in a description, without the cloud's own."""
    tags = evaluate(services(declared.package)[declared.service]["read"], found) or {}
    return {name: value for name, value in tags.items() if not name.startswith("aws:")}


def _call(
    spec: Mapping[str, Any], kind: str, declared: Declaration, scope: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    names = {"{kind}": declared.tag_kind, "{key}": spec.get("keys", {}).get(declared.tag_kind, "")}
    operation = spec[kind]["call"].replace("{kind}", names["{kind}"])
    parameters = {names.get(name, name): value for name, value in spec[kind]["parameters"].items()}
    return operation, fill(parameters, scope) or {}
