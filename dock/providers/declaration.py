"""A resource type, as a file in its provider's `types/` declares it: the API calls of its life, and its properties.

`aws/types/README.md` documents the format for whoever writes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from dock.providers.schema import ResourceSchema, load

FOLDER = Path(__file__).parent


class DeclarationError(Exception):
    """A file in `types/` is wrong."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Poll the read call until `until` holds in its answer; `until: gone` waits until nothing is found any more."""

    until: str
    # Waits only when this holds of the inputs.
    if_: str = ""
    fail: str = ""
    progress: str = ""
    # Seconds. The vendor's own defaults are of the same order; `customTimeouts` replaces them.
    deadline: float = 600


@dataclass(frozen=True, slots=True)
class Step:
    """One API call, or one for each item of `each`."""

    call: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    # Inputs that are sent under their `api` names; `[changed]` stands for all that differ.
    send: tuple[str, ...] = ()
    # Inputs that `parameters` spell out: they are not sent under their `api` names as well.
    spells: tuple[str, ...] = ()
    # Runs when one of these inputs has changed (in an update) or is set (after a creation).
    when: tuple[str, ...] = ()
    if_: str = ""
    each: str = ""
    after_create: bool = False
    ignore: tuple[str, ...] = ()
    retry: tuple[str, ...] = ()
    wait: Wait | None = None
    service: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """`at` finds the resource in the answer; `also` are further calls whose answers join it under a name each."""

    call: str
    parameters: Mapping[str, Any]
    at: str = "@"
    gone: tuple[str, ...] = ()
    missing: str = ""
    also: Mapping[str, Read] = field(default_factory=dict)
    if_: str = ""
    service: str = ""


@dataclass(frozen=True, slots=True)
class Property:
    """One input or output. `api` names it in the API, both ways; `read` is the expression where reading differs.

    `read: false` says that the cloud doesn't give it back. `computed` marks an input that the cloud chooses when the
    program doesn't. `unordered` lists are sets. `json` texts are compared by what they say.
    """

    api: str = ""
    read: str | bool = ""
    send: str = ""
    replace: bool = False
    computed: bool = False
    secret: bool = False
    default: Any = None
    enum: tuple[Any, ...] = ()
    unordered: bool = False
    json: bool = False
    # The cloud gives it back in other words: compared with what was written, and read only in an import.
    written: bool = False
    ignore_case: bool = False
    # Another value after each update: unknown in the preview of one.
    volatile: bool = False


@dataclass(frozen=True, slots=True)
class AutoName:
    """The input that gets a name made of the resource's own when the program gives none."""

    property: str
    separator: str = "-"
    length: int = 255
    unless: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """What inputs must hold together: `unless` must be true of them."""

    unless: str
    reason: str
    property: str = ""


@dataclass(frozen=True, slots=True)
class Declaration:
    token: str
    service: str
    id: str
    # The first of these that applies makes the resource; the `created` steps follow.
    create: tuple[Step, ...]
    read: Read
    delete: tuple[Step, ...]
    properties: Mapping[str, Property]
    schema: ResourceSchema
    created: tuple[Step, ...] = ()
    # Removes what ended in a state that it won't leave while it was created: the next run makes it anew.
    undo: tuple[Step, ...] = ()
    update: tuple[Step, ...] = ()
    # Tags: what the tagging calls of the service name the resource by; None for a type without tags.
    tags: str | None = None
    tag_kind: str = ""
    tag_on_create: bool = True
    name: AutoName | None = None
    # A regular expression whose groups are the inputs that an id to be imported names.
    import_id: str = ""
    # Finds the resource by its inputs where the creation's answer doesn't say its id, or was lost; `canonical_id` then
    # says the id.
    lookup: Read | None = None
    # The id as the resource itself has it, where a person may import it by another one.
    canonical_id: str = ""
    rules: tuple[Rule, ...] = ()
    # Codes that a repeated creation answers when the first one's answer was lost; the resource is then ours.
    exists: tuple[str, ...] = ()
    delete_before_replace: bool = False

    @property
    def package(self) -> str:
        """The provider that it is of."""
        return self.token.partition(":")[0]

    @property
    def regional(self) -> bool:
        return "region" in self.schema.inputs

    @property
    def secret(self) -> frozenset[str]:
        return self.schema.secret | {name for name, declared in self.properties.items() if declared.secret}

    def default(self, name: str) -> Any:
        return self.properties[name].default if name in self.properties else None


