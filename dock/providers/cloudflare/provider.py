"""The Cloudflare provider: its configuration and its cloud."""

from __future__ import annotations

import json
import os
from typing import Any

from dock.providers.cloudflare import configuration
from dock.providers.cloudflare.cloud import Cloud
from dock.providers.cloudflare.configuration import SCHEMA, Configuration
from dock.providers.declaration import tokens
from dock.providers.errors import Failure, ProviderError
from dock.providers.provider import DeclaredProvider
from dock.providers.schema import load, package_schema

VERSION: str = json.loads(SCHEMA.read_text())["version"]


class CloudflareProvider(DeclaredProvider):
    """`pulumi-resource-cloudflare`."""

    name = "cloudflare"
    version = VERSION
    cloud: Cloud

    def __init__(self) -> None:
        super().__init__(Cloud(Configuration.of({}, os.environ)))

    def schema(self) -> str:
        return package_schema(self.name, VERSION, {token: load(SCHEMA)[token] for token in tokens(self.name)})

    def check_config(self, inputs: dict[str, Any]) -> list[Failure]:
        return list(configuration.failures(inputs))

    def configure(self, inputs: dict[str, Any], stack: str) -> None:
        self.cloud = Cloud(Configuration.of(inputs, os.environ))

    def invoke(self, token: str, arguments: dict[str, Any]) -> tuple[dict[str, Any], list[Failure]]:
        raise ProviderError(f"the dock has no function {token} of Cloudflare")
