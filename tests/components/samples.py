"""Arguments for each component, as an environment would give them. Every component needs an entry."""

from __future__ import annotations

import dataclasses
from typing import Any

import pulumi

KEY = "arn:aws:kms:us-east-1:123456789012:key/k"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:s"
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

SAMPLES: dict[str, dict[str, Any]] = {
    "EcsCluster": {"container_insights": "enabled"},
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
