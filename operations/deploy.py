"""Deploy a release: migrate the database, then let ECS replace the tasks.

The program owns the templates, this operation the revisions made from them (see "Who owns a release" in
docs/architecture.md). Point of no return: the migration. Way back: deploy the digest that ran before; its
code has to fit the migrated schema, which is why migrations expand first and contract in a later release.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from operations import rollout, task_definition
from operations.deadline import Deadline
from operations.errors import OperationError, explained
from operations.manifest import Policy, Service
from operations.parameters import DeployParameters
from operations.task_definition import RELEASE_TAG, TEMPLATE_TAG, Definition

if TYPE_CHECKING:
    from operations.target import Target

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Facts:
    """What is there before a deployment. `tags` are the image's tags in ECR, None when there is no such
    image.

    `running` is the task definition that the service points at, `latest` and `latest_migration` the newest
    revisions of its families; each is None where there is none.
    """

    name: str
    service: Service
    policy: Policy
    image: str
    tags: tuple[str, ...] | None
    status: str | None
    desired: int
    rollout: rollout.Rollout | None
    template: Definition | None
    migration_template: Definition | None
    running: Definition | None
    latest: Definition | None
    latest_migration: Definition | None


@dataclass(frozen=True)
class Plan:
    """What `execute` would do. `refusals` are all the reasons not to; `steps` is empty when nothing is left
    to do.

    `register` and `register_migration` are inputs of RegisterTaskDefinition, `reuse` and `reuse_migration`
    ARNs of revisions that an interrupted deployment registered already.
    """

    name: str
    service: Service
    image: str
    release: str
    desired_count: int
    deadline_seconds: float
    refusals: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    migrate: bool = False
    anew: bool = False
    register: Definition | None = None
    reuse: str | None = None
    register_migration: Definition | None = None
    reuse_migration: str | None = None
    previous_image: str | None = None

    @property
    def empty(self) -> bool:
        return not self.steps and not self.refusals

    @property
    def way_back(self) -> str:
        if self.previous_image is None:
            return "there is no earlier release: scale the service to 0"
        return f"deploy {self.previous_image.rpartition('@')[2]} (the image that runs now)"

    def __repr__(self) -> str:
        lines = [f"Deploy {self.release} to {self.service.service}: {self.image}"]
        if self.refusals:
            lines += ["refused:", *(f"  - {refusal}" for refusal in self.refusals)]
        elif not self.steps:
            lines.append("nothing to do: this release runs with the desired count")
        else:
            lines += [f"  {number}. {step}" for number, step in enumerate(self.steps, 1)]
            if self.migrate:
                lines.append("point of no return: the migration")
            lines.append(f"way back: {self.way_back}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Outcome:
    """How a deployment ended: "nothing to do" or "deployed". Other ends are errors, DeploymentFailed among
    them.
    """

    result: str
    service: str
    image: str
    task_definition: str | None = None
    seconds: float = 0.0
    events: tuple[str, ...] = field(default=())


def gather(target: Target, service: str, image_digest: str) -> Facts:
    """What is there now; raises OperationError when AWS can't be asked."""
    entry = target.manifest.service(service)
    ecs = target.client("ecs")
    with explained(f"can't look at {entry.service}"):
        found = rollout.describe(ecs, entry.cluster, entry.service)
        return Facts(
            name=service,
            service=entry,
            policy=target.manifest.policy,
            image=f"{entry.repository_url}@{image_digest}",
            tags=_tags(target.client("ecr"), entry.repository, image_digest),
            status=found["status"] if found else None,
            desired=found["desiredCount"] if found else 0,
            rollout=rollout.current(found) if found else None,
            template=_definition(ecs, entry.template),
            migration_template=_definition(ecs, entry.migration_template),
            running=_definition(ecs, found["taskDefinition"]) if found else None,
            latest=_definition(ecs, entry.family),
            latest_migration=_definition(ecs, entry.migration_family),
        )


