"""What an environment may find in its account instead of making it. None of it is ever changed or deleted by us."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from stacks.domain import AbsolutePath, Expected, Part, whole

VpcId = Annotated[str, Field(pattern=r"^vpc-[0-9a-f]{8,17}$"), Expected("a VPC's id", "vpc-0a1b2c3d4e5f60718")]
SubnetId = Annotated[
    str, Field(pattern=r"^subnet-[0-9a-f]{8,17}$"), Expected("a subnet's id", "subnet-0a1b2c3d4e5f60718")
]
ClusterName = Annotated[
    str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,254}$"), Expected("an ECS cluster's name", "shared")
]
InstanceName = Annotated[
    str, Field(pattern=r"^[a-z](-?[a-z0-9])*$", max_length=63), Expected("an RDS instance's identifier", "shared-main")
]
SecretArn = Annotated[
    str,
    Field(pattern=r"^arn:aws:secretsmanager:[a-z0-9-]+:\d{12}:secret:.+$"),
    Expected("a secret's ARN", "arn:aws:secretsmanager:us-east-1:123456789012:secret:shared-master-AbCdEf"),
]
ResourceName = Annotated[
    str,
    Field(pattern=r"^[a-z]+:[a-z0-9]+:[A-Za-z0-9]+ [a-z0-9-]+$"),
    Expected("a resource as `pulumi preview` names it: type and name", "aws:ecr:Repository chatvrm-production-web"),
]


class Vpc(Part):
    vpc_id: VpcId
    public_subnet_ids: Annotated[tuple[SubnetId, ...], Field(min_length=2, max_length=6)]
    """Where the load balancer stands: in two zones at least."""
    private_subnet_ids: Annotated[tuple[SubnetId, ...], Field(min_length=2, max_length=6)]
    """Where tasks, database and cache are; tasks need a way out, to their images and logs."""

    def contradictions(self) -> Iterator[str]:
        for subnet in sorted({*self.public_subnet_ids} & {*self.private_subnet_ids}):
            yield f"{subnet} is named as a public and as a private subnet"


class ExistingNetwork(Part):
    """A VPC that is there already."""

    existing: Vpc


class Instance(Part):
    identifier: InstanceName
    master_secret_arn: SecretArn
    """Of its master: a JSON object with `username` and `password`."""


class ExistingDatabase(Part):
    """An instance that is there already: what operations and alarms need to know of it, and can't look up."""

    existing: Instance
    max_connections: whole(20, 5000, "connections", 100)  # type: ignore[valid-type]
    """As its own parameter group says."""
    storage_gib: whole(20, 65536, "GiB", 20)  # type: ignore[valid-type]
    multi_az: bool
    root_certificate: AbsolutePath | None = None
    """As for a database of our own."""
