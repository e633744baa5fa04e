"""Subnet groups stand on subnets that exist, and say where an instance may be."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from dock.cloud import REGIONS
from tests.dock.rds.rig import Dock, create, until

pytestmark = pytest.mark.dock


@pytest.fixture(scope="module")
def network(dock: Dock) -> dict[str, Any]:
    """A VPC with subnets in zones b and c, and a security group."""
    ec2 = dock.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"{REGIONS[0]}{zone}")["Subnet"][
            "SubnetId"
        ]
        for n, zone in enumerate("bc")
    ]
    group = ec2.create_security_group(GroupName="database", Description="x", VpcId=vpc)["GroupId"]
    return {"vpc": vpc, "subnets": subnets, "group": group}


def test_a_group_is_made_of_subnets_in_two_zones(dock: Dock, network: dict[str, Any]) -> None:
    rds = dock.client()
    made = rds.create_db_subnet_group(
        DBSubnetGroupName="Deck",
        DBSubnetGroupDescription="below",
        SubnetIds=network["subnets"],
        Tags=[{"Key": "team", "Value": "deck"}],
    )["DBSubnetGroup"]
    assert (made["DBSubnetGroupName"], made["VpcId"], made["SubnetGroupStatus"]) == ("deck", network["vpc"], "Complete")
    assert {subnet["SubnetAvailabilityZone"]["Name"][-1] for subnet in made["Subnets"]} == {"b", "c"}
    assert rds.list_tags_for_resource(ResourceName=made["DBSubnetGroupArn"])["TagList"]
    with pytest.raises(ClientError) as caught:
        rds.create_db_subnet_group(DBSubnetGroupName="deck", DBSubnetGroupDescription="x", SubnetIds=network["subnets"])
    assert caught.value.response["Error"]["Code"] == "DBSubnetGroupAlreadyExists"


@pytest.mark.parametrize(("which", "code"), [("one", "DBSubnetGroupDoesNotCoverEnoughAZs"), ("none", "InvalidSubnet")])
def test_too_few_or_unknown_subnets_are_refused(dock: Dock, network: dict[str, Any], which: str, code: str) -> None:
    subnets = network["subnets"][:1] if which == "one" else ["subnet-0123456789abcdef0"]
    with pytest.raises(ClientError) as caught:
        dock.client().create_db_subnet_group(DBSubnetGroupName="bad", DBSubnetGroupDescription="x", SubnetIds=subnets)
    assert caught.value.response["Error"]["Code"] == code


def test_an_instance_is_in_the_zones_of_its_group(dock: Dock, network: dict[str, Any]) -> None:
    made = create(dock, "below", DBSubnetGroupName="deck", VpcSecurityGroupIds=[network["group"]], MultiAZ=True)
    described = made.wait()
    assert {described["AvailabilityZone"][-1], described["SecondaryAvailabilityZone"][-1]} == {"b", "c"}
    assert described["DBSubnetGroup"]["DBSubnetGroupName"] == "deck"
    assert described["VpcSecurityGroups"] == [{"VpcSecurityGroupId": network["group"], "Status": "active"}]
    with pytest.raises(ClientError, match="still using it"):
        made.rds.delete_db_subnet_group(DBSubnetGroupName="deck")
    made.rds.delete_db_instance(DBInstanceIdentifier="below", SkipFinalSnapshot=True)
    until(lambda: not made.rds.describe_db_instances()["DBInstances"], 30, "deleted")
    made.rds.delete_db_subnet_group(DBSubnetGroupName="deck")
    assert made.rds.describe_db_subnet_groups()["DBSubnetGroups"] == []
