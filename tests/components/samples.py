"""Arguments for each component, as an environment would give them. Every component needs an entry."""

from __future__ import annotations

import dataclasses
from typing import Any

import pulumi

from components.alarms import Alarm, Composite, Metric
from components.dashboard import Graph
from components.dns import Site
from components.edge import RateLimit

KEY = "arn:aws:kms:us-east-1:123456789012:key/k"
TOPIC = "arn:aws:sns:us-east-1:123456789012:pages"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:s"
BOUNDARY = "arn:aws:iam::123456789012:policy/chatvrm-test-boundary"
ROLE = "arn:aws:iam::123456789012:role/chatvrm-test"
REPOSITORY = "arn:aws:ecr:us-east-1:123456789012:repository/web"

_TASK = {
    "account": "123456789012",
    "region": "us-east-1",
    "container": "web",
    "repository_arn": REPOSITORY,
    "repository_url": "123456789012.dkr.ecr.us-east-1.amazonaws.com/web",
    "cpu": 256,
    "memory": 512,
    "architecture": "X86_64",
    "port": 8080,
    "variables": {"A": "b"},
    "secrets": {"PASSWORD": (SECRET, "password")},
    "key_arn": KEY,
    "log_group": "/chatvrm/test/web",
}

_OWN = Metric(namespace="chatvrm/test", name="DeploymentInProgress", statistic="Maximum")
_ALARM = Alarm(
    key="errors",
    says="Requests fail.",
    metrics={
        "requests": Metric(namespace="AWS/ApplicationELB", name="RequestCount", statistic="Sum", dimensions={"A": "b"}),
        "failed": Metric(namespace="AWS/ApplicationELB", name="HTTPCode_ELB_5XX_Count", statistic="Sum"),
    },
    expression="100 * FILL(failed, 0) / requests",
    unit="percent",
    comparison="above",
    threshold=1,
    period_seconds=60,
    periods=5,
    datapoints=3,
    missing="notBreaching",
    severity="page",
    owner="somebody",
    runbook="runbooks/verify.ipynb",
)