def schema_file(package: str) -> Path:
    """Where the input types of a provider's SDK are."""
    return FOLDER / package / "schema.json"


def tokens(package: str) -> list[str]:
    """Every type of a provider that has a declaration."""
    return sorted(_token(path) for path in (FOLDER / package / "types").glob("*/*.yaml"))


@cache
def declaration(token: str) -> Declaration | None:
    """That of a token like `aws:rds/instance:Instance`; None when there is none. Raises DeclarationError."""
    package, _, rest = token.partition(":")
    path = FOLDER / package / "types" / f"{rest.partition(':')[0]}.yaml" if token.count(":") == 2 else None
    if path is None or not path.is_file() or _token(path) != token:
        return None
    return parse(token, yaml.load(path.read_text(), yaml.CSafeLoader), load(schema_file(package))[token])


def parse(token: str, document: dict[str, Any], schema: ResourceSchema) -> Declaration:
    properties = {
        name: _build(Property, facts, f"{token} {name}") for name, facts in document.pop("properties").items()
    }
    if unknown := properties.keys() - schema.inputs.keys() - schema.outputs:
        raise DeclarationError(f"{token}: the SDK has no property {', '.join(sorted(unknown))}")
    facts = {
        **document,
        "token": token,
        "schema": schema,
        "properties": properties,
        "create": _steps(document.get("create"), token),
        "created": _steps(document.get("created"), token),
        "update": _steps(document.get("update"), token),
        "delete": _steps(document.get("delete"), token),
        "undo": _steps(document.get("undo"), token),
        "read": _read(document["read"], token),
        "lookup": _read(document["lookup"], token) if "lookup" in document else None,
        "rules": tuple(_build(Rule, rule, token) for rule in document.get("rules", ())),
    }
    if name := document.get("name"):
        facts["name"] = _build(AutoName, {"property": name} if isinstance(name, str) else name, token)
    declared: Declaration = _build(Declaration, facts, token)
    return declared


def _steps(given: Any, token: str) -> tuple[Step, ...]:
    steps = []
    for document in [given] if isinstance(given, dict) else given or ():
        facts = _renamed(document)
        if isinstance(facts.get("send"), str):
            facts["send"] = [facts["send"]]
        if "wait" in facts:
            wait = facts["wait"] if isinstance(facts["wait"], dict) else {"until": facts["wait"]}
            facts["wait"] = _build(Wait, _renamed(wait), token)
        steps.append(_build(Step, facts, token))
    return tuple(steps)


def _read(document: dict[str, Any], token: str) -> Read:
    facts = _renamed(document)
    facts["also"] = {name: _read(also, token) for name, also in document.get("also", {}).items()}
    read: Read = _build(Read, facts, token)
    return read


def _renamed(document: dict[str, Any]) -> dict[str, Any]:
    return {("if_" if name == "if" else name): value for name, value in document.items()}


def _build(kind: Any, facts: dict[str, Any] | None, where: str) -> Any:
    facts = facts or {}
    known = {each.name for each in fields(kind)}
    if unknown := facts.keys() - known:
        raise DeclarationError(f"{where}: {kind.__name__} has no {', '.join(sorted(unknown))}")
    try:
        return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()})
    except TypeError as error:
        raise DeclarationError(f"{where}: {error}") from error


def _token(path: Path) -> str:
    package = path.parents[2].name
    return f"{package}:{path.parent.name}/{path.stem}:{path.stem[0].upper()}{path.stem[1:]}"
