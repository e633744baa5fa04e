"""ElastiCache: replication groups of real Redis or Valkey nodes."""

from dock.aws.elasticache.service import ElastiCache

__all__ = ["ElastiCache"]
