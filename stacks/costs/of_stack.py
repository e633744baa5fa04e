"""The estimate of a whole stack, from its settings."""

from __future__ import annotations

from stacks.costs import resources
from stacks.costs.estimate import Estimate, estimate
from stacks.costs.rules import Tasks
from stacks.settings import PROJECT, Control, Settings


def of_stack(settings: Settings | Control) -> Estimate:
    """What it would cost in a month, on AWS. Runs the program by itself; takes about a second."""
    from stacks import lazy_sdk, platforms

    lazy_sdk.install()
    if isinstance(settings, Control):
        from stacks.control import ControlStack

        return estimate(resources.of(lambda: ControlStack(settings), settings.name, PROJECT))

    from stacks.environment import Environment

    platform = platforms.load(settings.platform)
    service = settings.service
    tasks = Tasks(service.desired_count, service.cpu, service.memory, service.architecture)
    made = resources.of(lambda: Environment(settings, platform), settings.environment, PROJECT)
    return estimate(made, tasks)
