"""The manifest's document, version 1: what docs/architecture.md promises to operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stacks.environment import access, edge, names
from stacks.environment.alarms import deployment, namespace

if TYPE_CHECKING:
    from stacks.environment import Environment

SCHEMA_VERSION = 1


def document(environment: Environment) -> dict[str, Any]:
    settings, platform, secrets = environment.settings, environment.platform, environment.secrets
    return {
        "schema_version": SCHEMA_VERSION,
        "platform": settings.platform,
        "environment": settings.environment,
        "account": settings.account,
        "region": settings.region,
        "recovery_region": settings.recovery_region,
        "services": {platform.service.name: _service(environment)},
        "database": {
            "identifier": environment.database.identifier,
            "endpoint": environment.database.address,
            "port": environment.database.port,
            "name": platform.database.name,
            "master_secret": secrets.master_arn,
            "application_secret": secrets.application_arn,
            "application_role": platform.database.application_role,
            "multi_az": settings.database.multi_az,
            "max_connections": settings.database.max_connections,
        },
        "cache": {
            "replication_group": environment.cache.replication_group,
            "endpoint": environment.cache.address,
            "port": environment.cache.port,
            "secret": secrets.cache_arn,
            "tls": True,
        },
        "alarms": {
            "names": environment.alarms.names,
            "deployment": {"namespace": namespace(environment), "name": deployment(environment).name},
            "dashboard": environment.dashboard.dashboard,
        },
        "access": access.document(environment),
        "dns": names.document(environment),
        "edge": edge.document(environment),
        "objectives": platform.objectives.model_dump(),
        "thresholds": platform.thresholds.model_dump(),
        "policy": settings.policy.model_dump(),
        "calendar": {
            "timezone": platform.timezone,
            "windows": [window.model_dump(mode="json") for window in settings.calendar.windows],
            "freezes": [
                {"name": freeze.name, "from": freeze.first, "to": freeze.last}
                for freeze in platform.freezes
                if settings.calendar.observe_freezes
            ],
        },
    }


def _service(environment: Environment) -> dict[str, Any]:
    settings, service = environment.settings, environment.platform.service
    name = f"{environment.prefix}-{service.name}"
    return {
        "cluster": environment.cluster.cluster,
        "service": environment.service.service,
        "template": environment.service.template_arn,
        "family": name,
        "migration_template": environment.service.migration_template_arn,
        "migration_family": f"{name}-migrate",
        "container": service.container,
        "port": service.port,
        "desired_count": settings.service.desired_count,
        "maximum_count": settings.service.scaling.maximum_count,
        "repository": environment.registry.repository,
        "repository_url": environment.registry.repository_url,
        "log_group": environment.service.log_group,
        "url": environment.url,
        "health_path": service.health_path,
        "database_health_path": service.database_health_path,
        "load_balancer": environment.load_balancer.arn,
        "target_group": environment.load_balancer.target_group_arn,
        "deployment": _deployment(environment),
        "subnets": environment.network.private_subnet_ids,
        "security_groups": [environment.security_groups.service_id],
    }


def _deployment(environment: Environment) -> dict[str, Any]:
    deployment, sides = environment.settings.service.deployment, environment.load_balancer.sides
    return {
        "strategy": deployment.strategy,
        "bake_minutes": deployment.bake_minutes,
        "alternate_target_group": sides and sides.alternate_target_group,
        "production_rule": sides and sides.production_rule,
        "test_rule": sides and sides.test_rule,
        "test_header": deployment.test_header and deployment.test_header.model_dump(),
        "alarms": [f"{environment.prefix}-{key}" for key in deployment.alarms],
    }
