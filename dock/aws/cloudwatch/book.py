"""The alarms' records: every change of state is durable together with its history and what it sets off."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from dock.aws.cloudwatch import messages, rules
from dock.aws.cloudwatch.actions import Actions
from dock.aws.cloudwatch.evaluation import ALARM, INSUFFICIENT_DATA, OK
from dock.aws.cloudwatch.history import CONFIGURATION, STATE, History
from dock.aws.cloudwatch.periods import moment
from dock.aws.cloudwatch.suppression import Suppression
from dock.store import Record, Scope, Store

METRIC, COMPOSITE = "MetricAlarm", "CompositeAlarm"


class Change(NamedTuple):
    """An alarm's state is to be set. `data` is StateReasonData, `at` in seconds since the epoch."""

    scope: Scope
    name: str
    state: str
    reason: str
    data: str | None
    at: float


class Book:
    """Alarms by scope and name. What follows from a change (composite alarms, suppression) happens with it."""

    def __init__(self, store: Store, history: History, actions: Actions, now: Callable[[], float]) -> None:
        self._store = store
        self._table = store.table("cloudwatch/alarm")
        self.history = history
        self.actions = actions
        self._now = now
        self._suppression = Suppression(self)
        # Of each composite alarm, the names of its children and of its suppressor.
        self._composites: dict[tuple[Scope, str], tuple[frozenset[str], str | None]] = {}
        for scope, record in self.everywhere():
            if record["kind"] == COMPOSITE:
                self._index(scope, record)

    # reading

    def get(self, scope: Scope, name: str) -> Record | None:
        return self._table.get(scope, name)

    def alarms(self, scope: Scope, kind: str | None = None) -> list[Record]:
        """Alarms of a scope by name."""
        return [record for record in self._table.list(scope) if kind in (None, record["kind"])]

    def everywhere(self) -> list[tuple[Scope, Record]]:
        """All alarms of the dock."""
        return [(scope, record) for scope, _, record in self._table.all()]

    def composites(self) -> list[tuple[Scope, Record]]:
        """All composite alarms of the dock."""
        found = ((scope, self.get(scope, name)) for scope, name in self._composites)
        return [(scope, record) for scope, record in found if record is not None]

    @staticmethod
    def named(scope: Scope, alarm: str) -> str | None:
        """The name of an alarm that a rule or a suppressor gives by name or ARN; None for another scope's."""
        if not alarm.startswith("arn:"):
            return alarm
        parts = alarm.split(":", 6)
        own = len(parts) == 7 and parts[3:6] == [scope.region, scope.account, "alarm"]
        return parts[6] if own else None

    def state_of(self, scope: Scope, alarm: str) -> str | None:
        """The state of an alarm by name or ARN; None when it isn't there."""
        name = self.named(scope, alarm)
        record = self.get(scope, name) if name is not None else None
        return str(record["StateValue"]) if record is not None else None

    def children(self, scope: Scope, record: Record) -> list[str]:
        """The names of the alarms that a composite alarm's rule refers to."""
        found = (self.named(scope, alarm) for alarm in rules.alarms(rules.parse(record["AlarmRule"])))
        return [name for name in found if name is not None]

    def parents(self, scope: Scope, name: str) -> list[str]:
        """The composite alarms whose rule refers to an alarm, by name."""
        found = self._composites.items()
        return sorted(parent for (where, parent), (children, _) in found if where == scope and name in children)

    def suppressed_by(self, scope: Scope, name: str) -> list[str]:
        """The composite alarms whose actions an alarm suppresses, by name."""
        found = self._composites.items()
        return sorted(alarm for (where, alarm), (_, suppressor) in found if where == scope and name == suppressor)

    def _index(self, scope: Scope, record: Record) -> None:
        suppressor = self.named(scope, record["ActionsSuppressor"]) if "ActionsSuppressor" in record else None
        self._composites[scope, record["AlarmName"]] = (frozenset(self.children(scope, record)), suppressor)

    # changing

    def put(self, scope: Scope, record: Record) -> None:
        """Create an alarm, or replace its configuration; its state stays, as AWS has it."""
        at, before = self._now(), self.get(scope, record["AlarmName"])
        record["AlarmConfigurationUpdatedTimestamp"] = at
        if before is None:
            record |= {
                "StateValue": INSUFFICIENT_DATA,
                "StateReason": "Unchecked: Initial alarm creation",
                "StateUpdatedTimestamp": at,
                "StateTransitionedTimestamp": at,
            }
        else:
            record["tags"] = before["tags"]
            kept = ("StateValue", "StateReason", "StateReasonData", "StateUpdatedTimestamp",
                    "StateTransitionedTimestamp", "triggering")  # fmt: skip
            record |= {key: before[key] for key in kept if key in before}
            if before.get("ActionsSuppressor") == record.get("ActionsSuppressor"):
                record |= {key: before[key] for key in Suppression.KEYS if key in before}
        name = record["AlarmName"]
        with self._store.transaction():
            self._table.put(scope, name, record)
            kind = "Update" if before is not None else "Create"
            data = {
                "version": "1.0",
                "type": kind,
                "updatedAlarm" if before else "createdAlarm": _configuration(record),
            }
            self.history.add(scope, record, CONFIGURATION, at, f'Alarm "{name}" {kind.lower()}d', data)
            if record["kind"] == COMPOSITE:
                self._index(scope, record)
                self._compose(scope, record, None)
        self.actions.start()

    def update(self, scope: Scope, record: Record) -> None:
        """Write a record's other properties (tags, ActionsEnabled) down."""
        self._table.put(scope, record["AlarmName"], record)

    def delete(self, scope: Scope, name: str) -> None:
        """Remove an alarm; its history stays."""
        record = self.get(scope, name)
        if record is None:
            return
        with self._store.transaction():
            self._table.delete(scope, name)
            self._composites.pop((scope, name), None)
            data = {"version": "1.0", "type": "Delete", "deletedAlarm": _configuration(record)}
            self.history.add(scope, record, CONFIGURATION, self._now(), f'Alarm "{name}" deleted', data)

    def change(self, changes: Sequence[Change]) -> None:
        """Set alarms' states, all of them or none. Only another state than before sets anything off."""
        with self._store.transaction():
            for one in changes:
                record = self.get(one.scope, one.name)
                if record is not None:
                    self._change(one.scope, record, one.state, one.reason, one.data, one.at)
        self.actions.start()

    def _change(self, scope: Scope, record: Record, state: str, reason: str, data: str | None, at: float) -> None:
        old = {key: record.get(key) for key in ("StateValue", "StateReason", "StateReasonData")}
        record |= {"StateValue": state, "StateReason": reason[:1023], "StateUpdatedTimestamp": at}
        record.pop("StateReasonData", None)
        if data is not None:
            record["StateReasonData"] = data
        moved = state != old["StateValue"]
        if moved:
            record["StateTransitionedTimestamp"] = at
            self.history.add(
                scope, record, STATE, at, f"Alarm updated from {old['StateValue']} to {state}", _states(old, record)
            )
            if self._suppression.allows(record, self._suppressor_alarms(scope, record), at):
                self.actions.put(scope, record, str(old["StateValue"]))
        self._table.put(scope, record["AlarmName"], record)
        if moved:
            for name in self.suppressed_by(scope, record["AlarmName"]):
                self._suppression.suppressor_changed(scope, self._known(scope, name), alarms=state == ALARM, at=at)
            for name in self.parents(scope, record["AlarmName"]):
                self._compose(scope, self._known(scope, name), record)

    def _known(self, scope: Scope, name: str) -> Record:
        record = self.get(scope, name)
        assert record is not None
        return record

    def _suppressor_alarms(self, scope: Scope, record: Record) -> bool:
        return "ActionsSuppressor" in record and self.state_of(scope, record["ActionsSuppressor"]) == ALARM

    def _compose(self, scope: Scope, record: Record, child: Record | None) -> None:
        """Bring a composite alarm to what its rule says; `child` is the alarm whose change made it necessary."""
        rule, at = rules.parse(record["AlarmRule"]), self._now()
        state = ALARM if rules.holds(rule, lambda alarm: self.state_of(scope, alarm)) else OK
        if state == record["StateValue"]:
            return
        if child is None:
            reason, triggering = (
                f"{record['AlarmArn']} was created or updated and its alarm rule evaluates to {state}",
                [],
            )
        else:
            changed = child["StateTransitionedTimestamp"]
            when = moment(changed).strftime("%A %d %B, %Y %H:%M:%S UTC")
            reason = f"{child['AlarmArn']} transitioned to {child['StateValue']} at {when}"
            told = {"value": child["StateValue"], "timestamp": messages.timestamp(changed)}
            triggering = [{"arn": child["AlarmArn"], "state": told}]
        record["triggering"] = [
            {"Arn": one["arn"], "State": {"Value": one["state"]["value"], "Timestamp": one["state"]["timestamp"]}}
            for one in triggering
        ]
        self._change(scope, record, state, reason, json.dumps({"triggeringAlarms": triggering}), at)

    def act(self, scope: Scope, record: Record) -> None:
        """Set off what was withheld; used by the suppression, inside or outside a transaction."""
        self.actions.put(scope, record, record["StateValue"])

    def tick(self, at: float) -> None:
        """End the waits of suppressed actions that are over."""
        with self._store.transaction():
            self._suppression.tick(at)
        self.actions.start()

    def next_tick(self) -> float | None:
        """When `tick` is needed next; None when nothing waits."""
        return self._suppression.next_end()

    def compose_all(self) -> None:
        """At the start: composite alarms follow what a daemon that was killed left behind."""
        with self._store.transaction():
            for scope, record in self.composites():
                current = self.get(scope, record["AlarmName"])
                if current is not None:
                    self._compose(scope, current, None)
        self.actions.start()


def _configuration(record: Record) -> dict[str, Any]:
    internal = ("kind", "tags", "triggering", *Suppression.KEYS)
    return {
        key[0].lower() + key[1:]: value
        for key, value in record.items()
        if key not in internal and not key.startswith("State")
    }


def _states(old: dict[str, Any], record: Record) -> dict[str, Any]:
    def shown(state: dict[str, Any]) -> dict[str, Any]:
        data = state.get("StateReasonData")
        return {
            "stateValue": state["StateValue"],
            "stateReason": state["StateReason"],
            "stateReasonData": json.loads(data) if data is not None else None,
        }

    return {"version": "1.0", "oldState": shown(old), "newState": shown(record)}
