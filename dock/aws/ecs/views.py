"""Records as ECS's API shows them."""

from __future__ import annotations

from typing import Any

from dock.aws.ecs.clusters import tag_list
from dock.aws.ecs.records import Container, Deployment, Service, Task

PENDING = ("PROVISIONING", "PENDING", "ACTIVATING")
PLATFORM_VERSION, PLATFORM_FAMILY = "1.4.0", "Linux"


def task_view(task: Task, *, tags: bool) -> dict[str, Any]:
    """A task as DescribeTasks shows it."""
    subnets = task.network.get("awsvpcConfiguration", {}).get("subnets", [])
    details = [{"name": "subnetId", "value": subnets[0]}] if subnets else []
    if task.address is not None:
        details.append({"name": "privateIPv4Address", "value": task.address})
    state = {"PROVISIONING": "ATTACHING", "STOPPED": "DELETED"}.get(task.last_status, "ATTACHED")
    return {
        "attachments": [
            {"id": f"eni-{task.id}", "type": "ElasticNetworkInterface", "status": state, "details": details}
        ],
        "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}],
        "availabilityZone": task.zone,
        "capacityProviderName": task.capacity_provider,
        "clusterArn": f"arn:aws:ecs:{task.region}:{task.account}:cluster/{task.cluster}",
        "connectivity": "CONNECTED" if task.address is not None else None,
        "containers": [_container_view(task, container) for container in task.containers],
        "cpu": task.cpu,
        "createdAt": task.created,
        "desiredStatus": task.desired_status,
        "enableExecuteCommand": False,
        "executionStoppedAt": task.execution_stopped,
        "group": task.group,
        "healthStatus": task.health,
        "lastStatus": task.last_status,
        "launchType": task.launch_type,
        "memory": task.memory,
        "overrides": {"containerOverrides": [], "inferenceAcceleratorOverrides": [], **task.overrides},
        "platformVersion": PLATFORM_VERSION,
        "platformFamily": PLATFORM_FAMILY,
        "pullStartedAt": task.pull_started,
        "pullStoppedAt": task.pull_stopped,
        "startedAt": task.started,
        "startedBy": task.started_by,
        "stopCode": task.stop_code,
        "stoppedAt": task.stopped,
        "stoppedReason": task.stopped_reason,
        "stoppingAt": task.stopping,
        "tags": tag_list(task.tags) if tags else [],
        "taskArn": task.arn,
        "taskDefinitionArn": task.definition,
        "version": task.version,
        "ephemeralStorage": {"sizeInGiB": task.ephemeral_storage},
        "fargateEphemeralStorage": {"sizeInGiB": task.ephemeral_storage},
    }


def _container_view(task: Task, container: Container) -> dict[str, Any]:
    return {
        "containerArn": container.arn,
        "taskArn": task.arn,
        "name": container.name,
        "image": container.image,
        "imageDigest": container.image_digest,
        "runtimeId": container.runtime_id,
        "lastStatus": container.status,
        "exitCode": container.exit_code,
        "reason": container.reason,
        "networkBindings": [],
        "networkInterfaces": [{"attachmentId": f"eni-{task.id}", "privateIpv4Address": task.address}]
        if task.address
        else [],
        "healthStatus": container.health,
    }


def service_view(service: Service, tasks: list[Task], *, tags: bool) -> dict[str, Any]:
    """A service as DescribeServices shows it; `tasks` are all of its tasks that are remembered."""
    running = sum(task.last_status == "RUNNING" for task in tasks)
    pending = sum(task.last_status in PENDING for task in tasks)
    primary = next((entry for entry in service.deployments if entry.status == "PRIMARY"), None)
    revisions = [
        {
            "arn": entry.revision,
            "requestedTaskCount": entry.desired,
            "runningTaskCount": _count(tasks, entry, ("RUNNING",)),
            "pendingTaskCount": _count(tasks, entry, PENDING),
        }
        for entry in service.deployments
    ]
    return {
        "serviceArn": service.arn,
        "serviceName": service.name,
        "clusterArn": service.cluster_arn,
        "loadBalancers": service.load_balancers,
        "serviceRegistries": [],
        "status": service.status,
        "desiredCount": service.desired,
        "runningCount": running,
        "pendingCount": pending,
        "platformFamily": PLATFORM_FAMILY,
        "taskDefinition": service.definition,
        "deploymentConfiguration": service.configuration,
        "deployments": [_deployment_view(service, entry, tasks) for entry in service.deployments],
        "events": service.events,
        "createdAt": service.created,
        "currentServiceDeployment": primary.service_deployment
        if primary is not None and primary.rollout == "IN_PROGRESS"
        else None,
        "currentServiceRevisions": revisions,
        "placementConstraints": [],
        "placementStrategy": [],
        "networkConfiguration": service.network,
        "healthCheckGracePeriodSeconds": service.grace if service.load_balancers or service.grace else None,
        "schedulingStrategy": "REPLICA",
        "deploymentController": {"type": "ECS"},
        "createdBy": service.created_by,
        "enableECSManagedTags": service.managed_tags,
        "propagateTags": service.propagate_tags,
        "enableExecuteCommand": False,
        "tags": tag_list(service.tags) if tags else None,
        **service.recorded,
    }


def _count(tasks: list[Task], deployment: Deployment, states: tuple[str, ...]) -> int:
    return sum(task.deployment == deployment.id and task.last_status in states for task in tasks)


def _deployment_view(service: Service, deployment: Deployment, tasks: list[Task]) -> dict[str, Any]:
    return {
        "id": deployment.id,
        "status": deployment.status,
        "taskDefinition": deployment.definition,
        "desiredCount": deployment.desired,
        "pendingCount": _count(tasks, deployment, PENDING),
        "runningCount": _count(tasks, deployment, ("RUNNING",)),
        "failedTasks": deployment.failed,
        "createdAt": deployment.created,
        "updatedAt": deployment.updated,
        "launchType": service.recorded.get("launchType"),
        "capacityProviderStrategy": service.recorded.get("capacityProviderStrategy"),
        "platformVersion": PLATFORM_VERSION,
        "platformFamily": PLATFORM_FAMILY,
        "networkConfiguration": deployment.network,
        "rolloutState": deployment.rollout,
        "rolloutStateReason": deployment.reason,
    }
