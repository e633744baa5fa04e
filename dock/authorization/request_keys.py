"""Condition keys that come from a request: its tags, its region, and what its service makes of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dock.access.context import Values
from dock.authorization.reference import ServiceReference
from dock.authorization.targets import at

_TAG_LISTS = ("Tags", "tags", "TagSpecifications.Tags", "tagList", "TagList", "Tagging.TagSet")
_TAG_KEYS = ("TagKeys", "tagKeys")
# Services without regions are signed, and asked for, in this one.
GLOBAL = {"iam": "us-east-1", "route53": "us-east-1", "budgets": "us-east-1"}


def of_request(
    reference: ServiceReference,
    region: str,
    parameters: Mapping[str, Any],
    headers: Mapping[str, str],
    source: str,
    account: str,
) -> Values:
    found = of_place(GLOBAL.get(reference.prefix, region), source)
    if agent := headers.get("User-Agent"):
        found["aws:useragent"] = (agent,)
    if referer := headers.get("Referer"):
        found["aws:referer"] = (referer,)
    found |= _tags(parameters)
    for key, path in reference.keys.items():
        found |= _key(key, path, parameters)
    if reference.prefix == "ecs":
        found |= _ecs(found, region, account)
    return found


def of_place(region: str, source: str) -> Values:
    """What every request has, also one of a service."""
    return {
        "aws:requestedregion": (region,),
        "aws:sourceip": (source,),
        # What the dock's loopback carries goes over no network; see docs/differences-from-aws.md.
        "aws:securetransport": ("true",),
    }


def _key(key: str, path: str, parameters: Mapping[str, Any]) -> Values:
    value = parameters.get(path.partition(".")[0])
    if "{}" in key:
        if not isinstance(value, Mapping):
            return {}
        return {key.replace("{}", str(name)).lower(): (str(each),) for name, each in value.items()}
    if isinstance(value, Mapping) and "." not in path:
        return {key.lower(): tuple(map(str, value))} if value else {}
    values = tuple(at(parameters, path))
    return {key.lower(): values} if values else {}


def _tags(parameters: Mapping[str, Any]) -> Values:
    tags: dict[str, str] = {}
    for path in _TAG_LISTS:
        value: Any = parameters
        for name in path.split("."):
            value = [item.get(name) for item in value if isinstance(item, Mapping)] if isinstance(value, list) else (
                value.get(name) if isinstance(value, Mapping) else None
            )  # fmt: skip
        tags |= _pairs(value)
    keys = list(tags) + [key for path in _TAG_KEYS for key in at(parameters, path)]
    found: Values = {f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}
    if keys:
        found["aws:tagkeys"] = tuple(keys)
    return found


def _pairs(value: Any) -> dict[str, str]:
    """Tags in any of AWS's spellings: a map, a list of pairs in capitals or not."""
    if isinstance(value, Mapping):
        return {str(key): str(each) for key, each in value.items()}
    found: dict[str, str] = {}
    for entry in value if isinstance(value, list) else ():
        if isinstance(entry, list):
            found |= _pairs(entry)
        elif isinstance(entry, Mapping):
            folded = {str(name).lower(): each for name, each in entry.items()}
            key = folded.get("key", folded.get("tagkey"))
            if key is not None:
                found[str(key)] = str(folded.get("value", folded.get("tagvalue", "")))
    return found


def _ecs(found: Values, region: str, account: str) -> Values:
    """ECS's keys are ARNs, where a request may give names."""
    shown: Values = {}
    for key, kind in (("ecs:cluster", "cluster"), ("ecs:task-definition", "task-definition")):
        values = found.get(key, ())
        if values:
            shown[key] = tuple(
                value if value.startswith("arn:") else f"arn:aws:ecs:{region}:{account}:{kind}/{value}"
                for value in values
            )
    return shown
