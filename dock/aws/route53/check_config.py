"""The configuration of a health check: what AWS requires of each type, and its defaults."""

from __future__ import annotations

import ipaddress
from typing import Any, NoReturn

from dock.aws.service import AwsError
from dock.engines.dns import names

REGIONS = (
    "us-east-1",
    "us-west-1",
    "us-west-2",
    "eu-west-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-northeast-1",
    "sa-east-1",
)
INTERVALS = (10, 30)
MAX_CHILDREN = 255
_PORTS = {"HTTP": 80, "HTTPS": 443, "HTTP_STR_MATCH": 80, "HTTPS_STR_MATCH": 443}
_OF_ENDPOINT = frozenset(
    {
        "EnableSNI",
        "FailureThreshold",
        "FullyQualifiedDomainName",
        "IPAddress",
        "MeasureLatency",
        "Port",
        "Regions",
        "RequestInterval",
        "ResourcePath",
        "SearchString",
    }
)
_OF_CALCULATED = frozenset({"HealthThreshold", "ChildHealthChecks"})
_OF_ALARM = frozenset({"AlarmIdentifier", "InsufficientDataHealthStatus"})
RESETTABLE = ("ResourcePath", "FullyQualifiedDomainName", "Regions", "ChildHealthChecks")

Config = dict[str, Any]


def complete(given: Config) -> Config:
    """The configuration with its defaults. Raises AwsError (InvalidInput) for what its type doesn't take."""
    kind = given["Type"]
    config = {"Inverted": False, "Disabled": False, **given}
    match kind:
        case "RECOVERY_CONTROL":
            _refuse("the dock has no routing controls: health checks of type RECOVERY_CONTROL are not served")
        case "CALCULATED":
            _only(config, _OF_CALCULATED, kind)
            return _calculated(config)
        case "CLOUDWATCH_METRIC":
            _only(config, _OF_ALARM, kind)
            if "AlarmIdentifier" not in config:
                _refuse("AlarmIdentifier must be specified for a health check of type CLOUDWATCH_METRIC")
            return {"InsufficientDataHealthStatus": "LastKnownStatus", **config}
    _only(config, _OF_ENDPOINT, kind)
    return _endpoint(config, kind)


def _endpoint(config: Config, kind: str) -> Config:
    done = {"RequestInterval": 30, "FailureThreshold": 3, "MeasureLatency": False, **config}
    if kind in _PORTS:
        done = {"Port": _PORTS[kind], "EnableSNI": kind.startswith("HTTPS"), **done}
        if not done.get("ResourcePath", "/").startswith("/"):
            done["ResourcePath"] = f"/{done['ResourcePath']}"
    else:
        for name in ("ResourcePath", "EnableSNI"):
            if done.get(name):
                _refuse(f"{name} can't be specified for a health check of type TCP")
        if "Port" not in done:
            _refuse("Port must be specified for a health check of type TCP")
        if "IPAddress" not in done and "FullyQualifiedDomainName" not in done:
            _refuse("IPAddress or FullyQualifiedDomainName must be specified")
    if kind.endswith("STR_MATCH") is not bool(done.get("SearchString")):
        _refuse("SearchString must be specified for the types HTTP_STR_MATCH and HTTPS_STR_MATCH, and for no other")
    if "IPAddress" not in done and "FullyQualifiedDomainName" not in done:
        _refuse("IPAddress or FullyQualifiedDomainName must be specified")
    if "IPAddress" in done:
        _loopback(done["IPAddress"])
    if "FullyQualifiedDomainName" in done:
        _host(done["FullyQualifiedDomainName"])
    if not 1 <= done["Port"] <= 65535:
        _refuse(f"Port {done['Port']} is not from 1 to 65535")
    if done["RequestInterval"] not in INTERVALS:
        _refuse(f"RequestInterval must be 10 or 30, not {done['RequestInterval']}")
    if not 1 <= done["FailureThreshold"] <= 10:
        _refuse(f"FailureThreshold {done['FailureThreshold']} is not from 1 to 10")
    if unknown := sorted(set(done.get("Regions", [])) - set(REGIONS)):
        _refuse(f"there are no health checkers in {', '.join(unknown)}")
    if "Regions" in done and len(set(done["Regions"])) < 3:
        _refuse("at least three regions must be specified")
    return done


def _calculated(config: Config) -> Config:
    children = config.get("ChildHealthChecks", [])
    if "HealthThreshold" not in config or not 0 <= config["HealthThreshold"] <= 256:
        _refuse("HealthThreshold from 0 to 256 must be specified for a health check of type CALCULATED")
    if not children or len(children) > MAX_CHILDREN or len(set(children)) != len(children):
        _refuse(f"ChildHealthChecks must name 1 to {MAX_CHILDREN} health checks, each once")
    return {**config, "ChildHealthChecks": children}


def _only(config: Config, allowed: frozenset[str], kind: str) -> None:
    given = {name for name, value in config.items() if value not in (None, [], "", False)}
    if beyond := sorted(given - allowed - {"Type", "Inverted", "Disabled"}):
        _refuse(f"{', '.join(beyond)} can't be specified for a health check of type {kind}")


def _loopback(text: str) -> None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        _refuse(f"IPAddress '{text}' is not an address")
    if not address.is_loopback or address.version != 4:
        _refuse(f"IPAddress {text}: the dock's checkers reach IPv4 loopback addresses only")


def _host(text: str) -> None:
    try:
        names.parse(text)
    except ValueError as problem:
        _refuse(f"FullyQualifiedDomainName: {problem}")


def _refuse(reason: str) -> NoReturn:
    raise AwsError("InvalidInput", f"Invalid request: {reason}")
