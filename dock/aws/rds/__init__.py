"""RDS for PostgreSQL: the control plane of `dock.engines.postgres`."""

from dock.aws.rds.rds import Rds

__all__ = ["Rds"]
