"""The configuration of one provider instance: region, allowed accounts and what else an explicit provider carries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dock.providers.configuration import decoded, unfit
from dock.providers.declaration import schema_file
from dock.providers.errors import Failure
from dock.providers.properties import UNKNOWN

PROVIDER = "pulumi:providers:aws"
SCHEMA = schema_file("aws")
DEFAULT_REGION = "us-east-1"
MAX_RETRIES = 5
# Settings that change which identity or which cloud the calls go to, in ways that the dock has no equivalent of.
REFUSED = {
    "assumeRoleWithWebIdentity": "the dock has no web identities",
    "httpProxy": "the dock is on this machine",
    "httpsProxy": "the dock is on this machine",
}


@dataclass(frozen=True, slots=True)
class Configuration:
    region: str = DEFAULT_REGION
    access_key: str | None = None
    secret_key: str | None = None
    token: str | None = None
    profile: str | None = None
    allowed_accounts: tuple[str, ...] = ()
    forbidden_accounts: tuple[str, ...] = ()
    default_tags: Mapping[str, Any] = field(default_factory=dict)
    # By service, as `endpoints` of the provider has them.
    endpoints: Mapping[str, str] = field(default_factory=dict)
    role: str | None = None
    max_retries: int = MAX_RETRIES

    @classmethod
    def of(cls, inputs: Mapping[str, Any], environment: Mapping[str, str]) -> Configuration:
        values = decoded(PROVIDER, SCHEMA, inputs)
        tags = (values.get("defaultTags") or {}).get("tags") or {}
        endpoints: dict[str, str] = {}
        for block in values.get("endpoints") or ():
            endpoints.update({service: url for service, url in block.items() if url})
        assumed = values.get("assumeRoles") or ([values["assumeRole"]] if values.get("assumeRole") else [])
        return cls(
            region=values.get("region")
            or environment.get("AWS_REGION")
            or environment.get("AWS_DEFAULT_REGION")
            or DEFAULT_REGION,
            access_key=values.get("accessKey"),
            secret_key=values.get("secretKey"),
            token=values.get("token"),
            profile=values.get("profile"),
            allowed_accounts=tuple(values.get("allowedAccountIds") or ()),
            forbidden_accounts=tuple(values.get("forbiddenAccountIds") or ()),
            default_tags={} if tags is UNKNOWN else tags,
            endpoints=endpoints,
            role=assumed[0].get("roleArn") if assumed else None,
            max_retries=int(values.get("maxRetries") or MAX_RETRIES),
        )


def failures(inputs: Mapping[str, Any]) -> Iterator[Failure]:
    yield from unfit(PROVIDER, SCHEMA, inputs, REFUSED)
