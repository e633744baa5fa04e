"""Application Auto Scaling: ECS services get more tasks and fewer, as alarms and clocks say."""

from dock.aws.application_autoscaling.service import ApplicationAutoScaling

__all__ = ["ApplicationAutoScaling"]
