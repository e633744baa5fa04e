"""The ElastiCache service: all of its parts in one class."""

from __future__ import annotations

from dock.aws.elasticache.clusters import Clusters
from dock.aws.elasticache.information import Information
from dock.aws.elasticache.modification import Modification


class ElastiCache(Modification, Clusters, Information):
    """Replication groups with cluster mode disabled, on real Redis or Valkey nodes behind stable endpoints."""
