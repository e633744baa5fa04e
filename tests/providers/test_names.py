"""Route 53's types with the real engine, on a running dock: made, changed, found again, imported, removed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.project import Project

pytestmark = [pytest.mark.engine, pytest.mark.dock]


def program(
    ttl: int = 60, threshold: int = 3, comment: str = "one", path: str | None = "/health", more: str = ""
) -> str:
    return f"""
import pulumi
import pulumi_aws as aws

zone = aws.route53.Zone("zone", name="engine.test", comment="{comment}", enable_accelerated_recovery=True,
    tags={{"team": "a"}})
endpoint = aws.route53.HealthCheck("endpoint", type="HTTP", ip_address="127.0.0.1", port=9, resource_path={path!r},
    request_interval=30, failure_threshold={threshold}, disabled=True, tags={{"Name": "endpoint"}})
alarm = aws.cloudwatch.MetricAlarm("alarm", comparison_operator="GreaterThanThreshold", evaluation_periods=1,
    namespace="N", metric_name="m", period=60, statistic="Sum", threshold=1)
followed = aws.route53.HealthCheck("followed", type="CLOUDWATCH_METRIC", cloudwatch_alarm_name=alarm.name,
    cloudwatch_alarm_region="us-east-1", insufficient_data_health_status="Healthy")
both = aws.route53.HealthCheck("both", type="CALCULATED", child_healthchecks=[endpoint.id, followed.id],
    child_health_threshold=2)
pair = []
for role, address in (("PRIMARY", "127.0.0.1"), ("SECONDARY", "127.0.0.2")):
    pair.append(aws.route53.Record(role.lower(), zone_id=zone.zone_id, name="www.engine.test", type="A", ttl={ttl},
        records=[address], set_identifier=role, failover_routing_policies=[{{"type": role}}],
        health_check_id=both.id if role == "PRIMARY" else None))
aws.route53.Record("text", zone_id=zone.zone_id, name="*.engine.test", type="TXT", ttl=60, records=["v=spf1 -all", "x"])
for share, weight in (("a", 0), ("b", 3)):
    aws.route53.Record("share-" + share, zone_id=zone.zone_id, name="share.engine.test", type="CNAME", ttl=60,
        records=["www.engine.test"], set_identifier=share, weighted_routing_policies=[{{"weight": weight}}])
aws.route53.Record("alias", zone_id=zone.zone_id, name="engine.test", type="A",
    aliases=[{{"name": "www.engine.test", "zone_id": zone.zone_id, "evaluate_target_health": True}}],
    opts=pulumi.ResourceOptions(depends_on=pair))
