"""Single tasks: what they are given, how they end, what they leave behind."""

from __future__ import annotations

import os
import pwd
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.dock.conftest import call
from tests.dock.ecs.conftest import CLUSTER, LOG_GROUP, World, ask, until

pytestmark = pytest.mark.dock


async def test_a_task_runs_as_a_process_with_what_its_definition_says(world: World) -> None:
    definition = await world.register(ulimits=[{"name": "nofile", "softLimit": 512, "hardLimit": 1024}])
    started = await world.run(definition, tags=[{"key": "team", "value": "chat"}], startedBy="test")
    assert started["lastStatus"] == "PROVISIONING"
    task = await world.reached(started["taskArn"], "RUNNING")
    facts = await until(lambda: _answer(task))
    environment = facts["environment"]
    assert environment["MODE"] == "good"
    assert environment["AWS_REGION"] == world.region
    # The dock's own authority for the database; the system's beside it for everything else.
    assert environment["PGSSLROOTCERT"] == str(world.cloud.certificates.path)
    trusted = Path(environment["SSL_CERT_FILE"]).read_text()
    assert world.cloud.certificates.path.read_text() in trusted
    assert trusted.count("BEGIN CERTIFICATE") > 1
    if os.geteuid() == 0:
        assert all(Path(environment[name]).stat().st_mode & 0o004 for name in ("SSL_CERT_FILE", "PGSSLROOTCERT"))
    assert environment["PATH"].endswith(":/usr/bin:/bin")
    leaked = set(environment) & set(os.environ) - {"PATH", "HOME", "LANG", "TMPDIR", "LC_CTYPE"}
    assert not {name for name in leaked if environment[name] == os.environ[name]}
    if os.geteuid() == 0:
        assert facts["uid"] == pwd.getpwnam("nobody").pw_uid
    assert facts["cwd"].endswith("/root/app")
    limits = Path(f"/proc/{world.pid(task)}/limits").read_text()
    (open_files,) = [line.split()[3:5] for line in limits.splitlines() if "open files" in line]
    assert open_files == ["512", "1024"]
    seen = facts["task"]
    assert (seen["Family"], seen["Revision"], seen["TaskARN"]) == ("web", "1", task["taskArn"])
    assert seen["Containers"][0]["Name"] == "web"
    assert (await world.task(task["taskArn"]))["tags"] == []
    described = await call(world.ecs.describe_tasks, cluster=CLUSTER, tasks=[task["taskArn"]], include=["TAGS"])
    assert described["tasks"][0]["tags"] == [{"key": "team", "value": "chat"}]


async def _answer(task: dict[str, Any]) -> dict[str, Any] | None:
    try:
        return await ask(task)
    except OSError:
        return None


async def test_a_task_that_is_stopped_is_asked_first_and_its_lines_are_kept(world: World) -> None:
    definition = await world.register()
    task = await world.reached((await world.run(definition))["taskArn"], "RUNNING")
    await until(lambda: world.lines("listening"))
    await call(world.ecs.stop_task, cluster=CLUSTER, task=task["taskArn"], reason="enough")
    ended = await world.reached(task["taskArn"], "STOPPED")
    assert (ended["stopCode"], ended["stoppedReason"]) == ("UserInitiated", "enough")
    assert ended["containers"][0]["exitCode"] == 0
    assert await world.lines("asked") == ["asked to stop"]
    streams = await call(world.logs.describe_log_streams, logGroupName=LOG_GROUP)
    task_id = task["taskArn"].rpartition("/")[2]
    assert [stream["logStreamName"] for stream in streams["logStreams"]] == [f"web/web/{task_id}"]
    assert [entry["taskArn"] for entry in await world.tasks("STOPPED")] == [task["taskArn"]]
    assert await world.tasks() == []


async def test_a_task_that_does_not_listen_is_killed_after_its_stop_timeout(world: World) -> None:
    definition = await world.register(mode="stubborn", stopTimeout=1)
    task = await world.reached((await world.run(definition))["taskArn"], "RUNNING")
    await until(lambda: world.lines("listening"))
    await call(world.ecs.stop_task, cluster=CLUSTER, task=task["taskArn"])
    ended = await world.reached(task["taskArn"], "STOPPED")
    assert ended["containers"][0]["exitCode"] == 137


