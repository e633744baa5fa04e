"""Which actions on which resources a request is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dock.authorization.reference import Action, ResourceType, ServiceReference

EVERYTHING = "*"


def resources(
    reference: ServiceReference, action: Action, parameters: Mapping[str, Any], region: str, account: str
) -> list[str]:
    """The ARNs that an action is about; `*` where it is about nothing in particular."""
    found: dict[str, None] = {}
    missing: list[ResourceType] = []
    given = [text for text in texts(parameters) if text.startswith("arn:")]
    for name in (*action.required, *action.optional):
        kind = reference.resources.get(name)
        if kind is None:
            continue
        named = [arn for arn in given if kind.form.fullmatch(arn)]
        named += [arn for arn in _by_name(kind, parameters, region, account) if arn not in named]
        named += _by_id(reference, kind, parameters, region, account)
        if named:
            found |= dict.fromkeys(named)
        elif name in action.required:
            missing.append(kind)
    if not (found and reference.alternatives):
        found |= {_unnamed(kind, parameters, region, account): None for kind in missing}
    return list(found) or [EVERYTHING]


def _by_name(kind: ResourceType, parameters: Mapping[str, Any], region: str, account: str) -> Iterator[str]:
    paths = kind.parameters or tuple(
        name for name in parameters if kind.variables and name.lower() == kind.variables[-1].lower()
    )
    values = [value for path in paths for value in at(parameters, path)]
    if kind.keys_of is not None:
        values += list(parameters.get(kind.keys_of) or {})
    for value in values:
        if value.startswith("arn:"):
            if kind.form.fullmatch(value) or kind.arn is not None:
                yield value
            continue
        yield _arn(kind, value, parameters, region, account)


def _arn(kind: ResourceType, value: str, parameters: Mapping[str, Any], region: str, account: str) -> str:
    for prefix in kind.strip:
        value = value.removeprefix(prefix)
    if kind.arn is not None:
        name = value if ":" in value or not kind.latest else value + kind.latest
        return kind.arn.format(region=region, account=account, name=name)
    if kind.path is not None:
        value = str(parameters.get(kind.path, "/")).lstrip("/") + value
    return kind.fill(region, account, {**_others(kind, parameters), kind.variables[-1]: value})


def _others(kind: ResourceType, parameters: Mapping[str, Any]) -> dict[str, str]:
    """Variables of an ARN that come before the resource's own name, a cluster's for example."""
    values = {}
    for variable, path in kind.others.items():
        first = next(at(parameters, path), None)
        # Instead of a name there may be an ARN, whose last part is the name.
        name = first.rpartition("/")[2] if first is not None and first.startswith("arn:") else first
        values[variable] = name if name is not None else "default"
    return values


def _by_id(
    reference: ServiceReference, kind: ResourceType, parameters: Mapping[str, Any], region: str, account: str
) -> list[str]:
    """Resources of any type in one list, told apart by their ids' beginnings (`vpc-…`)."""
    if reference.ids is None or not kind.parameters:
        return []
    prefix = {"security-group": "sg-", "route-table": "rtb-", "internet-gateway": "igw-", "natgateway": "nat-",
              "elastic-ip": "eipalloc-", "vpc-endpoint": "vpce-", "vpc-flow-log": "fl-", "security-group-rule": "sgr-",
              "network-interface": "eni-", "instance": "i-"}.get(kind.name, f"{kind.name}-")  # fmt: skip
    ids = (value for value in at(parameters, reference.ids) if value.startswith(prefix))
    return [kind.fill(region, account, {kind.variables[-1]: value}) for value in ids]


def _unnamed(kind: ResourceType, parameters: Mapping[str, Any], region: str, account: str) -> str:
    if kind.default is not None:
        return kind.fill(region, account, {**_others(kind, parameters), kind.variables[-1]: kind.default})
    if kind.arn is not None:
        return kind.arn.format(region=region, account=account, name="*")
    return kind.fill(region, account, _others(kind, parameters))


def at(parameters: Any, path: str) -> Iterator[str]:
    """The texts at a path; lists on the way are gone through."""
    if isinstance(parameters, list):
        for item in parameters:
            yield from at(item, path)
    elif not path:
        if isinstance(parameters, bool):
            yield "true" if parameters else "false"
        elif isinstance(parameters, (str, int, float)):
            yield str(parameters)
    elif isinstance(parameters, Mapping):
        name, _, rest = path.partition(".")
        if name in parameters:
            yield from at(parameters[name], rest)


def texts(value: Any) -> Iterator[str]:
    """All texts in a request's parameters."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
