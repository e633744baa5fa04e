"""A PostgreSQL database on RDS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

PORT = 5432
# RDS's certificate authority: RSA 2048, valid until 2061.
CERTIFICATE_AUTHORITY = "rds-ca-rsa2048-g1"
# A transaction that was forgotten holds back vacuum and blocks migrations.
IDLE_TRANSACTION_SECONDS = 60
INSIGHTS_DAYS = {"standard": 7, "advanced": 465}


@dataclass(frozen=True, kw_only=True)
class PostgresArgs:
    """Storage in GiB, growing by itself from `storage` to `maximum_storage`; windows in UTC, as RDS writes them.

    `version` is a major one: RDS chooses the minor one at creation. `insights`: `standard` keeps 7 days, `advanced`
    15 months. `apply_immediately`: changes that restart the database don't wait for the maintenance window.
    `final_snapshot`: what a deletion leaves behind, named `<name>-final`. `protect`: no deletion at all.
    """

    version: str
    instance_class: pulumi.Input[str]
    storage: pulumi.Input[int]
    maximum_storage: pulumi.Input[int]
    max_connections: pulumi.Input[int]
    slow_query_milliseconds: pulumi.Input[int]
    database: pulumi.Input[str]
    username: pulumi.Input[str]
    password: pulumi.Input[str]
    multi_az: pulumi.Input[bool]
    backup_retention_days: pulumi.Input[int]
    backup_window: pulumi.Input[str]
    maintenance_window: pulumi.Input[str]
    apply_immediately: pulumi.Input[bool]
    insights: str
    log_retention_days: pulumi.Input[int]
    final_snapshot: bool
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    key_arn: pulumi.Input[str]
    protect: bool


class Postgres(pulumi.ComponentResource):
    identifier: pulumi.Output[str]
    address: pulumi.Output[str]
    port: pulumi.Output[int]

    def __init__(self, name: str, args: PostgresArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:Postgres", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        subnets = aws.rds.SubnetGroup(
            f"{name}-subnets",
            name=name,
            description=f"Private subnets of {name}",
            subnet_ids=list(args.subnet_ids),
            opts=child,
        )
        parameters = aws.rds.ParameterGroup(
            f"{name}-parameters",
            # The family is part of the name: a major upgrade needs another group while the old one is still in use.
            name=f"{name}-postgres{args.version}",
            family=f"postgres{args.version}",
            description=f"Parameters of {name}",
            parameters=[
                # Stated, not derived from the instance's memory: alarms and pools are reckoned from it.
                _parameter("max_connections", args.max_connections, "pending-reboot"),
                _parameter("log_min_duration_statement", args.slow_query_milliseconds),
                _parameter("log_lock_waits", 1),
                _parameter("idle_in_transaction_session_timeout", IDLE_TRANSACTION_SECONDS * 1000),
                _parameter("rds.force_ssl", 1),
            ],
            opts=child,
        )
        # RDS would create it itself, without an end to its retention.
        log = aws.cloudwatch.LogGroup(
            f"{name}-log",
            name=f"/aws/rds/instance/{name}/postgresql",
            kms_key_id=args.key_arn,
            retention_in_days=args.log_retention_days,
            opts=child,
        )
        instance = aws.rds.Instance(
            f"{name}-instance",
            identifier=name,
            engine="postgres",
            engine_version=args.version,
            # Support that costs extra after a version's end is a decision, not a default.
            engine_lifecycle_support="open-source-rds-extended-support-disabled",
            instance_class=args.instance_class,
            allocated_storage=args.storage,
            max_allocated_storage=args.maximum_storage,
            storage_type="gp3",
            storage_encrypted=True,
            kms_key_id=args.key_arn,
            db_name=args.database,
            username=args.username,
            # A secret of ours rather than RDS's own: a password that RDS manages rules out read replicas.
            password=args.password,
            port=PORT,
            multi_az=args.multi_az,
            db_subnet_group_name=subnets.name,
            vpc_security_group_ids=[args.security_group_id],
            publicly_accessible=False,
            ca_cert_identifier=CERTIFICATE_AUTHORITY,
            parameter_group_name=parameters.name,
            # People sign in with IAM and leave a trace; the application has its role.
            iam_database_authentication_enabled=True,
            backup_retention_period=args.backup_retention_days,
            backup_window=args.backup_window,
            maintenance_window=args.maintenance_window,
            # They outlive the instance: whoever deletes the wrong one can still go back.
            delete_automated_backups=False,
            copy_tags_to_snapshot=True,
            deletion_protection=args.protect,
            skip_final_snapshot=not args.final_snapshot,
            final_snapshot_identifier=f"{name}-final" if args.final_snapshot else None,
            # A minor version is rehearsed on staging before production gets it.
            auto_minor_version_upgrade=False,
            allow_major_version_upgrade=False,
            apply_immediately=args.apply_immediately,
            database_insights_mode=args.insights,
            performance_insights_enabled=True,
            performance_insights_kms_key_id=args.key_arn,
            performance_insights_retention_period=INSIGHTS_DAYS[args.insights],
            enabled_cloudwatch_logs_exports=["postgresql"],
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect, depends_on=[log]),
        )
        self.identifier = instance.identifier
        self.address = instance.address
        self.port = instance.port
        self.register_outputs({"identifier": self.identifier, "address": self.address, "port": self.port})


def _parameter(
    name: str, value: pulumi.Input[int], apply_method: str = "immediate"
) -> aws.rds.ParameterGroupParameterArgs:
    return aws.rds.ParameterGroupParameterArgs(
        name=name, value=pulumi.Output.from_input(value).apply(str), apply_method=apply_method
    )
