"""From a stack's settings to those of its copy in a dock: what names an account of the real cloud names the dock's.

Pure. Everything else stays: sizes, protection, thresholds and names are what is rehearsed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Ids of what exists in the real cloud; in a dock the stack makes its own.
_EXISTING = {"dns": ("zone_id",), "edge": ("zone_id",)}
# Where the real cloud's authorities lie in an image; on a dock, tasks get the dock's own.
_AUTHORITIES = {"database": ("root_certificate",)}


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that a stack is given: where in its settings, and what it must be."""

    path: tuple[str, ...]
    region: str
    hostname: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a copy lives: an account of the dock's, and its account at the dock's Cloudflare."""

    account: str
    edge_account: str


def certificates(settings: Mapping[str, Any]) -> list[Certificate]:
    """The certificates that the copy needs, one for each region."""
    listener, dns = settings.get("listener", {}), settings.get("dns", {})
    hostname = listener.get("hostname")
    found = []
    if hostname and listener.get("certificate_arn"):
        found.append(Certificate(("listener", "certificate_arn"), settings["region"], hostname))
    if hostname and dns.get("recovery_site", {}).get("certificate_arn"):
        path = ("dns", "recovery_site", "certificate_arn")
        found.append(Certificate(path, settings["recovery_region"], hostname))
    return found


def copied(settings: Mapping[str, Any], place: Place, arns: Mapping[tuple[str, ...], str]) -> dict[str, Any]:
    """The settings of the copy. `arns` has its certificates by their path in the settings."""
    made: dict[str, Any] = _renamed(copy.deepcopy(dict(settings)), settings["account"], place.account)
    for part, names in (*_EXISTING.items(), *_AUTHORITIES.items()):
        for name in names:
            made.get(part, {}).pop(name, None)
    if "edge" in made:
        made["edge"]["account_id"] = place.edge_account
    for path, arn in arns.items():
        _holder(made, path)[path[-1]] = arn
    return made


def unprotected(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same without protection of its data, so that it can be destroyed: with the acknowledgement that this takes,
    and so that the names of what is deleted are free again at once."""
    made = copy.deepcopy(dict(settings))
    protection = made.setdefault("protection", {})
    protection["data"] = False
    if made.get("kind", "environment") == "environment":
        protection["acknowledgement"] = f"{made['platform']} {made['environment']} may lose its data"
        protection["secret_recovery_days"] = 0
        for part in ("database", "cache"):
            if part in made:
                made[part]["final_snapshot"] = False
    else:
        protection["acknowledgement"] = f"account {made['account']} may lose its runs and its audit trail"
    return made


def differences(before: Mapping[str, Any], after: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """What the copy has otherwise, a line each, for people."""
    for name in sorted({*before, *after}):
        here = f"{path}{name}"
        old, new = before.get(name), after.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from differences(old, new, f"{here}.")
        elif old != new:
            yield f"{here}: {old} → {'left out' if new is None else new}"


def _renamed(value: Any, account: str, other: str) -> Any:
    """The value with one account in the place of another, wherever it is the account or stands in an ARN."""
    if isinstance(value, dict):
        return {name: _renamed(item, account, other) for name, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, account, other) for item in value]
    if value == account:
        return other
    if isinstance(value, str) and value.startswith("arn:"):
        return value.replace(f":{account}:", f":{other}:")
    return value


def _holder(settings: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for name in path[:-1]:
        settings = settings[name]
    return settings
