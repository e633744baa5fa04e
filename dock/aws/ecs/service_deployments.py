"""Service deployments and revisions, and tags of anything in ECS."""

from __future__ import annotations

from typing import Any

from dock.aws.ecs import names
from dock.aws.ecs.clusters import paginate, tag_dict, tag_list
from dock.aws.ecs.records import Deployment, Service
from dock.aws.ecs.services import Services
from dock.aws.ecs.traffic import TEST, has_rule
from dock.aws.ecs.views import PENDING, PLATFORM_FAMILY, PLATFORM_VERSION
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record


class ServiceDeployments(Services):
    """Handlers of service deployments, revisions and tags."""

    @operation("ListServiceDeployments", acts="service cluster status createdAt nextToken maxResults")
    async def list_service_deployments(self, call: Call, request: Request) -> Response:
        cluster = self.cluster(call, request)
        service = self.services.get(call.scope, f"{cluster}/{names.last(request['service'])}")
        if service is None:
            raise AwsError("ServiceNotFoundException", "Service not found.")
        period = request.get("createdAt", {})
        after = period["after"].timestamp() if "after" in period else 0.0
        before = period["before"].timestamp() if "before" in period else float("inf")
        found = {
            record["arn"]: record
            for record in self.history.of(service)
            if after <= record["created"] <= before
            and record["status"] in (request.get("status") or [record["status"]])
        }
        page, token = paginate(list(found), request)
        return {"serviceDeployments": [_brief(found[arn]) for arn in page], "nextToken": token}

    @operation("DescribeServiceDeployments", acts="serviceDeploymentArns")
    async def describe_service_deployments(self, call: Call, request: Request) -> Response:
        shown, failures = [], []
        for arn in request["serviceDeploymentArns"]:
            record = self.history.deployments.get(call.scope, arn)
            if record is None:
                failures.append({"arn": arn, "reason": "MISSING"})
            else:
                shown.append(self._full(call, record))
        return {"serviceDeployments": shown, "failures": failures}

    @operation("DescribeServiceRevisions", acts="serviceRevisionArns")
    async def describe_service_revisions(self, call: Call, request: Request) -> Response:
        shown, failures = [], []
        for arn in request["serviceRevisionArns"]:
            record = self.history.revisions.get(call.scope, arn)
            if record is None:
                failures.append({"arn": arn, "reason": "MISSING"})
            else:
                shown.append(self._revision(call, record))
        return {"serviceRevisions": shown, "failures": failures}

    @operation("StopServiceDeployment", acts="serviceDeploymentArn stopType")
    async def stop_service_deployment(self, call: Call, request: Request) -> Response:
        arn, how = request["serviceDeploymentArn"], request.get("stopType", "ROLLBACK")
        record, service, deployment = self._under_way(call, arn)
        if deployment.rollback_of is not None or deployment.stop is not None:
            # It stops already.
            return {"serviceDeploymentArn": arn}
        if how == "ROLLBACK" and service.completed is None:
            raise AwsError(
                "ConflictException", "The service has no completed deployment that it could be rolled back to."
            )
        deployment.stop = how
        status = {"ROLLBACK": "ROLLBACK_REQUESTED", "ABORT": "STOP_REQUESTED"}[how]
        with self.cloud.store.transaction():
            self.services.save(service)
            self.history.update(service, deployment, status=status)
        self.scheduler.wake(service)
        return {"serviceDeploymentArn": record["arn"]}

    @operation("ContinueServiceDeployment", acts="serviceDeploymentArn hookId action")
    async def continue_service_deployment(self, call: Call, request: Request) -> Response:
        arn = request["serviceDeploymentArn"]
        _, service, deployment = self._under_way(call, arn)
        hook = next((hook for hook in deployment.hooks if hook["id"] == request["hookId"]), None)
        if hook is None or hook["status"] != "AWAITING_ACTION" or deployment.rollback_of is not None:
            raise AwsError("InvalidParameterException", f"No hook {request['hookId']} of {arn} awaits an action.")
        hook["status"] = "SUCCEEDED"
        with self.cloud.store.transaction():
            if request.get("action", "CONTINUE") == "ROLLBACK":
                hook["status"], deployment.stop = "FAILED", "ROLLBACK"
                self.history.update(service, deployment, status="ROLLBACK_REQUESTED")
            self.history.update(service, deployment)
            self.services.save(service)
        self.scheduler.wake(service)
        return {"serviceDeploymentArn": arn}

    def _under_way(self, call: Call, arn: str) -> tuple[Record, Service, Deployment]:
        """A service deployment that has not ended. Raises AwsError."""
        record = self.history.deployments.get(call.scope, arn)
        if record is None:
            raise AwsError("ServiceDeploymentNotFoundException", f"Service deployment not found: {arn}")
        service = self._by_arn(call, record["service"])
        current = None if service is None or service.status != "ACTIVE" else service.primary
        if service is None or current is None or record["finished"] is not None or current.service_deployment != arn:
            raise AwsError(
                "ConflictException", f"The service deployment is {record['status']}: it can not be stopped any more."
            )
        return record, service, current

    def _full(self, call: Call, record: Record) -> dict[str, Any]:
        service = self._by_arn(call, record["service"])
        configured = record["configuration"].get("alarms", {}).get("alarmNames", [])
        return {
            **_brief(record),
            "updatedAt": record["updated"],
            "stoppedAt": record["finished"] if record["status"] == "STOPPED" else None,
            "sourceServiceRevisions": [self._tasks_of_revision(call, service, arn) for arn in record["source"]],
            "targetServiceRevision": self._tasks_of_revision(call, service, record["target"]),
            "deploymentConfiguration": record["configuration"],
            "lifecycleStage": record.get("stage"),
            "lifecycleHookDetails": [_hook(hook) for hook in record.get("hooks", [])],
            "alarms": {
                "status": record.get("alarms", "DISABLED"),
                "alarmNames": configured,
                "triggeredAlarmNames": record.get("triggered", []),
            },
            "rollback": record["rollback"],
            "deploymentCircuitBreaker": {
                "status": record["breaker"],
                "failureCount": record["failures"],
                "threshold": record["threshold"],
            },
        }

    def _tasks_of_revision(self, call: Call, service: Service | None, arn: str) -> dict[str, Any]:
        entries = service.deployments if service is not None else []
        revision = self.history.revisions.get(call.scope, arn) or {"deployment": None}
        tasks = [task for task in self.tasks if task.deployment == revision["deployment"] and task.scope == call.scope]
        entry = next((entry for entry in entries if entry.revision == arn), None)
        sided = entry is not None and entry.stage is not None
        return {
            "arn": arn,
            "requestedTaskCount": entry.desired if entry is not None else 0,
            "runningTaskCount": sum(task.last_status == "RUNNING" for task in tasks),
            "pendingTaskCount": sum(task.last_status in PENDING for task in tasks),
            "requestedTestTrafficWeight": entry.test if entry is not None and sided and has_rule(entry, TEST) else None,
            "requestedProductionTrafficWeight": entry.production if entry is not None and sided else None,
        }

    def _revision(self, call: Call, record: Record) -> dict[str, Any]:
        service = self._by_arn(call, record["service"])
        entries = service.deployments if service is not None else []
        images = next((entry.images for entry in entries if entry.revision == record["arn"]), record["images"])
        definition = self.definition_by_arn(call.scope, record["definition"]) or {"containerDefinitions": []}
        return {
            "serviceRevisionArn": record["arn"],
            "serviceArn": record["service"],
            "clusterArn": record["cluster"],
            "taskDefinition": record["definition"],
            "launchType": record["recorded"].get("launchType"),
            "capacityProviderStrategy": record["recorded"].get("capacityProviderStrategy"),
            "platformVersion": PLATFORM_VERSION,
            "platformFamily": PLATFORM_FAMILY,
            "loadBalancers": record["load_balancers"],
            "networkConfiguration": record["network"],
            "containerImages": [
                {"containerName": entry["name"], "image": entry["image"], "imageDigest": images.get(entry["image"])}
                for entry in definition["containerDefinitions"]
            ],
            "resolvedConfiguration": {"loadBalancers": self._resolved(record, entries)},
            "guardDutyEnabled": False,
            "createdAt": record["created"],
        }

    def _resolved(self, record: Record, entries: list[Deployment]) -> list[dict[str, Any]]:
        """The target groups that a revision's tasks register with, and the rules that lead there."""
        entry = next((entry for entry in entries if entry.revision == record["arn"]), None)
        groups = (entry.groups if entry is not None else []) or record.get("groups", [])
        return [
            {
                "targetGroupArn": group,
                "productionListenerRule": given.get("advancedConfiguration", {}).get("productionListenerRule"),
            }
            for given, group in zip(record["load_balancers"], groups, strict=False)
        ]

    def _by_arn(self, call: Call, arn: str) -> Service | None:
        return self.services.get(call.scope, arn.split("service/", 1)[-1])

    # tags

    @operation("TagResource", acts="resourceArn tags")
    async def tag_resource(self, call: Call, request: Request) -> Response:
        self._change_tags(call, request["resourceArn"], tag_dict(request["tags"]), [])
        return {}

    @operation("UntagResource", acts="resourceArn tagKeys")
    async def untag_resource(self, call: Call, request: Request) -> Response:
        self._change_tags(call, request["resourceArn"], {}, request["tagKeys"])
        return {}

    @operation("ListTagsForResource", acts="resourceArn")
    async def list_tags_for_resource(self, call: Call, request: Request) -> Response:
        return {"tags": tag_list(self._change_tags(call, request["resourceArn"], {}, []))}

    def _change_tags(self, call: Call, arn: str, add: dict[str, str], remove: list[str]) -> dict[str, str]:
        """Change the tags of a cluster, service, task or task definition; returns those that it has then."""
        _, _, resource = arn.rpartition(f":{call.account}:")
        kind, _, name = resource.partition("/")
        table = {"cluster": self.clusters, "task-definition": self.definitions}.get(kind)

        def changed(tags: dict[str, str]) -> dict[str, str]:
            return {key: value for key, value in {**tags, **add}.items() if key not in remove}

        if table is not None and (record := table.get(call.scope, name)) is not None:
            record["tags"] = changed(record["tags"])
            if add or remove:
                table.put(call.scope, name, record)
            return dict(record["tags"])
        if kind == "service" and (service := self.services.get(call.scope, name)) is not None:
            service.tags = changed(service.tags)
            if add or remove:
                self.services.save(service)
            return service.tags
        if kind == "task" and (task := self.tasks.get(call.scope, names.last(name))) is not None:
            task.tags = changed(task.tags)
            if add or remove:
                self.tasks.save(task)
            return task.tags
        raise AwsError("InvalidParameterException", f"The specified resource was not found: {arn}")


def _hook(hook: dict[str, Any]) -> dict[str, Any]:
    return {
        "hookId": hook["id"],
        "targetType": "PAUSE",
        "status": hook["status"],
        "expiresAt": hook["expires"],
        "timeoutAction": hook["action"],
    }


def _brief(record: Record) -> dict[str, Any]:
    return {
        "serviceDeploymentArn": record["arn"],
        "serviceArn": record["service"],
        "clusterArn": record["cluster"],
        "startedAt": record["started"],
        "createdAt": record["created"],
        "finishedAt": record["finished"],
        "targetServiceRevisionArn": record["target"],
        "status": record["status"],
        "statusReason": record["reason"],
    }
