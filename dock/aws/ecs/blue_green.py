"""Deployments with two sides: green is started beside blue, traffic goes over to it, and blue ends when green has
proved itself. A rollback is the same with the sides exchanged.

Every stage is recorded before it is worked on, and what it does can be done twice: a daemon that was killed in it
carries on with it.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

from dock.aws.ecs import stages
from dock.aws.ecs.conditions import Condition, Conditions
from dock.aws.ecs.crew import Crew
from dock.aws.ecs.history import History
from dock.aws.ecs.records import Deployment, Service, Shelf, Task
from dock.aws.ecs.traffic import PRODUCTION, TEST, ShiftError, Traffic, has_rule, other_group, pair

# So many times a rule may refuse new weights before the deployment is given up.
_SHIFT_ATTEMPTS = 3
# The way back is tried for longer: a minute.
_BACK_ATTEMPTS = 30
_RETRY_SECONDS = 2.0


class BlueGreen:
    """Takes the PRIMARY deployment of a service through its stages."""

    def __init__(self, services: Shelf[Service], past: History, crew: Crew, traffic: Traffic) -> None:
        self._services = services
        self._history = past
        self._crew = crew
        self._traffic = traffic
        # How often a service's rules refused new weights, and when they are asked again.
        self._refused: dict[str, tuple[int, float]] = {}

    async def step(self, service: Service, live: list[Task], conditions: Conditions) -> None:
        """Keep both sides at their strength, and go on to the next stage when this one is through."""
        green = service.primary
        blue = source(service)
        if green.rollout == "FAILED":
            # It launches no task any more; whoever has the traffic is kept as it should be.
            if blue is not None and blue.production >= green.production:
                self._hold(service, blue, live, conditions)
            return
        serves = blue is not None and (blue.rollout == "COMPLETED" or blue.production > 0)
        if blue is not None and serves and green.stage != stages.CLEAN_UP:
            self._hold(service, blue, live, conditions)
        if stages.scaled_up(green.stage):
            self._hold(service, green, live, conditions)
        if await self._through(service, green, blue, live, conditions) and self._still(service, green):
            self._advance(service, green)

    def _hold(self, service: Service, deployment: Deployment, live: list[Task], conditions: Conditions) -> None:
        self._crew.hold(service, deployment, tasks_of(deployment, live), [], conditions)

    @staticmethod
    def _still(service: Service, green: Deployment) -> bool:
        """Whether nobody has ended the deployment while its stage was worked on."""
        return service.primary is green and green.rollout == "IN_PROGRESS" and not green.stop

    async def _through(
        self, service: Service, green: Deployment, blue: Deployment | None, live: list[Task], conditions: Conditions
    ) -> bool:
        """Work on the stage; True when it is done."""
        match green.stage:
            case stages.RECONCILE:
                done = await self._reconcile(service, green, blue, live, conditions)
            case stages.PRE_SCALE_UP:
                self._choose_groups(service, green, blue)
                done = True
            case stages.SCALE_UP:
                done = self._strong(service, green, live, conditions)
            case stages.TEST_SHIFT:
                done = await self._shift(service, green, TEST, 100.0)
            case stages.PRODUCTION_SHIFT:
                done = await self._shift_production(service, green)
            case stages.BAKE:
                done = self._held(service, green, float(green.configuration.get("bakeTimeInMinutes") or 0))
            case stages.CLEAN_UP:
                # The last: the scheduler sees when nothing else is left.
                self._crew.dismiss(service, green, [task for task in live if task.deployment != green.id])
                return False
            case _:
                done = True
        return done and self._unpaused(service, green)

    def _advance(self, service: Service, green: Deployment) -> None:
        assert green.stage is not None
        following = stages.following(green.stage)
        if green.rollback_of is not None and green.stage == stages.PRODUCTION_SHIFT:
            following = stages.CLEAN_UP
        self._enter(service, green, following)

    def _enter(self, service: Service, green: Deployment, stage: str) -> None:
        green.stage, green.stage_since, green.hold_until = stage, time.time(), None
        green.updated = green.stage_since
        self._save(service, green)

    def _save(self, service: Service, green: Deployment) -> None:
        self._services.save(service)
        self._history.update(service, green)

    # the stages

    async def _reconcile(
        self, service: Service, green: Deployment, blue: Deployment | None, live: list[Task], conditions: Conditions
    ) -> bool:
        """Down to one revision, the one with the traffic: an earlier deployment was left on its way."""
        if blue is not None:
            others = [each for each in service.deployments if each not in (green, blue)]
            for kind, share in ((PRODUCTION, "production"), (TEST, "test")):
                astray = any(getattr(each, share) > 0 for each in others)
                if astray and not await self._shift(service, blue, kind, 100.0):
                    return False
        rest = [task for task in live if task.deployment not in (green.id, blue.id if blue is not None else None)]
        going = rest
        if blue is not None and not self._strong(service, blue, live, conditions):
            # Those that share its target groups (of a rolling deployment that was under way) serve until it can.
            used = _groups(blue)
            going = [task for task in rest if not used & {entry["targetGroupArn"] for entry in task.load_balancers}]
        self._crew.dismiss(service, green, going)
        return not rest

    @staticmethod
    def _strong(service: Service, side: Deployment, live: list[Task], conditions: Conditions) -> bool:
        """Whether a side has all the healthy tasks that it is to have."""
        states = [conditions[task.id] for task in tasks_of(side, live)]
        return states.count(Condition.HEALTHY) >= service.desired

    def _choose_groups(self, service: Service, green: Deployment, blue: Deployment | None) -> None:
        """Green's tasks register with that group of each pair that blue's don't use."""
        used = _groups(blue)
        groups = [
            other_group(entry, _used_of(entry, used)) if "advancedConfiguration" in entry else entry["targetGroupArn"]
            for entry in green.load_balancers
        ]
        if groups != green.groups:
            green.groups = groups
            self._save(service, green)

    async def _shift_production(self, service: Service, green: Deployment) -> bool:
        """All at once, or share by share; back always at once."""
        if green.rollback_of is not None:
            both = await self._shift(service, green, PRODUCTION, 100.0)
            return await self._shift(service, green, TEST, 100.0) and both
        # Without a blue one there is nobody who could have the rest.
        alone = source(service) is None
        for percent, minutes in [(100.0, 0.0)] if alone else stages.shares(green.configuration):
            if green.production > percent:
                continue
            if green.production < percent:
                return await self._shift(service, green, PRODUCTION, percent) and percent >= 100
            if percent < 100 and not self._held(service, green, minutes):
                return False
            green.hold_until = None
        return True

    def _held(self, service: Service, green: Deployment, minutes: float) -> bool:
        """Whether it has waited for so long, from the first time it was asked."""
        if green.hold_until is None:
            green.hold_until = time.time() + minutes * 60
            self._save(service, green)
        return time.time() >= green.hold_until

    async def _shift(self, service: Service, side: Deployment, kind: str, percent: float) -> bool:
        """Give a side its share of the traffic; False when that has to be tried again."""
        share = "production" if kind == PRODUCTION else "test"
        if getattr(side, share) == percent and side.rollback_of is None:
            return True
        if time.time() < self._refused.get(service.arn, (0, 0.0))[1]:
            return False
        carrier, wanted = side, percent
        if side.load_balancers and not has_rule(side, PRODUCTION):
            # A revision from before there were two sides: the rules are those of the one that came after it.
            carrier = next((each for each in service.deployments if has_rule(each, kind)), side)
            wanted = percent if carrier is side else 100.0 - percent
        try:
            await self._traffic.shift(service, carrier, kind, wanted)
        except ShiftError as problem:
            self._refuse(service, side, str(problem))
            return False
        self._refused.pop(service.arn, None)
        self._note_shares(service, side, share, percent)
        if has_rule(carrier, kind):
            service.say(f"(deployment {side.id}) has {percent:g} % of the {share} traffic.")
        self._services.save(service)
        return True

    def _note_shares(self, service: Service, side: Deployment, share: str, percent: float) -> None:
        rest = 100.0 - percent
        others = sorted((each for each in service.deployments if each is not side), key=lambda each: -each.production)
        setattr(side, share, percent)
        for each in others:
            setattr(each, share, rest)
            rest = 0.0

    def _refuse(self, service: Service, side: Deployment, problem: str) -> None:
        """New weights were refused: asked again a few times, then the deployment can't go on."""
        count = self._refused.get(service.arn, (0, 0.0))[0] + 1
        self._refused[service.arn] = count, time.time() + _RETRY_SECONDS
        if count == 1:
            service.say(f"was unable to shift traffic to (deployment {side.id}): {problem}")
        most = _SHIFT_ATTEMPTS if side.rollback_of is None else _BACK_ATTEMPTS
        if count >= most and side is service.primary:
            side.broken = f"the traffic could not be shifted: {problem}"
            self._refused.pop(service.arn)
        self._services.save(service)

    # pauses

    def _unpaused(self, service: Service, green: Deployment) -> bool:
        """Whether the pauses of this stage are over; begins them when the stage's work is done."""
        if green.rollback_of is not None:
            return True
        known = {(hook["stage"], hook["number"]) for hook in green.hooks}
        begun = False
        for number, hook in enumerate(green.configuration.get("lifecycleHooks") or []):
            if green.stage in hook["lifecycleStages"] and (green.stage, number) not in known:
                timeout = hook.get("timeoutConfiguration") or {}
                minutes = timeout.get("timeoutInMinutes", stages.PAUSE_MINUTES)
                paused = {
                    "id": f"ecs-pause-{secrets.token_urlsafe(32)}",
                    "stage": green.stage,
                    "number": number,
                    "status": "AWAITING_ACTION",
                    "expires": time.time() + minutes * 60,
                    "action": timeout.get("action", "ROLLBACK"),
                }
                green.hooks.append(paused)
                service.say(f"(deployment {green.id}) is paused at {green.stage}: it waits for (hook {paused['id']}).")
                begun = True
        for hook in green.hooks:
            if hook["status"] == "AWAITING_ACTION" and time.time() >= hook["expires"]:
                hook["status"] = "TIMED_OUT"
                begun = True
                if hook["action"] == "ROLLBACK":
                    green.broken = f"(hook {hook['id']}) timed out"
        if begun:
            self._save(service, green)
        return not green.broken and all(hook["status"] != "AWAITING_ACTION" for hook in green.hooks)


