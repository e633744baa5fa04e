"""AWS's states and reasons of targets, from what the load balancer's own checks say."""

from __future__ import annotations

from typing import Any

from dock.engines.haproxy import Health
from dock.engines.haproxy.model import HealthCheck

NOT_REGISTERED = {
    "State": "unused",
    "Reason": "Target.NotRegistered",
    "Description": "Target is not registered to the target group",
}
NOT_IN_USE = {
    "State": "unused",
    "Reason": "Target.NotInUse",
    "Description": "Target group is not configured to receive traffic from the load balancer",
}
DRAINING = {
    "State": "draining",
    "Reason": "Target.DeregistrationInProgress",
    "Description": "Target deregistration is in progress",
}
REGISTERING = {
    "State": "initial",
    "Reason": "Elb.RegistrationInProgress",
    "Description": "Target registration is in progress",
}
INITIAL = {
    "State": "initial",
    "Reason": "Elb.InitialHealthChecking",
    "Description": "Initial health checks in progress",
}


def checked(health: Health | None, check: HealthCheck, seconds: float) -> dict[str, Any]:
    """The health of a registered target of a group in use, which has been checked for so many seconds.

    A target that never passed is unhealthy only when it had the time to fail as often as the group allows.
    """
    if health is None:
        return REGISTERING
    if health.up:
        return {"State": "healthy"}
    passes = health.check in ("INI", "L7OK")
    failures = check.interval * (check.fall - 1) + check.timeout
    patience = failures + check.interval * (check.rise + 1) if passes else failures
    return INITIAL if seconds < patience else _failed(health)


def _failed(health: Health) -> dict[str, Any]:
    match health.check:
        case "L7STS":
            reason = "Target.ResponseCodeMismatch"
            description = f"Health checks failed with these codes: [{health.status}]"
        case "L4TOUT" | "L6TOUT" | "L7TOUT":
            reason, description = "Target.Timeout", "Request timed out"
        case _:
            reason, description = "Target.FailedHealthChecks", "Health checks failed"
    return {"State": "unhealthy", "Reason": reason, "Description": description}
