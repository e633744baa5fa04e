import ipaddress

import pytest

from tests.components.build import build

ZONES = ["us-east-1a", "us-east-1b", "us-east-1c"]


def network(**changes):
    return build("network", "Network", **changes)


@pytest.mark.parametrize("cidr", ["10.30.0.0/16", "10.30.0.0/20", "10.30.4.0/24"])
def test_subnets_lie_in_the_vpc_and_do_not_overlap(cidr):
    zones = [f"us-east-1{letter}" for letter in "abcdef"]
    blocks = [
        ipaddress.ip_network(each.inputs["cidrBlock"])
        for each in network(cidr=cidr, availability_zones=zones).of("Subnet")
    ]
    assert len(blocks) == 12
    assert all(block.subnet_of(ipaddress.ip_network(cidr)) for block in blocks)
    assert not any(a.overlaps(b) for i, a in enumerate(blocks) for b in blocks[:i])


def test_adding_a_zone_moves_no_subnet():
    before = {each.name: each.inputs for each in network(availability_zones=ZONES[:2]).of("Subnet")}
    after = {each.name: each.inputs for each in network(availability_zones=ZONES).of("Subnet")}
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize(("gateways", "count"), [("none", 0), ("one", 1), ("one_per_zone", 3)])
def test_there_are_as_many_nat_gateways_as_asked_for(gateways, count):
    run = network(nat_gateways=gateways)
    assert len(run.of("NatGateway")) == len(run.of("Eip")) == count


def test_each_zone_leaves_by_its_own_nat_gateway():
    run = network(nat_gateways="one_per_zone")
    by_zone = {each.name: each.inputs["natGatewayId"] for each in run.of("Route") if "natGatewayId" in each.inputs}
    assert by_zone == {f"thing-private-{letter}-nat": f"thing-nat-{letter}-id" for letter in "abc"}


def test_all_zones_share_a_single_nat_gateway():
    run = network(nat_gateways="one")
    shared = {each.inputs["natGatewayId"] for each in run.of("Route") if "natGatewayId" in each.inputs}
    assert shared == {"thing-nat-a-id"}


def test_private_subnets_have_no_way_in_from_the_internet():
    run = network()
    tables = {each.inputs["routeTableId"] for each in run.of("Route") if "gatewayId" in each.inputs}
    private = {
        each.inputs["routeTableId"] for each in run.of("RouteTableAssociation") if "private" in each.inputs["subnetId"]
    }
    assert tables == {"thing-public-id"}
    assert private.isdisjoint(tables)
    assert [each.name for each in run.of("Subnet") if each.inputs["mapPublicIpOnLaunch"]] == []


def test_every_subnet_has_its_route_table():
    run = network()
    assert {each.inputs["subnetId"] for each in run.of("RouteTableAssociation")} == {
        f"{each.name}-id" for each in run.of("Subnet")
    }


def test_private_subnets_reach_s3_without_a_nat_gateway():
    endpoint = network(nat_gateways="none").one("VpcEndpoint").inputs
    assert endpoint["serviceName"] == "com.amazonaws.us-east-1.s3"
    assert endpoint["routeTableIds"] == [f"thing-private-{letter}-id" for letter in "abc"]
