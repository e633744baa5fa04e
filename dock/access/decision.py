"""The decision: explicit denials, boundaries, sessions, resource-based policies, in IAM's order.

After the IAM user guide (reference_policies_evaluation-logic): a denial anywhere wins; within an account the
identity's or the resource's policy is enough, between accounts both must allow; a boundary and session policies limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from dock.access.documents import Document, Statement
from dock.access.patterns import Context
from dock.access.principals import Principal


class Source(StrEnum):
    """Where a policy comes from, in the words of AWS's denials."""

    IDENTITY = "identity-based policy"
    BOUNDARY = "permissions boundary"
    SESSION = "session policy"
    RESOURCE = "resource-based policy"


@dataclass(frozen=True, slots=True)
class Grants:
    """What a principal's own policies are. A principal with nothing attached has an empty `identity`."""

    identity: tuple[Document, ...] = ()
    boundary: Document | None = None
    sessions: tuple[Document, ...] = ()
    """Each session policy limits by itself when there are several sources; within one call they add up."""


@dataclass(frozen=True, slots=True)
class Question:
    """May `principal` do `action` on `resource`? `owner` is the resource's account."""

    principal: Principal
    action: str
    resource: str
    context: Context
    owner: str
    resource_policy: Document | None = None
    resource_decides: bool = False
    """A KMS key's and a role's own policy must allow, whatever the identity's policies say."""


class Match(NamedTuple):
    source: Source
    policy: str
    statement: Statement


@dataclass(frozen=True, slots=True)
class Decision:
    allowed: bool
    source: Source | None = None
    """Where a denial comes from."""
    explicit: bool = False
    matched: tuple[Match, ...] = ()
    missing: frozenset[str] = field(default_factory=frozenset)
    """Context keys that policies look at and the request has not."""

    def reason(self, action: str) -> str:
        """How AWS ends the message of a denial."""
        article = "an" if self.source is Source.IDENTITY else "a"
        if self.explicit:
            return f"with an explicit deny in {article} {self.source}"
        return f"because no {self.source} allows the {action} action"


@dataclass(slots=True)
class _Finding:
    """What the statements of one source say."""

    allows: list[Match] = field(default_factory=list)
    denies: list[Match] = field(default_factory=list)
    direct: bool = False
    by_session: bool = False


def decide(question: Question, grants: Grants) -> Decision:
    principal = question.principal
    missing: set[str] = set()
    identity = _look(question, grants.identity, Source.IDENTITY, missing)
    boundary = _look(question, _some(grants.boundary), Source.BOUNDARY, missing)
    session = _look(question, grants.sessions, Source.SESSION, missing)
    resource = _look(question, _some(question.resource_policy), Source.RESOURCE, missing)
    absent = frozenset(missing)
    for source, found in (
        (Source.IDENTITY, identity),
        (Source.RESOURCE, resource),
        (Source.BOUNDARY, boundary),
        (Source.SESSION, session),
    ):
        if found.denies:
            return Decision(False, source, True, tuple(found.denies), absent)

    matched = tuple(match for found in (identity, boundary, session, resource) for match in found.allows)

    def no(source: Source) -> Decision:
        return Decision(False, source, False, matched, absent)

    yes = Decision(True, matched=matched, missing=absent)
    if not principal.in_account:
        return yes if resource.allows else no(Source.RESOURCE)
    within = principal.account == question.owner
    if principal.kind == "root":
        needs = question.resource_decides or not within
        return yes if resource.allows or not needs else no(Source.RESOURCE)
    unlimited = resource.by_session or (principal.kind == "user" and resource.direct)
    if within and unlimited:
        return yes
    # Beyond its own account, and where the resource's policy decides, that policy must allow as well.
    if (question.resource_decides or not within) and not resource.allows:
        return no(Source.RESOURCE)
    if not identity.allows and not (within and resource.direct):
        return no(Source.IDENTITY)
    if grants.boundary is not None and not boundary.allows:
        return no(Source.BOUNDARY)
    if grants.sessions and not session.allows:
        return no(Source.SESSION)
    return yes


def _some(document: Document | None) -> tuple[Document, ...]:
    return () if document is None else (document,)


def _look(question: Question, documents: Iterable[Document], source: Source, missing: set[str]) -> _Finding:
    found = _Finding()
    for document in documents:
        for statement in document.statements:
            if not statement.names_action(question.action):
                continue
            grant = statement.grant(question.principal)
            if grant is None or not statement.names_resource(question.resource, question.context):
                continue
            if statement.conditions:
                missing.update(key for key in statement.context_keys() if key not in question.context)
                if not statement.holds(question.context):
                    continue
            match = Match(source, document.name, statement)
            if statement.allow:
                found.allows.append(match)
                found.direct |= grant.direct
                found.by_session |= grant.by_session
            else:
                found.denies.append(match)
    return found
