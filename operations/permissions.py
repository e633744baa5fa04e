"""What each operation is allowed on AWS: the actions of its steps, and nothing else.

The program's role for a runbook grants exactly these; tests hold both lists together, and against the calls that an
operation makes. `CARRIED` are actions without a call of their own: what another call needs besides.
"""

from __future__ import annotations

# Every operation starts from the manifest.
_MANIFEST = "ssm:GetParameter"

PERMISSIONS: dict[str, frozenset[str]] = {
    "deploy": frozenset(
        {
            _MANIFEST,
            "cloudwatch:PutMetricData",
            "ecr:DescribeImages",
            "ecs:DescribeServices",
            "ecs:DescribeTaskDefinition",
            "ecs:DescribeTasks",
            "ecs:ListTasks",
            "ecs:RegisterTaskDefinition",
            "ecs:RunTask",
            "ecs:UpdateService",
            "logs:GetLogEvents",
        }
    ),
    "push_image": frozenset(
        {
            "ecr:BatchCheckLayerAvailability",
            "ecr:CompleteLayerUpload",
            "ecr:DescribeImages",
            "ecr:InitiateLayerUpload",
            "ecr:PutImage",
            "ecr:UploadLayerPart",
        }
    ),
    "verify": frozenset(
        {
            _MANIFEST,
            "ecs:DescribeServices",
            "elasticache:DescribeReplicationGroups",
            "elasticloadbalancing:DescribeTargetHealth",
            "rds:DescribeDBInstances",
            "secretsmanager:GetSecretValue",
        }
    ),
}
CARRIED: dict[str, frozenset[str]] = {
    # A release's task definition names roles and carries tags.
    "deploy": frozenset({"ecs:TagResource", "iam:PassRole"}),
    "push_image": frozenset(),
    # Secrets are encrypted with the environment's key.
    "verify": frozenset({"kms:Decrypt"}),
}
