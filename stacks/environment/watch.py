"""Who looks after an environment: topics, alarms, the dashboard, metrics from logs, and Auto Scaling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.alarms import Alarms, AlarmsArgs, Metric
from components.autoscaling import Autoscaling, AutoscalingArgs
from components.dashboard import Dashboard, DashboardArgs, Graph
from components.log_metrics import LogMetrics, LogMetricsArgs
from components.notifications import Notifications, NotificationsArgs
from stacks.environment import alarms as definitions

if TYPE_CHECKING:
    from stacks.environment import Environment


def notifications(environment: Environment) -> Notifications:
    settings = environment.settings
    return Notifications(
        environment.prefix,
        NotificationsArgs(
            account=settings.account,
            region=settings.region,
            key_arn=environment.encryption.key_arn,
            subscribers={"page": settings.alarms.pages_to, "ticket": settings.alarms.tickets_to},
        ),
        environment.opts,
    )


def log_metrics(environment: Environment) -> LogMetrics:
    return LogMetrics(
        f"{environment.prefix}-{environment.platform.service.name}",
        LogMetricsArgs(
            log_group=environment.service.log_group,
            namespace=definitions.namespace(environment),
            patterns=environment.platform.watch.log_metrics,
        ),
        environment.opts,
    )


def alarms(environment: Environment) -> Alarms:
    return Alarms(
        environment.prefix,
        AlarmsArgs(
            alarms=environment.metric_alarms,
            composites=definitions.composites(environment),
            topics=environment.notifications.topics,
            deployment=definitions.deployment(environment),
            deployment_seconds=environment.settings.alarms.minute_seconds,
        ),
        environment.opts,
    )


def dashboard(environment: Environment) -> Dashboard:
    return Dashboard(
        environment.prefix,
        DashboardArgs(
            region=environment.settings.region,
            alarms=environment.metric_alarms,
            alarm_arns=environment.alarms.arns,
            graphs=_graphs(environment),
        ),
        environment.opts,
    )


def autoscaling(environment: Environment) -> Autoscaling:
    service = environment.settings.service
    return Autoscaling(
        f"{environment.prefix}-{environment.platform.service.name}",
        AutoscalingArgs(
            cluster=environment.cluster.cluster,
            service=environment.service.service,
            minimum=service.desired_count,
            maximum=service.scaling.maximum_count,
            cpu_percent=service.scaling.cpu_percent,
            out_seconds=service.scaling.out_seconds,
            in_seconds=service.scaling.in_seconds,
        ),
        environment.opts,
    )


def _graphs(environment: Environment) -> list[Graph]:
    """What the platform watches besides: volume, response times and its business."""
    period = environment.settings.alarms.minute_seconds
    own = definitions.namespace(environment)
    balancer = {"LoadBalancer": environment.load_balancer.arn_suffix}

    def times(statistic: str) -> Metric:
        return Metric(
            namespace="AWS/ApplicationELB", name="TargetResponseTime", statistic=statistic, dimensions=balancer
        )

    business = {"ActiveConversations": "Maximum", **dict.fromkeys(environment.platform.watch.log_metrics, "Sum")}
    return [
        Graph(
            title="Requests and errors",
            metrics=definitions.error_rate_metrics(environment),
            period_seconds=period,
        ),
        Graph(
            title="Response time",
            metrics={statistic: times(statistic) for statistic in ("p50", "p95", "p99")},
            period_seconds=period,
        ),
        Graph(
            title="Business",
            metrics={name: Metric(namespace=own, name=name, statistic=each) for name, each in business.items()},
            period_seconds=period,
        ),
    ]
