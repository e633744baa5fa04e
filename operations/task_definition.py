"""Task definitions: a release is its template with the image of the release in it."""

from __future__ import annotations

import copy
from typing import Any

Definition = dict[str, Any]

RELEASE_TAG = "drydock:release"
TEMPLATE_TAG = "drydock:template"

#: What RegisterTaskDefinition takes of what DescribeTaskDefinition gives; the rest is written by ECS.
REGISTERED = (
    "family",
    "taskRoleArn",
    "executionRoleArn",
    "networkMode",
    "containerDefinitions",
    "volumes",
    "placementConstraints",
    "requiresCompatibilities",
    "cpu",
    "memory",
    "pidMode",
    "ipcMode",
    "proxyConfiguration",
    "inferenceAccelerators",
    "ephemeralStorage",
    "runtimePlatform",
    "enableFaultInjection",
)


def render(template: Definition, family: str, container: str, image: str) -> Definition:
    """The input of RegisterTaskDefinition: `template` as `family`, with `image` in the container of that
    name.

    Raises ValueError when the template has no such container.
    """
    rendered = {key: copy.deepcopy(template[key]) for key in REGISTERED if template.get(key) not in (None, [], "")}
    rendered["family"] = family
    containers = [entry for entry in rendered.get("containerDefinitions", []) if entry.get("name") == container]
    if len(containers) != 1:
        raise ValueError(f"{template.get('taskDefinitionArn')} has no container {container!r}")
    containers[0]["image"] = image
    return rendered


def same(one: Definition, other: Definition) -> bool:
    """Whether two definitions run the same: what ECS writes, leaves out or fills in empty doesn't count."""
    return _compared(one) == _compared(other)


def image_of(definition: Definition, container: str) -> str | None:
    """The image of the container of that name."""
    for entry in definition.get("containerDefinitions", []):
        if entry.get("name") == container:
            return str(entry.get("image"))
    return None


def _compared(definition: Definition) -> Definition:
    kept = {key: definition[key] for key in REGISTERED if key in definition}
    pruned: Definition = _prune(kept)
    for entry in pruned.get("containerDefinitions", []):
        # Order says nothing in these lists, and ECS does not promise to keep it.
        for key, by in (("environment", "name"), ("secrets", "name")):
            if key in entry:
                entry[key] = sorted(entry[key], key=lambda item: str(item.get(by)))
    return pruned


def _prune(value: Any) -> Any:
    """Without empty lists, objects and strings, and without the zero that ECS fills in for a container's
    `cpu`.
    """
    if isinstance(value, dict):
        pruned = {key: _prune(item) for key, item in value.items() if not (key == "cpu" and item == 0)}
        return {key: item for key, item in pruned.items() if item not in (None, [], {}, "")}
    if isinstance(value, list):
        return [_prune(item) for item in value]
    return value
