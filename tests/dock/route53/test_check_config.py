"""Health checks that can't be, and the reasons."""

from __future__ import annotations

from typing import Any

import pytest

from dock.aws.route53.check_config import complete
from dock.aws.service import AwsError

HTTP = {"Type": "HTTP", "IPAddress": "127.0.0.1"}


def test_what_is_not_said_is_as_aws_has_it():
    assert complete(HTTP) == {**HTTP, "Port": 80, "RequestInterval": 30, "FailureThreshold": 3, "MeasureLatency": False,
                              "EnableSNI": False, "Inverted": False, "Disabled": False}  # fmt: skip
    https = complete({"Type": "HTTPS", "FullyQualifiedDomainName": "a.test"})
    assert (https["Port"], https["EnableSNI"]) == (443, True)
    alarm = {"Type": "CLOUDWATCH_METRIC", "AlarmIdentifier": {"Region": "us-east-1", "Name": "a"}}
    assert complete(alarm)["InsufficientDataHealthStatus"] == "LastKnownStatus"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"Type": "RECOVERY_CONTROL", "RoutingControlArn": "arn:aws:x"}, "no routing controls"),
        ({"Type": "HTTP"}, "IPAddress or FullyQualifiedDomainName must be specified"),
        ({**HTTP, "IPAddress": "8.8.8.8"}, "reach IPv4 loopback addresses only"),
        ({**HTTP, "IPAddress": "::1"}, "reach IPv4 loopback addresses only"),
        ({**HTTP, "IPAddress": "nonsense"}, "is not an address"),
        ({**HTTP, "Port": 0}, "not from 1 to 65535"),
        ({**HTTP, "RequestInterval": 5}, "must be 10 or 30"),
        ({**HTTP, "FailureThreshold": 11}, "not from 1 to 10"),
        ({**HTTP, "SearchString": "ok"}, "for no other"),
        ({**HTTP, "Type": "HTTP_STR_MATCH"}, "SearchString must be specified"),
        ({**HTTP, "Regions": ["us-east-1", "us-west-1"]}, "at least three regions"),
        ({**HTTP, "Regions": ["us-east-1", "us-west-1", "mars-1"]}, "no health checkers in mars-1"),
        ({**HTTP, "HealthThreshold": 1}, "HealthThreshold can't be specified for a health check of type HTTP"),
        ({"Type": "TCP", "IPAddress": "127.0.0.1"}, "Port must be specified"),
        ({"Type": "TCP", "IPAddress": "127.0.0.1", "Port": 1, "ResourcePath": "/x"}, "type TCP"),
        ({"Type": "CALCULATED", "ChildHealthChecks": ["a"]}, "HealthThreshold from 0 to 256"),
        ({"Type": "CALCULATED", "HealthThreshold": 1}, "ChildHealthChecks must name"),
        ({"Type": "CALCULATED", "HealthThreshold": 1, "ChildHealthChecks": ["a", "a"]}, "each once"),
        ({"Type": "CLOUDWATCH_METRIC"}, "AlarmIdentifier must be specified"),
    ],
)
def test_what_can_not_be_is_refused_with_the_reason(given: dict[str, Any], reason: str):
    with pytest.raises(AwsError) as error:
        complete(given)
    assert error.value.code == "InvalidInput"
    assert reason in error.value.message
