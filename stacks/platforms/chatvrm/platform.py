"""ChatVRM's figures, from its team's deployment playbook."""

from stacks.platforms.model import Database, Freeze, Objectives, Platform, Service, Thresholds, Watch

PLATFORM = Platform(
    name="chatvrm",
    service=Service(
        name="web",
        container="web",
        port=8080,
        liveness_path="/api/ping",
        health_path="/api/health",
        database_health_path="/api/health/db",
        migration_command=("python", "-m", "chat.migrate"),
    ),
    database=Database(name="chat", master="drydock", application_role="chat_app"),
    # The playbook sets no recovery objectives.
    objectives=Objectives(availability_percent=99.9, rpo_seconds=None, rto_seconds=None),
    thresholds=Thresholds(
        error_rate_percent=1.0,
        rollback_error_rate_percent=5.0,
        p95_seconds=2.0,
        cpu_percent=80.0,
        connections_percent=80.0,
        cache_memory_percent=80.0,
        payment_failures=5,
        # The playbook has none; another team's of the same kind alerts at 100 ms in production.
        database_latency_seconds=0.1,
    ),
    # Errors, CPU and payments as long as the playbook says. It gives no duration for the rest, no threshold for the
    # voice queue, and does not name storage: those figures are ours.
    watch=Watch(
        owner="chatvrm on-call",
        error_rate_minutes=5,
        p95_minutes=5,
        cpu_minutes=10,
        connections_minutes=3,
        cache_memory_minutes=3,
        storage_percent=80.0,
        storage_minutes=5,
        payment_minutes=5,
        voice_queue_depth=100,
        voice_queue_minutes=3,
        silence_minutes=3,
        log_metrics={
            "PaymentsFailed": '{ $.event = "payment" && $.outcome = "failed" }',
            "PaymentsSucceeded": '{ $.event = "payment" && $.outcome = "succeeded" }',
            "CharactersCreated": '{ $.event = "character_created" }',
        },
    ),
    timezone="America/Los_Angeles",
    # Campaigns and live events are added here when they are known.
    freezes=(
        Freeze(name="Black Friday week 2026", first="2026-11-23", last="2026-11-29"),
        Freeze(name="Black Friday week 2027", first="2027-11-22", last="2027-11-28"),
        Freeze(name="end of year", first="12-23", last="01-02"),
    ),
)
