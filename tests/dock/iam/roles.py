"""Roles and people for tests."""

from __future__ import annotations

import json
from typing import Any

EXECUTION = "execution"
TRUSTS_TASKS = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(*actions: str, on: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": on, **more}


def deny(*actions: str, on: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": list(actions), "Resource": on, **more}


def make_execution_role(iam: Any, *statements: dict[str, Any], name: str = EXECUTION) -> str:
    """A role that starts tasks: with AWS's own policy for it, or with these statements alone. Returns its ARN."""
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(TRUSTS_TASKS))["Role"]["Arn"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="start", PolicyDocument=document(*statements))
    else:
        policy = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
        iam.attach_role_policy(RoleName=name, PolicyArn=policy)
        iam.put_role_policy(
            RoleName=name,
            PolicyName="secrets",
            PolicyDocument=document(allow("secretsmanager:GetSecretValue", "ssm:GetParameter*", "kms:Decrypt")),
        )
    return arn
