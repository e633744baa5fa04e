"""Roles of tasks: ECS starts a task as its execution role, and what a task calls it calls as its task role."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.dock.conftest import call
from tests.dock.ecs import oci
from tests.dock.ecs.conftest import LOG_GROUP, REPOSITORY, World
from tests.dock.iam.roles import allow, deny, document, make_execution_role

pytestmark = pytest.mark.dock

# Asks for its credentials as the SDKs do, and then who it is.
WHOAMI = b"""
import datetime, hashlib, hmac, json, os, sys, urllib.request
uri = os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
if uri is None:
    print("no role", flush=True)
    sys.exit(0)
got = json.load(urllib.request.urlopen(uri, timeout=5))
now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
body = b"Action=GetCallerIdentity&Version=2011-06-15"
host = os.environ["AWS_ENDPOINT_URL"].partition("://")[2]
headers = {"host": host, "x-amz-date": now, "x-amz-security-token": got["Token"]}
signed = ";".join(sorted(headers))
canonical = "POST\\n/\\n\\n" + "".join(f"{k}:{v}\\n" for k, v in sorted(headers.items())) + "\\n" + signed + "\\n"
canonical += hashlib.sha256(body).hexdigest()
scope = f"{now[:8]}/us-east-1/sts/aws4_request"
to_sign = "\\n".join(("AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()))
key = ("AWS4" + got["SecretAccessKey"]).encode()
for part in scope.split("/"):
    key = hmac.new(key, part.encode(), hashlib.sha256).digest()
signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
credential = f"Credential={got['AccessKeyId']}/{scope}"
headers["Authorization"] = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={signed}, Signature={signature}"
headers["Content-Type"] = "application/x-www-form-urlencoded"
request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], body, headers)
print(urllib.request.urlopen(request, timeout=5).read().decode(), flush=True)
"""


async def definition(world: World, execution: str, **more: Any) -> str:
    options = {"awslogs-group": LOG_GROUP, "awslogs-region": world.region, "awslogs-stream-prefix": "who"}
    logs = {"logDriver": "awslogs", "options": options}
    container = {"name": "who", "image": f"{world.registry}:who", "essential": True, "logConfiguration": logs}
    container |= more.pop("container", {})
    answer = await world.register_containers("who", [container], executionRoleArn=execution, **more)
    return str(answer["taskDefinition"]["taskDefinitionArn"])


async def said(world: World, definition_arn: str) -> tuple[dict[str, Any], str]:
    """The task as it ended, and what it wrote."""
    task = await world.run(definition_arn)
    ended = await world.reached(task["taskArn"], "STOPPED")
    stream = f"who/who/{task['taskArn'].rpartition('/')[2]}"
    try:
        events = (await call(world.logs.get_log_events, logGroupName=LOG_GROUP, logStreamName=stream))["events"]
    except world.logs.exceptions.ResourceNotFoundException:
        events = []
    return ended, "\n".join(event["message"] for event in events)


async def test_a_tasks_calls_are_its_roles_and_it_is_started_by_another(world: World) -> None:
    iam = world.cloud.client("iam", world.account, world.region)
    files = oci.layer({"app/who.py": WHOAMI})
    configuration = oci.config(WorkingDir="/app", Entrypoint=["python", "who.py"], Env=["PATH=/usr/bin:/bin"])
    await asyncio.to_thread(oci.push, world.ecr, REPOSITORY, "who", [files], configuration)
    execution = f"arn:aws:iam::{world.account}:role/execution"
    task_role = await asyncio.to_thread(make_execution_role, iam, allow("logs:*"), name="application")

    ended, text = await said(world, await definition(world, execution, taskRoleArn=task_role))
    assert ended["containers"][0]["exitCode"] == 0
    assert f"arn:aws:sts::{world.account}:assumed-role/application/{ended['taskArn'].rpartition('/')[2]}" in text
    _, text = await said(world, await definition(world, execution))
    assert text == "no role"

    # Each thing that an execution role does for a task, taken away.
    here = {"StringEquals": {"aws:RequestedRegion": world.region}}
    starts = allow("ecr:*", "logs:*", "secretsmanager:*", "kms:*", Condition=here)
    secrets = world.cloud.client("secretsmanager", world.account, world.region)
    secret = (await call(secrets.create_secret, Name="password", SecretString="canary"))["ARN"]
    wants = {"secrets": [{"name": "PASSWORD", "valueFrom": secret}]}
    for name, denied, container, reason in (
        ("no-image", "ecr:BatchGetImage", {}, "CannotPullContainerError"),
        ("no-token", "ecr:GetAuthorizationToken", {}, "unable to retrieve ecr registry auth"),
        ("no-log", "logs:CreateLogStream", {}, "failed to create Cloudwatch log stream"),
        ("no-secret", "secretsmanager:GetSecretValue", wants, "unable to retrieve secret from asm"),
    ):
        role = await asyncio.to_thread(make_execution_role, iam, starts, deny(denied), name=name)
        ended, text = await said(world, await definition(world, role, container=container))
        assert ended["stopCode"] == "TaskFailedToStart"
        assert reason in ended["stoppedReason"]
        assert f"is not authorized to perform: {denied}" in ended["stoppedReason"]
        assert "canary" not in str(ended) + text

    # And a role that ECS may not take on at all.
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    made = await call(iam.create_role, RoleName="other", AssumeRolePolicyDocument=document(trust))
    arn = made["Role"]["Arn"]
    for roles in ({"execution": arn}, {"execution": execution, "taskRoleArn": arn}):
        ended, _ = await said(world, await definition(world, **roles))
        assert f"ECS was unable to assume the role '{arn}'" in ended["stoppedReason"]
