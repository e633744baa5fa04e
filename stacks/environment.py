"""One environment of a platform, from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from components import postgres, redis
from components.ecs_cluster import EcsCluster, EcsClusterArgs
from components.ecs_service import EcsService, EcsServiceArgs
from components.encryption import Encryption, EncryptionArgs
from components.load_balancer import HTTP, LoadBalancer, LoadBalancerArgs
from components.manifest import Manifest, ManifestArgs
from components.network import Network, NetworkArgs
from components.postgres import Postgres, PostgresArgs
from components.redis import Redis, RedisArgs
from components.registry import Registry, RegistryArgs
from components.secrets import Secrets, SecretsArgs
from components.security_groups import SecurityGroups, SecurityGroupsArgs
from stacks.document import document
from stacks.platforms.model import Platform
from stacks.settings import Settings

# The database proves who it is, and a connection that can't be verified fails.
SSL_MODE = "verify-full"


class Environment:
    """Builds everything when it is made; `outputs` are what the stack exports, never a secret's value."""

    outputs: Mapping[str, pulumi.Input[Any]]

    def __init__(self, settings: Settings, platform: Platform) -> None:
        self.settings = settings
        self.platform = platform
        self.prefix = f"{settings.platform}-{settings.environment}"
        self.opts = pulumi.ResourceOptions(providers=[self._provider()])

        self.encryption = self._encryption()
        self.network = self._network()
        self.security_groups = self._security_groups()
        self.secrets = self._secrets()
        self.database = self._database()
        self.cache = self._cache()
        self.registry = self._registry()
        self.load_balancer = self._load_balancer()
        self.url = self._url()
        self.cluster = EcsCluster(
            self.prefix, EcsClusterArgs(container_insights=settings.service.container_insights), self.opts
        )
        self.service = self._service()
        self.manifest = Manifest(
            f"{self.prefix}-manifest",
            ManifestArgs(
                parameter=f"/drydock/{settings.platform}/{settings.environment}/manifest",
                recovery_region=settings.recovery_region,
                document=document(self),
            ),
            self.opts,
        )
        self.outputs = {
            "platform": settings.platform,
            "environment": settings.environment,
            "url": self.url,
            "manifest": self.manifest.parameter,
            "cluster": self.cluster.cluster,
            "service": self.service.service,
            "repository_url": self.registry.repository_url,
            "load_balancer": self.load_balancer.dns_name,
            "database_endpoint": self.database.address,
            "database_port": self.database.port,
            "database_name": platform.database.name,
            "database_master_secret": self.secrets.master_arn,
            "database_application_secret": self.secrets.application_arn,
            "cache_endpoint": self.cache.address,
            "cache_port": self.cache.port,
            "cache_secret": self.secrets.cache_arn,
        }

    def _provider(self) -> aws.Provider:
        settings = self.settings
        return aws.Provider(
            self.prefix,
            region=settings.region,
            # What keeps a shell with other credentials from applying this stack to another account.
            allowed_account_ids=[settings.account],
            default_tags=aws.ProviderDefaultTagsArgs(
                tags={
                    "platform": settings.platform,
                    "environment": settings.environment,
                    "managed-by": "drydock",
                }
            ),
        )

    def _encryption(self) -> Encryption:
        settings = self.settings
        return Encryption(
            self.prefix,
            EncryptionArgs(
                account=settings.account,
                region=settings.region,
                deletion_window_days=settings.protection.key_deletion_days,
                protect=settings.protection.data,
            ),
            self.opts,
        )

    def _network(self) -> Network:
        settings = self.settings
        return Network(
            self.prefix,
            NetworkArgs(
                region=settings.region,
                cidr=settings.network.cidr,
                availability_zones=settings.network.availability_zones,
                nat_gateways=settings.network.nat_gateways,
            ),
            self.opts,
        )

    def _security_groups(self) -> SecurityGroups:
        listener = self.settings.listener
        return SecurityGroups(
            self.prefix,
            SecurityGroupsArgs(
                vpc_id=self.network.vpc_id,
                sources=listener.sources,
                listener_ports=[listener.port] if listener.certificate_arn is None else [listener.port, HTTP],
                service_port=self.platform.service.port,
                database_port=postgres.PORT,
                cache_port=redis.PORT,
            ),
            self.opts,
        )

    def _secrets(self) -> Secrets:
        return Secrets(
            self.prefix,
            SecretsArgs(
                key_arn=self.encryption.key_arn,
                master_username=self.platform.database.master,
                application_role=self.platform.database.application_role,
                recovery_days=self.settings.protection.secret_recovery_days,
                protect=self.settings.protection.data,
            ),
            self.opts,
        )

    def _database(self) -> Postgres:
        settings = self.settings.database
        return Postgres(
            f"{self.prefix}-database",
            PostgresArgs(
                version=settings.version,
                instance_class=settings.instance_class,
                storage=settings.storage_gib,
                maximum_storage=settings.maximum_storage_gib,
                max_connections=settings.max_connections,
                slow_query_milliseconds=settings.slow_query_milliseconds,
                database=self.platform.database.name,
                username=self.platform.database.master,
                password=self.secrets.master_password,
                multi_az=settings.multi_az,
                backup_retention_days=settings.backup_retention_days,
                backup_window=settings.backup_window,
                maintenance_window=settings.maintenance_window,
                apply_immediately=settings.apply_immediately,
                insights=settings.insights,
                log_retention_days=settings.log_retention_days,
                final_snapshot=settings.final_snapshot,
                subnet_ids=self.network.private_subnet_ids,
                security_group_id=self.security_groups.database_id,
                key_arn=self.encryption.key_arn,
                protect=self.settings.protection.data,
            ),
            self.opts,
        )

    def _cache(self) -> Redis:
        settings = self.settings.cache
        return Redis(
            f"{self.prefix}-cache",
            RedisArgs(
                version=settings.version,
                node_type=settings.node_type,
                replicas=settings.replicas,
                auth_token=self.secrets.cache_token,
                snapshot_retention_days=settings.snapshot_retention_days,
                snapshot_window=settings.snapshot_window,
                maintenance_window=settings.maintenance_window,
                apply_immediately=settings.apply_immediately,
                final_snapshot=settings.final_snapshot,
                subnet_ids=self.network.private_subnet_ids,
                security_group_id=self.security_groups.cache_id,
                key_arn=self.encryption.key_arn,
                protect=self.settings.protection.data,
            ),
            self.opts,
        )

    def _registry(self) -> Registry:
        return Registry(
            f"{self.prefix}-{self.platform.service.name}",
            RegistryArgs(
                key_arn=self.encryption.key_arn,
                keep_images=self.settings.service.keep_images,
                protect=self.settings.protection.data,
            ),
            self.opts,
        )

    def _load_balancer(self) -> LoadBalancer:
        service, listener, health = self.settings.service, self.settings.listener, self.settings.service.health_check
        return LoadBalancer(
            f"{self.prefix}-{self.platform.service.name}",
            LoadBalancerArgs(
                vpc_id=self.network.vpc_id,
                subnet_ids=self.network.public_subnet_ids,
                security_group_id=self.security_groups.load_balancer_id,
                port=listener.port,
                certificate_arn=listener.certificate_arn,
                target_port=self.platform.service.port,
                deregistration_delay_seconds=service.deregistration_delay_seconds,
                idle_timeout_seconds=service.idle_timeout_seconds,
                health_path=self.platform.service.liveness_path,
                health_interval_seconds=health.interval_seconds,
                health_timeout_seconds=health.timeout_seconds,
                healthy_threshold=health.healthy_threshold,
                unhealthy_threshold=health.unhealthy_threshold,
                protect=self.settings.protection.data,
            ),
            self.opts,
        )

    def _url(self) -> pulumi.Output[str]:
        listener = self.settings.listener
        if listener.hostname is not None:
            return pulumi.Output.from_input(f"https://{listener.hostname}")
        return pulumi.Output.concat("http://", self.load_balancer.dns_name, ":", str(listener.port))

    def _service(self) -> EcsService:
        settings, platform, secrets = self.settings, self.platform, self.secrets
        return EcsService(
            f"{self.prefix}-{platform.service.name}",
            EcsServiceArgs(
                account=settings.account,
                region=settings.region,
                cluster_arn=self.cluster.arn,
                container=platform.service.container,
                port=platform.service.port,
                repository_arn=self.registry.repository_arn,
                repository_url=self.registry.repository_url,
                cpu=settings.service.cpu,
                memory=settings.service.memory,
                architecture=settings.service.architecture,
                variables=self._variables(),
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
                key_arn=self.encryption.key_arn,
                log_group=f"/{settings.platform}/{settings.environment}/{platform.service.name}",
                log_retention_days=settings.service.log_retention_days,
                subnet_ids=self.network.private_subnet_ids,
                security_group_id=self.security_groups.service_id,
                target_group_arn=self.load_balancer.target_group_arn,
                minimum_healthy_percent=settings.service.minimum_healthy_percent,
                maximum_percent=settings.service.maximum_percent,
                grace_seconds=settings.service.health_check.grace_seconds,
            ),
            self.opts,
        )

    def _variables(self) -> dict[str, pulumi.Input[str]]:
        certificate = self.settings.database.root_certificate
        return {
            "PLATFORM": self.settings.platform,
            "ENVIRONMENT": self.settings.environment,
            "PORT": str(self.platform.service.port),
            "DATABASE_HOST": self.database.address,
            "DATABASE_PORT": self.database.port.apply(str),
            "DATABASE_NAME": self.platform.database.name,
            "DATABASE_SSLMODE": SSL_MODE,
            **({} if certificate is None else {"PGSSLROOTCERT": certificate}),
            "CACHE_HOST": self.cache.address,
            "CACHE_PORT": self.cache.port.apply(str),
            "CACHE_TLS": "true",
            **self.settings.service.variables,
        }
