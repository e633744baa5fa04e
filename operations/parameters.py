"""What a person may set on each operation: strict, so that the string "false" is no boolean and "200" no
number.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from operations.parameter_store import DEFAULT_REGIONS


class Where(BaseModel):
    """The environment that an operation works on."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    platform: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", description="the product")] = "chatvrm"
    environment: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", description="its Pulumi stack")] = "local"
    region: Annotated[
        str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="where the manifest is read first")
    ] = DEFAULT_REGIONS[0]
    recovery_region: Annotated[
        str,
        Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="where it is read when the first can't give it"),
    ] = DEFAULT_REGIONS[1]


class Changing(Where):
    """What every operation that changes something has: nothing is done unless it is asked for."""

    dry_run: Annotated[bool, Field(description="plan only; `drydock run --apply` sets it to false")] = True
    resume: Annotated[str, Field(pattern=r"^[a-z0-9-]*$", description="a run to go on with; empty for a new one")] = ""


class VerifyParameters(Where):
    """How much traffic a verification sends. Fewer probes leave the error rate or p95 "not checked"."""

    probes: Annotated[int, Field(ge=1, le=10_000, description="GET requests to each service")] = 200
    probes_per_second: Annotated[float, Field(gt=0, le=200, description="rate at which they are sent")] = 40.0
    probe_path: Annotated[str, Field(pattern=r"^/", description="page that is asked for")] = "/"


class DeployParameters(Changing):
    """Which release a deployment brings out."""

    service: Annotated[str, Field(min_length=1, description="name in the manifest")] = "web"
    image_digest: Annotated[
        str, Field(pattern=r"^sha256:[0-9a-f]{64}$", description="image in the service's repository")
    ]
    desired_count: Annotated[int | None, Field(ge=0, le=1000, description="tasks; None takes the manifest's")] = None
    migrate: Annotated[bool, Field(description="run the release's migration first")] = True
    deadline_seconds: Annotated[float, Field(gt=0, le=7200, description="for migration and rollout together")] = 900.0


# By the name of the runbook. A runbook's parameters cell agrees with its model (tests/runbooks).
BY_RUNBOOK: dict[str, type[Where]] = {"verify": VerifyParameters, "deploy": DeployParameters}
