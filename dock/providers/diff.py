"""How a resource as it is differs from what the program wants, and what of it can't be changed in place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dock.providers.check import DEFAULTS
from dock.providers.declaration import Declaration, Property
from dock.providers.properties import holds_unknown
from dock.providers.schema import Type

# What an API gives back for something that was never set.
_NOTHING: tuple[Any, ...] = (None, "", False, 0, [], {})


@dataclass(frozen=True, slots=True)
class Difference:
    """`path` as Pulumi writes it, for example `ingress[0].fromPort`; `kind` is add, delete or update.

    `of_inputs` is false for drift: what the program says is unchanged, the resource isn't.
    """

    path: str
    kind: str
    replace: bool
    of_inputs: bool

    @property
    def property(self) -> str:
        return re.split(r"[.\[]", self.path, maxsplit=1)[0]


def differences(
    declared: Declaration,
    state: Mapping[str, Any],
    before: Mapping[str, Any],
    wanted: Mapping[str, Any],
    ignored: Iterable[str] = (),
) -> list[Difference]:
    """`state` are the outputs, `before` the inputs so far, `wanted` the new ones; `ignored` are paths."""
    found = []
    patterns = [_pattern(path) for path in ignored]
    for name, kind in _compared(declared).items():
        known = declared.properties.get(name, Property())
        new, old, was = wanted.get(name), state.get(name), before.get(name)
        if known.read is False or name == "tags" or (known.written and name in before):
            old = was
        elif new is None and known.computed:
            continue
        elif name not in state:
            # State that was written before the declaration knew this property.
            old = was
        replace = known.replace or name == "region"
        for path, change in _walk(new, old, was, kind, name, known):
            if not any(pattern.match(path) for pattern in patterns):
                found.append(Difference(path, change, replace, new != was))
    return found


def delete_first(declared: Declaration, state: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a replacement can't stand beside the old resource: its name is given, and stays."""
    if declared.delete_before_replace:
        return True
    name = declared.name.property if declared.name else None
    return name is not None and name not in wanted.get(DEFAULTS, ()) and wanted.get(name) == state.get(name)


def same(wanted: Any, actual: Any, kind: Type, known: Property, was: Any = None) -> bool:
    """Whether the actual value is as wanted. What it has besides counts only if `was`, wanted before, had it too."""
    return next(_walk(wanted, actual, was, kind, "", known), None) is None


def _compared(declared: Declaration) -> dict[str, Type]:
    compared = {
        name: kind
        for name, kind in declared.schema.inputs.items()
        if name in declared.properties or name == "region" or (name == "tags" and declared.tags is not None)
    }
    if declared.tags is not None:
        compared["tagsAll"] = {"map": "string"}
    return compared


def _walk(new: Any, old: Any, was: Any, kind: Type, path: str, known: Property) -> Iterator[tuple[str, str]]:
    if holds_unknown(new) and not isinstance(new, (Mapping, list)):
        yield path, "update"
    elif new in _NOTHING and old in _NOTHING:
        return
    elif isinstance(new, Mapping) and isinstance(old, Mapping):
        was = was if isinstance(was, Mapping) else {}
        names = {**new, **was} if "object" in kind else {**new, **old}
        for name in names:
            inner = kind["object"].get(name, "any") if "object" in kind else kind.get("map", "any")
            yield from _walk(new.get(name), old.get(name), was.get(name), inner, f"{path}{_segment(name)}", known)
    elif isinstance(new, list) and isinstance(old, list):
        inner = kind.get("list", "any") if isinstance(kind, Mapping) else "any"
        earlier = was if isinstance(was, list) else []
        if known.unordered:
            yield from _as_sets(new, old, earlier, inner, path, known)
        else:
            for index in range(max(len(new), len(old))):
                item, other, before = (each[index] if index < len(each) else None for each in (new, old, earlier))
                yield from _walk(item, other, before, inner, f"{path}[{index}]", known)
    elif not _equal(new, old, known):
        yield path, "add" if old is None else "delete" if new is None else "update"


def _as_sets(
    new: list[Any], old: list[Any], was: list[Any], kind: Type, path: str, known: Property
) -> Iterator[tuple[str, str]]:
    left = list(enumerate(old))
    for index, item in enumerate(new):
        before = next((other for other in was if same(item, other, kind, known)), None)
        match = next((at for at, (_, other) in enumerate(left) if same(item, other, kind, known, before)), None)
        if match is None:
            yield f"{path}[{index}]", "add"
        else:
            left.pop(match)
    for index, _ in left:
        yield f"{path}[{index}]", "delete"


def _equal(new: Any, old: Any, known: Property) -> bool:
    if new == old:
        return True
    if not isinstance(new, str) or not isinstance(old, str):
        return False
    if known.ignore_case:
        return new.lower() == old.lower()
    if known.json:
        try:
            return bool(_canonical(json.loads(new)) == _canonical(json.loads(old)))
        except ValueError:
            return False
    return False


def _canonical(value: Any) -> Any:
    """A policy says the same with `"Action": "x"` and `["x"]`, and in whatever order it lists."""
    if isinstance(value, Mapping):
        return {name: _canonical(item) for name, item in value.items() if item not in (None, [], {})}
    if isinstance(value, list):
        items = sorted((_canonical(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
        return items[0] if len(items) == 1 else items
    return value


def _segment(name: str) -> str:
    return f".{name}" if re.fullmatch(r"[A-Za-z_]\w*", name) else f"[{json.dumps(name)}]"


def _pattern(path: str) -> re.Pattern[str]:
    """An `ignoreChanges` path, which covers all below it; `[*]` stands for any item."""
    escaped = re.escape(path).replace(r"\[\*\]", r"\[[^\]]*\]").replace(r"\.\*", r"\.[^.\[]+")
    return re.compile(rf"{escaped}(?=$|[.\[])")
