"""Elastic Container Registry: repositories, and images kept as content-addressed blobs."""

from dock.aws.ecr.ecr import Ecr

__all__ = ["Ecr"]
