"""What all parts of IAM stand on: the shelves, and finding what a request names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dock.access import decision
from dock.aws.iam import managed
from dock.aws.iam.records import Shelf, missing
from dock.aws.iam.vault import Vault
from dock.aws.service import AwsError, Service
from dock.store import Record

if TYPE_CHECKING:
    from dock.cloud import Cloud


class Base(Service):
    """`generation` counts changes: what was worked out of the records before is stale after."""

    name = "iam"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.generation = 0
        self.vault = Vault(cloud.home)
        # What was worked out of the records, until they change.
        self.worked_out: dict[object, decision.Grants] = {}

        def shelf(kind: str) -> Shelf:
            return Shelf(cloud.store, kind, self._changed)

        self.users, self.groups, self.roles = shelf("user"), shelf("group"), shelf("role")
        self.policies, self.access_keys = shelf("policy"), shelf("access-key")
        self.mfa_devices, self.oidc_providers = shelf("mfa-device"), shelf("oidc-provider")
        self.instance_profiles, self.settings = shelf("instance-profile"), shelf("setting")
        # Written at each use, which changes nobody's permissions.
        self.uses = cloud.store.table("iam/use")

    def _changed(self) -> None:
        self.generation += 1
        self.worked_out.clear()

    def user(self, account: str, name: str) -> Record:
        return self._found(self.users, "user", account, name)

    def group(self, account: str, name: str) -> Record:
        return self._found(self.groups, "group", account, name)

    def role(self, account: str, name: str) -> Record:
        return self._found(self.roles, "role", account, name)

    def role_by_arn(self, arn: str) -> tuple[str, Record] | None:
        """The account and the record of a role; None when there is none of this ARN."""
        account, _, resource = arn.removeprefix("arn:aws:iam::").partition(":")
        record = self.roles.get(account, resource.rpartition("/")[2])
        return (account, record) if record is not None and record["arn"] == arn else None

    def policy(self, account: str, arn: str) -> Record:
        """A policy of the account, or one of AWS's own."""
        known = managed.policy(arn) if arn.startswith(managed.PREFIX) else self.policies.get(account, arn)
        if known is None:
            raise AwsError("NoSuchEntityException", f"Policy {arn} does not exist or is not attachable.", 404)
        return known

    def entities(self, account: str) -> list[tuple[str, Record]]:
        """Everything that policies are attached to, with its kind."""
        return [
            *(("User", record) for record in self.users.list(account)),
            *(("Group", record) for record in self.groups.list(account)),
            *(("Role", record) for record in self.roles.list(account)),
        ]

    @staticmethod
    def _found(shelf: Shelf, what: str, account: str, name: str) -> Record:
        record = shelf.get(account, name)
        if record is None:
            raise missing(what, name)
        return record


def entity(record: Record, **more: Any) -> Record:
    """A new user's, group's or role's record: nothing is attached to it yet."""
    return {"inline": {}, "attached": [], "boundary": None, "tags": {}, **record, **more}
