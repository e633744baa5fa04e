"""Rules: created, described, changed, ordered and deleted."""

from __future__ import annotations

from typing import Any

from dock.aws.elbv2 import names, rule_parts
from dock.aws.elbv2.records import LISTENER, RULE, TAGS, Change, page
from dock.aws.elbv2.target_groups import TargetGroups
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record, Scope

MAX_RULES = 100
MAX_PRIORITY = 50000


class Rules(TargetGroups):
    """CreateRule and its kin. A listener's default rule is its default action under an ARN of its own."""

    @operation("CreateRule", acts="ListenerArn Conditions Priority Actions Tags")
    async def create_rule(self, call: Call, request: Request) -> Response:
        async with self.fleet.lock:
            listener = self.records.get(call.scope, LISTENER, request["ListenerArn"])
            record: Record = {
                "ListenerArn": listener["id"],
                "LoadBalancerArn": listener["LoadBalancerArn"],
                "Priority": _priority(request["Priority"]),
                "Conditions": rule_parts.conditions(request["Conditions"]),
                "Actions": rule_parts.actions(request["Actions"]),
            }
            others = self.records.rules(call.scope, listener["id"])
            if any(other["Priority"] == record["Priority"] for other in others):
                raise AwsError("PriorityInUseException", f"Priority '{record['Priority']}' is currently in use")
            siblings = [
                rule
                for rule in self.records.all(call.scope, RULE)
                if rule["LoadBalancerArn"] == record["LoadBalancerArn"]
            ]
            if len(siblings) >= MAX_RULES:
                raise AwsError("TooManyRulesException", f"A load balancer can have {MAX_RULES} rules")
            self.check_groups(call, record["Actions"], record["LoadBalancerArn"])
            arn = names.arn(call.scope, f"listener-rule/{names.suffix(listener['id'])}/{names.new_id()}")
            record = {"id": arn, **record}
            change = Change().put(RULE, arn, record)
            self.tag_change(change, arn, request.get("Tags", []))
            await self.fleet.commit(call.scope, change)
        return {"Rules": [_shown(record)]}

    @operation("DescribeRules", acts="ListenerArn RuleArns Marker PageSize")
    async def describe_rules(self, call: Call, request: Request) -> Response:
        if arns := request.get("RuleArns"):
            found = [self._described(call.scope, arn) for arn in arns]
        elif "ListenerArn" in request:
            listener = self.records.get(call.scope, LISTENER, request["ListenerArn"])
            found = [_shown(rule) for rule in self.records.rules(call.scope, listener["id"])] + [_default(listener)]
        else:
            raise AwsError("ValidationError", "You must specify either listener rule ARNs or a listener ARN")
        shown, more = page(found, request)
        return {"Rules": shown, **more}

    def _described(self, scope: Scope, arn: str) -> dict[str, Any]:
        for listener in self.records.all(scope, LISTENER):
            if arn == _default(listener)["RuleArn"]:
                return _default(listener)
        return _shown(self.records.get(scope, RULE, arn))

    @operation("ModifyRule", acts="RuleArn Conditions Actions")
    async def modify_rule(self, call: Call, request: Request) -> Response:
        async with self.fleet.lock:
            self._refuse_default(call.scope, request["RuleArn"], "modified here; modify its listener's default actions")
            record = self.records.get(call.scope, RULE, request["RuleArn"])
            if "Conditions" in request:
                record["Conditions"] = rule_parts.conditions(request["Conditions"])
            if "Actions" in request:
                record["Actions"] = rule_parts.actions(request["Actions"])
                self.check_groups(call, record["Actions"], record["LoadBalancerArn"])
            await self.fleet.commit(call.scope, Change().put(RULE, record["id"], record))
        return {"Rules": [_shown(record)]}

    @operation("DeleteRule", acts="RuleArn")
    async def delete_rule(self, call: Call, request: Request) -> Response:
        async with self.fleet.lock:
            self._refuse_default(call.scope, request["RuleArn"], "deleted")
            self.records.get(call.scope, RULE, request["RuleArn"])
            change = Change().delete(RULE, request["RuleArn"]).delete(TAGS, request["RuleArn"])
            await self.fleet.commit(call.scope, change)
        return {}

    @operation("SetRulePriorities", acts="RulePriorities")
    async def set_rule_priorities(self, call: Call, request: Request) -> Response:
        async with self.fleet.lock:
            change = Change()
            records = []
            for pair in request["RulePriorities"]:
                self._refuse_default(call.scope, pair["RuleArn"], "given another priority")
                record = self.records.get(call.scope, RULE, pair["RuleArn"])
                record["Priority"] = _priority(pair["Priority"])
                change.put(RULE, record["id"], record)
                records.append(record)
            for listener in {record["ListenerArn"] for record in records}:
                priorities = [rule["Priority"] for rule in self.records.rules(call.scope, listener, change)]
                if len(set(priorities)) != len(priorities):
                    raise AwsError("PriorityInUseException", "Two rules would have the same priority")
            await self.fleet.commit(call.scope, change)
        return {"Rules": [_shown(record) for record in records]}

    def _refuse_default(self, scope: Scope, arn: str, what: str) -> None:
        if any(arn == _default(listener)["RuleArn"] for listener in self.records.all(scope, LISTENER)):
            raise AwsError("OperationNotPermittedException", f"Default rule '{arn}' cannot be {what}")


def _priority(priority: int) -> int:
    if not 1 <= priority <= MAX_PRIORITY:
        raise AwsError("ValidationError", f"Priority '{priority}' must be from 1 to {MAX_PRIORITY}")
    return priority


def _default(listener: Record) -> dict[str, Any]:
    parts = listener["id"].rpartition("/")
    arn = listener["id"].replace(":listener/", ":listener-rule/", 1)
    return {
        # The listener's own id once more, so that it is the same each time.
        "RuleArn": f"{arn}/{parts[2]}",
        "Priority": "default",
        "Conditions": [],
        "Actions": listener["DefaultActions"],
        "IsDefault": True,
    }


def _shown(record: Record) -> dict[str, Any]:
    return {
        "RuleArn": record["id"],
        "Priority": str(record["Priority"]),
        "Conditions": record["Conditions"],
        "Actions": record["Actions"],
        "IsDefault": False,
    }
