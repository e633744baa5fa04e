"""Who may do what: a dated review by IAM's own simulator, people of the dock, and a shell that acts as a role."""

from __future__ import annotations

import datetime as dt
import json
import os
import shlex
import sys
from collections.abc import Iterator
from typing import Any

from dock.home import Home
from drydock.errors import DrydockError
from drydock.shell import endpoint, script

REVIEW_SCHEMA_VERSION = 1
SESSION_SECONDS = 3600

# What a role could do, and the actions that stand for it; with the keys that a call by hand would carry.
CLASSES: dict[str, tuple[str, ...]] = {
    "read": ("ecs:DescribeServices", "rds:DescribeDBInstances", "cloudwatch:DescribeAlarms"),
    "logs": ("logs:FilterLogEvents", "logs:GetLogEvents"),
    "deploy": ("ecs:RegisterTaskDefinition", "ecs:UpdateService"),
    "change": ("rds:ModifyDBInstance", "elasticloadbalancing:ModifyListener", "ec2:AuthorizeSecurityGroupIngress"),
    "delete": ("rds:DeleteDBInstance", "s3:DeleteBucket", "ecr:DeleteRepository"),
    "secrets": ("secretsmanager:GetSecretValue",),
    "roles": ("iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy"),
    "people": ("iam:AddUserToGroup", "iam:CreateUser", "iam:PutUserPolicy"),
    "unbound": ("iam:DeleteRolePermissionsBoundary", "iam:CreatePolicyVersion"),
}
_MARKS = {"all": "yes", "some": "some", "none": "-"}


def review(home: Home, only: str | None, *, as_json: bool) -> None:
    """Print what each role of the account may. `only` is the beginning of roles' names."""
    iam = _client(home, "iam")
    roles = [_reviewed(home, iam, role) for role in _roles(iam) if role["RoleName"].startswith(only or "")]
    if only and not roles:
        raise DrydockError(f"the account has no role whose name begins with {only!r}", "aws iam list-roles")
    account, now = endpoint(home)["account"], dt.datetime.now(dt.UTC)
    if as_json:
        print(
            json.dumps(
                {
                    "schema_version": REVIEW_SCHEMA_VERSION,
                    "account": account,
                    "reviewed": now.isoformat(timespec="seconds"),
                    "classes": CLASSES,
                    "roles": roles,
                },
                indent=2,
            )
        )
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Access in account {account}, reviewed {now:%Y-%m-%d %H:%M} UTC", box=None, pad_edge=False)
    table.add_column("role", no_wrap=True)
    for name in CLASSES:
        table.add_column(name, justify="center")
    for name in ("boundary", "changed", "used"):
        table.add_column(name, no_wrap=True)
    for role in roles:
        table.add_row(
            role["role"],
            *(_MARKS[role["may"][name]] for name in CLASSES),
            role["boundary"] or "none",
            role["changed"][:10],
            (role["used"] or "never")[:10],
        )
    # A report is kept, in a file more often than on a screen: nothing of it is cut off.
    console = Console()
    console.width = max(console.width, 160)
    console.print(table)
    print("\nyes: all actions of the class on every resource; some: some of them, or on some resources; -: none")


def _roles(iam: Any) -> Iterator[dict[str, Any]]:
    for page in iam.get_paginator("list_roles").paginate():
        yield from page["Roles"]


def _reviewed(home: Home, iam: Any, listed: dict[str, Any]) -> dict[str, Any]:
    role = iam.get_role(RoleName=listed["RoleName"])["Role"]
    arns = [
        each["PolicyArn"] for each in iam.list_attached_role_policies(RoleName=role["RoleName"])["AttachedPolicies"]
    ]
    boundary = role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    dates = [role["CreateDate"], *(iam.get_policy(PolicyArn=arn)["Policy"]["UpdateDate"] for arn in arns)]
    used = role.get("RoleLastUsed", {}).get("LastUsedDate")
    resources = _resources(iam, role["RoleName"])
    return {
        "role": role["RoleName"],
        "arn": role["Arn"],
        "boundary": boundary.rpartition("/")[2] if boundary else None,
        # IAM dates no inline policy: it is not older than this.
        "changed": max(dates).isoformat(),
        "used": used.isoformat() if used else None,
        "may": {name: _may(home, iam, role["Arn"], actions, resources) for name, actions in CLASSES.items()},
    }


def _resources(iam: Any, role: str) -> list[str]:
    """The resources that a role's own policies speak of: what it may on some of them only needs to be asked for."""
    found: set[str] = set()
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for statement in document["Statement"]:
            named = statement.get("Resource", [])
            found.update([named] if isinstance(named, str) else named)
    return sorted(found - {"*"})


