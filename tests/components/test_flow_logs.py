import pytest

from tests.components.build import build
from tests.stacks.recording import policy


@pytest.mark.parametrize("traffic", ["ALL", "REJECT"])
def test_the_network_says_what_it_saw(traffic):
    flow = build("flow_logs", "FlowLogs", traffic=traffic).one("FlowLog").inputs
    assert (flow["vpcId"], flow["trafficType"], flow["logDestinationType"]) == ("vpc-a", traffic, "cloud-watch-logs")


def test_the_log_is_encrypted_and_ends():
    group = build("flow_logs", "FlowLogs").one("LogGroup").inputs
    assert (group["name"], group["retentionInDays"]) == ("/chatvrm/test/flow-logs", 30)
    assert group["kmsKeyId"].startswith("arn:aws:kms:")


def test_only_flow_logs_of_this_account_and_region_are_written():
    (trust,) = policy(build("flow_logs", "FlowLogs").one("iam/role:Role").inputs["assumeRolePolicy"])
    assert trust["Principal"] == {"Service": "vpc-flow-logs.amazonaws.com"}
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {"aws:SourceArn": "arn:aws:ec2:us-east-1:123456789012:vpc-flow-log/*"},
    }
