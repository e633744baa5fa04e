"""Policy documents: what they may look like, and whether a statement of one applies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from dock.access import patterns
from dock.access.conditions import Condition, UnknownOperatorError, check_value
from dock.access.patterns import Context
from dock.access.principals import Principal

VERSIONS = ("2012-10-17", "2008-10-17")
Kind = Literal["identity", "resource", "trust"]

_ELEMENTS = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)
_ACTION = re.compile(r"\*|[A-Za-z0-9-]+:[A-Za-z0-9*?]+")
_SID = re.compile(r"[A-Za-z0-9]*")
_PRINCIPALS = ("AWS", "Service", "Federated", "CanonicalUser")
_ACCOUNT = re.compile(r"\d{12}")
_PRINCIPAL_ARN = re.compile(r"arn:aws:(iam|sts)::\d{12}:(root|(user|role|assumed-role|federated-user)/.+)")


class PolicyError(ValueError):
    """The document can't be a policy; the message says why."""


@dataclass(frozen=True, slots=True)
class Grant:
    """How a statement names a principal. `direct`: itself, not only its account. `by_session`: the very session."""

    direct: bool
    by_session: bool = False


@lru_cache(maxsize=65536)
def _among(named: tuple[str, ...], action: str) -> bool:
    return any(patterns.matches(pattern, action, ignore_case=True) for pattern in named)


@dataclass(frozen=True, slots=True)
class Statement:
    index: int
    sid: str
    allow: bool
    actions: tuple[str, ...]
    all_but_actions: bool
    resources: tuple[str, ...]
    all_but_resources: bool
    principals: tuple[tuple[str, str], ...] | None
    all_but_principals: bool
    conditions: tuple[Condition, ...]
    variables: bool

    def names_action(self, action: str) -> bool:
        return _among(self.actions, action) != self.all_but_actions

    def names_resource(self, resource: str, context: Context) -> bool:
        if not self.resources:
            return True  # a trust policy is about its role
        named = any(self._names(pattern, resource, context) for pattern in self.resources)
        return named != self.all_but_resources

    def _names(self, pattern: str, resource: str, context: Context) -> bool:
        if self.variables and patterns.has_variables(pattern):
            substituted = patterns.substitute(pattern, context)
            return substituted is not None and patterns.matches_arn(substituted, resource)
        return patterns.matches_arn(pattern, resource)

    def holds(self, context: Context) -> bool:
        return all(condition.holds(context) for condition in self.conditions)

    def grant(self, principal: Principal) -> Grant | None:
        """How it names this principal; None when it doesn't. Identity-based policies name nobody: their owner."""
        if self.principals is None:
            return Grant(direct=True)
        named = [grant for kind, value in self.principals if (grant := _named(kind, value, principal)) is not None]
        if self.all_but_principals:
            return None if named else Grant(direct=True)
        return max(named, key=lambda grant: (grant.by_session, grant.direct), default=None)

    def context_keys(self) -> set[str]:
        """The context keys that the statement looks at."""
        found = {key for condition in self.conditions for key in condition.context_keys()}
        for pattern in self.resources if self.variables else ():
            found.update(patterns.variables(pattern))
        return found


@dataclass(frozen=True, slots=True)
class Document:
    """A policy, ready to be evaluated. `name` is how a simulation and a denial call it."""

    name: str
    statements: tuple[Statement, ...]

    def __iter__(self) -> Iterator[Statement]:
        return iter(self.statements)


def _named(kind: str, value: str, principal: Principal) -> Grant | None:
    if value == "*" and kind in ("*", "AWS"):
        return Grant(direct=True)
    if kind == "AWS":
        if value in (principal.account, f"arn:aws:iam::{principal.account}:root") and principal.in_account:
            return Grant(direct=principal.kind == "root")
        if value == principal.arn:
            return Grant(direct=True, by_session=principal.kind == "session")
        if value == principal.role_arn or value == principal.unique_id:
            return Grant(direct=True)
        return None
    if kind == principal.principal_type and value == principal.name:
        return Grant(direct=True)
    return None


@lru_cache(maxsize=4096)
def parse(text: str, kind: Kind = "identity", name: str = "policy") -> Document:
    """Read and check a policy. Raises PolicyError."""
    try:
        document = json.loads(text)
    except ValueError as problem:
        raise PolicyError(f"Syntax errors in policy: {problem}") from None
    if not isinstance(document, dict):
        raise PolicyError("Syntax errors in policy: it is not an object")
    unknown = sorted(document.keys() - {"Version", "Id", "Statement"})
    if unknown:
        raise PolicyError(f"Syntax errors in policy: there is no element {unknown[0]}")
    version = document.get("Version", VERSIONS[1])
    if version not in VERSIONS:
        raise PolicyError(f"The policy must contain a valid version string, not {version!r}")
    statements = document.get("Statement")
    statements = [statements] if isinstance(statements, dict) else statements
    if not isinstance(statements, list) or not statements:
        raise PolicyError("Syntax errors in policy: it has no Statement")
    found = tuple(_statement(index, entry, kind, version) for index, entry in enumerate(statements))
    sids = [statement.sid for statement in found if statement.sid]
    if len(set(sids)) != len(sids):
        raise PolicyError("Statement IDs (SID) in a single policy must be unique")
    return Document(name, found)


