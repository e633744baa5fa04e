"""What everything else of an environment stands on: keys, network, secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components import postgres, redis
from components.encryption import Encryption, EncryptionArgs
from components.load_balancer import HTTP
from components.network import Network, NetworkArgs
from components.secrets import Secrets, SecretsArgs
from components.security_groups import SecurityGroups, SecurityGroupsArgs
from stacks.environment.existing import FoundNetwork
from stacks.settings.existing import ExistingDatabase

if TYPE_CHECKING:
    from stacks.environment import Environment


def encryption(environment: Environment) -> Encryption:
    settings = environment.settings
    return Encryption(
        environment.prefix,
        EncryptionArgs(
            account=settings.account,
            region=settings.region,
            deletion_window_days=settings.protection.key_deletion_days,
            protect=settings.protection.data,
        ),
        environment.opts,
    )


def network(environment: Environment) -> Network | FoundNetwork:
    if environment.existing.network is not None:
        return environment.existing.network
    settings = environment.settings
    return Network(
        environment.prefix,
        NetworkArgs(
            region=settings.region,
            cidr=settings.network.cidr,
            availability_zones=settings.network.availability_zones,
            nat_gateways=settings.network.nat_gateways,
        ),
        environment.opts,
    )


def security_groups(environment: Environment) -> SecurityGroups:
    listener = environment.settings.listener
    return SecurityGroups(
        environment.prefix,
        SecurityGroupsArgs(
            vpc_id=environment.network.vpc_id,
            sources=listener.sources,
            listener_ports=[listener.port] if listener.certificate_arn is None else [listener.port, HTTP],
            service_port=environment.platform.service.port,
            database_port=postgres.PORT,
            cache_port=redis.PORT,
        ),
        environment.opts,
    )


def secrets(environment: Environment) -> Secrets:
    database = environment.settings.database
    return Secrets(
        environment.prefix,
        SecretsArgs(
            key_arn=environment.encryption.key_arn,
            master_username=environment.platform.database.master,
            application_role=environment.platform.database.application_role,
            master_secret_arn=database.existing.master_secret_arn if isinstance(database, ExistingDatabase) else None,
            recovery_days=environment.settings.protection.secret_recovery_days,
            protect=environment.settings.protection.data,
        ),
        environment.opts,
    )
