"""CloudWatch: metrics, metric math, alarms and dashboards."""

from dock.aws.cloudwatch.datum import Datum
from dock.aws.cloudwatch.service import CloudWatch

__all__ = ["CloudWatch", "Datum"]
