"""Services: created, updated, deleted, described."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from dock.aws.ecs import blue_green, names
from dock.aws.ecs.clusters import paginate, tag_dict
from dock.aws.ecs.declared import check_nested
from dock.aws.ecs.deployment_configuration import check_load_balancers, check_sides, deployment_configuration
from dock.aws.ecs.history import History
from dock.aws.ecs.records import Service
from dock.aws.ecs.references import check_balancers, check_network
from dock.aws.ecs.tasks import Tasks, check_launch
from dock.aws.ecs.views import service_view
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record

if TYPE_CHECKING:
    from dock.aws.ecs.scheduler import Scheduler
    from dock.cloud import Cloud

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
# Shown again as they came.
_RECORDED = ["capacityProviderStrategy", "platformVersion", "availabilityZoneRebalancing"]


class Services(Tasks):
    """Handlers of services."""

    scheduler: Scheduler

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.history = History(cloud.store)

    def keep(self, service: Service) -> None:
        """Start the loop that keeps a service as it should be."""
        raise NotImplementedError

    def service(self, call: Call, request: Request) -> Service:
        """The active service that a request means. Raises AwsError."""
        cluster = self.cluster(call, request)
        found = self.services.get(call.scope, f"{cluster}/{names.last(request['service'])}")
        if found is None:
            raise AwsError("ServiceNotFoundException", "Service not found.")
        if found.status != "ACTIVE":
            raise AwsError("ServiceNotActiveException", "Service was not ACTIVE.")
        return found

    @operation(
        "CreateService",
        acts="cluster serviceName taskDefinition loadBalancers desiredCount clientToken launchType"
        " deploymentConfiguration healthCheckGracePeriodSeconds schedulingStrategy deploymentController tags"
        " enableECSManagedTags propagateTags enableExecuteCommand networkConfiguration serviceRegistries"
        " placementConstraints placementStrategy",
        records="capacityProviderStrategy platformVersion availabilityZoneRebalancing role",
    )
    async def create_service(self, call: Call, request: Request) -> Response:
        cluster, name = self.cluster(call, request), request["serviceName"]
        if not _NAME.fullmatch(name):
            raise AwsError("InvalidParameterException", f"Invalid service name: {name}")
        if (same := self._same(call, cluster, request)) is not None:
            return {"service": self.describe(same, tags=True)}
        self._check_name(call, cluster, name)
        if "taskDefinition" not in request:
            raise AwsError("InvalidParameterException", "TaskDefinition can not be blank.")
        definition = self.runnable_definition(call, request["taskDefinition"])
        _check_service(request)
        balancers = request.get("loadBalancers", [])
        check_load_balancers(balancers, definition)
        configuration = deployment_configuration(request.get("deploymentConfiguration", {}), {})
        check_sides(configuration, balancers)
        self.placement.learn(call.scope, await check_network(self.cloud, call, request.get("networkConfiguration")))
        await check_balancers(self.cloud, call, f"service/{cluster}/{name}", balancers)
        self._check_name(call, cluster, name)
        recorded = {key: request[key] for key in _RECORDED if key in request}
        if "role" in request:
            recorded["roleArn"] = request["role"]
        if "capacityProviderStrategy" not in request:
            recorded["launchType"] = "FARGATE"
        service = Service(
            account=call.account,
            region=call.region,
            cluster=cluster,
            name=name,
            definition=definition["taskDefinitionArn"],
            desired=request.get("desiredCount", 0),
            configuration=configuration,
            network=request["networkConfiguration"],
            load_balancers=balancers,
            grace=request.get("healthCheckGracePeriodSeconds", 0),
            recorded={"platformVersion": "LATEST", "availabilityZoneRebalancing": "DISABLED", **recorded},
            tags=tag_dict(request.get("tags", [])),
            propagate_tags=request.get("propagateTags", "NONE"),
            managed_tags=request.get("enableECSManagedTags", False),
            created=time.time(),
            created_by=f"arn:aws:iam::{call.account}:root",
            client_token=request.get("clientToken"),
        )
        with self.cloud.store.transaction():
            before = self.services.get(call.scope, service.key)
            if before is not None:
                self.history.forget(before)
            deployment = self.history.begin(service)
            blue_green.begin(service, deployment)
            self.scheduler.listen(service, deployment)
            service.deployments = [deployment]
            self.services.save(service)
        self.keep(service)
        return {"service": self.describe(service, tags=True)}

    def _same(self, call: Call, cluster: str, request: Request) -> Service | None:
        """The service that an earlier call with the same token made: an answer was lost, and the client asks again."""
        before = self.services.get(call.scope, f"{cluster}/{request['serviceName']}")
        token = request.get("clientToken")
        return before if before is not None and token and before.client_token == token else None

    def _check_name(self, call: Call, cluster: str, name: str) -> None:
        before = self.services.get(call.scope, f"{cluster}/{name}")
        if before is not None and before.status == "ACTIVE":
            raise AwsError("InvalidParameterException", "Creation of service was not idempotent.")
        if before is not None and before.status == "DRAINING":
            raise AwsError("InvalidParameterException", "Unable to Start a service that is still Draining.")

    @operation(
        "UpdateService",
        acts="cluster service taskDefinition desiredCount loadBalancers deploymentConfiguration forceNewDeployment"
        " healthCheckGracePeriodSeconds enableECSManagedTags propagateTags enableExecuteCommand networkConfiguration"
        " serviceRegistries deploymentController placementConstraints placementStrategy",
        records="capacityProviderStrategy platformVersion availabilityZoneRebalancing",
    )
    async def update_service(self, call: Call, request: Request) -> Response:
        service = self.service(call, request)
        _check_service(request)
        given = request.get("taskDefinition", service.definition)
        definition = self.runnable_definition(call, given) if "taskDefinition" in request else self._current(service)
        network = request.get("networkConfiguration", service.network)
        balancers = request.get("loadBalancers", service.load_balancers)
        check_load_balancers(balancers, definition)
        configuration = deployment_configuration(request.get("deploymentConfiguration", {}), service.configuration)
        check_sides(configuration, balancers)
        if "networkConfiguration" in request:
            self.placement.learn(call.scope, await check_network(self.cloud, call, network))
        if "loadBalancers" in request:
            await check_balancers(self.cloud, call, f"service/{service.key}", balancers)
        # Checked in full, against what is there now: from here on nothing is refused and nothing else gets between.
        service = self.service(call, request)
        before = (service.definition, service.network, service.load_balancers)
        service.definition = definition["taskDefinitionArn"]
        service.network, service.load_balancers, service.configuration = network, balancers, configuration
        service.desired = request.get("desiredCount", service.desired)
        service.grace = request.get("healthCheckGracePeriodSeconds", service.grace)
        service.propagate_tags = request.get("propagateTags", service.propagate_tags)
        service.managed_tags = request.get("enableECSManagedTags", service.managed_tags)
        service.recorded |= {key: request[key] for key in _RECORDED if key in request}
        service.steady = False
        with self.cloud.store.transaction():
            changed = before != (service.definition, service.network, service.load_balancers)
            if changed or request.get("forceNewDeployment"):
                self._deploy(service)
            service.primary.desired, service.primary.updated = service.desired, time.time()
            self.services.save(service)
        self.scheduler.wake(service)
        return {"service": self.describe(service, tags=True)}

    def _deploy(self, service: Service) -> None:
        """A new PRIMARY deployment; the one before gives way."""
        previous = service.primary
        deployment = self.history.begin(service)
        if previous.rollout == "IN_PROGRESS":
            reason = "The service deployment was superseded by a newer one."
            self.history.finish(service, previous, "STOPPED", reason)
        blue_green.begin(service, deployment)
        self.scheduler.listen(service, deployment)
        previous.status = "ACTIVE"
        service.deployments.insert(0, deployment)
        self.scheduler.reset(service)

    def _current(self, service: Service) -> Record:
        definition = self.definition_by_arn(service.scope, service.definition)
        if definition is None:
            raise AwsError("ClientException", "TaskDefinition not found.")
        return definition

    @operation("DeleteService", acts="cluster service force")
    async def delete_service(self, call: Call, request: Request) -> Response:
        service = self.service(call, request)
        if service.desired > 0 and not request.get("force"):
            raise AwsError("InvalidParameterException", "The service cannot be stopped while it is scaled above 0.")
        service.status, service.desired, service.steady = "DRAINING", 0, False
        for deployment in service.deployments:
            deployment.desired = 0
            if deployment.rollout == "IN_PROGRESS":
                self.history.finish(service, deployment, "STOPPED", "The service was deleted.")
        self.services.save(service)
        self.scheduler.wake(service)
        return {"service": self.describe(service, tags=True)}

    @operation("DescribeServices", acts="cluster services include")
    async def describe_services(self, call: Call, request: Request) -> Response:
        cluster = self.cluster(call, request)
        if not 1 <= len(request["services"]) <= 10:
            raise AwsError("InvalidParameterException", "Services cannot have more than 10 elements, and needs one.")
        services, failures = [], []
        for given in request["services"]:
            found = self.services.get(call.scope, f"{cluster}/{names.last(given)}")
            if found is None:
                arn = names.arn(call, "service", cluster, names.last(given))
                failures.append({"arn": arn, "reason": "MISSING"})
            else:
                services.append(self.describe(found, tags="TAGS" in request.get("include", [])))
        return {"services": services, "failures": failures}

    @operation("ListServices", acts="cluster nextToken maxResults launchType schedulingStrategy")
    async def list_services(self, call: Call, request: Request) -> Response:
        cluster = self.cluster(call, request)
        daemons = request.get("schedulingStrategy", "REPLICA") != "REPLICA"
        others = request.get("launchType", "FARGATE") != "FARGATE"
        found = [
            service.arn
            for service in self.services.of(call.scope)
            if service.cluster == cluster and service.status != "INACTIVE" and not daemons and not others
        ]
        page, token = paginate(found, {"maxResults": 10, **request})
        return {"serviceArns": page, "nextToken": token}

    def describe(self, service: Service, *, tags: bool) -> dict[str, Any]:
        """A service in ECS's shape."""
        mine = [task for task in self.tasks if task.service_key == service.key and task.scope == service.scope]
        return service_view(service, mine, tags=tags)


def _check_service(request: Request) -> None:
    """What a service can't be here. Raises AwsError."""

    def refuse(message: str) -> AwsError:
        return AwsError("InvalidParameterException", message)

    check_launch(request)
    if request.get("schedulingStrategy", "REPLICA") != "REPLICA":
        raise refuse("The dock has the scheduling strategy REPLICA alone; Fargate has no daemons.")
    if request.get("deploymentController", {"type": "ECS"})["type"] != "ECS":
        raise refuse("The dock has the deployment controller ECS alone.")
    for name in ("serviceRegistries", "placementConstraints", "placementStrategy"):
        if request.get(name):
            raise refuse(f"The dock does not act on {name}; see docs/differences-from-aws.md")
    if request.get("desiredCount", 0) < 0:
        raise refuse("desiredCount can not be negative.")
    check_nested("deploymentConfiguration", request.get("deploymentConfiguration", {}))
    check_nested("loadBalancers", request.get("loadBalancers", []))
