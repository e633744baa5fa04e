"""The application and the way to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi

from components.ecs_cluster import EcsCluster, EcsClusterArgs
from components.ecs_service import BlueGreen, EcsService, EcsServiceArgs
from components.load_balancer import LoadBalancer, LoadBalancerArgs, Sides
from components.registry import Registry, RegistryArgs
from stacks.environment.existing import FoundCluster

if TYPE_CHECKING:
    from stacks.environment import Environment

# The database proves who it is, and a connection that can't be verified fails.
SSL_MODE = "verify-full"


def registry(environment: Environment) -> Registry:
    return Registry(
        f"{environment.prefix}-{environment.platform.service.name}",
        RegistryArgs(
            key_arn=environment.encryption.key_arn,
            keep_images=environment.settings.service.keep_images,
            protect=environment.settings.protection.data,
        ),
        environment.opts,
    )


def load_balancer(environment: Environment) -> LoadBalancer:
    service, listener, health = (
        environment.settings.service,
        environment.settings.listener,
        environment.settings.service.health_check,
    )
    return LoadBalancer(
        f"{environment.prefix}-{environment.platform.service.name}",
        LoadBalancerArgs(
            vpc_id=environment.network.vpc_id,
            subnet_ids=environment.network.public_subnet_ids,
            security_group_id=environment.security_groups.load_balancer_id,
            port=listener.port,
            certificate_arn=listener.certificate_arn,
            target_port=environment.platform.service.port,
            deregistration_delay_seconds=service.deregistration_delay_seconds,
            idle_timeout_seconds=service.idle_timeout_seconds,
            health_path=environment.platform.service.liveness_path,
            health_interval_seconds=health.interval_seconds,
            health_timeout_seconds=health.timeout_seconds,
            healthy_threshold=health.healthy_threshold,
            unhealthy_threshold=health.unhealthy_threshold,
            protect=environment.settings.protection.data,
            sides=_sides(environment),
        ),
        environment.opts,
    )


def _sides(environment: Environment) -> Sides | None:
    deployment = environment.settings.service.deployment
    if deployment.strategy == "rolling":
        return None
    header = deployment.test_header
    return Sides(test_header=None if header is None else (header.name, header.value))


def _blue_green(environment: Environment) -> BlueGreen | None:
    sides, minutes = environment.load_balancer.sides, environment.settings.service.deployment.bake_minutes
    if sides is None or minutes is None:
        return None
    return BlueGreen(
        bake_minutes=minutes,
        alternate_target_group_arn=sides.alternate_target_group,
        production_rule_arn=sides.production_rule,
        test_rule_arn=sides.test_rule,
    )


def url(environment: Environment) -> pulumi.Output[str]:
    listener = environment.settings.listener
    if listener.hostname is not None:
        return pulumi.Output.from_input(f"https://{listener.hostname}")
    return pulumi.Output.concat("http://", environment.load_balancer.dns_name, ":", str(listener.port))


def cluster(environment: Environment) -> EcsCluster | FoundCluster:
    if environment.existing.cluster is not None:
        return environment.existing.cluster
    insights = environment.settings.service.container_insights
    return EcsCluster(environment.prefix, EcsClusterArgs(container_insights=insights), environment.opts)


def service(environment: Environment) -> EcsService:
    settings, platform, secrets = environment.settings, environment.platform, environment.secrets
    return EcsService(
        f"{environment.prefix}-{platform.service.name}",
        EcsServiceArgs(
            account=settings.account,
            region=settings.region,
            cluster_arn=environment.cluster.arn,
            container=platform.service.container,
            port=platform.service.port,
            repository_arn=environment.registry.repository_arn,
            repository_url=environment.registry.repository_url,
            cpu=settings.service.cpu,
            memory=settings.service.memory,
            architecture=settings.service.architecture,
            variables=_variables(environment),
            secrets={
                "DATABASE_USER": (secrets.application_arn, "username"),
                "DATABASE_PASSWORD": (secrets.application_arn, "password"),
                "CACHE_AUTH_TOKEN": (secrets.cache_arn, "auth_token"),
            },
            migration_command=platform.service.migration_command,
            migration_secrets={
                "DATABASE_MASTER_USER": (secrets.master_arn, "username"),
                "DATABASE_MASTER_PASSWORD": (secrets.master_arn, "password"),
            },
            key_arn=environment.encryption.key_arn,
            log_group=f"/{settings.platform}/{settings.environment}/{platform.service.name}",
            log_retention_days=settings.service.log_retention_days,
            subnet_ids=environment.network.private_subnet_ids,
            security_group_id=environment.security_groups.service_id,
            target_group_arn=environment.load_balancer.target_group_arn,
            minimum_healthy_percent=settings.service.minimum_healthy_percent,
            maximum_percent=settings.service.maximum_percent,
            grace_seconds=settings.service.health_check.grace_seconds,
            boundary_arn=environment.boundary.arn,
            blue_green=_blue_green(environment),
            deployment_alarms=[f"{environment.prefix}-{key}" for key in settings.service.deployment.alarms],
        ),
        environment.opts,
    )


def _variables(environment: Environment) -> dict[str, pulumi.Input[str]]:
    certificate = environment.settings.database.root_certificate
    return {
        "PLATFORM": environment.settings.platform,
        "ENVIRONMENT": environment.settings.environment,
        "PORT": str(environment.platform.service.port),
        "DATABASE_HOST": environment.database.address,
        "DATABASE_PORT": environment.database.port.apply(str),
        "DATABASE_NAME": environment.platform.database.name,
        "DATABASE_SSLMODE": SSL_MODE,
        **({} if certificate is None else {"PGSSLROOTCERT": certificate}),
        "CACHE_HOST": environment.cache.address,
        "CACHE_PORT": environment.cache.port.apply(str),
        "CACHE_TLS": "true",
        **environment.settings.service.variables,
    }