pulumi.export("zone", zone.zone_id)
pulumi.export("servers", zone.name_servers)
pulumi.export("endpoint", endpoint.id)
"""


@pytest.fixture(scope="module")
def shared(dock_url: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    project = Project.make(tmp_path_factory.mktemp("names") / "project", dock_url)
    yield project
    project.pulumi("destroy", "--yes", "--skip-preview", code=None)


def records(api: Any, zone: str) -> dict[tuple[str, str, str | None], dict[str, Any]]:
    listed = api("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    return {(each["Name"], each["Type"], each.get("SetIdentifier")): each for each in listed}


def test_names_live_from_their_creation_to_their_end(shared: Project, api: Any) -> None:
    shared.write(program())
    shared.up()
    made = shared.outputs()
    assert len(made["servers"]) == 4
    assert shared.unchanged()
    assert "updated" not in shared.pulumi("preview", "--refresh", "--expect-no-changes")
    found = records(api, made["zone"])
    assert found["www.engine.test.", "A", "PRIMARY"]["HealthCheckId"]
    assert found["\\052.engine.test.", "TXT", None]["ResourceRecords"] == [{"Value": '"v=spf1 -all"'}, {"Value": '"x"'}]
    assert found["share.engine.test.", "CNAME", "a"]["Weight"] == 0
    assert found["engine.test.", "A", None]["AliasTarget"]["EvaluateTargetHealth"] is True
    route53 = api("route53")
    zone = route53.get_hosted_zone(Id=made["zone"])["HostedZone"]
    assert (zone["Features"]["AcceleratedRecoveryStatus"], zone["Config"]["Comment"]) == ("ENABLED", "one")
    tags = route53.list_tags_for_resource(ResourceType="hostedzone", ResourceId=made["zone"])["ResourceTagSet"]["Tags"]
    assert tags == [{"Key": "team", "Value": "a"}]

    before = shared.resources()
    shared.write(program(ttl=5, threshold=5, comment="two", path=None))
    shared.up()
    after = shared.resources()
    assert {name: each.get("id") for name, each in before.items()} == {
        name: each.get("id") for name, each in after.items()
    }, "changed in place"
    assert {record["TTL"] for key, record in records(api, made["zone"]).items() if key[0] == "www.engine.test."} == {5}
    config = route53.get_health_check(HealthCheckId=made["endpoint"])["HealthCheck"]["HealthCheckConfig"]
    assert (config["FailureThreshold"], "ResourcePath" in config) == (5, False)
    assert shared.unchanged()

    # Somebody else changes and deletes.
    pair = records(api, made["zone"])["www.engine.test.", "A", "SECONDARY"]
    drifted = {**pair, "ResourceRecords": [{"Value": "127.0.0.9"}]}
    gone = records(api, made["zone"])["share.engine.test.", "CNAME", "b"]
    changes = [{"Action": "UPSERT", "ResourceRecordSet": drifted}, {"Action": "DELETE", "ResourceRecordSet": gone}]
    route53.change_resource_record_sets(HostedZoneId=made["zone"], ChangeBatch={"Changes": changes})
    shared.up("--refresh")
    mended = records(api, made["zone"])
    assert mended["www.engine.test.", "A", "SECONDARY"]["ResourceRecords"] == [{"Value": "127.0.0.2"}]
    assert ("share.engine.test.", "CNAME", "b") in mended

    shared.pulumi("destroy", "--yes", "--skip-preview")
    assert "engine.test." not in [zone["Name"] for zone in route53.list_hosted_zones()["HostedZones"]]
    assert made["endpoint"] not in [check["Id"] for check in route53.list_health_checks()["HealthChecks"]]


def test_what_exists_is_imported_and_nothing_changes(shared: Project, api: Any) -> None:
    route53 = api("route53")
    made = route53.create_hosted_zone(Name="import.test", CallerReference="import")
    zone = made["HostedZone"]["Id"].rpartition("/")[2]
    record = {"Name": "www.import.test", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "127.0.0.1"}]}
    route53.change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    )
    check = route53.create_health_check(
        CallerReference="import",
        HealthCheckConfig={"Type": "TCP", "IPAddress": "127.0.0.1", "Port": 9, "Disabled": True},
    )["HealthCheck"]["Id"]
    shared.write(
        f"""
import pulumi
import pulumi_aws as aws

zone = aws.route53.Zone("zone", name="import.test", comment="", opts=pulumi.ResourceOptions(import_="{zone}"))
aws.route53.Record("www", zone_id="{zone}", name="www.import.test", type="A", ttl=60, records=["127.0.0.1"],
    opts=pulumi.ResourceOptions(import_="{zone}_www.import.test_A"))
aws.route53.HealthCheck("check", type="TCP", ip_address="127.0.0.1", port=9, disabled=True,
    opts=pulumi.ResourceOptions(import_="{check}"))
"""
    )
    said = shared.up()
    assert "3 imported" in said
    assert shared.unchanged()
    shared.pulumi("destroy", "--yes", "--skip-preview")


def test_a_record_that_exists_is_not_taken_over(shared: Project, api: Any) -> None:
    route53 = api("route53")
    zone = route53.create_hosted_zone(Name="taken.test", CallerReference="taken")["HostedZone"]["Id"]
    record = {"Name": "www.taken.test", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "127.0.0.1"}]}
    changes = [{"Action": "CREATE", "ResourceRecordSet": record}]
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
    shared.write(
        f"""
import pulumi_aws as aws

aws.route53.Record("www", zone_id="{zone.rpartition("/")[2]}", name="www.taken.test", type="A", ttl=60,
    records=["127.0.0.2"])
"""
    )
    assert "but it already exists" in shared.up(code=None)
    listed = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    assert [{"Value": "127.0.0.1"}] in [each.get("ResourceRecords") for each in listed]