def source(service: Service) -> Deployment | None:
    """Blue: of the other deployments the one with the production traffic, else the one that completed last."""
    others = [each for each in service.deployments if each is not service.primary]
    completed = (service.completed or {}).get("id")
    return max(others, key=lambda each: (each.production, each.id == completed, each.created), default=None)


def tasks_of(deployment: Deployment, tasks: list[Task]) -> list[Task]:
    return [task for task in tasks if task.deployment == deployment.id]


def begin(service: Service, deployment: Deployment) -> None:
    """Say where a new deployment begins; `service.deployments` are still those before it."""
    before = service.deployments
    if deployment.two_sided:
        unfinished = len(before) > 1 or any(each.rollout != "COMPLETED" for each in before)
        deployment.stage = stages.RECONCILE if unfinished else stages.PRE_SCALE_UP
        deployment.stage_since = deployment.created
        return
    # A rolling one goes on in the target groups that have the traffic.
    completed = (service.completed or {}).get("id")
    used = _groups(max(before, key=lambda each: (each.production, each.id == completed), default=None))
    deployment.groups = [
        (_used_of(entry, used) if "advancedConfiguration" in entry else None) or entry["targetGroupArn"]
        for entry in deployment.load_balancers
    ]


def _groups(deployment: Deployment | None) -> set[str]:
    return {entry["targetGroupArn"] for entry in deployment.registrations} if deployment is not None else set()


def _used_of(entry: dict[str, Any], used: set[str]) -> str | None:
    """That one of an entry's pair of target groups which is in use."""
    return next((group for group in pair(entry) if group in used), None)
