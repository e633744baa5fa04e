"""Which services the dock serves itself, in the order in which they start: what others stand on comes first."""

from __future__ import annotations

from dock.aws.ecr import Ecr
from dock.aws.ecs import Ecs
from dock.aws.elasticache import ElastiCache
from dock.aws.elbv2 import Elbv2
from dock.aws.logs import Logs
from dock.aws.rds import Rds
from dock.aws.service import Service

SERVICES: list[type[Service]] = [Logs, Ecr, Rds, ElastiCache, Elbv2, Ecs]
