"""CloudTrail: trails as records. Nothing is delivered to their buckets or log groups."""

from dock.aws.cloudtrail.cloudtrail import CloudTrail

__all__ = ["CloudTrail"]