async def test_a_one_off_task_ends_with_its_exit_code_and_overrides(world: World) -> None:
    definition = await world.register()
    script = "import os, sys; print('migrated', os.environ['MODE'], os.environ['EXTRA']); sys.exit(4)"
    override = {
        "name": "web",
        "command": ["-c", script],
        "environment": [{"name": "EXTRA", "value": "yes"}],
    }
    plain = await world.register("migrate", entryPoint=["python"])
    task = await world.run(plain, overrides={"containerOverrides": [override]})
    ended = await world.reached(task["taskArn"], "STOPPED")
    assert ended["containers"][0]["exitCode"] == 4
    assert (ended["stopCode"], ended["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert await world.lines("migrated") == ["migrated good yes"]
    assert definition != plain


async def test_a_task_above_its_memory_is_killed(world: World) -> None:
    definition = await world.register(memory=100)
    task = await world.reached((await world.run(definition))["taskArn"], "RUNNING")
    await until(lambda: _answer(task))
    await ask(task, "/leak")
    container = (await world.reached(task["taskArn"], "STOPPED"))["containers"][0]
    assert container["exitCode"] == 137
    assert container["reason"] == "OutOfMemoryError: Container killed due to memory usage"


async def test_containers_wait_for_those_they_depend_on(world: World) -> None:
    def container(name: str, script: str, **more: Any) -> dict[str, Any]:
        base = {"name": name, "image": f"{world.registry}:good", "entryPoint": ["python", "-c"], "command": [script]}
        options = {"awslogs-group": LOG_GROUP, "awslogs-region": world.region, "awslogs-stream-prefix": "chain"}
        return {**base, "logConfiguration": {"logDriver": "awslogs", "options": options}, **more}

    check = {"command": ["CMD-SHELL", "test -f $TMPDIR/ready"], "interval": 5, "timeout": 2, "retries": 3}
    ready = "import os, time; open(os.environ['TMPDIR'] + '/ready', 'w'); print('sidecar', flush=True); time.sleep(60)"
    await world.register_containers(
        "chain",
        [
            container(
                "main",
                "print('main')",
                dependsOn=[
                    {"containerName": "init", "condition": "SUCCESS"},
                    {"containerName": "side", "condition": "HEALTHY"},
                ],
            ),
            container("init", "import time; time.sleep(0.3); print('init')", essential=False),
            container(
                "side",
                ready,
                essential=False,
                healthCheck=check,
                stopTimeout=2,
                dependsOn=[{"containerName": "init", "condition": "COMPLETE"}],
            ),
        ],
    )
    task = await world.run("chain")
    ended = await world.reached(task["taskArn"], "STOPPED", 30)
    assert {entry["name"]: entry.get("exitCode") for entry in ended["containers"]} == {
        "main": 0,
        "init": 0,
        "side": 143,
    }
    lines = await world.lines()
    assert lines.index("init") < lines.index("sidecar") < lines.index("main")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"image": "{registry}:none"}, "CannotPullContainerError: {registry}:none: not found"),
        ({"image": "nginx"}, "CannotPullContainerError: failed to resolve ref nginx: the dock pulls only"),
        ({"entryPoint": ["nothing-like-it"]}, 'exec: "nothing-like-it": executable file not found in $PATH'),
    ],
)
async def test_a_task_that_cannot_start_says_why(world: World, settings: dict[str, Any], reason: str) -> None:
    if "image" in settings:
        settings = {"image": settings["image"].format(registry=world.registry)}
    definition = await world.register(**settings)
    ended = await world.reached((await world.run(definition))["taskArn"], "STOPPED")
    assert ended["stopCode"] == "TaskFailedToStart"
    assert reason.format(registry=world.registry) in ended["stoppedReason"]


async def test_an_image_without_or_with_an_unknown_interpreter_is_refused(world: World) -> None:
    for tag, labels, reason in (
        ("plain", {}, "needs a root file system of its own"),
        ("future", {"dev.drydock.interpreter": "python3.99"}, "install it (for example `apt-get install python3.99`)"),
    ):
        await world.push(tag, Labels=labels)
        definition = await world.register(image=f"{world.registry}:{tag}")
        ended = await world.reached((await world.run(definition))["taskArn"], "STOPPED")
        assert ended["stoppedReason"].startswith("CannotPullContainerError: ")
        assert reason in ended["stoppedReason"]


