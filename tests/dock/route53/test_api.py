"""Zones, records, tags and health checks through AWS's API."""

from __future__ import annotations

import asyncio

import boto3
import pytest
from botocore.exceptions import ClientError

from dock.cloud import ACCOUNTS, REGIONS
from tests.dock.conftest import call
from tests.dock.route53.conftest import Dock, simple

pytestmark = [pytest.mark.dock, pytest.mark.asyncio(loop_scope="module")]


async def refused(method, **parameters) -> str:
    with pytest.raises(ClientError) as error:
        await call(method, **parameters)
    code: str = error.value.response["Error"]["Code"]
    return code


async def test_a_new_zone_is_served_with_its_name_servers(dock: Dock) -> None:
    zone = await dock.zone("fresh.test")
    described = await call(dock.route53.get_hosted_zone, Id=zone)
    servers = described["DelegationSet"]["NameServers"]
    assert len(servers) == 4
    assert described["HostedZone"]["ResourceRecordSetCount"] == 2
    found = await dock.ask("fresh.test", "NS")
    assert sorted(str(each.rdata) for each in found.rr) == [f"{server}." for server in servers]
    assert await dock.addresses(servers[0]) == [dock.server[0]]
    assert (await dock.ask("fresh.test", "SOA")).header.aa == 1


async def test_a_second_zone_of_a_name_or_of_a_reference_is_refused(dock: Dock) -> None:
    made = await call(dock.route53.create_hosted_zone, Name="Twice.test.", CallerReference="twice")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    create = dock.route53.create_hosted_zone
    assert await refused(create, Name="other.test", CallerReference="twice") == "HostedZoneAlreadyExists"
    other = dock.cloud.client("route53", ACCOUNTS[1], REGIONS[0])
    assert await refused(other.create_hosted_zone, Name="twice.test", CallerReference="2") == "ConflictingDomainExists"
    await call(dock.route53.delete_hosted_zone, Id=made["HostedZone"]["Id"])
    assert (await call(other.create_hosted_zone, Name="twice.test", CallerReference="3"))["HostedZone"]


async def test_a_zone_with_records_is_not_deleted_and_a_deleted_one_is_served_no_more(dock: Dock) -> None:
    zone = await dock.zone("full.test")
    await dock.change(zone, ("CREATE", simple("www.full.test", "127.0.0.1")))
    assert await refused(dock.route53.delete_hosted_zone, Id=zone) == "HostedZoneNotEmpty"
    await dock.change(zone, ("DELETE", simple("www.full.test", "127.0.0.1")))
    deleted = await call(dock.route53.delete_hosted_zone, Id=zone)
    await dock.in_sync(deleted["ChangeInfo"])
    assert (await dock.ask("full.test", "SOA")).header.rcode == 5
    assert await refused(dock.route53.get_hosted_zone, Id=zone) == "NoSuchHostedZone"


async def test_private_zones_are_refused(dock: Dock) -> None:
    create = dock.route53.create_hosted_zone
    config = {"PrivateZone": True}
    assert await refused(create, Name="p.test", CallerReference="p", HostedZoneConfig=config) == "InvalidInput"


async def test_a_change_that_is_in_sync_is_answered_and_test_dns_answer_says_the_same(dock: Dock) -> None:
    zone = await dock.zone("said.test")
    await dock.change(zone, ("CREATE", simple("*.said.test", "127.0.0.1", "127.0.0.2")))
    assert await dock.addresses("x.said.test") == ["127.0.0.1", "127.0.0.2"]
    told = await call(dock.route53.test_dns_answer, HostedZoneId=zone, RecordName="x.said.test", RecordType="A")
    assert (sorted(told["RecordData"]), told["ResponseCode"]) == (["127.0.0.1", "127.0.0.2"], "NOERROR")
    missing = await call(dock.route53.test_dns_answer, HostedZoneId=zone, RecordName="said.test", RecordType="A")
    assert (missing["RecordData"], missing["ResponseCode"]) == ([], "NOERROR")


async def test_a_refused_batch_changes_nothing(dock: Dock) -> None:
    zone = await dock.zone("whole.test")
    with pytest.raises(ClientError) as error:
        await dock.change(zone, ("CREATE", simple("a.whole.test", "127.0.0.1")), ("DELETE", simple("b.whole.test", "127.0.0.1")))  # fmt: skip  # noqa: E501
    assert error.value.response["Error"]["Code"] == "InvalidChangeBatch"
    assert "but it was not found" in error.value.response["Error"]["Message"]
    assert (await dock.ask("a.whole.test")).header.rcode == 3


async def test_records_are_listed_in_pages_by_their_labels_from_the_right(dock: Dock) -> None:
    zone = await dock.zone("paged.test")
    wanted = ["paged.test.", "a.paged.test.", "z.a.paged.test.", "b.paged.test.", "\\052.b.paged.test."]
    await dock.change(zone, *(("CREATE", simple(name.replace("\\052", "*"), "127.0.0.1")) for name in wanted))
    found = []
    page = {"HostedZoneId": zone, "MaxItems": "2"}
    while True:
        answer = await call(dock.route53.list_resource_record_sets, **page)
        found += [record["Name"] for record in answer["ResourceRecordSets"] if record["Type"] == "A"]
        if not answer["IsTruncated"]:
            break
        page |= {"StartRecordName": answer["NextRecordName"], "StartRecordType": answer["NextRecordType"]}
    assert found == ["paged.test.", "a.paged.test.", "z.a.paged.test.", "b.paged.test.", "\\052.b.paged.test."]


