"""Elastic Load Balancing: application load balancers, which are HAProxy."""

from dock.aws.elbv2.service import Elbv2

__all__ = ["Elbv2"]
