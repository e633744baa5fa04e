"""Which services the dock serves itself, in the order in which they start: what others stand on comes first."""

from __future__ import annotations

from dock.aws.acm import Acm
from dock.aws.application_autoscaling import ApplicationAutoScaling
from dock.aws.backup import Backup
from dock.aws.cloudtrail import CloudTrail
from dock.aws.cloudwatch import CloudWatch
from dock.aws.ecr import Ecr
from dock.aws.ecs import Ecs
from dock.aws.elasticache import ElastiCache
from dock.aws.elbv2 import Elbv2
from dock.aws.logs import Logs
from dock.aws.rds import Rds
from dock.aws.route53 import Route53
from dock.aws.service import Service

SERVICES: list[type[Service]] = [
    CloudWatch,
    Logs,
    Ecr,
    Rds,
    ElastiCache,
    Acm,
    Elbv2,
    Route53,
    Ecs,
    ApplicationAutoScaling,
    Backup,
    CloudTrail,
]
