"""What an operation is allowed is what it does: run on a real dock with its runbook's role, its calls written down."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import boto3.session
import pytest
from botocore.config import Config

from dock.authorization import reference
from dock.aws.cloudwatch import CloudWatch
from dock.aws.ecr.ecr import Ecr
from dock.aws.ecs.ecs import Ecs
from dock.aws.logs.logs import Logs
from dock.cloud import Cloud
from dock.home import Home
from operations import deploy
from operations.migration import MigrationFailed
from operations.parameters import DeployParameters
from operations.permissions import CARRIED, PERMISSIONS
from operations.runs.journal import Journal
from operations.target import Target
from tests.dock.conftest import home, running_cloud  # noqa: F401  (home is a fixture)
from tests.dock.iam import platform
from tests.dock.iam.roles import allow, document
from tests.operations.test_deploy_dock import BREAK, SERVE, prepare, release, scale_to_nothing

pytestmark = [pytest.mark.dock, pytest.mark.timeout(240)]
ACCOUNT = "000000000001"


class Caller:
    """Makes clients with a role's credentials, and keeps what they called as IAM's actions."""

    def __init__(self, cloud: Cloud, credentials: dict[str, Any]) -> None:
        self._cloud = cloud
        self._credentials = credentials
        self.actions: set[str] = set()

    def connect(self, service: str, region: str) -> Any:
        session: Any = boto3.session.Session()
        client = session.client(
            service,
            endpoint_url=self._cloud.url,
            region_name=region,
            aws_access_key_id=self._credentials["AccessKeyId"],
            aws_secret_access_key=self._credentials["SecretAccessKey"],
            aws_session_token=self._credentials["SessionToken"],
            config=Config(retries={"total_max_attempts": 1}),
        )
        client.meta.events.register("before-call", self._write_down)
        return client

    def _write_down(self, model: Any, **_: Any) -> None:
        known = reference.of(model.service_model.service_name)
        assert known is not None
        self.actions |= {f"{known.prefix}:{action.name}" for action in known.actions_of(model.name)}


def becomes(cloud: Cloud, runbook: str) -> Caller:
    """A deployer who has taken on the runbook's role."""
    iam, sts = (cloud.client(service, ACCOUNT, "us-east-1") for service in ("iam", "sts"))
    name = f"deployer-of-{runbook}"
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document(allow("sts:AssumeRole")))
    trust = {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "sts:AssumeRole"}
    role = f"{platform.PREFIX}-run-{runbook}"
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=document(trust))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    session: Any = boto3.session.Session()
    sts = session.client(
        "sts",
        endpoint_url=cloud.url,
        region_name="us-east-1",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    return Caller(cloud, sts.assume_role(RoleArn=platform.role_arn(role), RoleSessionName="test")["Credentials"])


def deployed(target: Target, digest: str) -> deploy.Outcome:
    """By a run of its own: what one has begun, another must not take for its own."""
    request = DeployParameters(image_digest=digest, deadline_seconds=90)
    plan = deploy.plan(deploy.gather(target, "web", digest), request)
    return deploy.execute(plan, target, Journal(f"run-{digest[-8:]}"))


async def test_a_release_is_pushed_and_deployed_with_the_runbooks_own_permissions(
    home: Home,  # noqa: F811
    document: dict[str, Any],
    tmp_path: Path,
) -> None:
    async with running_cloud(home, [CloudWatch, Ecr, Logs, Ecs]) as cloud:

        def act() -> None:
            root = prepare(cloud, document, f"{platform.PREFIX}-web-execution")
            platform.install(cloud.client("iam", ACCOUNT, "us-east-1"))
            pushing, deploying = becomes(cloud, "push-image"), becomes(cloud, "deploy")
            pusher, deployer = (Target(root.manifest, caller.connect) for caller in (pushing, deploying))
            broken = release(pusher, tmp_path, "1.0.0", SERVE, BREAK)
            with pytest.raises(MigrationFailed, match="exists already"):
                deployed(deployer, broken)
            digest = release(pusher, tmp_path, "1.0.1")
            assert deployed(deployer, digest).result == "deployed"
            # The manifest was read before.
            assert pushing.actions == PERMISSIONS["push_image"] - {"ecr:DescribeImages"}
            assert deploying.actions == PERMISSIONS["deploy"] - {"ssm:GetParameter"}
            assert not deploying.actions & CARRIED["deploy"]
            scale_to_nothing(root)

        await asyncio.to_thread(act)
