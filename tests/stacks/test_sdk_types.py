import pytest

from tests.stacks.sdk_types import complaints

GROUP = "aws:lb/targetGroup:TargetGroup"


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        ({"prot": 80}, f"{GROUP}: there is no prot"),
        ({"healthCheck": {"patth": "/"}}, f"{GROUP}.healthCheck: there is no patth"),
        ({"port": "80"}, f"{GROUP}.port: '80' is not int"),
        ({"healthCheck": {"interval": True}}, f"{GROUP}.healthCheck.interval: True is not int"),
        ({"tags": {"a": 1}}, f"{GROUP}.tags.a: 1 is not str"),
    ],
)
def test_inputs_that_the_sdk_does_not_know_are_found(inputs, complaint):
    assert complaints(GROUP, inputs) == [complaint]


def test_a_missing_input_is_found():
    assert complaints("aws:ec2/subnet:Subnet", {"cidrBlock": "10.0.0.0/24"}) == [
        "aws:ec2/subnet:Subnet: vpcId is missing"
    ]


def test_right_inputs_pass():
    assert complaints(GROUP, {"port": 80, "healthCheck": {"path": "/", "interval": 5}, "tags": {"a": "b"}}) == []
