"""The service's name, and where it leads when the primary region doesn't serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from components.dns import ALIAS_TTL, Dns, DnsArgs, Site
from components.recovery_site import RecoverySite, RecoverySiteArgs

if TYPE_CHECKING:
    from stacks.environment import Environment

# What says, besides the endpoint's own check, that nobody serves in the primary region.
ALARMS = ("nobody-serves",)
_PAGE = """\
<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{name} is away</title>
<body style="font-family:sans-serif;max-width:32em;margin:15vh auto;padding:0 1em">
<h1>{name} is away for a moment</h1>
<p>Our main site does not answer, and we are working on it. Your data are safe. Please try again in ten minutes.</p>
"""


def recovery_site(environment: Environment) -> RecoverySite:
    settings, site = environment.settings, environment.settings.dns.recovery_site
    return RecoverySite(
        f"{environment.prefix}-recovery",
        RecoverySiteArgs(
            region=settings.recovery_region,
            cidr=site.cidr,
            availability_zones=site.availability_zones,
            sources=settings.listener.sources,
            port=settings.listener.port,
            certificate_arn=site.certificate_arn,
            page=_PAGE.format(name=environment.platform.name),
            protect=settings.protection.data,
        ),
        environment.opts,
    )


def dns(environment: Environment) -> Dns:
    settings, listener = environment.settings.dns, environment.settings.listener
    balancer, site = environment.load_balancer, environment.recovery_site
    return Dns(
        f"{environment.prefix}-dns",
        DnsArgs(
            region=environment.settings.region,
            zone_name=settings.zone,
            zone_id=settings.zone_id,
            accelerated_recovery=settings.accelerated_recovery,
            record=settings.record,
            primary=Site(dns_name=balancer.dns_name, zone_id=balancer.zone_id),
            recovery=Site(dns_name=site.dns_name, zone_id=site.zone_id),
            health_protocol="HTTP" if listener.certificate_arn is None else "HTTPS",
            health_port=listener.port,
            health_path=environment.platform.service.health_path,
            interval_seconds=settings.interval_seconds,
            failure_threshold=settings.failure_threshold,
            # From the ARN: so the alarm is there before the check that follows it.
            alarms={key: environment.alarms.arns[key].apply(lambda arn: arn.rpartition(":")[2]) for key in ALARMS},
            insufficient_data=settings.insufficient_data,
        ),
        environment.opts,
    )


def document(environment: Environment) -> dict[str, Any]:
    """The manifest's section: where the name leads, and how soon it leads elsewhere."""
    settings, dns = environment.settings.dns, environment.dns
    return {
        "zone": settings.zone,
        "zone_id": dns.zone_id,
        "record": dns.record,
        "health_check": dns.health_check_id,
        "endpoint_check": dns.endpoint_check_id,
        "primary": environment.load_balancer.dns_name,
        "recovery": environment.recovery_site.dns_name,
        "interval_seconds": settings.interval_seconds,
        "failure_threshold": settings.failure_threshold,
        "ttl_seconds": ALIAS_TTL,
        "predicted_recovery_seconds": dns.predicted_recovery_seconds,
    }
