from tests.components.build import build


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
