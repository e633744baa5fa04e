"""What a load balancer should do, as its owner wants it: plain values, compared and rendered, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Algorithm(StrEnum):
    """How a group's requests are spread over its targets."""

    ROUND_ROBIN = "roundrobin"
    LEAST_OUTSTANDING = "leastconn"


class ForwardedFor(StrEnum):
    """What becomes of a client's X-Forwarded-For: its address is appended, the header is left alone, or taken out."""

    APPEND = "append"
    PRESERVE = "preserve"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """Where requests go: one process of a service."""

    address: str
    port: int

    @property
    def name(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """An HTTP check; times in seconds. `matcher` holds status codes: `200-299,404`; `port` None: the target's own."""

    path: str = "/"
    port: int | None = None
    interval: int = 30
    timeout: int = 5
    rise: int = 5
    fall: int = 2
    matcher: str = "200"


@dataclass(frozen=True, slots=True)
class Group:
    """Targets that stand for each other. `name` is made of letters, digits and hyphens.

    `slow_start` is how many seconds a target that became healthy takes to its full share, 0 for none. `stickiness` is
    how many seconds a client stays with its target, None for no stickiness.
    """

    name: str
    check: HealthCheck = field(default_factory=HealthCheck)
    algorithm: Algorithm = Algorithm.ROUND_ROBIN
    slow_start: int = 0
    stickiness: int | None = None
    targets: frozenset[Target] = frozenset()


@dataclass(frozen=True, slots=True)
class Forward:
    """Send to groups by weight: the share of each is its weight among all. Weight 0 gets nothing."""

    weights: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Redirect:
    """Answer with a redirect; the parts may hold #{protocol}, #{host}, #{port}, #{path} and #{query}."""

    status: int
    protocol: str = "#{protocol}"
    host: str = "#{host}"
    port: str = "#{port}"
    path: str = "/#{path}"
    query: str = "#{query}"


@dataclass(frozen=True, slots=True)
class FixedResponse:
    """Answer with these, without a target."""

    status: int
    content_type: str = "text/plain"
    body: str = ""


Action = Forward | Redirect | FixedResponse


class Subject(StrEnum):
    """What a condition looks at."""

    PATH = "path-pattern"
    HOST = "host-header"
    HEADER = "http-header"
    METHOD = "http-request-method"
    QUERY = "query-string"
    SOURCE = "source-ip"


@dataclass(frozen=True, slots=True)
class Condition:
    """Met when one of `values` matches: patterns with `*` and `?`, but methods are exact and sources CIDR blocks.

    `header` is the name that HEADER looks at. A value of QUERY is `key=value`, or `=value` for a value of any key.
    """

    subject: Subject
    values: tuple[str, ...]
    header: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """When all conditions are met, do this. `name` is made of letters, digits and hyphens."""

    name: str
    action: Action
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Tls:
    """`certificate` is a PEM file with its key beside it (`….key`); `minimum` as HAProxy names it, like `TLSv1.2`."""

    certificate: Path
    minimum: str = "TLSv1.2"
    maximum: str = "TLSv1.3"
    http2: bool = True


@dataclass(frozen=True, slots=True)
class Listener:
    """An address and port with its rules, first match first; the last has no conditions."""

    name: str
    address: str
    port: int
    rules: tuple[Rule, ...]
    tls: Tls | None = None


@dataclass(frozen=True, slots=True)
class Balancer:
    """A whole load balancer. `idle_timeout` in seconds: of clients, of targets, of WebSockets."""

    listeners: tuple[Listener, ...] = ()
    groups: tuple[Group, ...] = ()
    idle_timeout: int = 60
    drop_invalid_headers: bool = False
    preserve_host: bool = False
    forwarded_for: ForwardedFor = ForwardedFor.APPEND
    forwarded_port: bool = False
    """Whether X-Forwarded-For carries the client's port too."""
    tls_headers: bool = False
    """Whether targets learn the TLS version and cipher from X-Amzn-Tls-Version and X-Amzn-Tls-Cipher-Suite."""
