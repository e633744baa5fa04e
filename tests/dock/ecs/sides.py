"""A load balancer with two target groups, a production rule and a test rule, and users who ask all the time."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.dock.conftest import call
from tests.dock.ecs.conftest import CLUSTER, PORT, World, until
from tests.dock.iam.roles import allow, document

ROLE = "ecs-infrastructure"
TRUSTS_ECS = {"Effect": "Allow", "Principal": {"Service": "ecs.amazonaws.com"}, "Action": "sts:AssumeRole"}
SHIFTS = allow("elasticloadbalancing:Describe*", "elasticloadbalancing:ModifyRule")


@dataclass
class Sides:
    world: World
    elb: Any
    groups: list[str]
    production: str
    test: str
    role: str
    url: str
    test_url: str

    @property
    def load_balancer(self) -> dict[str, Any]:
        return {
            "targetGroupArn": self.groups[0],
            "containerName": "web",
            "containerPort": PORT,
            "advancedConfiguration": {
                "alternateTargetGroupArn": self.groups[1],
                "productionListenerRule": self.production,
                "testListenerRule": self.test,
                "roleArn": self.role,
            },
        }

    async def create(self, definition: str, desired: int = 2, **configuration: Any) -> None:
        more = {
            "loadBalancers": [self.load_balancer],
            "healthCheckGracePeriodSeconds": 10,
            "deploymentConfiguration": {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0, **configuration},
        }
        await self.world.create_service(definition, desired, balanced=False, **more)
        await self.world.stable(90)

    async def configure(self, **configuration: Any) -> None:
        await self.world.update(deploymentConfiguration=configuration)

    async def weights(self, rule: str | None = None) -> list[int]:
        """What a rule gives each of the two groups."""
        found = await call(self.elb.describe_rules, RuleArns=[rule or self.production])
        shares = {
            each["TargetGroupArn"]: each["Weight"]
            for each in found["Rules"][0]["Actions"][0]["ForwardConfig"]["TargetGroups"]
        }
        return [shares.get(group, 0) for group in self.groups]

    async def deployment(self) -> dict[str, Any]:
        """The newest service deployment, in full."""
        ecs = self.world.ecs
        briefs = (await call(ecs.list_service_deployments, cluster=CLUSTER, service="web"))["serviceDeployments"]
        arns = [briefs[0]["serviceDeploymentArn"]]
        return dict((await call(ecs.describe_service_deployments, serviceDeploymentArns=arns))["serviceDeployments"][0])

    async def reached(self, stage: str, seconds: float = 60) -> dict[str, Any]:
        async def there() -> dict[str, Any] | None:
            found = await self.deployment()
            return found if found["lifecycleStage"] == stage and found["status"] == "IN_PROGRESS" else None

        return dict(await until(there, seconds))

    async def ended(self, seconds: float = 90) -> dict[str, Any]:
        async def over() -> dict[str, Any] | None:
            found = await self.deployment()
            return found if "finishedAt" in found else None

        return dict(await until(over, seconds))


async def may_shift(iam: Any) -> None:
    """Let the infrastructure role change rules."""
    await call(iam.put_role_policy, RoleName=ROLE, PolicyName="shift", PolicyDocument=document(SHIFTS))


async def sides(world: World) -> Sides:
    cloud, account, region = world.cloud, world.account, world.region
    elb, iam = cloud.client("elbv2", account, region), cloud.client("iam", account, region)
    role = await call(iam.create_role, RoleName=ROLE, AssumeRolePolicyDocument=document(TRUSTS_ECS))
    await may_shift(iam)
    subnets = []
    for zone in "ab":
        found = (await call(world.ec2.describe_subnets))["Subnets"]
        wanted = [entry for entry in found if entry["AvailabilityZone"] == region + zone]
        made = wanted or [(await call(world.ec2.create_default_subnet, AvailabilityZone=region + zone))["Subnet"]]
        subnets.append(made[0])
    balancer = await call(elb.create_load_balancer, Name="web", Subnets=[entry["SubnetId"] for entry in subnets])
    arn, host = balancer["LoadBalancers"][0]["LoadBalancerArn"], balancer["LoadBalancers"][0]["DNSName"]
    groups = [await _group(elb, name, subnets[0]["VpcId"]) for name in ("web-a", "web-b")]
    production, test = await _rule(elb, arn, 8080, groups), await _rule(elb, arn, 8081, groups)
    urls = f"http://{host}:8080/", f"http://{host}:8081/"
    return Sides(world, elb, groups, production, test, role["Role"]["Arn"], *urls)


async def _group(elb: Any, name: str, vpc: str) -> str:
    made = await call(
        elb.create_target_group,
        Name=name,
        Protocol="HTTP",
        Port=PORT,
        VpcId=vpc,
        TargetType="ip",
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2,
        HealthyThresholdCount=2,
        UnhealthyThresholdCount=2,
        HealthCheckPath="/health",
    )
    arn = str(made["TargetGroups"][0]["TargetGroupArn"])
    delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "2"}
    await call(elb.modify_target_group_attributes, TargetGroupArn=arn, Attributes=[delay])
    return arn


async def _rule(elb: Any, balancer: str, port: int, groups: list[str]) -> str:
    nobody = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503", "ContentType": "text/plain"}}
    listener = await call(
        elb.create_listener, LoadBalancerArn=balancer, Protocol="HTTP", Port=port, DefaultActions=[nobody]
    )
    shares = [{"TargetGroupArn": group, "Weight": weight} for group, weight in zip(groups, (1, 0), strict=True)]
    made = await call(
        elb.create_rule,
        ListenerArn=listener["Listeners"][0]["ListenerArn"],
        Priority=1,
        Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/*"]}}],
        Actions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": shares}}],
    )
    return str(made["Rules"][0]["RuleArn"])


@dataclass
class Users:
    """What users saw: when, the status (0 for none), and which revision answered."""

    seen: list[tuple[float, int, str]] = field(default_factory=list)

    @property
    def failures(self) -> list[tuple[float, int, str]]:
        return [each for each in self.seen if each[1] != 200]

    def revisions(self, after: float = 0.0) -> Counter[str]:
        return Counter(revision for moment, _, revision in self.seen if moment >= after)

    def last_of(self, revision: str) -> float:
        """When this revision answered for the last time."""
        return max((moment for moment, _, found in self.seen if found == revision), default=0.0)


def ask(url: str) -> tuple[int, str]:
    """The status, and the revision of the task definition that answered."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, str(json.load(answer)["task"]["Revision"])
    except urllib.error.HTTPError as problem:
        return problem.code, ""
    except OSError:
        return 0, ""


@contextmanager
def users(url: str) -> Iterator[Users]:
    """Two users who ask again and again, on threads of their own."""
    found, done = Users(), threading.Event()

    def keep_asking() -> None:
        while not done.is_set():
            status, revision = ask(url)
            found.seen.append((time.monotonic(), status, revision))
            time.sleep(0.02)

    threads = [threading.Thread(target=keep_asking) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        done.set()
        for thread in threads:
            thread.join(10)


async def revision_at(url: str) -> str:
    return (await asyncio.to_thread(ask, url))[1]
