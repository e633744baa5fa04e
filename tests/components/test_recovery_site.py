import pytest

from tests.components.build import build


def test_everything_of_it_is_in_the_recovery_region():
    run = build("recovery_site", "RecoverySite")
    assert {each.inputs.get("region") for each in run.custom()} == {"us-west-2"}


def test_it_answers_with_a_503_without_any_target():
    run = build("recovery_site", "RecoverySite")
    assert run.of("TargetGroup") == []
    (action,) = run.one("Listener", "https").inputs["defaultActions"]
    assert action == {
        "type": "fixed-response",
        "fixedResponse": {"contentType": "text/html", "statusCode": "503", "messageBody": "<p>We are back soon.</p>"},
    }


def test_it_has_public_subnets_alone_and_pays_for_no_nat_gateway():
    run = build("recovery_site", "RecoverySite")
    assert run.of("NatGateway") == run.of("Eip") == []
    subnets = run.of("Subnet")
    assert [each.inputs["availabilityZone"] for each in subnets] == ["us-west-2a", "us-west-2b"]
    routed = {each.inputs["subnetId"] for each in run.of("RouteTableAssociation")}
    assert len(routed) == len(subnets)
    assert run.one("Route").inputs["gatewayId"] == "thing-internet-id"


def test_without_a_certificate_it_speaks_http_on_its_port_alone():
    run = build("recovery_site", "RecoverySite", certificate_arn=None, port=8080, sources=["127.0.0.0/8"])
    listener = run.one("Listener").inputs
    assert (listener["port"], listener["protocol"]) == (8080, "HTTP")
    assert [(each.inputs["fromPort"], each.inputs["cidrIpv4"]) for each in run.of("SecurityGroupIngressRule")] == [
        (8080, "127.0.0.0/8")
    ]


def test_a_page_that_is_too_long_for_a_load_balancer_is_refused():
    with pytest.raises(ValueError, match="1024"):
        build("recovery_site", "RecoverySite", page="x" * 1025)
