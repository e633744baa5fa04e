"""The server's side of AWS's protocols, held against botocore's client side."""

from __future__ import annotations

import datetime as dt
from typing import Any

import botocore.parsers
import botocore.serialize
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dock.aws import wire
from dock.aws.service import AwsError


def sent(service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """What the server understands of a request that botocore wrote."""
    model = wire.service_model(service)
    serializer = botocore.serialize.create_serializer(model.metadata["protocol"])
    request = serializer.serialize_to_request(parameters, model.operation_model(operation))
    body = request["body"]
    if isinstance(body, dict):
        from urllib.parse import urlencode

        body = urlencode(body)
    _, understood = wire.parse(model, request["headers"], body.encode() if isinstance(body, str) else body)
    return understood


def received(service: str, operation: str, response: dict[str, Any]) -> dict[str, Any]:
    """What botocore understands of an answer that the server wrote."""
    model = wire.service_model(service).operation_model(operation)
    content_type, body = wire.render(model, response, "request-1")
    parser = botocore.parsers.create_parser(model.service_model.metadata["protocol"])
    understood = parser.parse(
        {"status_code": 200, "headers": {"content-type": content_type}, "body": body}, model.output_shape
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
        wire.parse(wire.service_model("rds"), {}, body)
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
        wire.parse(wire.service_model("ecs"), headers, body)
    assert complaint in caught.value.message


def test_an_error_carries_the_code_that_sdks_expect() -> None:
    status, _, body = wire.render_error(
        wire.service_model("rds"), AwsError("DBInstanceNotFoundFault", "no such instance"), "request-1"
    )
    assert status == 404
    assert b"<Code>DBInstanceNotFound</Code>" in body
