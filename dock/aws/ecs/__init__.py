"""Elastic Container Service on Fargate: tasks are processes, services keep as many of them as they should."""

from dock.aws.ecs.ecs import Ecs

__all__ = ["Ecs"]
