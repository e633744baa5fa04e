"""Say that a deployment runs, in the metric that keeps quiet the alarms which a deployment disturbs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from operations.target import Target

# Twice in the shortest period that an alarm may have.
INTERVAL_SECONDS = 5.0


@contextmanager
def deployment_marked(target: Target, progress: Callable[[str], None]) -> Iterator[None]:
    """Put the environment's deployment metric for as long as the body runs. A deployment goes on where CloudWatch
    doesn't take it: then alarms are merely louder, and `progress` hears of it once."""
    from botocore.exceptions import BotoCoreError, ClientError

    metric, cloudwatch = target.manifest.alarms.deployment, target.client("cloudwatch")
    over = threading.Event()
    silent = False

    def put() -> None:
        nonlocal silent
        datum = {"MetricName": metric.name, "Value": 1, "Unit": "Count", "StorageResolution": 1}
        try:
            cloudwatch.put_metric_data(Namespace=metric.namespace, MetricData=[datum])
        except (BotoCoreError, ClientError) as problem:
            if not silent:
                progress(f"alarms don't know of this deployment: {problem}")
            silent = True

    def run() -> None:
        while True:
            put()
            if over.wait(INTERVAL_SECONDS):
                return

    thread = threading.Thread(target=run, name="deployment mark", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
