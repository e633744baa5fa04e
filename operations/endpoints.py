"""Does the service stand: its tasks, its targets, its page, its own report of its health?

The boundary to the other areas: what the service reports of its database and of its cache belongs to those
areas, how many of many requests fail belongs to the error rate, and how long they take to performance. So one
good answer in a few attempts is enough here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from operations.checks import Check, judge, not_checked
from operations.deadline import within
from operations.manifest import Service
from operations.observation import Missing, observe
from operations.redaction import redact

if TYPE_CHECKING:
    from operations.target import Target

AREA = "endpoints"
ATTEMPTS = 5
#: Names under which a service reports its dependencies; their areas judge them.
DEPENDENCIES = frozenset({"database", "cache"})


@dataclass(frozen=True, slots=True)
class Answer:
    """The best answer of up to ATTEMPTS requests: `status` None when no request got one. `body` is JSON, if
    it was.
    """

    status: int | None
    attempts: int
    seconds: float
    body: Any = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Tasks:
    status: str
    desired: int
    running: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What was seen of one service. `targets` are (address, state, description), without draining ones."""

    name: str
    service: Service
    region: str
    tasks: Tasks | Missing | None
    targets: tuple[tuple[str, str, str], ...] | Missing
    page: Answer
    health: Answer


def gather(target: Target, name: str, page: str = "/") -> Endpoint:
    service = target.manifest.service(name)
    region = target.manifest.region
    return Endpoint(
        name=name,
        service=service,
        region=region,
        tasks=observe(lambda: _tasks(target, service), next=_services_command(service, region)),
        targets=observe(lambda: _targets(target, service), next=_targets_command(service, region)),
        page=ask(target, service.url + page),
        health=ask_for_report(target, service.url + service.health_path),
    )


def ask(target: Target, url: str) -> Answer:
    """GET `url` until it answers below 400, ATTEMPTS times at most; else the last answer there was."""
    answer = Answer(None, 0, 0.0)
    for answer in _answers(target, url):
        if answer.status is not None and answer.status < 400:
            break
    return answer


def ask_for_report(target: Target, url: str) -> Answer:
    """GET `url` ATTEMPTS times: the report with the most problems, since each task behind it speaks for itself.

    Without any report, the last answer there was.
    """
    answers = list(_answers(target, url))
    reports = [(reported, answer) for answer in answers if (reported := sub_checks(answer.body)) is not None]
    if not reports:
        return answers[-1]
    return max(reports, key=lambda pair: sum(not ok for ok, _ in pair[0].values()))[1]


def _answers(target: Target, url: str) -> Iterator[Answer]:
    import httpx

    from operations.target import ANSWER_SECONDS

    with target.http() as client:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = within(2 * ANSWER_SECONDS, lambda: client.get(url))
                yield Answer(response.status_code, attempt, response.elapsed.total_seconds(), _json(response))
            except (httpx.HTTPError, TimeoutError) as error:
                yield Answer(None, attempt, 0.0, None, redact(str(error) or type(error).__name__))
                # A server that hangs would make each further attempt as long.
                if isinstance(error, httpx.TimeoutException | TimeoutError):
                    return


def sub_checks(body: Any) -> dict[str, tuple[bool, str]] | None:
    """The named checks in a health report, each as (ok, what it says); None when the body is no such report.

    A report is `{"status": …, "checks": {name: {"status": "ok" or another word, "problem": why not}}}`.
    """
    checks = body.get("checks") if isinstance(body, dict) else None
    if not isinstance(checks, dict) or not checks or not all(isinstance(check, dict) for check in checks.values()):
        return None
    return {
        str(name): (check.get("status") == "ok", redact(str(check.get("problem") or check.get("status"))))
        for name, check in checks.items()
    }


def evaluate(seen: Endpoint) -> list[Check]:
    return [*_evaluate_tasks(seen), _evaluate_targets(seen), _evaluate_page(seen), _evaluate_health(seen)]


def _evaluate_tasks(seen: Endpoint) -> list[Check]:
    expected = "as many running as desired, at least 1"
    command = _services_command(seen.service, seen.region)
    if isinstance(seen.tasks, Missing):
        return [not_checked(AREA, seen.name, "tasks", seen.tasks, expected=expected)]
    if seen.tasks is None:
        why = f"ECS knows no service {seen.service.service} in cluster {seen.service.cluster}"
        return [
            judge(
                AREA,
                seen.name,
                "tasks",
                False,
                measured="no service",
                expected=expected,
                why=why,
                next=command,
            )
        ]
    tasks = seen.tasks
    why = f"{tasks.desired - tasks.running} of {tasks.desired} tasks are not running"
    if tasks.status != "ACTIVE":
        why = f"the service is {tasks.status}"
    elif tasks.desired == 0:
        why, command = (
            "no release is deployed, or the service was scaled to nothing",
            "deploy a release, then verify again",
        )
    elif tasks.running > tasks.desired:
        why = "a rollout or a scale-in is under way: verify again when it is over"
    checks = [
        judge(
            AREA,
            seen.name,
            "tasks",
            tasks.status == "ACTIVE" and tasks.running == tasks.desired > 0,
            measured=f"{tasks.running} running of {tasks.desired} desired",
            expected=expected,
            why=why,
            next=command,
            value=tasks.running,
        )
    ]
    declared = seen.service.desired_count
    checks.append(
        judge(
            AREA,
            seen.name,
            "declared count",
            tasks.desired == declared,
            critical=False,
            measured=f"{tasks.desired} desired",
            expected=f"{declared}, as the manifest says",
            why="the service was scaled since its last deployment, or never deployed",
            next="the next deployment sets the manifest's count again",
            value=tasks.desired,
        )
    )
    return checks


