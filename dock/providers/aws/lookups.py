"""The functions of the provider (`aws.…get_…`) that look up what is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dock.providers.aws.cloud import Cloud
from dock.providers.cloud import CallError
from dock.providers.errors import Failure, ProviderError
from dock.providers.expressions import evaluate, fill


@dataclass(frozen=True)
class Lookup:
    """One call, where its answer has the thing, and what of it is told. `takes` are the arguments that it acts on."""

    service: str
    call: str
    parameters: Mapping[str, Any]
    at: str
    values: Mapping[str, str]
    takes: frozenset[str]
    noun: str
    gone: frozenset[str] = field(default_factory=frozenset)


LOOKUPS = {
    "aws:ec2/getVpc:getVpc": Lookup(
        "ec2",
        "DescribeVpcs",
        {"VpcIds": ["$id"]},
        "Vpcs[0]",
        {"id": "VpcId", "cidrBlock": "CidrBlock", "state": "State", "default": "IsDefault", "ownerId": "OwnerId"},
        frozenset({"id"}),
        "VPC",
        frozenset({"InvalidVpcID.NotFound"}),
    ),
    "aws:ec2/getSubnet:getSubnet": Lookup(
        "ec2",
        "DescribeSubnets",
        {"SubnetIds": ["$id"]},
        "Subnets[0]",
        {
            "id": "SubnetId",
            "vpcId": "VpcId",
            "cidrBlock": "CidrBlock",
            "availabilityZone": "AvailabilityZone",
            "state": "State",
            "mapPublicIpOnLaunch": "MapPublicIpOnLaunch",
        },
        frozenset({"id"}),
        "subnet",
        frozenset({"InvalidSubnetID.NotFound"}),
    ),
    "aws:ecs/getCluster:getCluster": Lookup(
        "ecs",
        "DescribeClusters",
        {"clusters": ["$clusterName"]},
        "clusters[?status != 'INACTIVE'] | [0]",
        {"id": "clusterArn", "arn": "clusterArn", "clusterName": "clusterName", "status": "status"},
        frozenset({"clusterName"}),
        "cluster",
        frozenset({"ClusterNotFoundException"}),
    ),
    "aws:rds/getInstance:getInstance": Lookup(
        "rds",
        "DescribeDBInstances",
        {"DBInstanceIdentifier": "$dbInstanceIdentifier"},
        "DBInstances[0]",
        {
            "id": "DBInstanceIdentifier",
            "dbInstanceIdentifier": "DBInstanceIdentifier",
            "dbInstanceArn": "DBInstanceArn",
            "address": "Endpoint.Address",
            "port": "Endpoint.Port",
            "engine": "Engine",
            "engineVersion": "EngineVersion",
            "dbName": "DBName",
            "multiAz": "MultiAZ",
            "resourceId": "DbiResourceId",
        },
        frozenset({"dbInstanceIdentifier"}),
        "database",
        frozenset({"DBInstanceNotFound", "DBInstanceNotFoundFault"}),
    ),
}


def look_up(token: str, arguments: dict[str, Any], cloud: Cloud) -> tuple[dict[str, Any], list[Failure]]:
    """Raises ProviderError when there is no such thing."""
    known = LOOKUPS[token]
    region = str(arguments.pop("region", None) or cloud.configuration.region)
    if beyond := sorted(arguments.keys() - known.takes):
        return {}, [Failure(beyond[0], f"the dock finds a {known.noun} by {', '.join(sorted(known.takes))} alone")]
    if missing := sorted(known.takes - arguments.keys()):
        return {}, [Failure(missing[0], "is missing")]
    try:
        answer = cloud.call(known.service, region, known.call, fill(known.parameters, arguments))
    except CallError as error:
        if error.code not in known.gone:
            raise
        answer = {}
    found = evaluate(known.at, answer)
    if not found:
        asked = ", ".join(str(arguments[name]) for name in sorted(known.takes))
        raise ProviderError(f"no {known.noun} {asked} in account {cloud.account} and region {region}")
    values = {name: evaluate(expression, found) for name, expression in known.values.items()}
    return {**values, "region": region}, []
