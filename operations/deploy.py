"""Deploy a release: migrate the database, then let ECS replace the tasks.

The program owns the templates, this operation the revisions made from them (see "Who owns a release" in
docs/architecture.md). Point of no return: the migration. Way back: deploy the digest that ran before; its
code has to fit the migrated schema, which is why migrations expand first and contract in a later release.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from operations import migration, operation, rollout, task_definition
from operations.by_hand import deploy as by_hand
from operations.errors import OperationError, explained
from operations.manifest import Policy, Service
from operations.operation import Absent, Acted, Context, Result, Step
from operations.parameters import DeployParameters
from operations.steps import Executor
from operations.task_definition import RELEASE_TAG, TEMPLATE_TAG, Definition

if TYPE_CHECKING:
    from operations.runs.journal import Journal
    from operations.target import Target


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


class Plan(operation.Plan):
    """What `execute` would do. `steps` are those in words, empty when nothing is left to do.

    `release_definition` and `migration_definition` are inputs of RegisterTaskDefinition, `reuse` and `reuse_migration`
    ARNs of revisions that an interrupted deployment registered already.
    """

    name: str
    service: Service
    image: str
    release: str
    desired_count: int
    deadline_seconds: float
    steps: tuple[str, ...] = ()
    migrate: bool = False
    rolls_out: bool = False
    anew: bool = False
    release_definition: Definition | None = None
    reuse: str | None = None
    migration_definition: Definition | None = None
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


@dataclass(frozen=True, repr=False)
class Outcome:
    """How a deployment ended: "nothing to do" or "deployed". Other ends are errors, RolloutFailed among them."""

    result: str
    service: str
    image: str
    release: str = ""
    task_definition: str | None = None
    seconds: float = 0.0
    events: tuple[str, ...] = field(default=())

    def summary_document(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("result", "service", "image", "release", "task_definition")}

    def figures(self) -> dict[str, float]:
        return {"deploy.seconds": round(self.seconds, 3)}

    def require_passed(self) -> None:
        """Whatever did not end well has raised."""

    def __repr__(self) -> str:
        took = f" in {self.seconds:.1f} s" if self.seconds else ""
        on = f", on {_short(self.task_definition)}" if self.task_definition else ""
        return f"{self.result}: {self.release} to {self.service}{on}{took}"


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
    count = _count(facts) if request.desired_count is None else request.desired_count
    release = (facts.tags or ("",))[0] or request.image_digest.removeprefix("sha256:")[:12]
    refusals = []
    if facts.tags is None:
        refusals.append(f"ECR has no image {facts.image}: push it first")
    if facts.status != "ACTIVE":
        refusals.append(f"the service {service.service} is {facts.status or 'not there'}: `pulumi up` creates it")
    register = _render(facts.template, service.template, service.family, service.container, facts.image, refusals)
    migrating = _render(
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
    if refusals or register is None or migrating is None:
        return nothing
    todo = []
    reuse = _arn_if_same(facts.latest, register)
    reuse_migration = _arn_if_same(facts.latest_migration, migrating)
    if migrate:
        if reuse_migration is None:
            todo.append(f"register {service.migration_family} from {_short(service.migration_template)}")
        todo.append(f"run the migration as a task of {_short(reuse_migration or 'that revision')}")
    if reuse is None and not is_ours:
        todo.append(f"register {service.family} from {_short(service.template)}")
    gave_up = is_ours and facts.rollout is not None and facts.rollout.state == "FAILED"
    if not is_ours or facts.desired != count:
        todo.append(f"point {service.service} at it, with {count} tasks (now {facts.desired})")
    elif gave_up:
        todo.append(f"roll {service.service} out anew: ECS gave the last rollout up")
    if todo or in_progress:
        todo.append("wait until ECS has rolled it out")
    return nothing.model_copy(
        update={
            "steps": tuple(todo),
            "migrate": migrate,
            "rolls_out": bool(todo),
            "anew": gave_up,
            "release_definition": register,
            "reuse": running["taskDefinitionArn"] if is_ours else reuse,
            "migration_definition": migrating,
            "reuse_migration": reuse_migration,
        }
    )


def _count(facts: Facts) -> int:
    """As many tasks as there are, at least those that there should be: Auto Scaling may have started more, and a
    deployment in the evening's traffic must not take them away."""
    return max(facts.service.desired_count, min(facts.desired, facts.service.maximum_count))


