"""Zones, and their plan."""

from __future__ import annotations

import re
import uuid
from typing import Any

from dock.cloudflare.errors import ApiError, not_done
from dock.cloudflare.plans import DEFAULT_PLAN, PLANS, Plan
from dock.cloudflare.records import ACCOUNTS
from dock.cloudflare.route import Call, Page, Part, flag, paged, route, text
from dock.cloudflare.tokens import READ, now
from dock.store import Record

# RFC 1035's names of two labels or more, in lower case.
NAME = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]")
NAME_SERVERS = ["ada.ns.cloudflare.com", "bob.ns.cloudflare.com"]


class Zones(Part):
    @route("GET", "/zones", "Zone", acts="name status account.id account.name")
    async def every(self, call: Call) -> Page:
        found = [
            zone
            for zone in self.cloudflare.records.every_zone()
            if call.token.may("Zone", READ, zone["id"], zone["account"])
            and call.query.get("name", zone["name"]) == zone["name"]
            and call.query.get("status", zone["status"]) == zone["status"]
            and call.query.get("account.id", zone["account"]) == zone["account"]
            and call.query.get("account.name", ACCOUNTS[zone["account"]]) == ACCOUNTS[zone["account"]]
        ]
        return paged(
            [self.described(zone) for zone in sorted(found, key=lambda zone: str(zone["name"]))], call.query, 50
        )

    @route("POST", "/zones", "Zone", acts="name account type", records="jump_start")
    async def create(self, call: Call) -> dict[str, Any]:
        name = (text(call.body, "name", required=True) or "").rstrip(".").lower()
        account = (call.body.get("account") or {}).get("id") or next(iter(ACCOUNTS))
        scope = self.cloudflare.records.account(account)
        if call.body.get("type", "full") != "full":
            raise not_done("partial, secondary and internal zones")
        if not NAME.fullmatch(name):
            raise ApiError(1049, f"{name} is not a registered domain")
        if any(zone["name"] == name for zone in self.cloudflare.records.every_zone()):
            raise ApiError(1061, f"{name} already exists")
        moment = now()
        zone: Record = {
            "id": uuid.uuid4().hex,
            "name": name,
            "account": scope.account,
            "status": "pending",
            "paused": False,
            "plan": DEFAULT_PLAN,
            "created_on": moment,
            "modified_on": moment,
            "activated_on": None,
        }
        self.cloudflare.records.put(self.cloudflare.records.zones, zone)
        # The dock is the registrar too: every domain is delegated here as soon as somebody asks.
        self.cloudflare.activate_soon(zone["id"])
        return self.described(zone)

    @route("GET", "/zones/{zone_id}", "Zone")
    async def get(self, call: Call) -> dict[str, Any]:
        return self.described(self.cloudflare.records.zone(call.path["zone_id"]))

    @route("PATCH", "/zones/{zone_id}", "Zone", acts="paused plan type vanity_name_servers")
    async def edit(self, call: Call) -> dict[str, Any]:
        zone = self.cloudflare.records.zone(call.path["zone_id"])
        if call.body.get("type", "full") != "full":
            raise not_done("partial, secondary and internal zones")
        if call.body.get("vanity_name_servers"):
            raise not_done("name servers of your own")
        if "plan" in call.body:
            zone["plan"] = _plan((call.body["plan"] or {}).get("id"))
        zone["paused"] = flag(call.body, "paused", zone["paused"])
        zone["modified_on"] = now()
        self.cloudflare.records.put(self.cloudflare.records.zones, zone)
        await self.cloudflare.changed()
        return self.described(zone)

    @route("DELETE", "/zones/{zone_id}", "Zone")
    async def delete(self, call: Call) -> dict[str, Any]:
        records = self.cloudflare.records
        zone = records.zone(call.path["zone_id"])
        with records.transaction():
            for table in (records.dns, records.settings, records.rulesets, records.versions, records.access):
                for each in records.of_zone(table, zone):
                    records.delete(table, each)
            records.delete(records.zones, zone)
        await self.cloudflare.changed()
        return {"id": zone["id"]}

    @route("PUT", "/zones/{zone_id}/activation_check", "Zone")
    async def check(self, call: Call) -> dict[str, Any]:
        zone = self.cloudflare.records.zone(call.path["zone_id"])
        await self.cloudflare.activate(zone["id"])
        return {"id": zone["id"]}

    @route("GET", "/zones/{zone_id}/subscription", "Zone")
    async def subscription(self, call: Call) -> dict[str, Any]:
        return _subscription(self.cloudflare.records.zone(call.path["zone_id"]))

    @route("PUT", "/zones/{zone_id}/subscription", "Zone", acts="rate_plan", records="frequency")
    async def subscribe(self, call: Call) -> dict[str, Any]:
        zone = self.cloudflare.records.zone(call.path["zone_id"])
        zone["plan"] = _plan((call.body.get("rate_plan") or {}).get("id"))
        self.cloudflare.records.put(self.cloudflare.records.zones, zone)
        return _subscription(zone)

    def described(self, zone: Record) -> dict[str, Any]:
        plan = PLANS[zone["plan"]]
        remaining = self.cloudflare.settings.development_seconds(zone)
        return {
            "id": zone["id"],
            "name": zone["name"],
            "status": zone["status"],
            "paused": zone["paused"],
            "type": "full",
            "development_mode": int(remaining),
            "name_servers": NAME_SERVERS,
            "original_name_servers": None,
            "original_registrar": None,
            "original_dnshost": None,
            "created_on": zone["created_on"],
            "modified_on": zone["modified_on"],
            "activated_on": zone["activated_on"],
            "vanity_name_servers": [],
            "meta": {
                "cdn_only": False,
                "custom_certificate_quota": 0,
                "dns_only": False,
                "foundation_dns": False,
                "page_rule_quota": 0,
                "phishing_detected": False,
                "step": 2,
            },
            "owner": {"id": None, "type": "user", "email": None},
            "account": {"id": zone["account"], "name": ACCOUNTS[zone["account"]]},
            "tenant": {"id": None, "name": None},
            "tenant_unit": {"id": None},
            "permissions": ["#dns_records:edit", "#dns_records:read", "#zone:edit", "#zone:read"],
            "plan": _described_plan(zone["plan"], plan),
        }


def _plan(identifier: Any) -> str:
    if identifier not in PLANS:
        raise ApiError(1004, f"the plans are {', '.join(PLANS)}")
    return str(identifier)


def _described_plan(identifier: str, plan: Plan) -> dict[str, Any]:
    return {
        "id": identifier,
        "name": plan.name,
        "price": plan.price,
        "currency": "USD",
        "frequency": "monthly",
        "is_subscribed": True,
        "can_subscribe": True,
        "legacy_id": identifier,
        "legacy_discount": False,
        "externally_managed": False,
    }


def _subscription(zone: Record) -> dict[str, Any]:
    plan = PLANS[zone["plan"]]
    return {
        "id": zone["id"],
        "state": "Paid",
        "frequency": "monthly",
        "currency": "USD",
        "price": plan.price,
        "rate_plan": {"id": zone["plan"], "public_name": plan.name, "scope": "zone", "currency": "USD"},
    }
