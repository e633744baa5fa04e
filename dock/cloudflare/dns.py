"""DNS records. Those that are proxied lead to the edge, which knows where their origin is."""

from __future__ import annotations

import ipaddress
import re
import uuid
from typing import Any

from dock.cloudflare.errors import ApiError
from dock.cloudflare.plans import PLANS
from dock.cloudflare.records import shown
from dock.cloudflare.route import Call, Page, Part, flag, paged, route, text, whole
from dock.cloudflare.tokens import now
from dock.store import Record

PROXIABLE = frozenset({"A", "AAAA", "CNAME"})
TYPES = (*sorted(PROXIABLE), "CAA", "MX", "NS", "SRV", "TXT")
AUTOMATIC = 1
_LABEL = r"(\*|[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)"
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_BODY = "name type content ttl proxied"
_KEPT = "priority comment tags data settings"


class Dns(Part):
    @route("GET", "/zones/{zone_id}/dns_records", "DNS",
           acts="name name.exact type content content.exact proxied search")  # fmt: skip
    async def every(self, call: Call) -> Page:
        zone = self.cloudflare.records.zone(call.path["zone_id"])
        query = call.query

        def fits(record: Record) -> bool:
            return all(
                (
                    (query.get("name") or query.get("name.exact") or record["name"]).lower() == record["name"],
                    query.get("type", record["type"]) == record["type"],
                    query.get("content", query.get("content.exact", record["content"])) == record["content"],
                    query.get("proxied", str(record["proxied"]).lower()) == str(record["proxied"]).lower(),
                    query.get("search", "") in f"{record['name']} {record['content']} {record['comment'] or ''}",
                )
            )

        found = [
            record for record in self.cloudflare.records.of_zone(self.cloudflare.records.dns, zone) if fits(record)
        ]
        found.sort(key=lambda record: (record["name"], record["type"], record["content"]))
        return paged([self.described(record) for record in found], {"per_page": "100", **query}, 5000)

    @route("POST", "/zones/{zone_id}/dns_records", "DNS", acts=_BODY, records=_KEPT)
    async def create(self, call: Call) -> dict[str, Any]:
        records = self.cloudflare.records
        zone = records.zone(call.path["zone_id"])
        if len(records.of_zone(records.dns, zone)) >= PLANS[zone["plan"]].dns_records:
            raise ApiError(81045, "The record quota has been exceeded.")
        moment = now()
        record = {
            "id": uuid.uuid4().hex,
            "zone_id": zone["id"],
            "account": zone["account"],
            "created_on": moment,
            **self._checked(zone, call.body),
            "modified_on": moment,
        }
        self._refuse_conflict(zone, record)
        records.put(records.dns, record)
        await self.cloudflare.changed()
        return self.described(record)

    @route("GET", "/zones/{zone_id}/dns_records/{record_id}", "DNS")
    async def get(self, call: Call) -> dict[str, Any]:
        return self.described(self._record(call))

    @route("PUT", "/zones/{zone_id}/dns_records/{record_id}", "DNS", acts=_BODY, records=_KEPT)
    async def update(self, call: Call) -> dict[str, Any]:
        return await self._change(call, call.body)

    @route("PATCH", "/zones/{zone_id}/dns_records/{record_id}", "DNS", acts=_BODY, records=_KEPT)
    async def edit(self, call: Call) -> dict[str, Any]:
        return await self._change(call, {**self._record(call), **call.body})

    @route("DELETE", "/zones/{zone_id}/dns_records/{record_id}", "DNS")
    async def delete(self, call: Call) -> dict[str, Any]:
        record = self._record(call)
        self.cloudflare.records.delete(self.cloudflare.records.dns, record)
        await self.cloudflare.changed()
        return {"id": record["id"]}

    async def _change(self, call: Call, wanted: dict[str, Any]) -> dict[str, Any]:
        before = self._record(call)
        zone = self.cloudflare.records.zone(call.path["zone_id"])
        record = {**before, **self._checked(zone, wanted), "modified_on": now()}
        self._refuse_conflict(zone, record)
        self.cloudflare.records.put(self.cloudflare.records.dns, record)
        await self.cloudflare.changed()
        return self.described(record)

    def _record(self, call: Call) -> Record:
        zone = self.cloudflare.records.zone(call.path["zone_id"])
        found = self.cloudflare.records.dns.get(self.cloudflare.records.scope(zone), call.path["record_id"])
        if found is None or found["zone_id"] != zone["id"]:
            raise ApiError(81044, "Record does not exist.", 404)
        return found

    def _checked(self, zone: Record, body: dict[str, Any]) -> dict[str, Any]:
        kind = text(body, "type", required=True)
        if kind not in TYPES:
            raise ApiError(9004, f"The DNS record type {kind} is not served by the dock; it has {', '.join(TYPES)}.")
        name = (text(body, "name", required=True) or "").rstrip(".").lower()
        if name in ("@", ""):
            name = zone["name"]
        elif name != zone["name"] and not name.endswith(f".{zone['name']}"):
            name = f"{name}.{zone['name']}"
        if not _NAME.fullmatch(name) or "*" in name[1:]:
            raise ApiError(9000, "DNS name is invalid.")
        proxied = flag(body, "proxied", False)
        if proxied and kind not in PROXIABLE:
            raise ApiError(9004, "This record type cannot be proxied.")
        ttl = whole(body.get("ttl", AUTOMATIC), "ttl", 1, 86400)
        if ttl != AUTOMATIC and ttl < 60:
            raise ApiError(9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.")
        return {
            "type": kind,
            "name": name,
            "content": self._content(kind, name, text(body, "content", longest=4096), body.get("data")),
            "proxied": proxied,
            "ttl": AUTOMATIC if proxied else ttl,
            "priority": body.get("priority"),
            "comment": text(body, "comment", longest=500),
            "tags": list(body.get("tags") or []),
            "data": body.get("data"),
            "settings": body.get("settings") or {},
        }

    @staticmethod
    def _content(kind: str, name: str, content: str | None, data: Any) -> str:
        if kind in ("CAA", "SRV") and isinstance(data, dict):
            order = ("flags", "tag", "value") if kind == "CAA" else ("priority", "weight", "port", "target")
            if any(part not in data for part in order):
                raise ApiError(9101, f"data of a {kind} record needs {', '.join(order)}.")
            return " ".join(str(data[part]) for part in order)
        if not content:
            raise ApiError(9009, f"Content for {kind} record is missing.")
        if kind in ("A", "AAAA"):
            try:
                return str((ipaddress.IPv4Address if kind == "A" else ipaddress.IPv6Address)(content))
            except ValueError:
                version = "IPv4" if kind == "A" else "IPv6"
                raise ApiError(9005, f"Content for {kind} record must be a valid {version} address.") from None
        if kind in ("CNAME", "MX", "NS"):
            target = content.rstrip(".").lower()
            if not _NAME.fullmatch(target) or "." not in target or target.rpartition(".")[2].isdigit():
                raise ApiError(9007, f"Content for {kind} record is invalid.")
            if target == name:
                raise ApiError(9039, "Content for CNAME record cannot reference itself.")
            return target
        return content

    def _refuse_conflict(self, zone: Record, record: Record) -> None:
        for other in self.cloudflare.records.of_zone(self.cloudflare.records.dns, zone):
            if other["name"] != record["name"] or other["id"] == record["id"]:
                continue
            if (other["type"], other["content"]) == (record["type"], record["content"]):
                raise ApiError(81058, "An identical record already exists.")
            if (
                other["type"] in PROXIABLE
                and record["type"] in PROXIABLE
                and "CNAME" in (other["type"], record["type"])
            ):
                raise ApiError(81053, "An A, AAAA, or CNAME record with that host already exists.")

    @staticmethod
    def described(record: Record) -> dict[str, Any]:
        found = shown(record, "zone_id")
        for name in ("priority", "data"):
            if found[name] is None:
                del found[name]
        return {**found, "proxiable": record["type"] in PROXIABLE, "meta": {}}
