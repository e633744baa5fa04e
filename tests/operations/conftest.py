from __future__ import annotations

import json
from typing import Any

import pytest

from operations import manifest as manifests
from operations.manifest import Manifest
from tests.operations.cloud import Cloud

ACCOUNT = "arn:aws:{}:us-east-1:000000000001:{}"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test looks at the shell's own AWS, and none asks beyond this machine for credentials."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "000000000001")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture
def document() -> dict[str, Any]:
    """The manifest that docs/architecture.md shows."""
    load_balancing = "arn:aws:elasticloadbalancing:us-east-1:000000000001"
    return {
        "schema_version": 1,
        "platform": "chatvrm",
        "environment": "local",
        "account": "000000000001",
        "region": "us-east-1",
        "recovery_region": "us-west-2",
        "services": {
            "web": {
                "cluster": "chatvrm-local",
                "service": "chatvrm-local-web",
                "template": ACCOUNT.format("ecs", "task-definition/chatvrm-local-web-template:1"),
                "family": "chatvrm-local-web",
                "migration_template": ACCOUNT.format("ecs", "task-definition/chatvrm-local-web-migrate-template:1"),
                "migration_family": "chatvrm-local-web-migrate",
                "container": "web",
                "port": 8080,
                "desired_count": 2,
                "maximum_count": 4,
                "repository": "chatvrm-local-web",
                "repository_url": "000000000001.dkr.ecr.us-east-1.amazonaws.com/chatvrm-local-web",
                "log_group": "/chatvrm/local/web",
                "url": "http://127.0.0.1:8080",
                "health_path": "/api/health",
                "database_health_path": "/api/health/db",
                "load_balancer": f"{load_balancing}:loadbalancer/app/chatvrm-local-web/1",
                "target_group": f"{load_balancing}:targetgroup/chatvrm-local-web/1",
                "subnets": ["subnet-1", "subnet-2"],
                "security_groups": ["sg-1"],
            }
        },
        "database": {
            "identifier": "chatvrm-local-database",
            "endpoint": "127.0.0.1",
            "port": 5432,
            "name": "chat",
            "master_secret": ACCOUNT.format("secretsmanager", "secret:master"),
            "application_secret": ACCOUNT.format("secretsmanager", "secret:application"),
            "application_role": "chat_app",
            "multi_az": True,
            "max_connections": 100,
        },
        "cache": {
            "replication_group": "chatvrm-local-cache",
            "endpoint": "127.0.0.1",
            "port": 6379,
            "secret": ACCOUNT.format("secretsmanager", "secret:cache"),
            "tls": True,
        },
        "access": {
            "boundary": "arn:aws:iam::000000000001:policy/chatvrm-local-boundary",
            "people": {"deployer": "arn:aws:iam::000000000001:role/chatvrm-deployer-role"},
            "runbooks": {"deploy": "arn:aws:iam::000000000001:role/chatvrm-local-run-deploy"},
            "github": None,
        },
        "dns": {
            "zone": "chatvrm.test",
            "zone_id": "Z0123456789",
            "record": "chatvrm.test",
            "health_check": "11111111-1111-4111-8111-111111111111",
            "endpoint_check": "22222222-2222-4222-8222-222222222222",
            "primary": "127.0.0.1",
            "recovery": "127.0.0.2",
            "interval_seconds": 10,
            "failure_threshold": 3,
            "ttl_seconds": 60,
            "predicted_recovery_seconds": 90,
        },
        "edge": None,
        "alarms": {
            "names": {"error-rate": "chatvrm-local-error-rate"},
            "deployment": {"namespace": "chatvrm/local", "name": "DeploymentInProgress"},
            "dashboard": "chatvrm-local",
        },
        "objectives": {"availability_percent": 99.9, "rpo_seconds": None, "rto_seconds": None},
        "thresholds": {
            "error_rate_percent": 1.0,
            "rollback_error_rate_percent": 5.0,
            "p95_seconds": 2.0,
            "cpu_percent": 80,
            "connections_percent": 80,
            "cache_memory_percent": 80,
            "payment_failures": 5,
            "database_latency_seconds": 0.1,
        },
        "policy": {"migrations": "automatic", "deploy_approvals": 0, "rollback_approvals": 0},
        "calendar": {
            "timezone": "America/Los_Angeles",
            "windows": [{"weekdays": ["tuesday", "thursday"], "start": "14:00", "end": "16:00"}],
            "freezes": [{"name": "end of year", "from": "12-23", "to": "01-02"}],
        },
    }


@pytest.fixture
def manifest(document: dict[str, Any]) -> Manifest:
    return manifests.parse(json.dumps(document), "chatvrm", "local")


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()
