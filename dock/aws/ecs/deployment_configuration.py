"""How a service is deployed: deploymentConfiguration and loadBalancers, complete and free of contradictions."""

from __future__ import annotations

from typing import Any

from dock.aws.ecs import stages
from dock.aws.service import AwsError
from dock.store import Record

STRATEGIES = ("ROLLING", "BLUE_GREEN", "LINEAR", "CANARY")
_MAX_MINUTES = 1440
_MAX_PAUSE_MINUTES = 20160
# What only a deployment with two sides has, and which strategies take it.
_OF_TWO_SIDES = {
    "bakeTimeInMinutes": ("BLUE_GREEN", "LINEAR", "CANARY"),
    "lifecycleHooks": ("BLUE_GREEN", "LINEAR", "CANARY"),
    "linearConfiguration": ("LINEAR",),
    "canaryConfiguration": ("CANARY",),
}


def _refused(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)


def deployment_configuration(given: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """deploymentConfiguration with its defaults, over what the service had before. Raises AwsError for one that could
    never deploy."""
    breaker = {"enable": False, "rollback": False}
    defaults = {"deploymentCircuitBreaker": breaker, "maximumPercent": 200, "minimumHealthyPercent": 100}
    configuration = {**defaults, "strategy": "ROLLING", **before, **given}
    strategy = configuration["strategy"]
    for name, strategies in _OF_TWO_SIDES.items():
        if strategy not in strategies:
            if given.get(name):
                raise _refused(f"{name} can not be used with the deployment strategy {strategy}.")
            # From a strategy that the service had before.
            configuration.pop(name, None)
    low, high = configuration["minimumHealthyPercent"], configuration["maximumPercent"]
    if not 0 <= low <= 100 or high < 100:
        raise _refused("minimumHealthyPercent is 0 to 100, maximumPercent at least 100.")
    if low == high == 100 and strategy == "ROLLING":
        raise _refused("Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.")
    if strategy != "ROLLING":
        _check_two_sided(configuration)
    return configuration


def _check_two_sided(configuration: dict[str, Any]) -> None:
    strategy = configuration["strategy"]
    if strategy == "BLUE_GREEN" and "bakeTimeInMinutes" not in configuration:
        raise _refused("bakeTimeInMinutes must be provided with the deployment strategy BLUE_GREEN.")
    _check_minutes("bakeTimeInMinutes", configuration.get("bakeTimeInMinutes", 0), 0, _MAX_MINUTES)
    linear = configuration.get("linearConfiguration") or {}
    canary = configuration.get("canaryConfiguration") or {}
    _check_minutes("stepBakeTimeInMinutes", linear.get("stepBakeTimeInMinutes", 0), 0, _MAX_MINUTES)
    _check_minutes("canaryBakeTimeInMinutes", canary.get("canaryBakeTimeInMinutes", 0), 0, _MAX_MINUTES)
    _check_percent("stepPercent", linear.get("stepPercent", 10.0), 3.0)
    _check_percent("canaryPercent", canary.get("canaryPercent", 5.0), 0.1)
    for hook in configuration.get("lifecycleHooks") or []:
        _check_hook(hook)


def _check_hook(hook: dict[str, Any]) -> None:
    if hook.get("targetType", "AWS_LAMBDA") != "PAUSE":
        raise _refused("The dock has no Lambda: of the lifecycle hooks it has PAUSE alone.")
    if not hook.get("lifecycleStages"):
        raise _refused("lifecycleStages must be provided for a lifecycle hook.")
    for stage in hook["lifecycleStages"]:
        if stage not in stages.PAUSES:
            raise _refused(f"A PAUSE hook can not be used at the stage {stage}.")
    minutes = hook.get("timeoutConfiguration", {}).get("timeoutInMinutes", stages.PAUSE_MINUTES)
    _check_minutes("timeoutInMinutes", minutes, 1, _MAX_PAUSE_MINUTES)


def _check_minutes(name: str, minutes: int, least: int, most: int) -> None:
    if not least <= minutes <= most:
        raise _refused(f"{name} is {least} to {most} minutes, not {minutes}.")


def _check_percent(name: str, percent: float, least: float) -> None:
    if not least <= percent <= 100.0 or abs(percent * 10 - round(percent * 10)) > 1e-6:
        raise _refused(f"{name} is a multiple of 0.1 from {least} to 100.0, not {percent}.")


def check_sides(configuration: dict[str, Any], balancers: list[dict[str, Any]]) -> None:
    """Raise AwsError unless loadBalancers have what the strategy needs: two target groups and a rule between them."""
    for entry in balancers:
        advanced = entry.get("advancedConfiguration")
        if not advanced:
            if configuration["strategy"] == "ROLLING":
                continue
            raise _refused(
                f"advancedConfiguration must be provided for (target-group {entry['targetGroupArn']}) with the"
                f" deployment strategy {configuration['strategy']}."
            )
        for key in ("alternateTargetGroupArn", "productionListenerRule", "roleArn"):
            if not advanced.get(key):
                raise _refused(f"advancedConfiguration needs {key}")
        if advanced["alternateTargetGroupArn"] == entry["targetGroupArn"]:
            raise _refused("alternateTargetGroupArn must be another target group than targetGroupArn.")
        if advanced["productionListenerRule"] == advanced.get("testListenerRule"):
            raise _refused("testListenerRule must be another rule than productionListenerRule.")


def check_load_balancers(balancers: list[dict[str, Any]], definition: Record) -> None:
    """Raise AwsError unless loadBalancers name containers and ports of the task definition."""
    containers = {entry["name"]: entry for entry in definition["containerDefinitions"]}
    for entry in balancers:
        for key in ("targetGroupArn", "containerName", "containerPort"):
            if not entry.get(key):
                raise AwsError("InvalidParameterException", f"loadBalancers needs {key}")
        container = containers.get(entry["containerName"])
        if container is None:
            raise AwsError(
                "InvalidParameterException",
                f"The container {entry['containerName']} does not exist in the task definition.",
            )
        ports = [mapping["containerPort"] for mapping in container["portMappings"]]
        if entry["containerPort"] not in ports:
            raise AwsError(
                "InvalidParameterException",
                f"The container {entry['containerName']} did not have a container port {entry['containerPort']}"
                " defined.",
            )
