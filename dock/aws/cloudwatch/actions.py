"""What alarms set off: durable before it is tried, tried again when it fails, in order for each alarm."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from dock.aws.cloudwatch import messages
from dock.aws.cloudwatch.history import ACTION, History
from dock.store import Record, Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud

log = logging.getLogger(__name__)

ActionHandler = Callable[[Scope, str, dict[str, Any]], Awaitable[None]]
"""Called with the alarm's scope, the action's ARN and the notification (see messages.py); raises when it fails."""

RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
# One try of an action; one repetition, which the next round of alarms waits for.
ACTION_SECONDS, REPEAT_SECONDS = 90, 5
_PROPERTY = {"OK": "OKActions", "ALARM": "AlarmActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}


class Actions:
    """The actions that are to be done yet, and who does them."""

    def __init__(self, cloud: Cloud, history: History, now: Callable[[], float]) -> None:
        self._cloud = cloud
        self._history = history
        self._now = now
        self._table = cloud.store.table("cloudwatch/action")
        self._handlers: dict[str, tuple[ActionHandler, bool]] = {}
        self._workers: dict[tuple[Scope, str], asyncio.Task[None]] = {}
        self._queues: dict[tuple[Scope, str], list[str]] = defaultdict(list)
        self._number = 0
        for scope, identifier, record in sorted(self._table.all(), key=lambda found: found[2]["number"]):
            self._queues[scope, record["alarm"]["AlarmName"]].append(identifier)
            self._number = record["number"]
        self.register("arn:aws:sns:", self._publish)

    def register(self, prefix: str, handler: ActionHandler, *, repeats: bool = False) -> None:
        """Let a handler do the actions whose ARN begins with `prefix`. With `repeats` it is called again each period
        for as long as the alarm stays in the state, as AWS does with scaling policies."""
        self._handlers[prefix] = (handler, repeats)

    def known(self, arn: str) -> bool:
        """Whether somebody does such an action."""
        return self._handler(arn) is not None

    def _handler(self, arn: str) -> tuple[ActionHandler, bool] | None:
        return next((found for prefix, found in self._handlers.items() if arn.startswith(prefix)), None)

    def put(self, scope: Scope, alarm: Record, old: str) -> None:
        """Write down what the alarm's present state sets off, inside the transaction of its change."""
        if not alarm["ActionsEnabled"]:
            return
        for arn in alarm[_PROPERTY[alarm["StateValue"]]]:
            identifier = uuid.uuid4().hex
            self._number += 1
            kept = {key: alarm[key] for key in ("AlarmName", "kind", "StateTransitionedTimestamp")}
            self._table.put(
                scope,
                identifier,
                {
                    "number": self._number,
                    "alarm": kept,
                    "arn": arn,
                    "notification": messages.notification(scope, alarm, old),
                },
            )
            self._queues[scope, alarm["AlarmName"]].append(identifier)

    def start(self) -> None:
        """Do what is to be done; called after a transaction, and once at the start."""
        for key, queue in self._queues.items():
            worker = self._workers.get(key)
            if queue and (worker is None or worker.done()):
                self._workers[key] = self._cloud.spawn(self._work(*key), f"actions of the alarm {key[1]}")

    async def stop(self) -> None:
        """Leave what isn't done to the next daemon."""
        for worker in self._workers.values():
            worker.cancel()
        await asyncio.gather(*self._workers.values(), return_exceptions=True)
        self._workers = {}

    async def settled(self) -> None:
        """Wait until all that was written down is done."""
        while running := [worker for worker in self._workers.values() if not worker.done()]:
            await asyncio.wait(running)

    async def repeat(self, scope: Scope, alarm: Record) -> None:
        """Another period in the same state: for those who asked for it."""
        if not alarm["ActionsEnabled"]:
            return
        for arn in alarm[_PROPERTY[alarm["StateValue"]]]:
            found = self._handler(arn)
            if found is None or not found[1]:
                continue
            try:
                async with asyncio.timeout(REPEAT_SECONDS):
                    await found[0](scope, arn, messages.notification(scope, alarm, alarm["StateValue"]))
            except Exception as problem:
                log.warning("the alarm %s could not repeat %s: %r", alarm["AlarmName"], arn, problem)

    async def _work(self, scope: Scope, name: str) -> None:
        queue = self._queues[scope, name]
        while queue:
            record = self._table.get(scope, queue[0])
            if record is not None:
                problem = await self._do(scope, record)
                with self._cloud.store.transaction():
                    self._write_down(scope, record, problem)
                    self._table.delete(scope, queue[0])
            queue.pop(0)

    async def _do(self, scope: Scope, record: Record) -> str | None:
        """None when it is done, else what was wrong with the last try."""
        arn, problem = record["arn"], ""
        for pause in (*RETRY_SECONDS, None):
            found = self._handler(arn)
            if found is None:
                return "nobody in the dock does actions of this kind"
            try:
                async with asyncio.timeout(ACTION_SECONDS):
                    await found[0](scope, arn, record["notification"])
            except Exception as failure:
                problem = f"{type(failure).__name__}: {failure}"
                log.warning("the alarm %s could not do %s: %s", record["alarm"]["AlarmName"], arn, problem)
            else:
                return None
            if pause is None:
                break
            await asyncio.sleep(pause)
        return problem

    def _write_down(self, scope: Scope, record: Record, problem: str | None) -> None:
        arn, at = record["arn"], self._now()
        if problem is None:
            summary = f"Successfully executed action {arn}"
        else:
            summary = f'Failed to execute action {arn}. Received error: "{problem}"'
        data = {
            "actionState": "Succeeded" if problem is None else "Failed",
            "stateUpdateTimestamp": int(record["alarm"]["StateTransitionedTimestamp"] * 1000),
            "notificationResource": arn,
            "publishedMessage": json.dumps(record["notification"]) if problem is None else None,
            "error": problem,
        }
        self._history.add(scope, record["alarm"], ACTION, at, summary, data)

    async def _publish(self, scope: Scope, arn: str, notification: dict[str, Any]) -> None:
        def publish() -> None:
            client = self._cloud.client("sns", scope.account, arn.split(":")[3])
            client.publish(TopicArn=arn, Subject=messages.subject(notification), Message=json.dumps(notification))

        await asyncio.to_thread(publish)
