"""A zone's settings: what each may be, what it is until somebody says otherwise, and whether it acts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dock.cloudflare.errors import ApiError, not_done
from dock.cloudflare.route import Call, Part, route
from dock.cloudflare.tokens import now
from dock.store import Record

# Development mode ends by itself.
DEVELOPMENT_SECONDS = 3 * 3600
_SWITCH = ("on", "off")
_HOURS = (1800, 3600, 7200, 10800, 14400, 18000, 28800, 43200, 57600, 72000, 86400)


@dataclass(frozen=True, slots=True)
class Setting:
    """`acts` False: kept and shown again, without effect. `refused` are Cloudflare's values that the dock can't do."""

    values: tuple[Any, ...]
    default: Any
    acts: bool = False
    refused: tuple[Any, ...] = ()


SETTINGS: dict[str, Setting] = {
    "always_use_https": Setting(_SWITCH, "off", acts=True),
    "browser_cache_ttl": Setting((0, 30, 60, 120, 300, 1200, *_HOURS, 172800, 259200, 345600, 432000, 691200, 1382400,
                                  2073600, 2678400, 5356800, 16070400, 31536000), 14400, acts=True),
    "cache_level": Setting(("aggressive", "basic", "simplified"), "aggressive", acts=True),
    "challenge_ttl": Setting((300, 900, 1800, 2700, *_HOURS[1:], 604800, 2592000, 31536000), 1800, acts=True),
    "development_mode": Setting(_SWITCH, "off", acts=True),
    # The edge speaks TLS 1.2 and 1.3; with 1.0 or 1.1 as the least, that is what it still speaks.
    "min_tls_version": Setting(("1.0", "1.1", "1.2", "1.3"), "1.0", acts=True),
    # under_attack acts; the other levels are Cloudflare's judgement of addresses, which the dock can't have.
    "security_level": Setting(("essentially_off", "low", "medium", "high", "under_attack"), "medium", acts=True,
                              refused=("off",)),
    "ssl": Setting(("off", "flexible", "full", "strict"), "full", acts=True, refused=("origin_pull",)),
    "0rtt": Setting(_SWITCH, "off"),
    "always_online": Setting(_SWITCH, "off"),
    "automatic_https_rewrites": Setting(_SWITCH, "on"),
    "brotli": Setting(_SWITCH, "on"),
    "browser_check": Setting(_SWITCH, "on"),
    "early_hints": Setting(_SWITCH, "off"),
    "email_obfuscation": Setting(_SWITCH, "on"),
    "hotlink_protection": Setting(_SWITCH, "off"),
    "http2": Setting(_SWITCH, "on"),
    "http3": Setting(_SWITCH, "on"),
    "ip_geolocation": Setting(_SWITCH, "on"),
    "ipv6": Setting(_SWITCH, "on"),
    "opportunistic_encryption": Setting(_SWITCH, "on"),
    "opportunistic_onion": Setting(_SWITCH, "on"),
    "privacy_pass": Setting(_SWITCH, "on"),
    "rocket_loader": Setting(_SWITCH, "off"),
    "server_side_exclude": Setting(_SWITCH, "on"),
    "tls_1_3": Setting(("on", "off", "zrt"), "on"),
    "websockets": Setting(_SWITCH, "on"),
}  # fmt: skip


class Settings(Part):
    @route("GET", "/zones/{zone_id}/settings", "Zone Settings")
    async def every(self, call: Call) -> list[dict[str, Any]]:
        zone = self.cloudflare.records.zone(call.path["zone_id"])
        return [self.described(zone, name) for name in sorted(SETTINGS)]

    @route("GET", "/zones/{zone_id}/settings/{setting_id}", "Zone Settings")
    async def get(self, call: Call) -> dict[str, Any]:
        return self.described(self.cloudflare.records.zone(call.path["zone_id"]), call.path["setting_id"])

    @route("PATCH", "/zones/{zone_id}/settings/{setting_id}", "Zone Settings", acts="value id enabled")
    async def edit(self, call: Call) -> dict[str, Any]:
        records = self.cloudflare.records
        zone, name = records.zone(call.path["zone_id"]), call.path["setting_id"]
        setting, value = _known(name), call.body.get("value")
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if "enabled" in call.body or call.body.get("id", name) != name:
            raise not_done(f"`enabled` of the setting {name}")
        if value in setting.refused:
            raise not_done(f"{name} {value}")
        if value not in setting.values or isinstance(value, bool):
            raise ApiError(1007, f"Invalid value for zone setting {name}")
        record = {
            "id": f"{zone['id']}/{name}",
            "zone_id": zone["id"],
            "account": zone["account"],
            "name": name,
            "value": value,
            "modified_on": now(),
            "until": time.time() + DEVELOPMENT_SECONDS if name == "development_mode" and value == "on" else None,
        }
        records.put(records.settings, record)
        await self.cloudflare.changed()
        return self.described(zone, name)

    def described(self, zone: Record, name: str) -> dict[str, Any]:
        setting = _known(name)
        record = self._record(zone, name) or {"value": setting.default, "modified_on": None}
        found = {"id": name, "value": record["value"], "editable": True, "modified_on": record["modified_on"]}
        if name == "development_mode":
            remaining = self.development_seconds(zone)
            found.update(value="on" if remaining else "off", time_remaining=int(remaining))
        return found

    def development_seconds(self, zone: Record) -> float:
        """How much longer the zone's cache is bypassed."""
        record = self._record(zone, "development_mode")
        return max(0.0, record["until"] - time.time()) if record and record["until"] else 0.0

    def values(self, zone: Record) -> Mapping[str, Any]:
        """What the edge goes by."""
        found = {name: setting.default for name, setting in SETTINGS.items() if setting.acts}
        for record in self.cloudflare.records.of_zone(self.cloudflare.records.settings, zone):
            if record["name"] in found:
                found[record["name"]] = record["value"]
                if record["until"]:
                    found["development_mode_until"] = record["until"]
        return found

    def _record(self, zone: Record, name: str) -> Record | None:
        return self.cloudflare.records.settings.get(self.cloudflare.records.scope(zone), f"{zone['id']}/{name}")


def _known(name: str) -> Setting:
    if name not in SETTINGS:
        raise ApiError(1006, f"Undefined zone setting: {name} (the dock has {', '.join(sorted(SETTINGS))})")
    return SETTINGS[name]