def steps(plan: Plan) -> tuple[Step, ...]:
    """The plan's steps, in their order."""
    service, found = plan.service, []
    if plan.migrate and plan.migration_definition is not None:
        if plan.reuse_migration is None:
            found.append(_register("register migration", plan.migration_definition, plan, service.migration_template))
        found.append(_migrate(plan))
    if plan.rolls_out and plan.reuse is None and plan.release_definition is not None:
        found.append(_register("register release", plan.release_definition, plan, service.template))
    if plan.rolls_out:
        found.append(_roll_out(plan))
    return tuple(found)


def execute(plan: Plan, target: Target, journal: Journal) -> Outcome:
    """Do what the plan says. Raises OperationError: a refused plan, a failed migration (the service is
    untouched then), a rollout that failed or was rolled back, a deadline that passed.
    """
    if plan.refusals:
        raise OperationError(
            f"can't deploy {plan.release} to {plan.service.service}",
            "; ".join(plan.refusals),
            "remove these reasons, then plan again",
        )
    if plan.empty:
        journal.progress("nothing to do")
        return Outcome("nothing to do", plan.service.service, plan.image, plan.release, plan.reuse)
    began = time.monotonic()
    results = Executor(target, journal, plan.deadline_seconds).run(steps(plan))
    return Outcome(
        "deployed",
        plan.service.service,
        plan.image,
        plan.release,
        plan.reuse or results["register release"]["task_definition"],
        time.monotonic() - began,
        tuple(results["roll out"]["events"]),
    )


def _register(name: str, definition: Definition, plan: Plan, template: str) -> Step:
    family = definition["family"]

    def observe(context: Context) -> Acted | Absent:
        found = _arn_if_same(_definition(context.target.client("ecs"), family), definition)
        return Absent() if found is None else Acted({"task_definition": found})

    def act(context: Context) -> Result:
        tags = [{"key": RELEASE_TAG, "value": plan.release}, {"key": TEMPLATE_TAG, "value": _short(template)}]
        answer = context.target.acting("ecs").register_task_definition(**definition, tags=tags)
        arn = str(answer["taskDefinition"]["taskDefinitionArn"])
        context.progress(f"registered {_short(arn)}")
        return {"task_definition": arn}

    return Step(name, f"register {family} from {_short(template)}", observe, act, way_back="a revision does no harm")


def _migrate(plan: Plan) -> Step:
    def revision(context: Context) -> str:
        return plan.reuse_migration or str(context.results["register migration"]["task_definition"])

    return Step(
        "migrate",
        "run the migration",
        observe=lambda context: migration.observe(context, plan.service, revision(context)),
        act=lambda context: migration.act(context, plan.service, revision(context)),
        confirm=lambda context, started: migration.confirm(context, plan.service, started),
        way_back="none for the schema; the running release works with it, for migrations expand first",
        point_of_no_return=True,
    )


def _roll_out(plan: Plan) -> Step:
    def wanted(context: Context) -> rollout.Wanted:
        revision = plan.reuse or str(context.results["register release"]["task_definition"])
        return rollout.Wanted(plan.service, revision, plan.desired_count, plan.anew)

    return Step(
        "roll out",
        f"roll {plan.release} out to {plan.service.service}",
        observe=lambda context: rollout.observe(context, wanted(context)),
        act=lambda context: rollout.act(context, wanted(context)),
        confirm=lambda context, started: rollout.confirm(context, wanted(context), started),
        way_back=plan.way_back,
    )


OPERATION = operation.Operation(
    name="deploy",
    parameters=DeployParameters,
    plan_type=Plan,
    gather=lambda target, request: gather(target, request.service, request.image_digest),
    plan=plan,
    execute=execute,
    by_hand=by_hand.steps,
    steps=steps,
    approvals=lambda policy: policy.deploy_approvals,
    seconds=lambda request: request.deadline_seconds + 300,
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
