"""A plugin for the `aws` command, version 1, which sends `rds` and `sqs` in us-east-1 to a fixed host of Amazon's even
when AWS_ENDPOINT_URL says otherwise (its `overridesslcommonname`). `drydock env` names a configuration with this
plugin, so that no call from an attached shell leaves the machine."""

from __future__ import annotations

import os
from typing import Any


def awscli_initialize(cli: Any) -> None:
    """Called by the `aws` command at its start. Ours runs before the override, which only fills an empty endpoint."""
    cli.register("before-building-argument-table-parser", use_configured_endpoint)


def use_configured_endpoint(parsed_globals: Any, **_: Any) -> None:
    """What `--endpoint-url` would do, from the environment."""
    if parsed_globals.endpoint_url is None:
        parsed_globals.endpoint_url = os.environ.get("AWS_ENDPOINT_URL")
