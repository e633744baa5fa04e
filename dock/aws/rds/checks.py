"""What RDS refuses, in its own words where they are known."""

# ruff: noqa: SIM905 - long lists of names read best as words

from __future__ import annotations

import re
from typing import Any

from dock.aws.service import AwsError, Request

ENGINE = "postgres"
LICENSE = "postgresql-license"
DEFAULT_CA = "rds-ca-rsa2048-g1"
CERTIFICATE_AUTHORITIES = (DEFAULT_CA, "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1")
DEFAULT_BACKUP_WINDOW = "06:00-06:30"
DEFAULT_MAINTENANCE_WINDOW = "sun:08:00-sun:08:30"
_SMALLEST_STORAGE = {"gp2": 20, "gp3": 20, "io1": 100, "io2": 100, "standard": 5}
_LARGEST_STORAGE = 65536
_RESERVED_USERS = frozenset(
    "admin all analyse analyze and any array as asc authorization between both case cast check collate column"
    " constraint create current_catalog current_date current_role current_schema current_time current_timestamp"
    " current_user default deferrable desc distinct do else end except false fetch for foreign from grant group having"
    " in initially intersect into lateral leading limit localtime localtimestamp none not null offset on only or order"
    " placing primary public rdsadmin rds_superuser rds_replication references returning select session_user some"
    " symmetric table then to trailing true union unique user using variadic when where window with".split()
)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterValue", message)


def combination(message: str) -> AwsError:
    return AwsError("InvalidParameterCombination", message)


def identifier(value: str, parameter: str, longest: int = 63) -> str:
    """A name as RDS keeps it, in lower case. Raises AwsError."""
    if not re.fullmatch(r"[A-Za-z](?:-?[A-Za-z0-9])*", value) or len(value) > longest:
        raise invalid(
            f"The parameter {parameter} is not a valid identifier. Identifiers must begin with a letter; must contain"
            " only ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive"
            f" hyphens (at most {longest} characters)."
        )
    return value.lower()


def password(value: str) -> None:
    """The message never has the password."""
    problem = None
    if not 8 <= len(value) <= 128:
        problem = "it must have 8 to 128 characters."
    elif any(not "!" <= character <= "~" or character in '/@"' for character in value):
        problem = "Only printable ASCII characters besides '/', '@', '\"', ' ' may be used."
    if problem:
        raise invalid(f"The parameter MasterUserPassword is not a valid password: {problem}")


def master_username(value: str) -> None:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", value):
        raise invalid("MasterUsername must begin with a letter and have 1 to 63 letters, digits or underscores")
    if value.lower() in _RESERVED_USERS or value.lower().startswith("pg_"):
        raise invalid(f"MasterUsername {value} cannot be used as it is a reserved word used by the engine")


def database_name(value: str) -> None:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", value):
        raise invalid("DBName must begin with a letter and contain only alphanumeric characters.")
    if value.lower() in ("rdsadmin", "template0", "template1", "postgres"):
        raise invalid(f"DBName {value} cannot be used: the engine has a database of this name")


def engine(value: str) -> None:
    if value != ENGINE:
        raise invalid(f"Invalid DB engine: {value}. The dock's RDS has the engine {ENGINE} alone.")


def engine_version(value: str | None, installed: str) -> str:
    """The exact version for what was asked for: nothing, the major version, or the exact one."""
    major = installed.split(".")[0]
    if value in (None, major, installed):
        return installed
    raise combination(f"Cannot find version {value} for {ENGINE}. The dock has {installed} (also as {major}).")


def port(value: int) -> int:
    if not 1150 <= value <= 65535:
        raise invalid(f"Invalid port {value}. Must be between 1150 and 65535.")
    return value


def retention(value: int) -> int:
    if not 0 <= value <= 35:
        raise invalid(f"Invalid backup retention period: {value}. Must be between 0 and 35 days.")
    return value


def storage(request: Request, kind: str, before: int | None = None) -> None:
    """Check the sizes of a request. Raises AwsError."""
    if kind not in _SMALLEST_STORAGE:
        raise invalid(f"Invalid storage type: {kind}")
    size = request.get("AllocatedStorage", before)
    if size is None:
        raise invalid("The parameter AllocatedStorage must be provided and must not be blank.")
    if not _SMALLEST_STORAGE[kind] <= size <= _LARGEST_STORAGE:
        raise invalid(
            f"Invalid storage size for engine name {ENGINE} and storage type {kind}: {size}"
            f" (from {_SMALLEST_STORAGE[kind]} to {_LARGEST_STORAGE} GiB)"
        )
    if before is not None and size < before:
        raise combination(f"Storage can't be reduced from {before} to {size} GiB.")
    if request.get("MaxAllocatedStorage") is not None and request["MaxAllocatedStorage"] < size:
        raise combination("Max storage size must be greater than or equal to the allocated storage")


def backup_window(value: str) -> str:
    if _minutes(value.split("-"), with_day=False) < 30:
        raise invalid(f"Invalid backup window: {value}. Use hh24:mi-hh24:mi, at least 30 minutes (UTC).")
    return value


def maintenance_window(value: str) -> str:
    if not 30 <= _minutes(value.lower().split("-"), with_day=True) < 1440:
        raise invalid(
            f"Invalid maintenance window: {value}. Use ddd:hh24:mi-ddd:hh24:mi, 30 minutes to 24 hours (UTC)."
        )
    return value.lower()


def windows_apart(backup: str, maintenance: str) -> None:
    """A backup may not be taken while the server is restarted. Raises AwsError."""
    begin, end = (minute_of_week(part) or 0 for part in maintenance.split("-"))
    daily, ends = (minute_of_week(part) or 0 for part in backup.split("-"))
    week = 7 * 1440
    for day in range(7):
        start = day * 1440 + daily
        if (start - begin) % week < (end - begin) % week or (begin - start) % week < (ends - daily) % 1440:
            raise invalid(f"The backup window {backup} and maintenance window {maintenance} must not overlap.")


def minute_of_week(value: str) -> int | None:
    """Of `sun:08:30`: the minutes since Monday, 00:00; None when it is not such a time."""
    match = re.fullmatch(r"(?:([a-z]{3}):)?([01]\d|2[0-3]):([0-5]\d)", value)
    if match is None or (match[1] is not None and match[1] not in _DAYS):
        return None
    return (_DAYS.index(match[1]) if match[1] else 0) * 1440 + int(match[2]) * 60 + int(match[3])


def _minutes(parts: list[str], *, with_day: bool) -> int:
    """How long a window is; -1 when it is none."""
    times = [minute_of_week(part) for part in parts]
    if len(times) != 2 or any((":" in part[:4] and part[0].isalpha()) != with_day for part in parts if part):
        return -1
    begin, end = times
    if begin is None or end is None:
        return -1
    return (end - begin) % (7 * 1440 if with_day else 1440)


def refuse_others(request: Request) -> None:
    """Parameters whose one value the dock can serve."""
    only: dict[str, tuple[Any, ...]] = {
        "LicenseModel": (LICENSE,),
        "NetworkType": ("IPV4",),
        "BackupTarget": ("region",),
        "ManageMasterUserPassword": (False,),
        "CACertificateIdentifier": CERTIFICATE_AUTHORITIES,
    }
    for parameter, values in only.items():
        if parameter in request and request[parameter] not in values:
            raise AwsError(
                "UnsupportedOperation" if parameter == "ManageMasterUserPassword" else "InvalidParameterValue",
                f"{parameter} is {request[parameter]}; the dock has {', '.join(map(str, values))}",
            )
