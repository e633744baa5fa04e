"""The server's side of AWS's protocols, held against botocore's client side."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import botocore.parsers
import botocore.serialize
import pytest
from botocore.awsrequest import HeadersDict
from hypothesis import given
from hypothesis import strategies as st

from dock.aws import answers, errors, models, wire
from dock.aws.request import Identified, Protocol, identify
from dock.aws.service import AwsError

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def sent(service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """What the server understands of a request that botocore wrote."""
    model = models.service_model(service)
    serializer = botocore.serialize.create_serializer(model.metadata["protocol"])
    request = serializer.serialize_to_request(parameters, model.operation_model(operation))
    body = request["body"]
    if isinstance(body, dict):
        body = urlencode(body)
    _, understood = wire.parse(asked(service, request, body.encode() if isinstance(body, str) else body))
    return understood


def asked(service: str, request: dict[str, Any], body: bytes) -> Identified:
    """What the front door makes of a request with a signature for the service."""
    signing = models.service_model(service).signing_name
    credential = f"AWS4-HMAC-SHA256 Credential=000000000001/20261101/us-east-1/{signing}/aws4_request, x"
    query = urlencode(request.get("query_string") or {})
    target = request.get("url_path", "/") + (f"?{query}" if query else "")
    return identify(request["method"], target, {**request["headers"], "Authorization": credential}, body)


def received(service: str, operation: str, response: dict[str, Any]) -> dict[str, Any]:
    """What botocore understands of an answer that the server wrote."""
    model = models.service_model(service).operation_model(operation)
    identified = identify("POST", "/", {}, b"")
    identified = replace(identified, service=service, protocol=Protocol(model.service_model.metadata["protocol"]))
    status, headers, body = answers.render(identified, model, response, "request-1")
    parser: Any = botocore.parsers.create_parser(model.service_model.metadata["protocol"])
    lowered = HeadersDict(headers)
    understood: dict[str, Any] = parser.parse(
        {"status_code": status, "headers": lowered, "body": body}, model.output_shape
    )
    understood.pop("ResponseMetadata")
    return understood


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        (
            "rds",
            "CreateDBInstance",
            {
                "DBInstanceIdentifier": "chat",
                "DBInstanceClass": "db.t4g.micro",
                "Engine": "postgres",
                "AllocatedStorage": 20,
                "MultiAZ": True,
                "VpcSecurityGroupIds": ["sg-1", "sg-2"],
                "Tags": [{"Key": "a", "Value": "b=c&d"}, {"Key": "empty", "Value": ""}],
            },
        ),
        (
            "rds",
            "DescribeDBInstances",
            {"Filters": [{"Name": "dbi-resource-id", "Values": ["db-A", "db-B"]}], "MaxRecords": 50},
        ),
        (
            "elbv2",
            "CreateListener",
            {
                "LoadBalancerArn": "arn:x",
                "Port": 80,
                "Protocol": "HTTP",
                "DefaultActions": [
                    {
                        "Type": "forward",
                        "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": "arn:t", "Weight": 90}]},
                    }
                ],
            },
        ),
        ("elasticache", "DescribeReplicationGroups", {"ReplicationGroupId": "chat"}),
        (
            "ecs",
            "RegisterTaskDefinition",
            {
                "family": "web",
                "containerDefinitions": [{"name": "web", "image": "i", "environment": [{"name": "A", "value": "b"}]}],
            },
        ),
        (
            "ecr",
            "UploadLayerPart",
            {
                "repositoryName": "web",
                "uploadId": "u",
                "partFirstByte": 0,
                "partLastByte": 3,
                "layerPartBlob": b"\x00abc",
            },
        ),
        (
            "cloudwatch",
            "PutMetricData",
            {
                "Namespace": "n",
                "MetricData": [
                    {"MetricName": "m", "Timestamp": dt.datetime(2026, 11, 21, 8, tzinfo=dt.UTC), "Values": [1.5, 2]}
                ],
            },
        ),
        (
            "route53",
            "ChangeResourceRecordSets",
            {
                "HostedZoneId": "Z1",
                "ChangeBatch": {
                    "Changes": [
                        {
                            "Action": "UPSERT",
                            "ResourceRecordSet": {
                                "Name": "a.test",
                                "Type": "A",
                                "TTL": 60,
                                "ResourceRecords": [{"Value": "127.0.0.1"}, {"Value": "127.0.0.2"}],
                            },
                        }
                    ]
                },
            },
        ),
        ("backup", "CreateBackupVault", {"BackupVaultName": "v", "BackupVaultTags": {"a": "b"}}),
    ],
)
def test_a_request_arrives_as_it_was_sent(service: str, operation: str, parameters: dict[str, Any]) -> None:
    assert sent(service, operation, parameters) == parameters


@pytest.mark.parametrize(
    ("service", "operation", "response"),
    [
        (
            "rds",
            "DescribeDBInstances",
            {
                "DBInstances": [
                    {
                        "DBInstanceIdentifier": "chat",
                        "Endpoint": {"Address": "127.65.2.1", "Port": 5432},
                        "MultiAZ": False,
                        "InstanceCreateTime": dt.datetime(2026, 11, 21, 8, 0, 0, 123000, tzinfo=dt.UTC),
                        "TagList": [{"Key": "a", "Value": "<&>"}],
                    }
                ]
            },
        ),
        (
            "elbv2",
            "DescribeTargetHealth",
            {
                "TargetHealthDescriptions": [
                    {"Target": {"Id": "127.0.0.1", "Port": 80}, "TargetHealth": {"State": "healthy"}}
                ]
            },
        ),
        (
            "ecs",
            "DescribeServices",
            {
                "services": [{"serviceName": "web", "createdAt": dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "events": []}],
                "failures": [],
            },
        ),
        ("ecr", "BatchGetImage", {"images": [{"imageManifest": "{}"}], "failures": []}),
        ("cloudwatch", "GetMetricStatistics", {"Label": "m", "Datapoints": [{"Sum": 3.0, "Unit": "Count"}]}),
        (
            "route53",
            "CreateHostedZone",
            {
                "HostedZone": {"Id": "/hostedzone/Z1", "Name": "a.test.", "CallerReference": "r"},
                "DelegationSet": {"NameServers": ["ns-1.test", "ns-2.test"]},
                "Location": "https://route53.amazonaws.com/2013-04-01/hostedzone/Z1",
            },
        ),
        ("backup", "ListBackupVaults", {"BackupVaultList": [{"BackupVaultName": "v", "NumberOfRecoveryPoints": 2}]}),
    ],
)
def test_an_answer_arrives_as_it_was_given(service: str, operation: str, response: dict[str, Any]) -> None:
    understood = received(service, operation, response)
    if service == "ecs":
        # botocore gives local time zones; the moment is what counts.
        moment = understood["services"][0]["createdAt"]
        understood["services"][0]["createdAt"] = moment.astimezone(dt.UTC)
    assert understood == response


@given(st.dictionaries(st.text("abcXYZ-", min_size=1), st.text(max_size=20), min_size=1, max_size=4))
def test_any_text_in_tags_survives_the_query_protocol(tags: dict[str, str]) -> None:
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    assert sent("rds", "AddTagsToResource", {"ResourceName": "arn", "Tags": pairs})["Tags"] == pairs


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"Action=DescribeDBInstances&DBInstanceIdentifer=x", "unknown parameter DBInstanceIdentifer"),
        (
            b"Action=CreateDBInstance&DBInstanceIdentifier=x",
            'Missing required parameter in input: "DBInstanceClass"',
        ),
        (b"Action=DescribeDBInstances&MaxRecords=many", "MaxRecords is 'many', expected integer"),
        (b"Action=CreateDBCloud", "no operation 'CreateDBCloud'"),
    ],
)
def test_a_wrong_query_names_what_is_wrong(body: bytes, complaint: str) -> None:
    with pytest.raises(AwsError) as caught:
        wire.parse(asked("rds", {"method": "POST", "headers": FORM}, body))
    assert complaint in caught.value.message


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b'{"cluster": "a", "servics": []}', "no member 'servics'"),
        (b'{"cluster": 3, "services": []}', "Invalid type for parameter cluster"),
        (b'{"services": ["a"], "include": ["TAG"]}', "include[0] is 'TAG', expected one of TAGS"),
        (b"[]", "not a JSON object"),
        (b"{", "not JSON"),
    ],
)
def test_a_wrong_json_request_names_what_is_wrong(body: bytes, complaint: str) -> None:
    headers = {"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.DescribeServices"}
    with pytest.raises(AwsError) as caught:
        wire.parse(asked("ecs", {"method": "POST", "headers": headers}, body))
    assert complaint in caught.value.message


def test_an_error_carries_the_code_that_sdks_expect() -> None:
    identified = asked("rds", {"method": "POST", "headers": FORM}, b"Action=DescribeDBInstances")
    status, _, body = errors.render(identified, AwsError("DBInstanceNotFoundFault", "no such instance"), "request-1")
    assert status == 404
    assert b"<Code>DBInstanceNotFound</Code>" in body


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("ecs", "DescribeServices", {"services": ["s"]}),
        ("rds", "DescribeDBInstances", {}),
        ("ec2", "DescribeSubnets", {}),
        ("backup", "ListBackupVaults", {}),
        ("route53", "ListHostedZones", {}),
        ("s3", "ListBuckets", {}),
        ("cloudwatch", "ListMetrics", {}),
    ],
)
def test_an_error_is_understood_in_every_protocol(service: str, operation: str, parameters: dict[str, Any]) -> None:
    model = models.service_model(service)
    protocol = model.metadata["protocol"]
    request = botocore.serialize.create_serializer(protocol).serialize_to_request(
        parameters, model.operation_model(operation)
    )
    body = urlencode(request["body"]).encode() if isinstance(request["body"], dict) else request["body"] or b""
    found = asked(service, request, body.encode() if isinstance(body, str) else body)
    status, headers, answer = errors.render(found, errors.throttled(found), "request-1")
    parser: Any = botocore.parsers.create_parser(protocol)
    parsed = parser.parse(
        {"status_code": status, "headers": HeadersDict(headers), "body": answer},
        model.operation_model(operation).output_shape,
    )
    expected = {"ec2": "RequestLimitExceeded", "s3": "SlowDown", "rds": "Throttling", "route53": "Throttling"}
    assert parsed["Error"] == {"Code": expected.get(service, "ThrottlingException"), "Message": "Rate exceeded"} | (
        {"Type": "Sender"} if service in ("rds", "route53") else {}
    )
