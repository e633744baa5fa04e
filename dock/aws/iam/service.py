"""IAM, put together: the calls, and what a principal's own policies are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dock.access.decision import Grants
from dock.access.documents import Document, parse
from dock.access.principals import Principal
from dock.aws.iam.policies import default_document
from dock.aws.iam.simulation import Simulation
from dock.store import Record

if TYPE_CHECKING:
    from dock.cloud import Cloud


class Iam(Simulation):
    """Users, groups, roles, policies, keys, MFA devices, OIDC providers; no SAML, no console passwords."""

    @classmethod
    def of(cls, cloud: Cloud) -> Iam:
        """The IAM of a dock; it is made first, and may be asked for while other services are made."""
        found = cloud.services[cls.name]
        assert isinstance(found, cls)
        return found

    def grants(self, principal: Principal) -> Grants:
        """The policies of a principal, parsed; worked out once until IAM's records change."""
        key = (principal.account, principal.kind, principal.name, principal.session_policies)
        known = self.worked_out.get(key)
        if known is None:
            known = self.worked_out[key] = self._grants(principal)
        return known

    def _grants(self, principal: Principal) -> Grants:
        account = principal.account
        if principal.kind == "user":
            record = self.users.get(account, principal.name)
            groups = [group for group in self.groups.list(account) if principal.name in group["users"]]
        elif principal.kind == "session" and principal.role_arn is not None:
            record, groups = self.roles.get(account, principal.name), []
        else:
            return Grants()
        if record is None:
            return Grants()
        sessions = tuple(
            parse(text, "identity", f"session-policy-{number}")
            for number, text in enumerate(principal.session_policies, 1)
        )
        return Grants(
            identity=tuple(document for owner in (record, *groups) for document in self.documents(account, owner)),
            boundary=self.boundary(account, record["boundary"]),
            sessions=sessions,
        )

    def documents(self, account: str, record: Record) -> list[Document]:
        """The inline and attached policies of a user, group or role."""
        inline = [parse(text, "identity", name) for name, text in record["inline"].items()]
        attached = [self.policy(account, arn) for arn in record["attached"]]
        return inline + [parse(default_document(policy), "identity", policy["name"]) for policy in attached]

    def boundary(self, account: str, arn: str | None) -> Document | None:
        if arn is None:
            return None
        policy = self.policy(account, arn)
        return parse(default_document(policy), "identity", policy["name"])