def _evaluate_targets(seen: Endpoint) -> Check:
    expected = "every registered target healthy, as many as tasks desired"
    if isinstance(seen.targets, Missing):
        return not_checked(AREA, seen.name, "targets", seen.targets, expected=expected)
    states = Counter(state for _, state, _ in seen.targets)
    healthy = states["healthy"]
    # Without ECS's answer the manifest's count is what there should be.
    desired = seen.tasks.desired if isinstance(seen.tasks, Tasks) else seen.service.desired_count
    sick = [
        f"{address} is {state}" + (f" ({why})" if why else "")
        for address, state, why in seen.targets
        if state != "healthy"
    ]
    why = "; ".join(sick) or f"the load balancer knows {len(seen.targets)} targets of {desired}"
    return judge(
        AREA,
        seen.name,
        "targets",
        healthy == len(seen.targets) and healthy >= max(desired, 1),
        measured=f"{healthy} healthy of {len(seen.targets)} registered",
        expected=expected,
        why=why,
        next=_targets_command(seen.service, seen.region),
        value=healthy,
    )


def _evaluate_page(seen: Endpoint) -> Check:
    page = seen.page
    return judge(
        AREA,
        seen.name,
        "page",
        page.status is not None and page.status < 400,
        measured=_said(page),
        expected=f"an answer below 400 in {ATTEMPTS} attempts",
        why=f"{seen.service.url} does not serve its page" + (f": {page.error}" if page.error else ""),
        next=f"curl -i {seen.service.url}/",
        value=page.seconds,
    )


def _evaluate_health(seen: Endpoint) -> Check:
    expected = "a report whose own checks are ok (database and cache: see there)"
    command = f"curl -s {seen.service.url}{seen.service.health_path}"
    reported = sub_checks(seen.health.body)
    if reported is None or seen.health.status not in (200, 503):
        why = seen.health.error or f"{seen.service.health_path} gives no report in JSON with `checks`"
        return judge(
            AREA,
            seen.name,
            "health",
            False,
            measured=_said(seen.health),
            expected=expected,
            why=why,
            next=command,
        )
    own = {name: report for name, report in reported.items() if name not in DEPENDENCIES}
    bad = {name: said for name, (ok, said) in own.items() if not ok}
    why = "; ".join(f"{name}: {said}" for name, said in sorted(bad.items()))
    # 503 with every check ok (a task that only ever drains, for example): no other area would report it.
    passed = not bad and (seen.health.status == 200 or not all(ok for ok, _ in reported.values()))
    return judge(
        AREA,
        seen.name,
        "health",
        passed,
        measured=f"{_said(seen.health)}, {len(own) - len(bad)} of {len(own)} own checks ok",
        expected=expected,
        why=why or f"it says {seen.health.body.get('status')!r} although each of its checks is ok",
        next=command,
    )


def _said(answer: Answer) -> str:
    status = "no answer" if answer.status is None else str(answer.status)
    return status + (f" at attempt {answer.attempts}" if answer.attempts > 1 else "")


def _tasks(target: Target, service: Service) -> Tasks | None:
    answer = target.client("ecs").describe_services(cluster=service.cluster, services=[service.service])
    found = [entry for entry in answer["services"] if entry["status"] != "INACTIVE"]
    if not found:
        return None
    return Tasks(found[0]["status"], found[0]["desiredCount"], found[0]["runningCount"])


def _targets(target: Target, service: Service) -> tuple[tuple[str, str, str], ...]:
    answer = target.client("elbv2").describe_target_health(TargetGroupArn=service.target_group)
    seen = []
    for entry in answer["TargetHealthDescriptions"]:
        health = entry["TargetHealth"]
        if health["State"] != "draining":
            address = f"{entry['Target']['Id']}:{entry['Target'].get('Port', '?')}"
            seen.append((address, health["State"], health.get("Description") or health.get("Reason") or ""))
    return tuple(seen)


def _json(response: Any) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _services_command(service: Service, region: str) -> str:
    return (
        f"aws ecs describe-services --region {region} --cluster {service.cluster}"
        f" --services {service.service} --query 'services[0].events[:5]'"
    )


def _targets_command(service: Service, region: str) -> str:
    return f"aws elbv2 describe-target-health --region {region} --target-group-arn {service.target_group}"
