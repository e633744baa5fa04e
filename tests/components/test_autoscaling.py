from tests.components.build import build


def test_it_bounds_the_count_and_sets_none():
    run = build("autoscaling", "Autoscaling")
    target = run.one("Target").inputs
    assert (target["resourceId"], target["minCapacity"], target["maxCapacity"]) == ("service/c/web", 4, 8)
    assert {each.type for each in run.custom()} == {
        "aws:appautoscaling/target:Target",
        "aws:appautoscaling/policy:Policy",
    }


def test_it_tracks_the_cpu_of_the_tasks():
    policy = build("autoscaling", "Autoscaling").one("Policy").inputs
    assert policy["targetTrackingScalingPolicyConfiguration"] == {
        "targetValue": 60.0,
        "predefinedMetricSpecification": {"predefinedMetricType": "ECSServiceAverageCPUUtilization"},
        "scaleOutCooldown": 60,
        "scaleInCooldown": 300,
    }
