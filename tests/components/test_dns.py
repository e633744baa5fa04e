from components.dns import ALIAS_TTL
from tests.components.build import build


def records(**changes):
    return {each.inputs["setIdentifier"]: each.inputs for each in build("dns", "Dns", **changes).of("Record")}


def checks(**changes):
    run = build("dns", "Dns", **changes)
    return {each.name.removeprefix("thing-"): each.inputs for each in run.of("HealthCheck")}


def test_the_name_leads_to_the_primary_and_to_the_recovery_site_when_that_is_unhealthy():
    found = records()
    assert {key: record["failoverRoutingPolicies"] for key, record in found.items()} == {
        "primary": [{"type": "PRIMARY"}],
        "secondary": [{"type": "SECONDARY"}],
    }
    assert {record["name"] for record in found.values()} == {"chatvrm.com"}
    (primary,) = found["primary"]["aliases"]
    assert primary == {
        "name": "primary.elb.amazonaws.com",
        "zoneId": "Z35SXDOTRQ7X7K",
        "evaluateTargetHealth": True,
    }
    (secondary,) = found["secondary"]["aliases"]
    assert (secondary["name"], secondary["evaluateTargetHealth"]) == ("recovery.elb.amazonaws.com", False)
    assert found["primary"]["healthCheckId"] == "thing-primary-id"
    assert "healthCheckId" not in found["secondary"]


def test_health_is_asked_of_the_primary_itself_not_of_the_name_that_fails_over():
    endpoint = checks()["endpoint"]
    assert (endpoint["fqdn"], endpoint["port"], endpoint["resourcePath"], endpoint["type"]) == (
        "primary.elb.amazonaws.com",
        443,
        "/api/health",
        "HTTPS",
    )
    assert (endpoint["requestInterval"], endpoint["failureThreshold"]) == (10, 3)


def test_the_calculated_check_wants_every_check_healthy_and_alarms_say_what_they_do_without_data():
    found = checks()
    assert found["primary"]["childHealthchecks"] == ["thing-endpoint-id", "thing-hosts-id"]
    assert found["primary"]["childHealthThreshold"] == 2
    assert found["hosts"]["insufficientDataHealthStatus"] == "LastKnownStatus"
    assert (found["hosts"]["cloudwatchAlarmName"], found["hosts"]["cloudwatchAlarmRegion"]) == (
        "chatvrm-test-healthy-hosts",
        "us-east-1",
    )
    assert checks(alarms={})["primary"]["childHealthThreshold"] == 1


def test_an_existing_zone_is_used_and_none_is_made():
    run = build("dns", "Dns", zone_id="Z0123456789")
    assert run.of("Zone") == []
    assert {each.inputs["zoneId"] for each in run.of("Record")} == {"Z0123456789"}


def test_a_zone_of_its_own_has_accelerated_recovery_as_it_is_told():
    assert build("dns", "Dns").one("Zone").inputs["enableAcceleratedRecovery"] is True
    assert build("dns", "Dns", accelerated_recovery=False).one("Zone").inputs["enableAcceleratedRecovery"] is False


def test_the_predicted_recovery_time_is_interval_times_threshold_and_the_time_to_live():
    assert build("dns", "Dns").made.predicted_recovery_seconds == 10 * 3 + ALIAS_TTL == 90
    assert build("dns", "Dns", interval_seconds=30, failure_threshold=2).made.predicted_recovery_seconds == 120
