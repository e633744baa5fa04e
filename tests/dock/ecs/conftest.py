"""A dock with ECS and what it stands on, an image with a small HTTP server, and waiting for conditions."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dock.aws.ecr import Ecr
from dock.aws.ecs import Ecs
from dock.aws.logs import Logs
from dock.aws.service import AwsError, Call, Request, Response, Service, operation
from dock.cloud import Cloud
from dock.home import Home
from tests.dock.conftest import call, running_cloud
from tests.dock.ecs import oci
from tests.dock.iam.roles import make_execution_role

CLUSTER, REPOSITORY, LOG_GROUP, PORT = "chat-local", "chat-local-web", "/chat/local/web", 8080
TARGET_GROUP = "arn:aws:elasticloadbalancing:us-east-1:000000000001:targetgroup/web/0123456789abcdef"

# Learns its address as on AWS, serves its environment, and does what MODE says.
SERVER = b"""
import http.server, json, os, signal, sys, threading, time, urllib.request

mode = os.environ.get("MODE", "good")
if mode == "crash":
    print("crashing at start", flush=True)
    sys.exit(3)
metadata = os.environ["ECS_CONTAINER_METADATA_URI_V4"]
while True:
    try:
        task = json.load(urllib.request.urlopen(metadata + "/task", timeout=5))
        break
    except OSError:
        time.sleep(0.1)
address = task["Containers"][0]["Networks"][0]["IPv4Addresses"][0]
sick = threading.Event()

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/sick":
            sick.set()
        if self.path.startswith("/say/"):
            print(self.path[5:], flush=True)
        if self.path == "/leak":
            threading.Thread(target=leak).start()
        status = 500 if mode == "sick" or sick.is_set() or (mode == "wrong" and self.path != "/health") else 200
        facts = {"environment": dict(os.environ), "task": task, "uid": os.getuid(), "cwd": os.getcwd()}
        body = json.dumps(facts).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

def leak():
    held = []
    while True:
        held.append(bytearray(16 << 20))
        held[-1][::4096] = b"x" * len(held[-1][::4096])
        time.sleep(0.02)

def end(*_):
    print("asked to stop", flush=True)
    if mode != "stubborn":
        os._exit(0)

