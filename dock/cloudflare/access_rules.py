"""IP access rules, of a zone or of a whole account."""

from __future__ import annotations

import ipaddress
import uuid
from typing import Any

from dock.cloudflare.errors import ApiError, not_done
from dock.cloudflare.records import shown
from dock.cloudflare.route import Call, Page, Part, paged, route, text
from dock.cloudflare.tokens import now
from dock.store import Record

MODES = ("block", "challenge", "js_challenge", "managed_challenge", "whitelist")
# The prefix lengths that Cloudflare takes for a range.
RANGES = {4: (16, 24), 6: (32, 48, 64)}
_ZONE, _ACCOUNT = "/zones/{zone_id}/firewall/access_rules/rules", "/accounts/{account_id}/firewall/access_rules/rules"
_BODY = "configuration mode"
_FILTERS = "mode configuration.value configuration.target notes"


class AccessRules(Part):
    @route("GET", _ZONE, "Firewall Services", acts=_FILTERS)
    async def every(self, call: Call) -> Page:
        return self._listed(call)

    @route("GET", _ACCOUNT, "Account Firewall Access Rules", acts=_FILTERS)
    async def list_of_account(self, call: Call) -> Page:
        return self._listed(call)

    @route("POST", _ZONE, "Firewall Services", acts=_BODY, records="notes")
    async def create(self, call: Call) -> dict[str, Any]:
        return await self._create(call)

    @route("POST", _ACCOUNT, "Account Firewall Access Rules", acts=_BODY, records="notes")
    async def create_for_account(self, call: Call) -> dict[str, Any]:
        return await self._create(call)

    @route("GET", _ZONE + "/{rule_id}", "Firewall Services")
    async def get(self, call: Call) -> dict[str, Any]:
        return self.described(self._rule(call))

    @route("GET", _ACCOUNT + "/{rule_id}", "Account Firewall Access Rules")
    async def get_of_account(self, call: Call) -> dict[str, Any]:
        return self.described(self._rule(call))

    @route("PATCH", _ZONE + "/{rule_id}", "Firewall Services", acts=_BODY, records="notes")
    async def edit(self, call: Call) -> dict[str, Any]:
        return await self._edit(call)

    @route("PATCH", _ACCOUNT + "/{rule_id}", "Account Firewall Access Rules", acts=_BODY, records="notes")
    async def edit_of_account(self, call: Call) -> dict[str, Any]:
        return await self._edit(call)

    @route("DELETE", _ZONE + "/{rule_id}", "Firewall Services", records="cascade")
    async def delete(self, call: Call) -> dict[str, Any]:
        return await self._delete(call)

    @route("DELETE", _ACCOUNT + "/{rule_id}", "Account Firewall Access Rules")
    async def delete_of_account(self, call: Call) -> dict[str, Any]:
        return await self._delete(call)

    def _listed(self, call: Call) -> Page:
        query = call.query
        found = [
            rule
            for rule in self._all(call)
            if query.get("mode", rule["mode"]) == rule["mode"]
            and query.get("configuration.value", rule["configuration"]["value"]) == rule["configuration"]["value"]
            and query.get("configuration.target", rule["configuration"]["target"]) == rule["configuration"]["target"]
            and query.get("notes", "") in rule["notes"]
        ]
        return paged([self.described(rule) for rule in found], query)

    async def _create(self, call: Call) -> dict[str, Any]:
        records, (account, zone) = self.cloudflare.records, self._place(call)
        mode, configuration = _mode(call.body.get("mode")), _configuration(call.body.get("configuration"))
        if any(rule["configuration"] == configuration for rule in self._all(call)):
            raise ApiError(10009, "firewallaccessrules.api.duplicate_of_existing")
        moment = now()
        rule = {
            "id": uuid.uuid4().hex,
            "account": account,
            "zone_id": zone,
            "mode": mode,
            "configuration": configuration,
            "notes": text(call.body, "notes") or "",
            "created_on": moment,
            "modified_on": moment,
        }
        records.put(records.access, rule)
        await self.cloudflare.changed()
        return self.described(rule)

    async def _edit(self, call: Call) -> dict[str, Any]:
        rule = self._rule(call)
        if _configuration(call.body.get("configuration", rule["configuration"])) != rule["configuration"]:
            raise ApiError(10001, "firewallaccessrules.api.validation_error: the configuration can't be changed")
        rule["mode"] = _mode(call.body.get("mode", rule["mode"]))
        if "notes" in call.body:
            rule["notes"] = text(call.body, "notes") or ""
        rule["modified_on"] = now()
        self.cloudflare.records.put(self.cloudflare.records.access, rule)
        await self.cloudflare.changed()
        return self.described(rule)

    async def _delete(self, call: Call) -> dict[str, Any]:
        rule = self._rule(call)
        self.cloudflare.records.delete(self.cloudflare.records.access, rule)
        await self.cloudflare.changed()
        return {"id": rule["id"]}

    def _place(self, call: Call) -> tuple[str, str | None]:
        if "account_id" in call.path:
            return self.cloudflare.records.account(call.path["account_id"]).account, None
        zone = self.cloudflare.records.zone(call.path["zone_id"])
        return zone["account"], zone["id"]

    def _all(self, call: Call) -> list[Record]:
        place = self._place(call)
        every = self.cloudflare.records.access.all()
        return [record for _, _, record in every if (record["account"], record["zone_id"]) == place]

    def _rule(self, call: Call) -> Record:
        found = next((rule for rule in self._all(call) if rule["id"] == call.path["rule_id"]), None)
        if found is None:
            raise ApiError(10001, "firewallaccessrules.api.not_found", 404)
        return found

    def described(self, rule: Record) -> dict[str, Any]:
        zone = rule["zone_id"]
        return {
            **shown(rule, "zone_id"),
            "allowed_modes": list(MODES),
            "scope": {"id": zone or rule["account"], "type": "zone" if zone else "organization"},
        }


def _mode(given: Any) -> str:
    if given not in MODES:
        raise ApiError(10001, f"firewallaccessrules.api.validation_error: mode is one of {', '.join(MODES)}")
    return str(given)


def _configuration(given: Any) -> dict[str, str]:
    given = given if isinstance(given, dict) else {}
    target, value = given.get("target"), given.get("value")
    if target in ("country", "asn"):
        raise not_done(f"access rules by {target}: it can't know it of an address")
    try:
        if target in ("ip", "ip6"):
            address = ipaddress.ip_address(value)
            if address.version == (6 if target == "ip6" else 4):
                return {"target": target, "value": str(address)}
        elif target == "ip_range":
            network = ipaddress.ip_network(value)
            if network.prefixlen in RANGES[network.version]:
                return {"target": target, "value": str(network)}
    except ValueError:
        pass
    raise ApiError(
        10001,
        "firewallaccessrules.api.validation_error: configuration is an ip, an ip6, or an ip_range of /16, /24"
        " (IPv6: /32, /48, /64)",
    )
