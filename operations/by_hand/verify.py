"""A verification with ordinary commands."""

from __future__ import annotations

from operations.operation import ByHand


def steps() -> tuple[ByHand, ...]:
    """The same areas, in the same order."""
    return (
        ByHand(
            "Endpoints: do the tasks run, are they healthy, does the page answer?",
            (
                'aws ecs describe-services --cluster "$CLUSTER" --services "$SERVICE"'
                " --query 'services[].[status,desiredCount,runningCount,pendingCount]'",
                'aws elbv2 describe-target-health --target-group-arn "$TARGET_GROUP"'
                " --query 'TargetHealthDescriptions[].[Target.Id,TargetHealth.State,TargetHealth.Reason]'",
                'curl --silent --show-error --max-time 10 --output /dev/null --write-out "%{http_code}\\n" "$URL/"',
                'curl --silent --show-error --max-time 10 "$URL$HEALTH_PATH"',
            ),
            "Running equals desired, every target is healthy, the page answers 200, no part reports a problem.",
        ),
        ByHand(
            "Database: is it there, with its standby, and does it take a write?",
            (
                'aws rds describe-db-instances --db-instance-identifier "$DATABASE"'
                " --query 'DBInstances[].[DBInstanceStatus,MultiAZ,SecondaryAvailabilityZone]'",
                'psql "host=$DATABASE_HOST port=$DATABASE_PORT dbname=$DATABASE_NAME user=$DATABASE_ROLE'
                " sslmode=verify-full\" -c 'select pg_is_in_recovery(), txid_current()'",
            ),
            "available, and in two zones where it should be; not in recovery. psql asks for the application's password,"
            " which is in the secret $APPLICATION_SECRET.",
        ),
        ByHand(
            "Cache: is it there, with its replica?",
            (
                'aws elasticache describe-replication-groups --replication-group-id "$CACHE"'
                " --query 'ReplicationGroups[].[Status,MemberClusters]'",
            ),
            "available, with every member.",
        ),
        ByHand(
            "Performance and error rate: a hundred requests",
            (
                "for i in $(seq 100); do curl --silent --max-time 10 --output /dev/null"
                ' --write-out "%{http_code} %{time_total}\\n" "$URL/"; done | sort | uniq -c | sort -rn | head',
            ),
            "At most the manifest's share of answers is not 200, and none takes long.",
        ),
    )
