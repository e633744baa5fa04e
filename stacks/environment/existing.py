"""What is there already: looked up and checked before anything is made, and never changed or deleted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws as aws

from stacks.settings.existing import ExistingDatabase, ExistingNetwork

if TYPE_CHECKING:
    from stacks.environment import Environment
    from stacks.settings import Settings


@dataclass(frozen=True)
class FoundNetwork:
    """As the component of a new one."""

    vpc_id: pulumi.Output[str]
    public_subnet_ids: list[pulumi.Output[str]]
    private_subnet_ids: list[pulumi.Output[str]]


@dataclass(frozen=True)
class FoundCluster:
    """As the component of a new one."""

    cluster: pulumi.Output[str]
    arn: pulumi.Output[str]


@dataclass(frozen=True)
class FoundDatabase:
    """As the component of a new one."""

    identifier: pulumi.Output[str]
    address: pulumi.Output[str]
    port: pulumi.Output[int]


class Existing:
    """Asks the cloud for everything that the settings name, when it is made: before any resource is registered.

    Raises pulumi.RunError with all that isn't there, or doesn't fit, each under its setting.
    """

    network: FoundNetwork | None = None
    cluster: FoundCluster | None = None
    database: FoundDatabase | None = None

    def __init__(self, environment: Environment) -> None:
        settings = environment.settings
        providers = environment.opts.providers or []
        listed = providers.values() if isinstance(providers, Mapping) else providers
        provider = next(each for each in listed if isinstance(each, aws.Provider))
        self._opts = pulumi.InvokeOptions(provider=provider)
        self._wrong: list[str] = []
        if isinstance(settings.network, ExistingNetwork):
            self.network = self._network(settings.network)
        if settings.service.cluster is not None:
            self.cluster = self._cluster(settings.service.cluster)
        if isinstance(settings.database, ExistingDatabase):
            self.database = self._database(settings.database)
        if self._wrong:
            listed_wrong = "\n".join(f"  - {line}" for line in self._wrong)
            raise pulumi.RunError(f"what the settings name is not in the account; nothing was made:\n{listed_wrong}")

    def _ask(self, setting: str, id: str, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except Exception as problem:
            # The engine's error is of no type of its own; what the provider said stands last in its first line.
            said = str(problem).strip() or type(problem).__name__
            reason = said.splitlines()[0].rpartition("returned an error: ")[2]
            self._wrong.append(f"drydock:settings.{setting}: {id}: {reason}")
            return None

    def _network(self, settings: ExistingNetwork) -> FoundNetwork:
        vpc = settings.existing.vpc_id
        self._ask("network.existing.vpc_id", vpc, lambda: aws.ec2.get_vpc(id=vpc, opts=self._opts))
        for kind in ("public_subnet_ids", "private_subnet_ids"):
            zones = set()
            for subnet in getattr(settings.existing, kind):
                setting = f"network.existing.{kind}"
                found = self._ask(setting, subnet, partial(aws.ec2.get_subnet, id=subnet, opts=self._opts))
                if found is None:
                    continue
                # Nothing is known where no cloud is asked, as for an estimate of the costs.
                if found.vpc_id not in (None, vpc):
                    self._wrong.append(f"drydock:settings.{setting}: {subnet} is of {found.vpc_id}, not of {vpc}")
                zones.add(found.availability_zone)
            if len(zones) == 1 and zones != {None}:
                self._wrong.append(
                    f"drydock:settings.network.existing.{kind}: all are in {zones.pop()}; two zones are needed"
                )
        return FoundNetwork(
            pulumi.Output.from_input(vpc),
            [pulumi.Output.from_input(each) for each in settings.existing.public_subnet_ids],
            [pulumi.Output.from_input(each) for each in settings.existing.private_subnet_ids],
        )

    def _cluster(self, name: str) -> FoundCluster:
        found = self._ask("service.cluster", name, lambda: aws.ecs.get_cluster(cluster_name=name, opts=self._opts))
        return FoundCluster(pulumi.Output.from_input(name), _output(found and found.arn))

    def _database(self, settings: ExistingDatabase) -> FoundDatabase:
        name = settings.existing.identifier
        found = self._ask(
            "database.existing.identifier",
            name,
            lambda: aws.rds.get_instance(db_instance_identifier=name, opts=self._opts),
        )
        if found is not None and found.engine not in (None, "postgres"):
            self._wrong.append(
                f"drydock:settings.database.existing.identifier: {name} runs {found.engine}, not postgres"
            )
        return FoundDatabase(
            pulumi.Output.from_input(name), _output(found and found.address), _output(found and found.port)
        )


class Adoption:
    """Imports the resources that `adopt` names, as they are made. What it names and the program doesn't make is told
    by `check`, which is called before the engine hears of any resource."""

    def __init__(self, settings: Settings) -> None:
        self._wanted = settings.adopt
        self._seen: set[str] = set()
        if self._wanted:
            pulumi.runtime.register_stack_transformation(self._adopt)

    def check(self) -> None:
        """Raises pulumi.RunError."""
        if missing := sorted(self._wanted.keys() - self._seen):
            listed = "\n".join(f"  - drydock:settings.adopt: {name}" for name in missing)
            raise pulumi.RunError(f"the program makes no such resource; nothing was made:\n{listed}")

    def _adopt(self, args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        name = f"{_short(args.type_)} {args.name}"
        id = self._wanted.get(name)
        if id is None:
            return None
        self._seen.add(name)
        adopted = pulumi.ResourceOptions(import_=id, protect=True, retain_on_delete=True)
        return pulumi.ResourceTransformationResult(args.props, pulumi.ResourceOptions.merge(args.opts, adopted))


def _output(value: Any) -> pulumi.Output[Any]:
    return pulumi.Output.from_input(value)


def _short(type_: str) -> str:
    """`aws:ec2/vpc:Vpc` → `aws:ec2:Vpc`, as Pulumi prints it."""
    package, module, kind = type_.split(":")
    return f"{package}:{module.partition('/')[0]}:{kind}"
