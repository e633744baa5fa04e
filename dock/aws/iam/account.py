"""What there is in an account: summary, aliases, password policy, and everything at once."""

from __future__ import annotations

from typing import Any

from dock.aws.iam.attachments import boundary_view
from dock.aws.iam.federation import Federation
from dock.aws.iam.policies import SIZE, VERSIONS
from dock.aws.iam.records import encoded, missing, page, tag_list
from dock.aws.iam.roles import role_view
from dock.aws.iam.users import group_view, user_view
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record

_OF_PASSWORDS = (
    "MinimumPasswordLength RequireSymbols RequireNumbers RequireUppercaseCharacters RequireLowercaseCharacters"
    " AllowUsersToChangePassword MaxPasswordAge PasswordReusePrevention HardExpiry"
)
_KINDS = {"User", "Group", "Role", "LocalManagedPolicy", "AWSManagedPolicy"}


class Account(Federation):
    @operation("GetAccountSummary")
    async def get_account_summary(self, call: Call, request: Request) -> Response:
        account = call.account
        devices = self.mfa_devices.list(account)
        return {
            "SummaryMap": {
                "Users": len(self.users.list(account)),
                "Groups": len(self.groups.list(account)),
                "Roles": len(self.roles.list(account)),
                "Policies": len(self.policies.list(account)),
                "Providers": len(self.oidc_providers.list(account)),
                "InstanceProfiles": len(self.instance_profiles.list(account)),
                "MFADevices": len(devices),
                "MFADevicesInUse": len([device for device in devices if device["user"] is not None]),
                "AccountMFAEnabled": 0,
                "AccountAccessKeysPresent": 1,
                "PolicySizeQuota": SIZE,
                "VersionsPerPolicyQuota": VERSIONS,
            }
        }

    @operation("CreateAccountAlias", acts="AccountAlias")
    async def create_account_alias(self, call: Call, request: Request) -> Response:
        alias = request["AccountAlias"]
        found = self.settings.find("alias:" + alias)
        if found is not None and found[0] != call.account:
            raise AwsError("EntityAlreadyExistsException", f"The account alias {alias} already exists.", 409)
        for record in self.settings.list(call.account):
            if "alias" in record:
                self.settings.delete(call.account, "alias:" + record["alias"])
        self.settings.put(call.account, "alias:" + alias, {"alias": alias})
        return {}

    @operation("DeleteAccountAlias", acts="AccountAlias")
    async def delete_account_alias(self, call: Call, request: Request) -> Response:
        if self.settings.get(call.account, "alias:" + request["AccountAlias"]) is None:
            raise missing("account alias", request["AccountAlias"])
        self.settings.delete(call.account, "alias:" + request["AccountAlias"])
        return {}

    @operation("ListAccountAliases", acts="Marker MaxItems")
    async def list_account_aliases(self, call: Call, request: Request) -> Response:
        aliases = [record["alias"] for record in self.settings.list(call.account) if "alias" in record]
        return page(request, "AccountAliases", aliases)

    @operation("UpdateAccountPasswordPolicy", records=_OF_PASSWORDS)
    async def update_account_password_policy(self, call: Call, request: Request) -> Response:
        self.settings.put(call.account, "password-policy", {"password_policy": request})
        return {}

    @operation("GetAccountPasswordPolicy")
    async def get_account_password_policy(self, call: Call, request: Request) -> Response:
        record = self.settings.get(call.account, "password-policy")
        if record is None:
            raise AwsError(
                "NoSuchEntityException", f"The Password Policy with domain name {call.account} cannot be found.", 404
            )
        given = record["password_policy"]
        expires = {"ExpirePasswords": bool(given.get("MaxPasswordAge"))}
        return {"PasswordPolicy": {"MinimumPasswordLength": 6, **given, **expires}}

    @operation("DeleteAccountPasswordPolicy")
    async def delete_account_password_policy(self, call: Call, request: Request) -> Response:
        if self.settings.get(call.account, "password-policy") is None:
            raise missing("account policy", "PasswordPolicy")
        self.settings.delete(call.account, "password-policy")
        return {}

    @operation("GetAccountAuthorizationDetails", acts="Filter Marker MaxItems")
    async def get_account_authorization_details(self, call: Call, request: Request) -> Response:
        wanted = set(request.get("Filter", [])) or _KINDS
        groups = self.groups.list(call.account)
        entries: list[tuple[str, dict[str, Any]]] = []
        for noun, record in self.entities(call.account):
            if noun in wanted:
                entries.append((f"{noun}DetailList", self._details(call.account, noun, record, groups)))
        if "LocalManagedPolicy" in wanted:
            for record in self.policies.list(call.account):
                versions = [
                    {
                        "VersionId": name,
                        "Document": encoded(entry["document"]),
                        "IsDefaultVersion": name == record["default"],
                        "CreateDate": entry["created"],
                    }
                    for name, entry in record["versions"].items()
                ]
                entries.append(("Policies", {**self._view(call.account, record), "PolicyVersionList": versions}))
        paged = page(request, "entries", entries)
        answer: dict[str, Any] = {"UserDetailList": [], "GroupDetailList": [], "RoleDetailList": [], "Policies": []}
        for name, view in paged.pop("entries"):
            answer[name].append(view)
        return {**answer, **paged}

    def _details(self, account: str, noun: str, record: Record, groups: list[Record]) -> dict[str, Any]:
        inline = [{"PolicyName": name, "PolicyDocument": encoded(text)} for name, text in record["inline"].items()]
        attached = [{"PolicyName": self.policy(account, arn)["name"], "PolicyArn": arn} for arn in record["attached"]]
        common = {"AttachedManagedPolicies": attached}
        match noun:
            case "User":
                names = [group["name"] for group in groups if record["name"] in group["users"]]
                view = user_view(record, tags=True)
                return {**view, **common, "UserPolicyList": inline, "GroupList": names}
            case "Group":
                return {**group_view(record), **common, "GroupPolicyList": inline}
        return {
            **role_view(record),
            **common,
            "RolePolicyList": inline,
            "InstanceProfileList": [],
            "PermissionsBoundary": boundary_view(record),
            "Tags": tag_list(record["tags"]),
        }
