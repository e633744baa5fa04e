"""Which nested keys ECS requests may hold. The core checks the outermost; here is what lies below.

`ACTS` have their effect, `RECORDS` are kept and shown again (docs/differences-from-aws.md), anything else is refused
unless it is empty or false. A name covers all that lies below it.
"""

from __future__ import annotations

from typing import Any

from dock.aws.service import AwsError

ACTS: dict[str, frozenset[str]] = {
    "containerDefinitions": frozenset(
        [
            "name",
            "image",
            "essential",
            "command",
            "entryPoint",
            "environment",
            "secrets",
            "portMappings.containerPort",
            "portMappings.hostPort",
            "portMappings.protocol",
            "dependsOn",
            "healthCheck",
            "startTimeout",
            "stopTimeout",
            "memory",
            "workingDirectory",
            "logConfiguration.logDriver",
            "logConfiguration.options",
            "ulimits",
            "versionConsistency",
        ]
    ),
    "deploymentConfiguration": frozenset(
        [
            "maximumPercent",
            "minimumHealthyPercent",
            "deploymentCircuitBreaker",
            "alarms",
            "strategy",
            "bakeTimeInMinutes",
            "linearConfiguration",
            "canaryConfiguration",
            "lifecycleHooks.targetType",
            "lifecycleHooks.lifecycleStages",
            "lifecycleHooks.timeoutConfiguration",
        ]
    ),
    "overrides": frozenset(
        [
            "containerOverrides.name",
            "containerOverrides.command",
            "containerOverrides.environment",
            "containerOverrides.memory",
            "memory",
            "executionRoleArn",
            "taskRoleArn",
        ]
    ),
    "loadBalancers": frozenset(["targetGroupArn", "containerName", "containerPort", "advancedConfiguration"]),
}
RECORDS: dict[str, frozenset[str]] = {
    "containerDefinitions": frozenset(
        [
            "cpu",
            "memoryReservation",
            "user",
            "readonlyRootFilesystem",
            "dockerLabels",
            "portMappings.name",
            "portMappings.appProtocol",
            "linuxParameters.initProcessEnabled",
            "linuxParameters.capabilities.drop",
        ]
    ),
    "deploymentConfiguration": frozenset(),
    "overrides": frozenset(["containerOverrides.cpu", "containerOverrides.memoryReservation", "cpu"]),
    "loadBalancers": frozenset(),
}


def check_nested(name: str, value: Any) -> None:
    """Raise AwsError when `value`, the request's member `name`, holds a key that is neither acted on nor recorded."""
    _check(ACTS[name] | RECORDS[name], name, "", value)


def _check(allowed: frozenset[str], name: str, path: str, value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _check(allowed, name, path, item)
        return
    for key, item in value.items():
        full = f"{path}.{key}" if path else key
        if full in allowed or not item:
            continue
        if isinstance(item, (dict, list)) and any(entry.startswith(f"{full}.") for entry in allowed):
            _check(allowed, name, full, item)
            continue
        raise AwsError(
            "InvalidParameterException",
            f"the dock does not act on {name}.{full}; see docs/differences-from-aws.md",
        )