signal.signal(signal.SIGTERM, end)
server = http.server.ThreadingHTTPServer((address, 8080), Handler)
print("listening on", address, flush=True)
server.serve_forever()
"""


class Balancers(Service):
    """In the place of the load balancers: real health checks of real tasks, draining that takes a moment."""

    name = "elbv2"
    interval, threshold, drain = 0.1, 2, 0.3

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.states: dict[str, dict[tuple[str, int], str]] = {}
        self._checks: dict[tuple[str, str, int], asyncio.Task[None]] = {}

    async def register(self, arn: str, ip: str, port: int) -> None:
        self.states.setdefault(arn, {})[ip, port] = "initial"
        self._checks[arn, ip, port] = self.cloud.spawn(self._check(arn, ip, port), "check")

    async def deregister(self, arn: str, ip: str, port: int) -> None:
        check = self._checks.pop((arn, ip, port), None)
        if check is not None:
            check.cancel()
            self.states[arn][ip, port] = "draining"
            await asyncio.sleep(self.drain)
        self.states.get(arn, {}).pop((ip, port), None)

    @operation("DescribeTargetGroups", acts="TargetGroupArns")
    async def describe_target_groups(self, call: Call, request: Request) -> Response:
        if request["TargetGroupArns"] != [TARGET_GROUP]:
            raise AwsError("TargetGroupNotFoundException", "One or more target groups not found")
        group = {"TargetGroupArn": TARGET_GROUP, "TargetType": "ip", "LoadBalancerArns": ["arn:aws:lb"]}
        return {"TargetGroups": [group]}

    def health(self, arn: str) -> dict[tuple[str, int], str]:
        return dict(self.states.get(arn, {}))

    async def _check(self, arn: str, ip: str, port: int) -> None:
        good = bad = 0
        while True:
            status = await asyncio.to_thread(get_status, f"http://{ip}:{port}/")
            good, bad = (good + 1, 0) if status == 200 else (0, bad + 1)
            if good >= self.threshold:
                self.states[arn][ip, port] = "healthy"
            # A server needs a moment to come up.
            elif bad >= (self.threshold if status else 30):
                self.states[arn][ip, port] = "unhealthy"
            await asyncio.sleep(self.interval)


def get_status(url: str) -> int:
    """The status of an answer, 0 without one."""
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as problem:
        return problem.code
    except OSError:
        return 0


async def until(what: Callable[[], Awaitable[Any]], seconds: float = 20) -> Any:
    """Wait until `what` gives something true, and return it."""
    async with asyncio.timeout(seconds):
        while True:
            if found := await what():
                return found
            await asyncio.sleep(0.05)


@dataclass
class World:
    """A cloud with a cluster, a log group and the image `web:good`, and short ways to do the usual things."""

    cloud: Cloud
    account: str
    region: str

    def __post_init__(self) -> None:
        self.ecs = self.cloud.client("ecs", self.account, self.region)
        self.ecr = self.cloud.client("ecr", self.account, self.region)
        self.logs = self.cloud.client("logs", self.account, self.region)
        self.ec2 = self.cloud.client("ec2", self.account, self.region)
        self.network: dict[str, Any] = {}

    @property
    def registry(self) -> str:
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com/{REPOSITORY}"

    @property
    def balancers(self) -> Balancers:
        return self.cloud.service(Balancers)

    async def push(self, tag: str, **settings: Any) -> str:
        files = oci.layer({"app/server.py": SERVER})
        defaults = {"WorkingDir": "/app", "Entrypoint": ["python", "server.py"], "Env": ["PATH=/usr/bin:/bin"]}
        configuration = oci.config(**{**defaults, **settings})
        return await asyncio.to_thread(oci.push, self.ecr, REPOSITORY, tag, [files], configuration)

    async def register(self, family: str = "web", mode: str = "good", **container: Any) -> str:
        """A task definition with one container; returns its ARN."""
        options = {"awslogs-group": LOG_GROUP, "awslogs-region": self.region, "awslogs-stream-prefix": "web"}
        base = {
            "name": "web",
            "image": f"{self.registry}:good",
            "essential": True,
            "environment": [{"name": "MODE", "value": mode}],
            "portMappings": [{"containerPort": PORT}],
            "stopTimeout": 3,
            "logConfiguration": {"logDriver": "awslogs", "options": options},
        }
        answer = await self.register_containers(family, [{**base, **container}])
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    async def register_containers(self, family: str, containers: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        sizes = {"cpu": "256", "memory": "512", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"]}
        role = {"executionRoleArn": f"arn:aws:iam::{self.account}:role/execution"}
        return dict(
            await call(
                self.ecs.register_task_definition,
                family=family,
                containerDefinitions=containers,
                **{**sizes, **role, **more},
            )
        )

    async def create_service(self, definition: str, desired: int = 2, *, balanced: bool = True, **more: Any) -> None:
        if balanced:
            target = {"targetGroupArn": TARGET_GROUP, "containerName": "web", "containerPort": PORT}
            more["loadBalancers"] = [target]
        await call(
            self.ecs.create_service,
            cluster=CLUSTER,
            serviceName="web",
            taskDefinition=definition,
            desiredCount=desired,
            launchType="FARGATE",
            networkConfiguration=self.network,
            **more,
        )

    async def update(self, **more: Any) -> None:
        await call(self.ecs.update_service, cluster=CLUSTER, service="web", **more)

    async def service(self) -> dict[str, Any]:
        return dict((await call(self.ecs.describe_services, cluster=CLUSTER, services=["web"]))["services"][0])

    async def stable(self, seconds: int = 30) -> dict[str, Any]:
        """Wait as `aws ecs wait services-stable` does, only more often, and then for the steady state: the waiter
        looks at running tasks alone, not at their health."""
        waiter = self.ecs.get_waiter("services_stable")
        await call(
            waiter.wait,
            cluster=CLUSTER,
            services=["web"],
            WaiterConfig={"Delay": 0.1, "MaxAttempts": seconds * 10},
        )

        async def steady() -> dict[str, Any] | None:
            states = [entry["state"] for entry in self.cloud.service(Ecs).status() if entry["kind"] == "service"]
            return await self.service() if states == ["steady"] else None

        return dict(await until(steady))

    async def tasks(self, desired: str = "RUNNING") -> list[dict[str, Any]]:
        arns = (await call(self.ecs.list_tasks, cluster=CLUSTER, desiredStatus=desired))["taskArns"]
        if not arns:
            return []
        return list((await call(self.ecs.describe_tasks, cluster=CLUSTER, tasks=arns))["tasks"])

    async def run(self, definition: str, **more: Any) -> dict[str, Any]:
        answer = await call(
            self.ecs.run_task, cluster=CLUSTER, taskDefinition=definition, networkConfiguration=self.network, **more
        )
        return dict(answer["tasks"][0])

    async def task(self, arn: str) -> dict[str, Any]:
        return dict((await call(self.ecs.describe_tasks, cluster=CLUSTER, tasks=[arn]))["tasks"][0])

    async def reached(self, arn: str, status: str, seconds: float = 20) -> dict[str, Any]:
        async def there() -> dict[str, Any] | None:
            task = await self.task(arn)
            return task if task["lastStatus"] == status else None

        return dict(await until(there, seconds))

    async def lines(self, pattern: str = "") -> list[str]:
        answer = await call(self.logs.filter_log_events, logGroupName=LOG_GROUP, filterPattern=pattern)
        return [event["message"] for event in answer["events"]]

    def pid(self, task: dict[str, Any], container: str = "web") -> int:
        process = self.cloud.supervisor.find(f"ecs/{task['taskArn'].rpartition('/')[2]}/{container}")
        assert process is not None
        return process.pid


def address(task: dict[str, Any]) -> str:
    """The address of a described task."""
    details = {entry["name"]: entry["value"] for entry in task["attachments"][0]["details"]}
    return str(details["privateIPv4Address"])


async def ask(task: dict[str, Any], path: str = "/") -> dict[str, Any]:
    """What the server of a task answers."""

    def get() -> Any:
        with urllib.request.urlopen(f"http://{address(task)}:{PORT}{path}", timeout=5) as answer:
            return json.load(answer)

    return dict(await asyncio.to_thread(get))


SERVICES: list[type[Service]] = [Logs, Ecr, Balancers, Ecs]


@pytest.fixture
async def world(home: Home, account: str, region: str) -> AsyncIterator[World]:
    async with running_cloud(home, SERVICES) as cloud:
        yield await furnished(cloud, account, region)


async def found(cloud: Cloud, account: str, region: str) -> World:
    """A world over a cloud that may be furnished already."""
    made = World(cloud, account, region)
    (subnet, *_) = (await call(made.ec2.describe_subnets))["Subnets"] or [
        (await call(made.ec2.create_default_subnet, AvailabilityZone=f"{region}a"))["Subnet"]
    ]
    made.network = {"awsvpcConfiguration": {"subnets": [subnet["SubnetId"]], "assignPublicIp": "DISABLED"}}
    return made


async def furnished(cloud: Cloud, account: str, region: str) -> World:
    """What a world needs to be there first."""
    made = await found(cloud, account, region)
    await asyncio.to_thread(make_execution_role, cloud.client("iam", account, region))
    await call(made.ecs.create_cluster, clusterName=CLUSTER)
    await call(made.ecr.create_repository, repositoryName=REPOSITORY)
    await call(made.logs.create_log_group, logGroupName=LOG_GROUP)
    await made.push("good")
    return made


@contextlib.asynccontextmanager
async def abandoned(home: Home, services: list[type[Service]] = SERVICES) -> AsyncIterator[Cloud]:
    """A cloud whose daemon is gone at the end while everything goes on, as after SIGKILL."""
    cloud = Cloud(home, services)
    await cloud.start()
    try:
        yield cloud
    finally:
        await cloud.leave()


@contextlib.asynccontextmanager
async def daemon(home: Home) -> AsyncIterator[None]:
    """A daemon in a process of its own, which is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.dock.ecs.daemon", str(home.root)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 60) == b"ready\n"
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(process.wait, 10)
