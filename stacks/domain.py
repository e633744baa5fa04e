"""Domain types: each says once what is expected of a value, with an example for the message."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Tag,
    model_validator,
)
from pydantic_core import CoreSchema


@dataclass(frozen=True)
class Expected:
    """What to tell a person whose value was refused, and their editor before it is."""

    what: str
    example: Any

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "examples": [self.example]}


class Part(BaseModel):
    """A group of settings or facts: nothing unknown, nothing converted, nothing changed afterwards."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    def contradictions(self) -> Iterator[str]:
        """What is wrong with values that are right each for itself; asked once all of them are."""
        return iter(())

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if wrong := list(self.contradictions()):
            raise ValueError("\n".join(wrong))
        return self


def _network(text: str) -> str:
    network = ipaddress.ip_network(text)
    if network.version != 4:
        raise ValueError("is not IPv4")
    return text


def _vpc(text: str) -> str:
    if not 16 <= ipaddress.ip_network(_network(text)).prefixlen <= 24:
        raise ValueError("is not a /16 to /24")
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (OSError, ValueError):
        raise ValueError("is not in the time zone database") from None
    return text


_CLOCK = r"([01]\d|2[0-3]):[0-5]\d"
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

Name = Annotated[
    str,
    # A load balancer's name, made of three of these, has 32 characters at most.
    Field(pattern=r"^[a-z][a-z0-9]{1,9}$"),
    Expected("2 to 10 lower-case letters and digits, a letter first", "chatvrm"),
]
Account = Annotated[str, Field(pattern=r"^\d{12}$"), Expected("an AWS account: 12 digits, in quotes", "123456789012")]
Region = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$"), Expected("an AWS region", "us-east-1")]
AvailabilityZone = Annotated[
    str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d[a-z]$"), Expected("an availability zone of the region", "us-east-1a")
]
VpcCidr = Annotated[str, AfterValidator(_vpc), Expected("a private IPv4 block, /16 to /24", "10.10.0.0/16")]
Cidr = Annotated[str, AfterValidator(_network), Expected("an IPv4 block without host bits", "203.0.113.0/24")]
Port = Annotated[int, Field(ge=1, le=65535), Expected("a TCP port, 1 to 65535", 443)]
CertificateArn = Annotated[
    str,
    Field(pattern=r"^arn:aws:acm:[a-z0-9-]+:\d{12}:certificate/.+$"),
    Expected("the ARN of an ACM certificate", "arn:aws:acm:us-east-1:123456789012:certificate/0f1e2d3c"),
]
Hostname = Annotated[
    str,
    Field(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$"),
    Expected("a host name in lower case, without scheme and path", "chatvrm.com"),
]
AbsolutePath = Annotated[str, Field(pattern=r"^/"), Expected("a path that begins with /", "/api/health")]
InstanceClass = Annotated[
    str, Field(pattern=r"^db\.[a-z0-9]+\.[a-z0-9]+$"), Expected("an RDS instance class", "db.t4g.medium")
]
NodeType = Annotated[
    str, Field(pattern=r"^cache\.[a-z0-9]+\.[a-z0-9]+$"), Expected("an ElastiCache node type", "cache.t4g.small")
]
DailyWindow = Annotated[
    str,
    Field(pattern=rf"^{_CLOCK}-{_CLOCK}$"),
    Expected("a daily window in UTC of at least 30 minutes", "07:00-08:00"),
]
WeeklyWindow = Annotated[
    str,
    Field(pattern=rf"^({'|'.join(_DAYS)}):{_CLOCK}-({'|'.join(_DAYS)}):{_CLOCK}$"),
    Expected("a weekly window in UTC of at least 30 minutes", "sun:08:30-sun:09:30"),
]
Percent = Annotated[float, Field(ge=0, le=100), Expected("percent, 0 to 100", 99.9)]
Seconds = Annotated[float, Field(gt=0), Expected("seconds, more than 0", 2.0)]
LogRetention = Annotated[
    Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827],
    Expected("days, as CloudWatch Logs offers them", 30),
]
TimeZone = Annotated[str, AfterValidator(_zone), Expected("a time zone", "America/Los_Angeles")]
TimeOfDay = Annotated[str, Field(pattern=rf"^{_CLOCK}$"), Expected("a time of day, in quotes", "14:00")]
Day = Annotated[
    str,
    Field(pattern=r"^(\d{4}-)?(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"),
    Expected("a day, of every year or of one, in quotes", "12-23"),
]
Weekday = Annotated[
    Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"],
    Expected("a weekday in lower case", "tuesday"),
]
DatabaseIdentifier = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$"), Expected("a name that PostgreSQL takes unquoted", "chat_app")
]
VariableName = Annotated[
    str, Field(pattern=r"^[A-Z][A-Z0-9_]*$"), Expected("a variable's name in upper case", "LOG_LEVEL")
]


# The name of a choice has a blank in it, which no key of a settings file has: messages leave it out.
NEW, EXISTING = "a new one", "an existing one"


def either(new: type[Part], existing: type[Part]) -> Any:
    """The type of a group that describes something new, or names under `existing` what is there already."""

    def chosen(given: Any) -> str:
        return EXISTING if isinstance(given, existing) or (isinstance(given, dict) and "existing" in given) else NEW

    return Annotated[Annotated[new, Tag(NEW)] | Annotated[existing, Tag(EXISTING)], Discriminator(chosen)]


def whole(lowest: int, highest: int, unit: str, example: int) -> Any:
    """The type of a whole number with a unit, for example `whole(1, 35, "days", 7)`."""
    return Annotated[
        int, Field(ge=lowest, le=highest), Expected(f"{unit}: a whole number, {lowest} to {highest}", example)
    ]


def minutes(window: str) -> set[int]:
    """The minutes of a week, from Sunday 00:00, that a daily or weekly window covers, over midnight too."""
    start, end = re.fullmatch(r"(.*?\d\d:\d\d)-(.*)", window).groups()  # type: ignore[union-attr]
    week, day = 7 * 24 * 60, 24 * 60
    if start[0].isdigit():
        first, last = _of_day(start), _of_day(end)
        length = (last - first) % day
        return {(number * day + first + minute) % week for number in range(7) for minute in range(length)}
    first, last = (_DAYS.index(text[:3]) * day + _of_day(text[4:]) for text in (start, end))
    return {(first + minute) % week for minute in range((last - first) % week)}


def _of_day(clock: str) -> int:
    hours, rest = clock.split(":")
    return int(hours) * 60 + int(rest)
