"""What is kept for the day when something went wrong: backups, traffic, and an eye on the bill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.backups import Backups, BackupsArgs
from components.budget import Budget, BudgetArgs
from components.encryption import Encryption, EncryptionArgs
from components.flow_logs import FlowLogs, FlowLogsArgs

if TYPE_CHECKING:
    from stacks.environment import Environment


def recovery_encryption(environment: Environment) -> Encryption:
    """A key can't leave its region: copies are encrypted with one of their own."""
    settings = environment.settings
    return Encryption(
        f"{environment.prefix}-recovery",
        EncryptionArgs(
            account=settings.account,
            region=settings.recovery_region,
            deletion_window_days=settings.protection.key_deletion_days,
            protect=settings.protection.data,
        ),
        environment.opts,
    )


def backups(environment: Environment) -> Backups:
    settings, wanted = environment.settings, environment.settings.backups
    return Backups(
        f"{environment.prefix}-backups",
        BackupsArgs(
            account=settings.account,
            recovery_region=settings.recovery_region,
            daily_days=wanted.daily_days,
            weekly_days=wanted.weekly_days,
            monthly_days=wanted.monthly_days,
            least_days=wanted.lock.least_days if wanted.lock else None,
            final_after_days=wanted.lock.final_after_days if wanted.lock else None,
            key_arn=environment.encryption.key_arn,
            recovery_key_arn=environment.recovery_encryption.key_arn,
            tags={"platform": settings.platform, "environment": settings.environment},
            protect=settings.protection.data,
            boundary_arn=environment.boundary.arn,
        ),
        environment.opts,
    )


def flow_logs(environment: Environment) -> FlowLogs:
    settings = environment.settings
    return FlowLogs(
        f"{environment.prefix}-flows",
        FlowLogsArgs(
            account=settings.account,
            region=settings.region,
            vpc_id=environment.network.vpc_id,
            traffic=settings.audit.flow_logs,
            log_group=f"/{settings.platform}/{settings.environment}/flow-logs",
            log_retention_days=settings.audit.log_retention_days,
            key_arn=environment.encryption.key_arn,
            boundary_arn=environment.boundary.arn,
        ),
        environment.opts,
    )


def budget(environment: Environment) -> Budget:
    settings, limit = environment.settings, environment.settings.budget
    return Budget(
        environment.prefix,
        BudgetArgs(
            monthly_usd=limit.monthly_usd,
            actual_percent=limit.actual_percent,
            forecast_percent=limit.forecast_percent,
            emails=limit.emails,
            tags={"platform": settings.platform, "environment": settings.environment},
        ),
        environment.opts,
    )
