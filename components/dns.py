"""The service's name, which leads to the recovery region when the primary one doesn't serve.

Failing over is the data plane's work: health checks change the answer, nobody edits a record. Route 53's control plane
is in one region, and that may be the one that is lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

# Seconds that answers from an alias to a load balancer may be kept. Route 53 sets it, nobody else can.
ALIAS_TTL = 60
# Where health checks have no data (an alarm, after all metrics went missing), the endpoint's own check decides.
InsufficientData = Literal["Healthy", "Unhealthy", "LastKnownStatus"]


@dataclass(frozen=True, kw_only=True)
class Site:
    """A load balancer: its DNS name, and the zone of Route 53's own that it is in."""

    dns_name: pulumi.Input[str]
    zone_id: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class DnsArgs:
    """`zone_id` is an existing public zone's; without it a zone `zone_name` is made, with accelerated recovery (its
    records can then be changed within about an hour of the loss of us-east-1) if `accelerated_recovery`.

    The primary's health is asked at `health_port` and `health_path` every `interval_seconds` (10 or 30);
    `failure_threshold` failures in a row are one too many. `alarms` are names of CloudWatch alarms of `region` that
    count as well, each on one metric by a standard statistic: Route 53 follows no others. `insufficient_data` is what
    an alarm without data says.
    """

    region: pulumi.Input[str]
    zone_name: str
    zone_id: pulumi.Input[str] | None
    accelerated_recovery: bool
    record: str
    primary: Site
    recovery: Site
    health_protocol: Literal["HTTP", "HTTPS"]
    health_port: int
    health_path: str
    interval_seconds: int
    failure_threshold: int
    alarms: Mapping[str, pulumi.Input[str]]
    insufficient_data: InsufficientData


class Dns(pulumi.ComponentResource):
    """`predicted_recovery_seconds`: from the first failed check until the last client has asked again."""

    zone_id: pulumi.Output[str]
    name_servers: pulumi.Output[Sequence[str]]
    record: str
    health_check_id: pulumi.Output[str]
    endpoint_check_id: pulumi.Output[str]
    predicted_recovery_seconds: int

    def __init__(self, name: str, args: DnsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:Dns", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        if args.zone_id is None:
            zone = aws.route53.Zone(
                f"{name}-zone",
                name=args.zone_name,
                comment=f"Names of {name}",
                enable_accelerated_recovery=args.accelerated_recovery,
                opts=child,
            )
            zone_id: pulumi.Input[str] = zone.id
            name_servers: pulumi.Input[Sequence[str]] = zone.name_servers
        else:
            # Its name servers are its owner's business.
            zone_id, name_servers = args.zone_id, []

        # Beside the alias's own look at the targets, which doesn't see an application that answers with errors.
        endpoint = aws.route53.HealthCheck(
            f"{name}-endpoint",
            type=args.health_protocol,
            fqdn=args.primary.dns_name,
            port=args.health_port,
            resource_path=args.health_path,
            request_interval=args.interval_seconds,
            failure_threshold=args.failure_threshold,
            tags={"Name": f"{name}-endpoint"},
            opts=child,
        )
        followed = [
            aws.route53.HealthCheck(
                f"{name}-{key}",
                type="CLOUDWATCH_METRIC",
                cloudwatch_alarm_name=alarm,
                cloudwatch_alarm_region=args.region,
                insufficient_data_health_status=args.insufficient_data,
                tags={"Name": f"{name}-{key}"},
                opts=child,
            )
            for key, alarm in args.alarms.items()
        ]
        checks = [endpoint, *followed]
        primary = aws.route53.HealthCheck(
            f"{name}-primary",
            type="CALCULATED",
            child_healthchecks=[check.id for check in checks],
            child_health_threshold=len(checks),
            tags={"Name": f"{name}-primary"},
            opts=child,
        )
        aws.route53.Record(
            f"{name}-primary",
            zone_id=zone_id,
            name=args.record,
            type="A",
            set_identifier="primary",
            failover_routing_policies=[aws.route53.RecordFailoverRoutingPolicyArgs(type="PRIMARY")],
            health_check_id=primary.id,
            aliases=[
                aws.route53.RecordAliasArgs(
                    name=args.primary.dns_name, zone_id=args.primary.zone_id, evaluate_target_health=True
                )
            ],
            opts=child,
        )
        aws.route53.Record(
            f"{name}-secondary",
            zone_id=zone_id,
            name=args.record,
            type="A",
            set_identifier="secondary",
            failover_routing_policies=[aws.route53.RecordFailoverRoutingPolicyArgs(type="SECONDARY")],
            aliases=[
                aws.route53.RecordAliasArgs(
                    name=args.recovery.dns_name,
                    zone_id=args.recovery.zone_id,
                    # It answers itself and has no targets to look at.
                    evaluate_target_health=False,
                )
            ],
            opts=child,
        )
        self.zone_id = pulumi.Output.from_input(zone_id)
        self.name_servers = pulumi.Output.from_input(name_servers)
        self.record = args.record
        self.health_check_id = primary.id
        self.endpoint_check_id = endpoint.id
        self.predicted_recovery_seconds = args.interval_seconds * args.failure_threshold + ALIAS_TTL
        self.register_outputs(
            {
                "zone_id": self.zone_id,
                "name_servers": self.name_servers,
                "record": self.record,
                "health_check_id": self.health_check_id,
                "endpoint_check_id": self.endpoint_check_id,
                "predicted_recovery_seconds": self.predicted_recovery_seconds,
            }
        )
