"""The functions of the provider (`aws.get_…`): those here need no cloud, `lookups.py` has those that do."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Mapping
from typing import Any

from dock.providers.aws import lookups
from dock.providers.aws.cloud import Cloud
from dock.providers.errors import Failure, ProviderError
from dock.providers.properties import UNKNOWN

PARTITION = {"partition": "aws", "dnsSuffix": "amazonaws.com", "reverseDnsPrefix": "com.amazonaws"}
# The dock's regions and their zones.
ZONES = {"us-east-1": ("use1", "abc"), "us-west-2": ("usw2", "abc")}
DESCRIPTIONS = {"us-east-1": "US East (N. Virginia)", "us-west-2": "US West (Oregon)"}
# What AWS leaves out of random passwords only when asked to; its own set of punctuation.
PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
SECRET = {"aws:secretsmanager/getRandomPassword:getRandomPassword": ("randomPassword",)}


def invoke(token: str, arguments: dict[str, Any], cloud: Cloud) -> tuple[dict[str, Any], list[Failure]]:
    """Raises ProviderError for a function that isn't here."""
    if token in lookups.LOOKUPS:
        return lookups.look_up(token, {name: value for name, value in arguments.items() if value is not None}, cloud)
    function = FUNCTIONS.get(token)
    if function is None:
        every = sorted([*FUNCTIONS, *lookups.LOOKUPS])
        raise ProviderError(f"the dock has no function {token}; it has {', '.join(every)}")
    return function({name: value for name, value in arguments.items() if value is not None}, cloud)


def random_password(arguments: dict[str, Any], cloud: Cloud) -> tuple[dict[str, Any], list[Failure]]:
    """As Secrets Manager makes them: unless told otherwise, 32 characters of four kinds, each at least once."""
    length = arguments.get("passwordLength", 32)
    excluded = set(arguments.get("excludeCharacters", ""))
    kinds = [
        letters
        for letters, flag in (
            (string.ascii_lowercase, "excludeLowercase"),
            (string.ascii_uppercase, "excludeUppercase"),
            (string.digits, "excludeNumbers"),
            (PUNCTUATION, "excludePunctuation"),
        )
        if not arguments.get(flag, False)
    ]
    if arguments.get("includeSpace", False):
        kinds.append(" ")
    usable = ["".join(sorted(set(kind) - excluded)) for kind in kinds]
    usable = [kind for kind in usable if kind]
    each_kind = arguments.get("requireEachIncludedType", True)
    if not usable:
        return {}, [Failure("excludeCharacters", "no character is left to make a password of")]
    if not isinstance(length, int) or not 1 <= length <= 4096 or (each_kind and length < len(usable)):
        return {}, [Failure("passwordLength", f"must be between {len(usable) if each_kind else 1} and 4096")]
    chosen = [secrets.choice(kind) for kind in usable] if each_kind else []
    every = "".join(usable)
    chosen += [secrets.choice(every) for _ in range(length - len(chosen))]
    secrets.SystemRandom().shuffle(chosen)
    password = "".join(chosen)
    return {**arguments, "id": "random-password", "randomPassword": password, "region": _region(arguments, cloud)}, []


def caller_identity(arguments: dict[str, Any], cloud: Cloud) -> tuple[dict[str, Any], list[Failure]]:
    """Whose credentials these are. A stack that allows one account only needs nobody to ask."""
    allowed = cloud.configuration.allowed_accounts
    account = allowed[0] if len(allowed) == 1 else cloud.account
    arn = f"arn:aws:iam::{account}:root"
    return {"id": account, "accountId": account, "arn": arn, "userId": account}, []


def region(arguments: dict[str, Any], cloud: Cloud) -> tuple[dict[str, Any], list[Failure]]:
    name = arguments.get("name") or _region(arguments, cloud)
    if name not in ZONES:
        return {}, [Failure("region", f"the dock has the regions {', '.join(ZONES)}")]
    described = {"description": DESCRIPTIONS[name], "endpoint": f"ec2.{name}.amazonaws.com"}
    return {"id": name, "name": name, "region": name, **described}, []


def availability_zones(arguments: dict[str, Any], cloud: Cloud) -> tuple[dict[str, Any], list[Failure]]:
    """Every zone is available; filters other than the state are refused rather than ignored."""
    name = _region(arguments, cloud)
    for argument in ("filters", "excludeNames", "excludeZoneIds", "allAvailabilityZones"):
        if arguments.get(argument):
            return {}, [Failure(argument, "not in the dock: leave it out")]
    if name not in ZONES:
        return {}, [Failure("region", f"the dock has the regions {', '.join(ZONES)}")]
    prefix, letters = ZONES[name]
    available = arguments.get("state", "available") == "available"
    return {
        "id": name,
        "region": name,
        "names": [f"{name}{letter}" for letter in letters] if available else [],
        "zoneIds": [f"{prefix}-az{number}" for number in range(1, len(letters) + 1)] if available else [],
        "groupNames": [f"{name}-zg-1"] if available else [],
    }, []


def partition(arguments: dict[str, Any], cloud: Cloud) -> tuple[dict[str, Any], list[Failure]]:
    return {"id": PARTITION["partition"], **PARTITION}, []


FUNCTIONS: dict[str, Callable[[dict[str, Any], Cloud], tuple[dict[str, Any], list[Failure]]]] = {
    "aws:secretsmanager/getRandomPassword:getRandomPassword": random_password,
    "aws:index/getCallerIdentity:getCallerIdentity": caller_identity,
    "aws:index/getRegion:getRegion": region,
    "aws:index/getAvailabilityZones:getAvailabilityZones": availability_zones,
    "aws:index/getPartition:getPartition": partition,
}


def _region(arguments: Mapping[str, Any], cloud: Cloud) -> str:
    given = arguments.get("region")
    return str(given) if given and given is not UNKNOWN else cloud.configuration.region
