"""The stages of a deployment with two sides, blue and green, and how traffic goes over from one to the other. Pure."""

from __future__ import annotations

from typing import Any

RECONCILE, PRE_SCALE_UP, SCALE_UP, POST_SCALE_UP = "RECONCILE_SERVICE", "PRE_SCALE_UP", "SCALE_UP", "POST_SCALE_UP"
TEST_SHIFT, POST_TEST_SHIFT = "TEST_TRAFFIC_SHIFT", "POST_TEST_TRAFFIC_SHIFT"
PRE_PRODUCTION_SHIFT = "PRE_PRODUCTION_TRAFFIC_SHIFT"
PRODUCTION_SHIFT, POST_PRODUCTION_SHIFT = "PRODUCTION_TRAFFIC_SHIFT", "POST_PRODUCTION_TRAFFIC_SHIFT"
BAKE, CLEAN_UP = "BAKE_TIME", "CLEAN_UP"

ORDER = (
    RECONCILE,
    PRE_SCALE_UP,
    SCALE_UP,
    POST_SCALE_UP,
    TEST_SHIFT,
    POST_TEST_SHIFT,
    PRE_PRODUCTION_SHIFT,
    PRODUCTION_SHIFT,
    POST_PRODUCTION_SHIFT,
    BAKE,
    CLEAN_UP,
)
# Where ECS lets a deployment pause.
PAUSES = (
    RECONCILE,
    PRE_SCALE_UP,
    POST_SCALE_UP,
    POST_TEST_SHIFT,
    PRE_PRODUCTION_SHIFT,
    POST_PRODUCTION_SHIFT,
)
# ECS gives no stage more than a day.
STAGE_SECONDS = 24 * 3600.0
PAUSE_MINUTES = 1440


def following(stage: str) -> str:
    """The stage after this one; CLEAN_UP is the last."""
    return ORDER[ORDER.index(stage) + 1]


def scaled_up(stage: str | None) -> bool:
    """Whether green's tasks are wanted."""
    return stage is not None and ORDER.index(stage) >= ORDER.index(SCALE_UP)


def shares(configuration: dict[str, Any]) -> list[tuple[float, float]]:
    """Green's shares of production traffic in percent, each with the minutes that it is held before the next."""
    match configuration.get("strategy"):
        case "CANARY":
            canary = configuration.get("canaryConfiguration") or {}
            percent, minutes = canary.get("canaryPercent", 5.0), canary.get("canaryBakeTimeInMinutes", 10)
            return [(percent, minutes), (100.0, 0)] if percent < 100 else [(100.0, 0)]
        case "LINEAR":
            linear = configuration.get("linearConfiguration") or {}
            step, minutes = linear.get("stepPercent", 10.0), linear.get("stepBakeTimeInMinutes", 6)
            count = int(-(-1000 // round(step * 10)))
            return [*((round(step * number, 1), minutes) for number in range(1, count)), (100.0, 0)]
        case _:
            return [(100.0, 0)]


def weights(percent: float) -> tuple[int, int]:
    """A listener rule's weights, from 0 to 999, that give one group so many percent and the other the rest."""
    if percent == int(percent):
        return int(percent), 100 - int(percent)
    return round(percent * 10), 1000 - round(percent * 10)