async def test_a_missing_log_group_is_said(world: World) -> None:
    definition = await world.register()
    await call(world.logs.delete_log_group, logGroupName=LOG_GROUP)
    ended = await world.reached((await world.run(definition))["taskArn"], "STOPPED")
    assert ended["stoppedReason"].startswith("ResourceInitializationError: failed to validate logger args")


async def test_secrets_reach_the_container_and_nothing_else(world: World) -> None:
    canary = "canary-5b1e77aa"
    secrets = world.cloud.client("secretsmanager", world.account, world.region)
    parameters = world.cloud.client("ssm", world.account, world.region)
    document = f'{{"username": "app", "password": "{canary}"}}'
    arn = (await call(secrets.create_secret, Name="chat/database", SecretString=document))["ARN"]
    await call(parameters.put_parameter, Name="/chat/token", Value=canary + "-2", Type="SecureString")
    definition = await world.register(
        secrets=[
            {"name": "PASSWORD", "valueFrom": f"{arn}:password::"},
            {"name": "WHOLE", "valueFrom": arn},
            {"name": "TOKEN", "valueFrom": f"arn:aws:ssm:{world.region}:{world.account}:parameter/chat/token"},
        ]
    )
    task = await world.reached((await world.run(definition))["taskArn"], "RUNNING")
    environment = (await until(lambda: _answer(task)))["environment"]
    assert (environment["PASSWORD"], environment["WHOLE"], environment["TOKEN"]) == (canary, document, canary + "-2")
    assert canary not in Path(f"/proc/{world.pid(task)}/cmdline").read_text()
    kept = [path for path in world.cloud.home.root.rglob("*") if path.is_file() and "emulator" not in str(path)]
    assert not [path for path in kept if canary.encode() in path.read_bytes()]


async def test_a_secret_that_is_not_there_stops_the_task_as_ecs_says_it(world: World) -> None:
    secrets = world.cloud.client("secretsmanager", world.account, world.region)
    arn = (await call(secrets.create_secret, Name="chat/other", SecretString="{}"))["ARN"]
    for value, reason in (
        (f"arn:aws:secretsmanager:{world.region}:{world.account}:secret:none-abcdef", "ResourceNotFoundException"),
        (f"{arn}:password::", "did not contain json key password"),
        ("/no/such/parameter", "invalid ssm parameters: /no/such/parameter"),
    ):
        definition = await world.register(secrets=[{"name": "PASSWORD", "valueFrom": value}])
        ended = await world.reached((await world.run(definition))["taskArn"], "STOPPED")
        assert ended["stoppedReason"].startswith("ResourceInitializationError: unable to pull secrets")
        assert reason in ended["stoppedReason"]


async def test_whatever_a_container_started_ends_with_it(world: World) -> None:
    script = (
        "import subprocess, os; p = subprocess.Popen(['sleep', '300'], start_new_session=True);"
        " print('child', p.pid, flush=True)"
    )
    definition = await world.register("fork", entryPoint=["python", "-c", script])
    await world.reached((await world.run(definition))["taskArn"], "STOPPED")
    (line,) = await world.lines("child")
    child = int(line.split()[1])
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


async def test_a_killed_standalone_task_stays_stopped(world: World) -> None:
    task = await world.reached((await world.run(await world.register()))["taskArn"], "RUNNING")
    os.kill(world.pid(task), signal.SIGKILL)
    ended = await world.reached(task["taskArn"], "STOPPED")
    assert ended["containers"][0]["exitCode"] == 137
    assert await world.tasks() == []


async def test_a_flood_of_lines_arrives_whole_and_in_order(world: World) -> None:
    script = "for number in range(30000): print(number, 'x' * 200)"
    definition = await world.register("flood", entryPoint=["python", "-c", script])
    task = await world.reached((await world.run(definition))["taskArn"], "STOPPED")
    at = {"logGroupName": LOG_GROUP, "logStreamName": f"web/web/{task['taskArn'].rpartition('/')[2]}"}
    seen: list[int] = []
    page = await call(world.logs.get_log_events, **at, startFromHead=True)
    while page["events"]:
        seen += [int(event["message"].split()[0]) for event in page["events"]]
        page = await call(world.logs.get_log_events, **at, startFromHead=True, nextToken=page["nextForwardToken"])
    assert seen == list(range(30000))