def _may(home: Home, iam: Any, arn: str, actions: tuple[str, ...], resources: list[str]) -> str:
    entries = [{"ContextKeyName": "aws:RequestedRegion", "ContextKeyValues": [endpoint(home)["region"]],
                "ContextKeyType": "string"}]  # fmt: skip

    def allowed(where: list[str]) -> list[bool]:
        decisions: list[bool] = []
        for page in iam.get_paginator("simulate_principal_policy").paginate(
            PolicySourceArn=arn, ActionNames=list(actions), ResourceArns=where, ContextEntries=entries
        ):
            decisions += [result["EvalDecision"] == "allowed" for result in page["EvaluationResults"]]
        return decisions

    everywhere = allowed(["*"])
    if all(everywhere):
        return "all"
    # A policy's `*` stands for itself here: what its pattern covers, it covers.
    return "some" if any(everywhere) or (resources and any(allowed(resources))) else "none"


def add_user(home: Home, name: str, groups: list[str]) -> None:
    """Make a user with a key and an MFA device in the dock, and print them: they are shown once."""
    from botocore.exceptions import ClientError

    from dock.aws.iam import totp

    iam = _client(home, "iam")
    try:
        iam.create_user(UserName=name)
        for group in groups:
            iam.add_user_to_group(GroupName=group, UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        device = iam.create_virtual_mfa_device(VirtualMFADeviceName=name)["VirtualMFADevice"]
        seed = device["Base32StringSeed"].decode()
        step = int(dt.datetime.now().timestamp() // totp.STEP_SECONDS)
        iam.enable_mfa_device(
            UserName=name,
            SerialNumber=device["SerialNumber"],
            AuthenticationCode1=totp.code(seed, step - 1),
            AuthenticationCode2=totp.code(seed, step),
        )
    except ClientError as problem:
        error = problem.response["Error"]
        raise DrydockError(f"user {name} was not made: {error['Message']}", "aws iam list-users") from None
    print(f"export AWS_ACCESS_KEY_ID={key['AccessKeyId']}")
    print(f"export AWS_SECRET_ACCESS_KEY={shlex.quote(key['SecretAccessKey'])}")
    print(f"# MFA device {device['SerialNumber']}, for an authenticator app:")
    print(f"# otpauth://totp/drydock:{name}?secret={seed}&issuer=drydock")
    print(f"# or a code on this machine: oathtool --totp -b {seed}")


def script_as(home: Home, role: str, code: str | None) -> str:
    """Shell commands for `eval` that act as a role, taken on by this shell's own user."""
    import boto3.session
    from botocore.exceptions import BotoCoreError, ClientError

    published = endpoint(home)
    key = os.environ.get("AWS_ACCESS_KEY_ID", published["account"])
    if key.isdigit():
        raise DrydockError(
            "this shell is the account's root, which takes on no role, as on AWS",
            f"drydock access user NAME --group {role.removesuffix('-role')}, then export its keys",
        )
    arn = role if role.startswith("arn:") else f"arn:aws:iam::{published['account']}:role/{role}"
    session: Any = boto3.session.Session()
    try:
        given: dict[str, Any] = {"RoleArn": arn, "RoleSessionName": _session_name()}
        if code is not None:
            iam = session.client("iam", endpoint_url=published["endpoint_url"], region_name=published["region"])
            devices = iam.list_mfa_devices()["MFADevices"]
            if not devices:
                raise DrydockError("this shell's user has no MFA device", "aws iam enable-mfa-device")
            given |= {"SerialNumber": devices[0]["SerialNumber"], "TokenCode": code}
        sts = session.client("sts", endpoint_url=published["endpoint_url"], region_name=published["region"])
        issued = sts.assume_role(**given)["Credentials"]
    except (ClientError, BotoCoreError) as problem:
        next_command = None if code else f"drydock env --role {role} --mfa CODE"
        raise DrydockError(f"{role} can't be taken on: {problem}", next_command) from None
    lines = [
        script(home),
        f"export AWS_ACCESS_KEY_ID={issued['AccessKeyId']}",
        f"export AWS_SECRET_ACCESS_KEY={shlex.quote(issued['SecretAccessKey'])}",
        f"export AWS_SESSION_TOKEN={shlex.quote(issued['SessionToken'])}",
    ]
    print(f"{role} until {issued['Expiration']:%H:%M} UTC", file=sys.stderr)
    return "\n".join(lines)


def _session_name() -> str:
    import getpass

    return f"drydock-{getpass.getuser()}"[:64]


def _client(home: Home, service: str) -> Any:
    """A client of the dock as the account's root."""
    import boto3.session

    published = endpoint(home)
    session: Any = boto3.session.Session()
    return session.client(
        service,
        endpoint_url=published["endpoint_url"],
        region_name=published["region"],
        aws_access_key_id=published["account"],
        aws_secret_access_key="dock",  # noqa: S106  (no secret: the account's number is the key)
    )
