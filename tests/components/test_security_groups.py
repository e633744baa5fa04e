from tests.components.build import build


def flows(kind: str, **changes):
    """(group, the other side, port) of each rule."""
    return {
        (
            each.inputs["securityGroupId"],
            each.inputs.get("referencedSecurityGroupId") or each.inputs["cidrIpv4"],
            each.inputs["fromPort"],
        )
        for each in build("security_groups", "SecurityGroups", **changes).of(kind)
    }


def test_who_may_come_in():
    assert flows("SecurityGroupIngressRule") == {
        ("thing-load-balancer-id", "0.0.0.0/0", 443),
        ("thing-load-balancer-id", "0.0.0.0/0", 80),
        ("thing-service-id", "thing-load-balancer-id", 8080),
        ("thing-database-id", "thing-service-id", 5432),
        ("thing-cache-id", "thing-service-id", 6379),
    }


def test_who_may_call_out():
    assert flows("SecurityGroupEgressRule") == {
        ("thing-load-balancer-id", "thing-service-id", 8080),
        ("thing-service-id", "thing-database-id", 5432),
        ("thing-service-id", "thing-cache-id", 6379),
        ("thing-service-id", "0.0.0.0/0", 443),
    }


def test_each_source_has_a_rule_for_each_port():
    sources = {"192.0.2.0/24", "198.51.100.0/24"}
    rules = flows("SecurityGroupIngressRule", sources=sorted(sources), listener_ports=[8080])
    assert {rule for rule in rules if rule[0] == "thing-load-balancer-id"} == {
        ("thing-load-balancer-id", source, 8080) for source in sources
    }


def test_a_rule_opens_one_port_only():
    run = build("security_groups", "SecurityGroups")
    for each in run.of("SecurityGroupIngressRule") + run.of("SecurityGroupEgressRule"):
        assert each.inputs["fromPort"] == each.inputs["toPort"]
        assert each.inputs["ipProtocol"] == "tcp"
        assert each.inputs["description"]
