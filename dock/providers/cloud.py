"""What the mechanism needs of a provider's cloud: calls by name, and who is asking."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Protocol

from dock.providers.errors import ProviderError


class CallError(ProviderError):
    """The API refused a call. `repeated` says that an earlier attempt's answer was lost."""

    def __init__(self, operation: str, code: str, reason: str, repeated: bool = False) -> None:
        super().__init__(f"{operation}: {code}: {reason}")
        self.code = code
        self.repeated = repeated


class Configuration(Protocol):
    """Of one provider instance. A cloud without regions has "" for its region, one without tags has none."""

    @property
    def region(self) -> str: ...
    @property
    def default_tags(self) -> Mapping[str, Any]: ...


class Cloud(Protocol):
    """Safe to be used by many threads."""

    @property
    def configuration(self) -> Configuration: ...

    def identity(self) -> dict[str, str]:
        """What expressions see of it under `self`, for example `account`. Raises ProviderError when it may not be
        used."""
        ...

    def call(self, service: str, region: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The answer as plain JSON. Raises CallError when the API refuses, ProviderError when it can't be reached."""
        ...


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine: a plugin of the dock talks to no other."""
    if host == "localhost" or (host or "").endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