async def test_zones_are_listed_by_name_and_each_account_sees_its_own(dock: Dock) -> None:
    await dock.zone("bb.list.test")
    await dock.zone("aa.list.test")
    answer = await call(dock.route53.list_hosted_zones_by_name, DNSName="aa.list.test", MaxItems="2")
    assert [zone["Name"] for zone in answer["HostedZones"]] == ["aa.list.test.", "bb.list.test."]
    other = dock.cloud.client("route53", ACCOUNTS[1], REGIONS[0])
    assert "aa.list.test." not in [zone["Name"] for zone in (await call(other.list_hosted_zones))["HostedZones"]]


async def test_tags_of_zones_and_health_checks(dock: Dock) -> None:
    zone = (await dock.zone()).rpartition("/")[2]
    check = await dock.check(Type="TCP", IPAddress="127.0.0.1", Port=1, Disabled=True)
    for kind, identifier in (("hostedzone", zone), ("healthcheck", check)):
        change = dock.route53.change_tags_for_resource
        await call(change, ResourceType=kind, ResourceId=identifier, AddTags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])  # fmt: skip  # noqa: E501
        await call(change, ResourceType=kind, ResourceId=identifier, RemoveTagKeys=["a"])
        listed = await call(dock.route53.list_tags_for_resource, ResourceType=kind, ResourceId=identifier)
        assert listed["ResourceTagSet"]["Tags"] == [{"Key": "b", "Value": "2"}]


async def test_a_callers_reference_makes_one_health_check(dock: Dock) -> None:
    config = {"Type": "TCP", "IPAddress": "127.0.0.1", "Port": 9, "Disabled": True}
    create = dock.route53.create_health_check
    first = await call(create, CallerReference="same", HealthCheckConfig=config)
    again = await call(create, CallerReference="same", HealthCheckConfig=config)
    assert first["HealthCheck"]["Id"] == again["HealthCheck"]["Id"]
    other = {**config, "Port": 10}
    assert await refused(create, CallerReference="same", HealthCheckConfig=other) == "HealthCheckAlreadyExists"
    await call(dock.route53.delete_health_check, HealthCheckId=first["HealthCheck"]["Id"])
    assert await refused(create, CallerReference="same", HealthCheckConfig=config) == "HealthCheckAlreadyExists"


async def test_an_update_of_an_older_version_is_refused(dock: Dock) -> None:
    check = await dock.check(Type="TCP", IPAddress="127.0.0.1", Port=9, Disabled=True)
    update = dock.route53.update_health_check
    changed = await call(update, HealthCheckId=check, HealthCheckVersion=1, FailureThreshold=5)
    assert (changed["HealthCheck"]["HealthCheckVersion"], changed["HealthCheck"]["HealthCheckConfig"]["FailureThreshold"]) == (2, 5)  # fmt: skip  # noqa: E501
    code = await refused(update, HealthCheckId=check, HealthCheckVersion=1, FailureThreshold=6)
    assert code == "HealthCheckVersionMismatch"


async def test_a_record_of_a_health_check_that_does_not_exist_is_refused(dock: Dock) -> None:
    zone = await dock.zone("orphan.test")
    given = simple("orphan.test", "127.0.0.1", SetIdentifier="a", Weight=1, HealthCheckId="none")
    with pytest.raises(ClientError) as error:
        await dock.change(zone, ("CREATE", given))
    assert error.value.response["Error"]["Code"] == "NoSuchHealthCheck"


async def test_a_health_check_that_another_one_monitors_is_not_deleted(dock: Dock) -> None:
    child = await dock.check(Type="TCP", IPAddress="127.0.0.1", Port=9, Disabled=True)
    parent = await dock.check(Type="CALCULATED", HealthThreshold=1, ChildHealthChecks=[child])
    assert await refused(dock.route53.delete_health_check, HealthCheckId=child) == "HealthCheckInUse"
    await call(dock.route53.delete_health_check, HealthCheckId=parent)
    await call(dock.route53.delete_health_check, HealthCheckId=child)


async def test_an_alarm_that_is_not_there_can_not_be_followed(dock: Dock) -> None:
    alarm = {"Region": "us-east-1", "Name": "none"}
    config = {"Type": "CLOUDWATCH_METRIC", "AlarmIdentifier": alarm}
    assert await refused(dock.route53.create_health_check, CallerReference="no alarm", HealthCheckConfig=config) == "InvalidInput"  # fmt: skip  # noqa: E501


async def test_many_questions_and_changes_at_once_are_all_answered(dock: Dock) -> None:
    zone = await dock.zone("busy.test")
    await dock.change(zone, ("CREATE", simple("busy.test", "127.0.0.1")))
    changes = [dock.change(zone, ("CREATE", simple(f"n{number}.busy.test", "127.0.0.1"))) for number in range(20)]
    questions = [dock.addresses("busy.test") for _ in range(300)]
    answers, _ = await asyncio.gather(asyncio.gather(*questions), asyncio.gather(*changes))
    assert answers == [["127.0.0.1"]] * 300
    listed = await call(dock.route53.list_resource_record_sets, HostedZoneId=zone)
    assert len(listed["ResourceRecordSets"]) == 23


async def test_another_account_sees_no_foreign_zone(dock: Dock) -> None:
    zone = await dock.zone("mine.test")
    other = boto3.client("route53", endpoint_url=dock.cloud.url, region_name=REGIONS[0],
                         aws_access_key_id=ACCOUNTS[1], aws_secret_access_key="dock")  # fmt: skip
    assert await refused(other.list_resource_record_sets, HostedZoneId=zone) == "NoSuchHostedZone"
