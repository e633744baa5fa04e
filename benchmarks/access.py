"""What enforcing costs: the same calls by the account's root and by a session of a role, in turn."""

from __future__ import annotations

import json
import statistics
import uuid
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config

from benchmarks.figure import Figure, in_pairs, spread

CALLS = 200
MOST_SECONDS = 0.001


def measure(endpoint_url: str, account: str, region: str, cluster: str, service: str) -> list[Figure]:
    def client(name: str, key: str = account, secret: str = "dock", token: str | None = None) -> Any:
        return boto3.client(
            name,
            endpoint_url=endpoint_url,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}),
        )

    iam, name = client("iam"), f"benchmark-{uuid.uuid4().hex[:8]}"
    user = iam.create_user(UserName=name)["User"]
    try:
        return _measure(client, iam, name, user["Arn"], cluster, service)
    finally:
        for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
            iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        iam.delete_user(UserName=name)


def _measure(client: Callable[..., Any], iam: Any, name: str, user: str, cluster: str, service: str) -> list[Figure]:
    key = iam.create_access_key(UserName=name)["AccessKey"]
    trust = {"Effect": "Allow", "Principal": {"AWS": user}, "Action": "sts:AssumeRole"}
    reader = iam.get_role_policy(RoleName="chatvrm-readonly-role", PolicyName="permissions")["PolicyDocument"]
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_document(trust))["Role"]["Arn"]
    try:
        iam.put_role_policy(RoleName=name, PolicyName="permissions", PolicyDocument=json.dumps(reader))
        sts = client("sts", key["AccessKeyId"], key["SecretAccessKey"])
        issued = sts.assume_role(RoleArn=role, RoleSessionName=name)["Credentials"]
        session = (issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])
        calls: dict[str, Callable[[Any], object]] = {
            "ecs describe-services": lambda ecs: ecs.describe_services(cluster=cluster, services=[service]),
            "rds describe-db-instances": lambda rds: rds.describe_db_instances(),
            "ec2 describe-vpcs": lambda ec2: ec2.describe_vpcs(),
        }
        figures = []
        for what, call in calls.items():
            ours, root = client(what.split()[0], *session), client(what.split()[0])
            mine, theirs = in_pairs(lambda: call(ours), lambda: call(root), CALLS)  # noqa: B023  (used at once)
            more = statistics.median(mine) - statistics.median(theirs)
            figures.append(
                Figure(
                    f"{what} by a role",
                    spread(mine, "ms", 1000),
                    f"by root {spread(theirs, 'ms', 1000)}",
                    None,
                    f"≤ {MOST_SECONDS * 1000:.0f} ms more ({more * 1000:.2f})",
                    more <= MOST_SECONDS,
                )
            )
        return figures
    finally:
        iam.delete_role_policy(RoleName=name, PolicyName="permissions")
        iam.delete_role(RoleName=name)


def _document(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