def plan(facts: Facts, request: DeployParameters) -> Plan:
    """What is left to do for this release; pure."""
    service = facts.service
    count = service.desired_count if request.desired_count is None else request.desired_count
    release = (facts.tags or ("",))[0] or request.image_digest.removeprefix("sha256:")[:12]
    refusals = []
    if facts.tags is None:
        refusals.append(f"ECR has no image {facts.image}: push it first")
    if facts.status != "ACTIVE":
        refusals.append(f"the service {service.service} is {facts.status or 'not there'}: `pulumi up` creates it")
    register = _render(facts.template, service.template, service.family, service.container, facts.image, refusals)
    migration = _render(
        facts.migration_template,
        service.migration_template,
        service.migration_family,
        None,
        facts.image,
        refusals,
    )
    running = facts.running or {}
    in_progress = facts.rollout is not None and facts.rollout.state == "IN_PROGRESS"
    is_ours = register is not None and task_definition.same(running, register)
    if in_progress and not is_ours and facts.desired > 0:
        refusals.append(f"a rollout of {running.get('taskDefinitionArn')} is under way: wait until it is over")
    # A release that was never rolled out may have died before or in its migration; those can be repeated.
    migrate = request.migrate and not (is_ours and facts.desired > 0)
    if migrate and facts.policy.migrations == "manual":
        refusals.append("migrations are manual here: run the reviewed migration, then deploy with migrate=False")
    nothing = Plan(
        name=facts.name,
        service=service,
        image=facts.image,
        release=release,
        desired_count=count,
        deadline_seconds=request.deadline_seconds,
        refusals=tuple(refusals),
        previous_image=task_definition.image_of(running, service.container) if facts.desired > 0 else None,
    )
    if refusals or register is None or migration is None:
        return nothing
    steps = []
    reuse = _arn_if_same(facts.latest, register)
    reuse_migration = _arn_if_same(facts.latest_migration, migration)
    if migrate:
        if reuse_migration is None:
            steps.append(f"register {service.migration_family} from {_short(service.migration_template)}")
        steps.append(f"run the migration as a task of {_short(reuse_migration or 'that revision')}")
    if reuse is None and not is_ours:
        steps.append(f"register {service.family} from {_short(service.template)}")
    gave_up = is_ours and facts.rollout is not None and facts.rollout.state == "FAILED"
    if not is_ours or facts.desired != count:
        steps.append(f"point {service.service} at it, with {count} tasks (now {facts.desired})")
    elif gave_up:
        steps.append(f"roll {service.service} out anew: ECS gave the last rollout up")
    if steps or in_progress:
        steps.append("wait until ECS has rolled it out")
    return replace(
        nothing,
        steps=tuple(steps),
        migrate=migrate,
        anew=gave_up,
        register=register,
        reuse=running["taskDefinitionArn"] if is_ours else reuse,
        register_migration=migration,
        reuse_migration=reuse_migration,
    )


def execute(plan: Plan, target: Target, progress: Progress = lambda _: None) -> Outcome:
    """Do what the plan says. Raises OperationError: a refused plan, a failed migration (the service is
    untouched then), a rollout that failed or was rolled back, a deadline that passed.
    """
    if plan.refusals:
        raise OperationError(
            f"can't deploy {plan.release} to {plan.service.service}",
            "; ".join(plan.refusals),
            "remove these reasons, then plan again",
        )
    if plan.empty or plan.register is None or plan.register_migration is None:
        progress("nothing to do")
        return Outcome("nothing to do", plan.service.service, plan.image, plan.reuse)
    deadline = Deadline(plan.deadline_seconds)
    service, ecs = plan.service, target.client("ecs")
    with explained(f"can't deploy {plan.release} to {service.service}"):
        if plan.migrate:
            migration = plan.reuse_migration or _register(
                ecs, plan.register_migration, plan.release, service.migration_template, progress
            )
            rollout.run_once(
                ecs,
                target.client("logs"),
                service,
                migration,
                plan.service.migration_family,
                deadline,
                progress,
            )
        revision = plan.reuse or _register(ecs, plan.register, plan.release, service.template, progress)
        events = rollout.replace(ecs, service, revision, plan.desired_count, deadline, progress, anew=plan.anew)
    return Outcome(
        "deployed",
        service.service,
        plan.image,
        revision,
        plan.deadline_seconds - deadline.left,
        tuple(events),
    )


def _render(
    template: Definition | None, arn: str, family: str, container: str | None, image: str, refusals: list[str]
) -> Definition | None:
    if template is None:
        refusals.append(f"the template {arn} is not there: `pulumi up` writes it")
        return None
    # A migration has one container, whose name the manifest does not repeat.
    names = [entry["name"] for entry in template["containerDefinitions"]]
    if container is None and len(names) == 1:
        container = names[0]
    try:
        return task_definition.render(template, family, container or "", image)
    except ValueError as error:
        refusals.append(f"{error}; it has {', '.join(names)}")
        return None


def _register(ecs: Any, definition: Definition, release: str, template: str, progress: Progress) -> str:
    tags = [{"key": RELEASE_TAG, "value": release}, {"key": TEMPLATE_TAG, "value": _short(template)}]
    answer = ecs.register_task_definition(**definition, tags=tags)
    arn = str(answer["taskDefinition"]["taskDefinitionArn"])
    progress(f"registered {_short(arn)}")
    return arn


def _definition(ecs: Any, name: str) -> Definition | None:
    """The task definition of this ARN, or the newest of this family; None when there is none."""
    from botocore.exceptions import ClientError

    try:
        answer: Definition = ecs.describe_task_definition(taskDefinition=name)["taskDefinition"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ClientException":
            return None
        raise
    return answer if answer.get("status") != "INACTIVE" else None


def _tags(ecr: Any, repository: str, digest: str) -> tuple[str, ...] | None:
    try:
        answer = ecr.describe_images(repositoryName=repository, imageIds=[{"imageDigest": digest}])
    except (ecr.exceptions.ImageNotFoundException, ecr.exceptions.RepositoryNotFoundException):
        return None
    details = answer["imageDetails"]
    return tuple(sorted(details[0].get("imageTags", []))) if details else None


def _arn_if_same(found: Definition | None, wanted: Definition) -> str | None:
    return str(found["taskDefinitionArn"]) if found and task_definition.same(found, wanted) else None


def _short(arn: str) -> str:
    return arn.rpartition("/")[2]
