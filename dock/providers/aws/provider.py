"""The AWS provider: its configuration, its cloud and its functions."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

from dock.providers.aws import configuration, functions
from dock.providers.aws.cloud import Cloud
from dock.providers.aws.configuration import SCHEMA, Configuration
from dock.providers.declaration import tokens
from dock.providers.errors import Failure
from dock.providers.provider import DeclaredProvider
from dock.providers.schema import load, package_schema

VERSION: str = json.loads(SCHEMA.read_text())["version"]


class AwsProvider(DeclaredProvider):
    """`pulumi-resource-aws`."""

    name = "aws"
    version = VERSION
    cloud: Cloud

    def __init__(self) -> None:
        super().__init__(Cloud(Configuration.of({}, os.environ)))

    def schema(self) -> str:
        return package_schema(self.name, VERSION, {token: load(SCHEMA)[token] for token in tokens(self.name)})

    def check_config(self, inputs: dict[str, Any]) -> list[Failure]:
        return list(configuration.failures(inputs))

    def configure(self, inputs: dict[str, Any], stack: str) -> None:
        self.cloud = Cloud(Configuration.of(inputs, os.environ), stack)

    def invoke(self, token: str, arguments: dict[str, Any]) -> tuple[dict[str, Any], list[Failure]]:
        return functions.invoke(token, arguments, self.cloud)

    def secret(self, token: str) -> Iterable[str]:
        return functions.SECRET.get(token) or super().secret(token)
