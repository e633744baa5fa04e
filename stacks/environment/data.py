"""What keeps an environment's data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.postgres import Postgres, PostgresArgs
from components.redis import Redis, RedisArgs
from stacks.environment.existing import FoundDatabase

if TYPE_CHECKING:
    from stacks.environment import Environment


def database(environment: Environment) -> Postgres | FoundDatabase:
    if environment.existing.database is not None:
        return environment.existing.database
    settings = environment.settings.database
    return Postgres(
        f"{environment.prefix}-database",
        PostgresArgs(
            version=settings.version,
            instance_class=settings.instance_class,
            storage=settings.storage_gib,
            maximum_storage=settings.maximum_storage_gib,
            max_connections=settings.max_connections,
            slow_query_milliseconds=settings.slow_query_milliseconds,
            database=environment.platform.database.name,
            username=environment.platform.database.master,
            password=environment.secrets.master_password,
            multi_az=settings.multi_az,
            backup_retention_days=settings.backup_retention_days,
            backup_window=settings.backup_window,
            maintenance_window=settings.maintenance_window,
            apply_immediately=settings.apply_immediately,
            insights=settings.insights,
            log_retention_days=settings.log_retention_days,
            final_snapshot=settings.final_snapshot,
            subnet_ids=environment.network.private_subnet_ids,
            security_group_id=environment.security_groups.database_id,
            key_arn=environment.encryption.key_arn,
            protect=environment.settings.protection.data,
        ),
        environment.opts,
    )


def cache(environment: Environment) -> Redis:
    settings = environment.settings.cache
    return Redis(
        f"{environment.prefix}-cache",
        RedisArgs(
            version=settings.version,
            node_type=settings.node_type,
            replicas=settings.replicas,
            auth_token=environment.secrets.cache_token,
            snapshot_retention_days=settings.snapshot_retention_days,
            snapshot_window=settings.snapshot_window,
            maintenance_window=settings.maintenance_window,
            apply_immediately=settings.apply_immediately,
            final_snapshot=settings.final_snapshot,
            subnet_ids=environment.network.private_subnet_ids,
            security_group_id=environment.security_groups.cache_id,
            key_arn=environment.encryption.key_arn,
            protect=environment.settings.protection.data,
        ),
        environment.opts,
    )
