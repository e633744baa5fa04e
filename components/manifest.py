"""What operations need to know of an environment, where they find it when everything else is gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, kw_only=True)
class ManifestArgs:
    """`document` is JSON, without secrets and at most 8 KiB; `docs/architecture.md` shows it."""

    parameter: pulumi.Input[str]
    recovery_region: pulumi.Input[str]
    document: Mapping[str, Any]


class Manifest(pulumi.ComponentResource):
    """One SSM parameter in the primary region, and the same in the recovery region."""

    parameter: pulumi.Output[str]

    def __init__(self, name: str, args: ManifestArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:Manifest", name, None, opts)
        document = pulumi.Output.json_dumps(args.document)
        primary = aws.ssm.Parameter(
            f"{name}-primary",
            name=args.parameter,
            type="String",
            tier="Advanced",
            description="What operations need to know of this environment",
            # Not `value`, which Pulumi hides: a preview shows what changes.
            insecure_value=document,
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.ssm.Parameter(
            f"{name}-recovery",
            name=args.parameter,
            type="String",
            tier="Advanced",
            description="What operations need to know of this environment, should its region be lost",
            insecure_value=document,
            region=args.recovery_region,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.parameter = primary.name
        self.register_outputs({"parameter": self.parameter})
