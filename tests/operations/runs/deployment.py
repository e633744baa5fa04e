"""A small environment with a release to deploy, for tests of runs."""

from __future__ import annotations

import copy
import json
import multiprocessing
import sys
import uuid
from pathlib import Path
from typing import Any

from operations.parameters import DeployParameters
from operations.target import Target
from tests.operations.runs.attempts import attempt
from tests.operations.runs.dock import Dock
from tests.operations.test_deploy_dock import prepare, release

SECONDS = 120
ROOT = str(Path(__file__).parents[3])


class Deployment:
    """An environment of its own with a release to deploy, and attempts at one run of that."""

    def __init__(self, dock: Dock, folder: Path, document: dict[str, Any]) -> None:
        self.dock = dock
        self.environment = f"e{uuid.uuid4().hex[:6]}"
        # Every name in the manifest is this environment's own.
        text = json.dumps(document).replace("chatvrm-local", f"chatvrm-{self.environment}")
        self.document: dict[str, Any] = json.loads(text)
        self.document["environment"] = self.environment
        self.document["services"]["web"] |= {"log_group": f"/chatvrm/{self.environment}", "desired_count": 1}
        prepared = prepare(dock.cloud, self.document, role=f"execution-{self.environment}")
        # What the dock's own clients call is not in its record; from here on everything is.
        self.target = Target(prepared.manifest, dock.connect)
        self.document["services"]["web"] = json.loads(self.target.manifest.services["web"].model_dump_json())
        self.digest = release(prepared, folder / self.environment, "1.0.0")
        self.run = f"run-{self.environment}"
        self.points = folder / f"{self.environment}.json"

    def attempt(self, die_at: str = "") -> int:
        """The exit code of a process that takes the run up; negative when a signal ended it."""
        settings = {
            "AWS_ENDPOINT_URL": self.dock.cloud.url,
            "AWS_ACCESS_KEY_ID": "000000000001",
            "AWS_SECRET_ACCESS_KEY": "dock",
            "AWS_EC2_METADATA_DISABLED": "true",
            "DRYDOCK_RUN": self.run,
            "POINTS": str(self.points),
        }
        parameters = self.parameters(dry_run=False).model_dump()
        # A process of one's own starts at once, from a server that has everything imported.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["boto3", "operations.run", "operations.deploy"])
        if ROOT not in sys.path:
            sys.path.append(ROOT)
        process = context.Process(target=attempt, args=(settings, copy.deepcopy(self.document), parameters, die_at))
        process.start()
        process.join(SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
            raise AssertionError(f"the attempt did not end within {SECONDS} s (killed at {die_at or 'no point'})")
        assert process.exitcode is not None
        return process.exitcode

    def parameters(self, **more: Any) -> DeployParameters:
        settings = {"environment": self.environment, "image_digest": self.digest, "deadline_seconds": 90.0, **more}
        return DeployParameters(**settings)

    def passed(self) -> list[str]:
        found: list[str] = json.loads(self.points.read_text())
        return found

    def end(self) -> dict[str, Any]:
        """What there is afterwards, and how often each effect was caused."""
        web = self.document["services"]["web"]
        ecs = self.dock.client("ecs")
        (service,) = ecs.describe_services(cluster=web["cluster"], services=[web["service"]])["services"]

        def calls(operation: str) -> int:
            found = self.dock.acted("ecs", operation)
            mine = [call for call in found if self.environment in json.dumps(call["about"])]
            # RunTask carries a token: sent again it is the same request, and ECS has one task for it.
            return len({call["digest"] for call in mine}) if operation == "RunTask" else len(mine)

        return {
            "on": service["taskDefinition"].rpartition("/")[2].replace(self.environment, "ENV"),
            "running": (service["desiredCount"], service["runningCount"]),
            "registered": calls("RegisterTaskDefinition"),
            "migrations": calls("RunTask"),
            "updates": calls("UpdateService"),
        }

    def tidy(self) -> None:
        web = self.document["services"]["web"]
        self.dock.client("ecs").delete_service(cluster=web["cluster"], service=web["service"], force=True)
