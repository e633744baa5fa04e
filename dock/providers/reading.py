"""A resource as the cloud describes it, and that description in Pulumi's terms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dock.providers import tagging
from dock.providers.cloud import CallError, Cloud
from dock.providers.declaration import Declaration, Property, Read
from dock.providers.diff import same
from dock.providers.expressions import evaluate, fill

# Nothing that a resource is asked for is called so: these are what AWS gives when nothing was set.
_EMPTY: tuple[Any, ...] = (None, "", [], {})


def document(
    declared: Declaration, cloud: Cloud, inputs: Mapping[str, Any], prior: Mapping[str, Any], id: str = "", **more: Any
) -> dict[str, Any]:
    """What expressions see: the inputs, and the computed outputs so far, by name; everything else under `self`.

    `self.inputs` are those that the program gives, without what the cloud once chose.
    """
    known = {
        name: value
        for name, value in prior.items()
        if name not in declared.schema.inputs or declared.properties.get(name, Property()).computed
    }
    given = {name: value for name, value in inputs.items() if value is not None}
    about = {
        "id": id,
        # A resource that is only read (`Resource.get`) has no inputs: it is found by what is known of it.
        "inputs": given or {name: value for name, value in prior.items() if name in declared.schema.inputs},
        "region": region_of(inputs, prior, cloud),
        **cloud.identity(),
        "prior": dict(prior),
        "tags": inputs.get("tagsAll") or {},
        "tag_kind": declared.tag_kind,
        **more,
    }
    return {**known, **given, "self": about}


def region_of(inputs: Mapping[str, Any], prior: Mapping[str, Any], cloud: Cloud) -> str:
    return str(inputs.get("region") or prior.get("region") or cloud.configuration.region)


def find(declared: Declaration, cloud: Cloud, scope: Mapping[str, Any]) -> dict[str, Any] | None:
    """The description of the resource that `scope` names, all further reads with it; None when it is gone."""
    found = look(declared, declared.read, cloud, scope)
    if found is None:
        return None
    found["self"] = {name: value for name, value in scope["self"].items() if name != "prior"}
    for name, also in declared.read.also.items():
        inner = {**scope, "self": {**scope["self"], "found": found}}
        found[name] = look(declared, also, cloud, inner) if not also.if_ or evaluate(also.if_, inner) else None
    if listing := tagging.listing(declared):
        tagged = (
            evaluate(declared.tags, {**found, "self": {**found["self"], "found": found}}) if declared.tags else None
        )
        inner = {**scope, "self": {**scope["self"], "tagged": tagged, "tag_kind": declared.tag_kind}}
        found.update(look(declared, Read(**listing), cloud, inner) or {})
    return found


def outputs(
    declared: Declaration, cloud: Cloud, found: Mapping[str, Any], inputs: Mapping[str, Any], prior: Mapping[str, Any]
) -> dict[str, Any]:
    """Every output that the declaration knows."""
    values: dict[str, Any] = {}
    for name, known in declared.properties.items():
        if known.read is False or (known.written and name in inputs):
            values[name] = inputs.get(name, prior.get(name))
        elif known.read or known.api:
            values[name] = evaluate(str(known.read or known.api), found)
        else:
            values[name] = inputs.get(name, prior.get(name))
    if declared.regional:
        values["region"] = found["self"]["region"]
    if declared.tags is not None:
        tags = tagging.read(declared, found)
        own = inputs.get("tags") or {}
        defaults = cloud.configuration.default_tags
        values["tags"] = {name: value for name, value in tags.items() if name in own or defaults.get(name) != value}
        values["tagsAll"] = tags
    return {name: value for name, value in values.items() if value is not None}


def inputs_of(declared: Declaration, values: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs that would make a resource of these outputs; those that it was made of, corrected by what drifted.

    `before` is empty for a resource that is imported.
    """
    found = dict(before)
    for name, kind in declared.schema.inputs.items():
        known = declared.properties.get(name)
        if name in ("tags", "tagsAll") and declared.tags is not None:
            known = Property()
        if known is None or known.read is False or name not in values or (known.written and before):
            continue
        if before:
            if name in before and not same(before[name], values[name], kind, known):
                found[name] = values[name]
        elif values[name] not in _EMPTY:
            found[name] = values[name]
    if not before:
        for name, known in declared.properties.items():
            if known.default is not None and name not in found:
                found[name] = known.default
        if declared.regional:
            found["region"] = values["region"]
    if declared.tags is not None and values.get("tagsAll"):
        found["tagsAll"] = values["tagsAll"]
    return found


def from_import(declared: Declaration, id: str) -> tuple[str, dict[str, Any]]:
    """The id without the region that a person may have put behind it, and the inputs that it names."""
    named: dict[str, Any] = {}
    if declared.regional and (match := re.fullmatch(r"(.+)@([a-z]{2}(?:-[a-z]+)+-\d)", id)):
        id, named["region"] = match.groups()
    if declared.import_id and (match := re.fullmatch(declared.import_id, id)):
        named.update({name: value for name, value in match.groupdict().items() if value is not None})
    return id, named


def look(declared: Declaration, read: Read, cloud: Cloud, scope: Mapping[str, Any]) -> dict[str, Any] | None:
    """What one read call finds; None when there is nothing."""
    try:
        answer = cloud.call(
            read.service or declared.service, scope["self"]["region"], read.call, fill(read.parameters, scope) or {}
        )
    except CallError as error:
        if error.code in read.gone:
            return None
        raise
    found = evaluate(read.at, {**answer, "self": scope["self"]})
    if not found or (read.missing and evaluate(read.missing, found)):
        return None
    return dict(found)
