"""What a service of the dock is: a class whose handlers say which parameters they act on."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from dock.access.principals import Principal
from dock.store import Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud
    from dock.faults.engines import Engine

Request = dict[str, Any]
Response = dict[str, Any]
Handler = Callable[[Any, "Call", Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Call:
    """Who called what, where."""

    account: str
    region: str
    service: str
    operation: str
    request_id: str
    caller: Principal | None = None
    """Who is behind it; None on the dock's own calls, which are the account's."""

    @property
    def scope(self) -> Scope:
        return Scope(self.account, self.region)

    def arn(self, resource: str) -> str:
        """An ARN in the caller's account and region, for example `arn(f"db:{identifier}")`."""
        return f"arn:aws:{_ARN_NAMESPACE.get(self.service, self.service)}:{self.region}:{self.account}:{resource}"


_ARN_NAMESPACE = {"elbv2": "elasticloadbalancing"}


class AwsError(Exception):
    """An error that the caller gets in the service's own protocol.

    `code` is AWS's, as botocore's exceptions name it (for example `DBInstanceNotFound`).
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True, slots=True)
class Operation:
    """One handler's declaration. Parameters in neither set are refused when a caller sends them."""

    name: str
    acts: frozenset[str]
    records: frozenset[str]
    handler: Handler


def operation(name: str, *, acts: str = "", records: str = "") -> Callable[[Handler], Handler]:
    """Mark a handler: `acts` are the parameters that have their effect here, `records` those that are only kept and
    shown again (they end up in docs/differences-from-aws.md). Both are names separated by blanks."""

    def mark(handler: Handler) -> Handler:
        declared = Operation(name, frozenset(acts.split()), frozenset(records.split()), handler)
        handler.__drydock_operation__ = declared  # type: ignore[attr-defined]
        return handler

    return mark


class Service:
    """One AWS service that the dock serves itself.

    A handler is `async def (self, call, request) -> response`; request and response are dicts in botocore's shapes.
    The request was checked against the service model (unknown, missing, type, range, enum) before it comes here.
    All handlers run on one event loop: what blocks goes to `asyncio.to_thread`.
    """

    name: ClassVar[str]
    """botocore's name of the service, for example `rds`."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    async def start(self) -> None:
        """Load records, adopt engines that outlived the last daemon, start those that should run. Idempotent."""

    async def stop(self) -> None:
        """Stop every engine in order (`drydock down`); records stay, the next `start` brings them back."""

    def status(self) -> list[dict[str, Any]]:
        """What `drydock status` shows: one dict per engine or resource with `kind`, `name`, `state`, and more."""
        return []

    def engines(self) -> list[Engine]:
        """What a fault can hit: one entry for each resource that acts, with its processes and their zones."""
        return []

    @classmethod
    def operations(cls) -> dict[str, Operation]:
        """The declared operations by name."""
        found = {}
        for _, member in inspect.getmembers(cls, inspect.isfunction):
            declared = getattr(member, "__drydock_operation__", None)
            if declared is not None:
                found[declared.name] = declared
        return found
