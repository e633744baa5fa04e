"""The configuration of one provider instance: whose token, and where to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dock.providers.configuration import decoded, unfit
from dock.providers.declaration import schema_file
from dock.providers.errors import Failure
from dock.providers.properties import UNKNOWN

PROVIDER = "pulumi:providers:cloudflare"
SCHEMA = schema_file("cloudflare")
REFUSED = {
    "apiKey": "the dock has API tokens only",
    "apiUserServiceKey": "the dock has API tokens only",
    "email": "the dock has API tokens only",
}


@dataclass(frozen=True, slots=True)
class Configuration:
    """`base_url` None: nobody said where the API is."""

    base_url: str | None = None
    token: str | None = None

    @property
    def region(self) -> str:
        return ""

    @property
    def default_tags(self) -> Mapping[str, Any]:
        return {}

    @classmethod
    def of(cls, inputs: Mapping[str, Any], environment: Mapping[str, str]) -> Configuration:
        """The program's word first, then the shell's, under the names that the vendor's plugin reads."""
        values = {
            name: value
            for name, value in decoded(PROVIDER, SCHEMA, inputs).items()
            if value is not UNKNOWN and value is not None
        }
        return cls(
            base_url=values.get("baseUrl") or environment.get("CLOUDFLARE_BASE_URL"),
            token=values.get("apiToken") or environment.get("CLOUDFLARE_API_TOKEN"),
        )


def failures(inputs: Mapping[str, Any]) -> Iterator[Failure]:
    yield from unfit(PROVIDER, SCHEMA, inputs, REFUSED)
