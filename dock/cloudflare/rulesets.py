"""Rulesets: a zone has one for each phase, and every change makes a new version of it."""

from __future__ import annotations

import re
import uuid
from typing import Any

from dock.cloudflare.errors import ApiError, not_done
from dock.cloudflare.plans import PLANS
from dock.cloudflare.records import shown
from dock.cloudflare.route import Call, Page, Part, route, text
from dock.cloudflare.rules import ACTIONS, checked
from dock.cloudflare.tokens import now
from dock.store import Record

_BODY = "name kind phase rules description"
_UPDATE = "name kind phase rules description id"
_RULE = "action action_parameters description enabled expression id position ratelimit ref"


class Rulesets(Part):
    @route("GET", "/zones/{zone_id}/rulesets", "Zone WAF")
    async def every(self, call: Call) -> Page:
        zone = self.cloudflare.records.zone(call.path["zone_id"])
        found = [shown(each, "zone_id", "rules") for each in self._all(zone)]
        return Page(found, {"cursors": {}})

    @route("POST", "/zones/{zone_id}/rulesets", "Zone WAF", acts=_BODY)
    async def create(self, call: Call) -> dict[str, Any]:
        zone = self.cloudflare.records.zone(call.path["zone_id"])
        if call.body.get("kind") != "zone":
            raise not_done("rulesets of another kind than zone")
        phase = self._phase(call.body.get("phase"))
        if self._entry_point(zone, phase) is not None:
            raise ApiError(
                20217,
                f"'zone' is not a valid value for kind because exceeded maximum number of zone rulesets for {phase}",
            )
        return await self._write(zone, phase, call.body, None)

    @route("GET", "/zones/{zone_id}/rulesets/phases/{phase}/entrypoint", "Zone WAF")
    async def entry_point(self, call: Call) -> dict[str, Any]:
        zone, phase = self.cloudflare.records.zone(call.path["zone_id"]), self._phase(call.path["phase"])
        found = self._entry_point(zone, phase)
        if found is None:
            raise ApiError(10003, f"could not find entrypoint ruleset in the {phase} phase", 404)
        return shown(found, "zone_id")

    @route("PUT", "/zones/{zone_id}/rulesets/phases/{phase}/entrypoint", "Zone WAF", acts=_UPDATE)
    async def put_entry_point(self, call: Call) -> dict[str, Any]:
        zone, phase = self.cloudflare.records.zone(call.path["zone_id"]), self._phase(call.path["phase"])
        return await self._write(zone, phase, call.body, self._entry_point(zone, phase))

    @route("GET", "/zones/{zone_id}/rulesets/{ruleset_id}", "Zone WAF")
    async def get(self, call: Call) -> dict[str, Any]:
        return shown(self._ruleset(call), "zone_id")

    @route("PUT", "/zones/{zone_id}/rulesets/{ruleset_id}", "Zone WAF", acts=_UPDATE)
    async def update(self, call: Call) -> dict[str, Any]:
        before = self._ruleset(call)
        for name in ("kind", "phase"):
            if call.body.get(name, before[name]) != before[name]:
                raise ApiError(20117, f"the {name} of a ruleset can't be changed")
        return await self._write(self.cloudflare.records.zone(call.path["zone_id"]), before["phase"], call.body, before)

    @route("DELETE", "/zones/{zone_id}/rulesets/{ruleset_id}", "Zone WAF")
    async def delete(self, call: Call) -> None:
        records = self.cloudflare.records
        ruleset = self._ruleset(call)
        with records.transaction():
            for version in self._versions(ruleset):
                records.delete(records.versions, version)
            records.delete(records.rulesets, ruleset)
        await self.cloudflare.changed()

    @route("POST", "/zones/{zone_id}/rulesets/{ruleset_id}/rules", "Zone WAF", acts=_RULE, records="logging")
    async def add(self, call: Call) -> dict[str, Any]:
        before = self._ruleset(call)
        return await self._write_rules(call, before, self._placed(before["rules"], dict(call.body), call.body))

    @route("PATCH", "/zones/{zone_id}/rulesets/{ruleset_id}/rules/{rule_id}", "Zone WAF", acts=_RULE, records="logging")
    async def edit(self, call: Call) -> dict[str, Any]:
        before = self._ruleset(call)
        rule = self._rule(before, call.path["rule_id"])
        changed = {**rule, **{name: value for name, value in call.body.items() if name != "position"}, "id": rule["id"]}
        rules = [changed if each["id"] == rule["id"] else each for each in before["rules"]]
        if call.body.get("position"):
            rest = [each for each in rules if each["id"] != rule["id"]]
            rules = self._placed(rest, changed, call.body)
        return await self._write_rules(call, before, rules)

    @route("DELETE", "/zones/{zone_id}/rulesets/{ruleset_id}/rules/{rule_id}", "Zone WAF")
    async def remove(self, call: Call) -> dict[str, Any]:
        before = self._ruleset(call)
        rule = self._rule(before, call.path["rule_id"])
        return await self._write_rules(call, before, [each for each in before["rules"] if each["id"] != rule["id"]])

    @route("GET", "/zones/{zone_id}/rulesets/{ruleset_id}/versions", "Zone WAF")
    async def versions(self, call: Call) -> list[dict[str, Any]]:
        ruleset = self._ruleset(call)
        found = [shown(each["ruleset"], "zone_id", "rules") for each in self._versions(ruleset)]
        return sorted(found, key=lambda each: -int(each["version"]))

    @route("GET", "/zones/{zone_id}/rulesets/{ruleset_id}/versions/{version}", "Zone WAF")
    async def version(self, call: Call) -> dict[str, Any]:
        ruleset = self._ruleset(call)
        for each in self._versions(ruleset):
            if each["ruleset"]["version"] == call.path["version"]:
                return shown(each["ruleset"], "zone_id")
        raise ApiError(10000, f"could not find version {call.path['version']} of the ruleset", 404)

    async def _write_rules(self, call: Call, before: Record, rules: list[Any]) -> dict[str, Any]:
        zone = self.cloudflare.records.zone(call.path["zone_id"])
        return await self._write(zone, before["phase"], {"rules": rules}, before)

    async def _write(self, zone: Record, phase: str, body: dict[str, Any], before: Record | None) -> dict[str, Any]:
        records = self.cloudflare.records
        given = body.get("rules") or []
        plan = PLANS[zone["plan"]]
        if len(given) > plan.rules[phase]:
            raise ApiError(
                20217, f"exceeded the maximum of {plan.rules[phase]} rules of phase {phase} in plan {plan.name}"
            )
        lists = [each["name"] for each in records.lists.list(records.scope(zone))]
        known = {rule["id"]: rule for rule in before["rules"]} if before else {}
        by_ref = {rule["ref"]: rule for rule in known.values()}
        rules = []
        for each in given:
            same = known.get(each.get("id")) or by_ref.get(each.get("ref")) if isinstance(each, dict) else None
            rules.append(checked(phase, each, same, lists, plan))
        if len({rule["ref"] for rule in rules}) != len(rules):
            raise ApiError(20118, "two rules have the same ref")
        ruleset = {
            "id": before["id"] if before else uuid.uuid4().hex,
            "account": zone["account"],
            "zone_id": zone["id"],
            "name": text(body, "name") or (before["name"] if before else "default"),
            "description": text(body, "description") or (before["description"] if before else ""),
            "kind": "zone",
            "phase": phase,
            "version": str(int(before["version"]) + 1) if before else "1",
            "last_updated": now(),
            "rules": rules,
        }
        kept = {
            "id": f"{ruleset['id']}/{ruleset['version']}",
            "account": zone["account"],
            "zone_id": zone["id"],
            "of": ruleset["id"],
            "ruleset": ruleset,
        }
        with records.transaction():
            records.put(records.rulesets, ruleset)
            records.put(records.versions, kept)
        await self.cloudflare.changed()
        return shown(ruleset, "zone_id")

    def _all(self, zone: Record) -> list[Record]:
        return self.cloudflare.records.of_zone(self.cloudflare.records.rulesets, zone)

    def _entry_point(self, zone: Record, phase: str) -> Record | None:
        return next((each for each in self._all(zone) if each["phase"] == phase), None)

    def _ruleset(self, call: Call) -> Record:
        zone = self.cloudflare.records.zone(call.path["zone_id"])
        found = next((each for each in self._all(zone) if each["id"] == call.path["ruleset_id"]), None)
        if found is None:
            raise ApiError(10000, f"could not find ruleset '{call.path['ruleset_id']}'", 404)
        return found

    def _versions(self, ruleset: Record) -> list[Record]:
        records = self.cloudflare.records
        return [each for each in records.versions.list(records.scope(ruleset)) if each["of"] == ruleset["id"]]

    @staticmethod
    def _rule(ruleset: Record, identifier: str) -> dict[str, Any]:
        found = next((each for each in ruleset["rules"] if each["id"] == identifier), None)
        if found is None:
            raise ApiError(10002, f"could not find rule '{identifier}'", 404)
        return dict(found)

    @staticmethod
    def _placed(rules: list[dict[str, Any]], rule: dict[str, Any], body: dict[str, Any]) -> list[dict[str, Any]]:
        """The rules with one more: at the end, or where `position` says."""
        position = rule.pop("position", None) or body.get("position") or {}
        at = len(rules)
        if "index" in position:
            at = int(position["index"]) - 1
        for name, after in (("before", 0), ("after", 1)):
            if name in position:
                other = next((number for number, each in enumerate(rules) if each["id"] == position[name]), None)
                # Without an id: the very first, the very last.
                at = (0 if name == "before" else len(rules)) if other is None else other + after
        return [*rules[:at], rule, *rules[at:]]

    @staticmethod
    def _phase(name: Any) -> str:
        if name not in ACTIONS:
            raise not_done(f"the phase {name}: it has {', '.join(ACTIONS)}")
        return str(name)


def lists_of(rules: list[dict[str, Any]]) -> set[str]:
    """The names of the lists that rules look into."""
    return {name for rule in rules for name in re.findall(r"\$([a-z0-9_]+)", rule["expression"])}