def _statement(index: int, entry: Any, kind: Kind, version: str) -> Statement:
    if not isinstance(entry, dict):
        raise PolicyError("Syntax errors in policy: a statement is not an object")
    if unknown := sorted(entry.keys() - _ELEMENTS):
        raise PolicyError(f"Syntax errors in policy: there is no element {unknown[0]} of a statement")
    if entry.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError("A statement's Effect is Allow or Deny")
    sid = entry.get("Sid", "")
    if not isinstance(sid, str) or (kind == "identity" and not _SID.fullmatch(sid)):
        raise PolicyError("Statement IDs (SID) must be alpha-numeric. Check that your input satisfies [0-9A-Za-z]*")
    actions, all_but_actions = _one_of(entry, "Action", "NotAction", required=True)
    for action in actions:
        if not _ACTION.fullmatch(action):
            raise PolicyError(f"Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.: {action}")
    resources, all_but_resources = _one_of(entry, "Resource", "NotResource", required=kind == "identity")
    for resource in resources:
        if resource != "*" and not (resource.startswith("arn:") or "*" in resource):
            raise PolicyError(f"Resource {resource} must be in ARN format or '*'.")
    if kind == "trust" and resources:
        raise PolicyError("Has prohibited field Resource")
    principals, all_but_principals = _principals(entry, kind)
    variables = version == VERSIONS[0]
    return Statement(
        index=index,
        sid=sid,
        allow=entry["Effect"] == "Allow",
        actions=actions,
        all_but_actions=all_but_actions,
        resources=resources,
        all_but_resources=all_but_resources,
        principals=principals,
        all_but_principals=all_but_principals,
        conditions=tuple(_conditions(entry.get("Condition", {}), variables)),
        variables=variables,
    )


def _one_of(entry: dict[str, Any], element: str, negation: str, *, required: bool) -> tuple[tuple[str, ...], bool]:
    if element in entry and negation in entry:
        raise PolicyError(f"Syntax errors in policy: a statement has {element} or {negation}, not both")
    name = negation if negation in entry else element
    values = _texts(entry.get(name, []), name)
    if required and not values:
        raise PolicyError(f"Policy statement must contain {element.lower()}s.")
    return values, name == negation


def _texts(value: Any, what: str) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise PolicyError(f"Syntax errors in policy: {what} is neither a text nor a list of texts")
    return tuple(values)


def _principals(entry: dict[str, Any], kind: Kind) -> tuple[tuple[tuple[str, str], ...] | None, bool]:
    if "Principal" in entry and "NotPrincipal" in entry:
        raise PolicyError("Syntax errors in policy: a statement has Principal or NotPrincipal, not both")
    name = "NotPrincipal" if "NotPrincipal" in entry else "Principal"
    given = entry.get(name)
    if kind == "identity":
        if given is not None:
            raise PolicyError("Policy document should not specify a principal.")
        return None, False
    if given == "*":
        return (("*", "*"),), name == "NotPrincipal"
    if not isinstance(given, dict) or not given:
        raise PolicyError("Missing required field Principal")
    found = []
    for principal_type, values in given.items():
        if principal_type not in _PRINCIPALS:
            raise PolicyError(f"Invalid principal in policy: {principal_type}")
        for value in _texts(values, name):
            if principal_type == "AWS" and not _fits_aws(value):
                raise PolicyError(f'Invalid principal in policy: "AWS":"{value}"')
            found.append((principal_type, value))
    return tuple(found), name == "NotPrincipal"


def _fits_aws(value: str) -> bool:
    unique_id = value.startswith(("AIDA", "AROA")) and value.isalnum()
    return value == "*" or unique_id or bool(_ACCOUNT.fullmatch(value) or _PRINCIPAL_ARN.fullmatch(value))


def _conditions(given: Any, variables: bool) -> Iterator[Condition]:
    if not isinstance(given, dict):
        raise PolicyError("Syntax errors in policy: Condition is not an object")
    for operator, keys in given.items():
        if not isinstance(keys, dict):
            raise PolicyError(f"Syntax errors in policy: {operator} is not an object")
        for key, values in keys.items():
            texts = tuple(_text(value) for value in (values if isinstance(values, list) else [values]))
            try:
                for text in texts:
                    check_value(operator, text)
            except UnknownOperatorError:
                raise PolicyError(f"Invalid Condition type : {operator}.") from None
            except ValueError:
                raise PolicyError(f"{operator} of {key} can't be compared with {texts}") from None
            yield Condition(operator, key.lower(), texts, variables)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise PolicyError("Syntax errors in policy: a condition's values are texts, numbers or booleans")
