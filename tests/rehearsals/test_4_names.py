"""The service's name, when nobody serves in the primary region: before, during, and after."""

from __future__ import annotations

import time

import httpx
import pytest
from dnslib import DNSRecord

from tests.rehearsals.environment import Environment, until

pytestmark = [pytest.mark.dock, pytest.mark.engine, pytest.mark.timeout(900)]


def answer(environment: Environment) -> str:
    """What a client learns that asks the dock's DNS server."""
    address, _, port = environment.variables["DRYDOCK_DNS"].rpartition(":")
    found = DNSRecord.parse(DNSRecord.question(environment.manifest.dns.record).send(address, int(port), timeout=3))
    return str(found.rr[0].rdata) if found.rr else ""


def scale(environment: Environment, count: int) -> None:
    service = environment.manifest.services["web"]
    environment.client("ecs").update_service(cluster=service.cluster, service=service.service, desiredCount=count)


def test_the_name_leads_to_the_recovery_site_while_nobody_serves_and_back_afterwards(environment: Environment) -> None:
    dns, count = environment.manifest.dns, environment.manifest.services["web"].desired_count
    port = environment.manifest.services["web"].url.rpartition(":")[2]
    until(lambda: answer(environment) == dns.primary, 120, "the name leads to the application")
    assert httpx.get(f"http://{dns.primary}:{port}/api/health").status_code == 200
    bound = dns.interval_seconds * dns.failure_threshold + 1
    assert dns.predicted_recovery_seconds == bound - 1 + dns.ttl_seconds
    scale(environment, 0)
    try:
        until(lambda: httpx.get(f"http://{dns.primary}:{port}/api/health").status_code >= 500, 60, "nobody serves")
        began = time.monotonic()
        until(lambda: answer(environment) == dns.recovery, bound, "the name leads to the recovery site")
        assert time.monotonic() - began <= bound
        page = httpx.get(f"http://{answer(environment)}:{port}/")
        assert page.status_code == 503
        assert "working on it" in page.text
    finally:
        scale(environment, count)
    until(lambda: answer(environment) == dns.primary, 180, "the name leads back")
    assert httpx.get(f"http://{answer(environment)}:{port}/api/health").status_code == 200
