from components.load_balancer import Sides
from tests.components.build import build

SIDES = Sides(test_header=("X-Release-Side", "test"))


def listeners(**changes):
    return {
        each.inputs["port"]: each.inputs for each in build("load_balancer", "LoadBalancer", **changes).of("Listener")
    }


def test_with_a_certificate_it_speaks_https_and_port_80_leads_there():
    found = listeners()
    assert found[443]["protocol"] == "HTTPS"
    assert found[443]["sslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2")
    assert found[443]["certificateArn"].endswith("certificate/c")
    assert found[80]["defaultActions"] == [
        {"type": "redirect", "redirect": {"port": "443", "protocol": "HTTPS", "statusCode": "HTTP_301"}}
    ]


def test_without_a_certificate_it_speaks_http_on_its_port_alone():
    found = listeners(certificate_arn=None, port=8080)
    assert list(found) == [8080]
    assert found[8080]["protocol"] == "HTTP"
    assert found[8080]["defaultActions"][0]["type"] == "forward"


def test_malformed_requests_are_dropped():
    balancer = build("load_balancer", "LoadBalancer").one("LoadBalancer", "balancer").inputs
    assert balancer["dropInvalidHeaderFields"] is True
    assert balancer["desyncMitigationMode"] == "defensive"


def test_targets_are_addresses_with_a_health_check_and_time_to_finish():
    group = build("load_balancer", "LoadBalancer", deregistration_delay_seconds=45).one("TargetGroup").inputs
    assert (group["targetType"], group["port"], group["deregistrationDelay"]) == ("ip", 8080, 45)
    assert group["healthCheck"]["path"] == "/api/health"
    assert group["healthCheck"]["timeout"] < group["healthCheck"]["interval"]


def test_two_sides_are_alike_and_both_checked_from_the_beginning():
    run = build("load_balancer", "LoadBalancer", sides=SIDES)
    first, second = (each.inputs for each in run.of("TargetGroup"))
    assert {key for key in first if first[key] != second[key]} == {"name"}
    assert len(second["name"]) <= 32
    for rule in run.of("ListenerRule"):
        weights = [group["weight"] for group in rule.inputs["actions"][0]["forward"]["targetGroups"]]
        assert weights == [100, 0]


def test_an_up_does_not_take_the_traffic_back_from_a_deployment():
    rules = build("load_balancer", "LoadBalancer", sides=SIDES).of("ListenerRule")
    assert [list(rule.ignore_changes) for rule in rules] == [["actions"], ["actions"]]


def test_the_header_decides_before_the_path():
    rules = build("load_balancer", "LoadBalancer", sides=SIDES).of("ListenerRule")
    by_priority = [rule.inputs["conditions"][0] for rule in sorted(rules, key=lambda each: each.inputs["priority"])]
    assert by_priority == [
        {"httpHeader": {"httpHeaderName": "X-Release-Side", "values": ["test"]}},
        {"pathPattern": {"values": ["/*"]}},
    ]
    assert len(build("load_balancer", "LoadBalancer", sides=Sides(test_header=None)).of("ListenerRule")) == 1


def test_what_no_rule_leads_on_reaches_neither_side():
    (action,) = listeners(sides=SIDES)[443]["defaultActions"]
    assert action["type"] == "fixed-response"