SAMPLES: dict[str, dict[str, Any]] = {
    "Alarms": {
        "alarms": [
            _ALARM,
            dataclasses.replace(
                _ALARM, key="slow", expression=None, metrics={"p95": dataclasses.replace(_OWN, statistic="p95")}
            ),
        ],
        "composites": [
            Composite(
                key="web",
                says="It does badly.",
                members=["errors", "slow"],
                fires="any",
                severity="page",
                quiet_in_deployments=True,
                owner="somebody",
                runbook="runbooks/verify.ipynb",
            )
        ],
        "topics": {"page": TOPIC},
        "deployment": _OWN,
        "deployment_seconds": 60,
    },
    "Autoscaling": {
        "cluster": "c",
        "service": "web",
        "minimum": 4,
        "maximum": 8,
        "cpu_percent": 60.0,
        "out_seconds": 60,
        "in_seconds": 300,
    },
    "Dashboard": {
        "region": "us-east-1",
        "alarms": [_ALARM],
        "alarm_arns": {"errors": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:errors"},
        "graphs": [Graph(title="Requests", metrics={"all": _OWN}, period_seconds=60)],
    },
    "LogMetrics": {"log_group": "/a", "namespace": "chatvrm/test", "patterns": {"Failed": "{ $.a = 1 }"}},
    "Notifications": {
        "account": "123456789012",
        "region": "us-east-1",
        "key_arn": KEY,
        "subscribers": {"page": ["a@example.org"], "ticket": []},
    },
    "Dns": {
        "region": "us-east-1",
        "zone_name": "chatvrm.com",
        "zone_id": None,
        "accelerated_recovery": True,
        "record": "chatvrm.com",
        "primary": Site(dns_name="primary.elb.amazonaws.com", zone_id="Z35SXDOTRQ7X7K"),
        "recovery": Site(dns_name="recovery.elb.amazonaws.com", zone_id="Z1H1FL5HABSF5"),
        "health_protocol": "HTTPS",
        "health_port": 443,
        "health_path": "/api/health",
        "interval_seconds": 10,
        "failure_threshold": 3,
        "alarms": {"hosts": "chatvrm-test-healthy-hosts"},
        "insufficient_data": "LastKnownStatus",
    },
    "Audit": {
        "account": "123456789012",
        "region": "us-east-1",
        "bucket": "audit-123456789012",
        "keep_days": 400,
        "log_retention_days": 90,
        "key_arn": KEY,
        "protect": True,
    },
    "Backups": {
        "account": "123456789012",
        "recovery_region": "us-west-2",
        "daily_days": 35,
        "weekly_days": 90,
        "monthly_days": 400,
        "least_days": 7,
        "final_after_days": None,
        "key_arn": KEY,
        "recovery_key_arn": KEY.replace("us-east-1", "us-west-2"),
        "tags": {"platform": "chatvrm", "environment": "test"},
        "protect": True,
    },
    "Bucket": {"bucket": "thing-123456789012", "key_arn": KEY, "old_versions_days": 30, "protect": True},
    "Boundary": {"account": "123456789012", "people": "chatvrm", "regions": ["us-east-1", "us-west-2"]},
    "Budget": {
        "monthly_usd": 500,
        "actual_percent": [80, 100],
        "forecast_percent": [100],
        "emails": ["platform@example.com"],
        "tags": {"platform": "chatvrm", "environment": "test"},
    },
    "EcsCluster": {"container_insights": "enabled"},
    "Edge": {
        "account_id": "00000000000000000000000000000001",
        "zone_name": "chatvrm.com",
        "zone_id": None,
        "hostname": "chatvrm.com",
        "origin": "origin.chatvrm.com",
        "origin_zone": "origin.chatvrm.com",
        "origin_name_servers": ["ns-1.example.net", "ns-2.example.net"],
        "origin_port": 8443,
        "origin_tls": True,
        "uncached_path": "/api/",
        "rate_limits": {"api": RateLimit(path="/api/", requests=300, period_seconds=60, block_seconds=600)},
        "security_level": "medium",
        "settings": {"ssl": "strict", "min_tls_version": "1.2"},
        "protect": True,
    },
    "EcsService": {
        **_TASK,
        "cluster_arn": "arn:aws:ecs:us-east-1:123456789012:cluster/c",
        "migration_command": ["python", "-m", "chat.migrate"],
        "migration_secrets": {"MASTER": (f"{SECRET}-master", "password")},
        "log_retention_days": 7,
        "subnet_ids": ["subnet-a", "subnet-b"],
        "security_group_id": "sg-a",
        "target_group_arn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/t/1",
        "minimum_healthy_percent": 100,
        "maximum_percent": 200,
        "grace_seconds": 30,
    },
    "Encryption": {"account": "123456789012", "region": "us-east-1", "deletion_window_days": 30, "protect": True},
    "FlowLogs": {
        "account": "123456789012",
        "region": "us-east-1",
        "vpc_id": "vpc-a",
        "traffic": "ALL",
        "log_group": "/chatvrm/test/flow-logs",
        "log_retention_days": 30,
        "key_arn": KEY,
    },
    "GithubRoles": {
        "account": "123456789012",
        "owner": "chatvrm",
        "owner_id": "1",
        "repository": "platform",
        "repository_id": "2",
        "github_environment": "production",
        "workflow": "chatvrm/platform/.github/workflows/deploy.yml@refs/heads/main",
        "issuer": "https://token.actions.githubusercontent.com",
        "make_provider": True,
        "boundary_arn": BOUNDARY,
        "runs": [f"{ROLE}-run-*"],
    },
    "LoadBalancer": {
        "vpc_id": "vpc-a",
        "subnet_ids": ["subnet-a", "subnet-b"],
        "security_group_id": "sg-a",
        "port": 443,
        "certificate_arn": "arn:aws:acm:us-east-1:123456789012:certificate/c",
        "target_port": 8080,
        "deregistration_delay_seconds": 30,
        "idle_timeout_seconds": 60,
        "health_path": "/api/health",
        "health_interval_seconds": 10,
        "health_timeout_seconds": 5,
        "healthy_threshold": 2,
        "unhealthy_threshold": 3,
        "protect": True,
    },
    "Manifest": {"parameter": "/drydock/a/b/manifest", "recovery_region": "us-west-2", "document": {"a": 1}},
    "Network": {
        "region": "us-east-1",
        "cidr": "10.30.0.0/16",
        "availability_zones": ["us-east-1a", "us-east-1b", "us-east-1c"],
        "nat_gateways": "one_per_zone",
    },
    "People": {
        "account": "123456789012",
        "environment": "chatvrm-test",
        "accounts": ["123456789012"],
        "developers": "read",
        "session_seconds": 14400,
        "boundary_arn": BOUNDARY,
        "passed": {"ecs-tasks.amazonaws.com": ["chatvrm-test-*-task"]},
        "database_secrets": [SECRET],
        "key_arn": KEY,
    },
    "Postgres": {
        "version": "15",
        "instance_class": "db.t4g.micro",
        "storage": 20,
        "maximum_storage": 100,
        "max_connections": 150,
        "slow_query_milliseconds": 500,
        "database": "chat",
        "username": "drydock",
        "password": "p",
        "multi_az": True,
        "backup_retention_days": 7,
        "backup_window": "07:00-08:00",
        "maintenance_window": "sun:08:30-sun:09:30",
        "apply_immediately": False,
        "insights": "advanced",
        "log_retention_days": 30,
        "final_snapshot": True,
        "subnet_ids": ["subnet-a", "subnet-b"],
        "security_group_id": "sg-a",
        "key_arn": KEY,
        "protect": True,
    },
    "RecoverySite": {
        "region": "us-west-2",
        "cidr": "10.31.0.0/20",
        "availability_zones": ["us-west-2a", "us-west-2b"],
        "sources": ["0.0.0.0/0"],
        "port": 443,
        "certificate_arn": "arn:aws:acm:us-west-2:123456789012:certificate/r",
        "page": "<p>We are back soon.</p>",
        "protect": True,
    },
    "Redis": {
        "version": "7.0",
        "node_type": "cache.t4g.micro",
        "replicas": 2,
        "auth_token": "t",
        "snapshot_retention_days": 7,
        "snapshot_window": "06:00-07:00",
        "maintenance_window": "sun:09:30-sun:10:30",
        "apply_immediately": False,
        "final_snapshot": True,
        "subnet_ids": ["subnet-a", "subnet-b"],
        "security_group_id": "sg-a",
        "key_arn": KEY,
        "protect": True,
    },
    "Registry": {"key_arn": KEY, "keep_images": 50, "protect": True},
    "RunbookRoles": {
        "account": "123456789012",
        "region": "us-east-1",
        "recovery_region": "us-west-2",
        "boundary_arn": BOUNDARY,
        "assumed_by": {"deploy": [f"{ROLE}-deployer"], "push_image": [f"{ROLE}-deployer"], "verify": [ROLE]},
        "manifest": "/drydock/chatvrm/test/manifest",
        "cluster": "chatvrm-test",
        "service": "chatvrm-test-web",
        "family": "chatvrm-test-web",
        "task_roles": ["chatvrm-test-web-task"],
        "repository_arn": REPOSITORY,
        "log_group": "/chatvrm/test/web",
        "database": "chatvrm-test-database",
        "replication_group": "chatvrm-test-cache",
        "secrets": [SECRET],
        "key_arn": KEY,
        "alarm_namespace": "chatvrm/test",
    },
    "RunStore": {
        "evidence_bucket": "evidence-123456789012",
        "evidence_days": 400,
        "old_versions_days": 400,
        "key_arn": KEY,
        "recovery_region": "us-west-2",
        "recovery_key_arn": KEY.replace("us-east-1", "us-west-2"),
        "protect": True,
    },
    "StateStore": {
        "account": "123456789012",
        "bucket": "state-123456789012",
        "key_alias": "alias/state",
        "adopted_key": None,
        "old_versions_days": 365,
        "protect": True,
    },
    "Secrets": {
        "key_arn": KEY,
        "master_username": "drydock",
        "application_role": "chat_app",
        "recovery_days": 30,
        "protect": True,
    },
    "SecurityGroups": {
        "vpc_id": "vpc-a",
        "sources": ["0.0.0.0/0"],
        "listener_ports": [443, 80],
        "service_port": 8080,
        "database_port": 5432,
        "cache_port": 6379,
    },
    "TaskTemplate": {
        **_TASK,
        "log_group_arn": "arn:aws:logs:us-east-1:123456789012:log-group:/chatvrm/test/web",
        "task_role_arn": "arn:aws:iam::123456789012:role/task",
    },
}


def arguments(args: type, **changes: Any) -> Any:
    """An `<Noun>Args` of the sample values. Whatever may be an Output is one, as if another component gave it."""
    values = {**SAMPLES[args.__name__.removesuffix("Args")], **changes}
    outputs = {
        field.name
        for field in dataclasses.fields(args)
        if str(field.type).startswith("pulumi.Input[") and values.get(field.name) is not None
    }
    return args(
        **{name: pulumi.Output.from_input(value) if name in outputs else value for name, value in values.items()}
    )
