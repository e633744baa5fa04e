"""Cache parameter groups: kept here, applied to the groups that use them."""

from __future__ import annotations

import re
from typing import Any

from dock.aws.elasticache.base import Base, arn, page, tags_of
from dock.aws.elasticache.parameters import PARAMETERS, check_parameters, family
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.engines.redis import Server, installed
from dock.store import Record, Scope

_NAME = re.compile(r"[a-zA-Z](?:-?[a-zA-Z0-9.])*")


class ParameterGroups(Base):
    """The operations on parameter groups. `default.FAMILY` of each installed engine is there from the first."""

    @operation("CreateCacheParameterGroup", acts="CacheParameterGroupName CacheParameterGroupFamily Description Tags")
    async def create_cache_parameter_group(self, call: Call, request: Request) -> Response:
        name = request["CacheParameterGroupName"].lower()
        if not _NAME.fullmatch(name) or len(name) > 255:
            raise AwsError(
                "InvalidParameterValueException",
                f"Invalid CacheParameterGroupName {name!r}: letters, digits and single hyphens, a letter first.",
            )
        _check_family(request["CacheParameterGroupFamily"])
        if name.startswith("default.") or self.parameter_groups.get(call.scope, name) is not None:
            raise AwsError("CacheParameterGroupAlreadyExistsFault", f"Cache parameter group {name} already exists.")
        record = {
            "name": name,
            "family": request["CacheParameterGroupFamily"],
            "description": request["Description"],
            "values": {},
            "tags": tags_of(request),
        }
        self.parameter_groups.put(call.scope, name, record)
        return {"CacheParameterGroup": _shape(call.scope, record)}

    @operation("DescribeCacheParameterGroups", acts="CacheParameterGroupName MaxRecords Marker")
    async def describe_cache_parameter_groups(self, call: Call, request: Request) -> Response:
        if name := request.get("CacheParameterGroupName"):
            return {"CacheParameterGroups": [_shape(call.scope, self.parameter_group(call.scope, name))]}
        records = [*_defaults(), *self.parameter_groups.list(call.scope)]
        return page(
            [(record["name"], _shape(call.scope, record)) for record in records], request, "CacheParameterGroups"
        )

    @operation("DescribeCacheParameters", acts="CacheParameterGroupName Source MaxRecords Marker")
    async def describe_cache_parameters(self, call: Call, request: Request) -> Response:
        values = self.parameter_group(call.scope, request["CacheParameterGroupName"])["values"]
        shapes = [(name, parameter.shape(values.get(name))) for name, parameter in PARAMETERS.items()]
        source = request.get("Source")
        found = [(name, shape) for name, shape in shapes if source in (None, shape["Source"])]
        return {**page(found, request, "Parameters"), "CacheNodeTypeSpecificParameters": []}

    @operation("DescribeEngineDefaultParameters", acts="CacheParameterGroupFamily MaxRecords Marker")
    async def describe_engine_default_parameters(self, call: Call, request: Request) -> Response:
        _check_family(request["CacheParameterGroupFamily"])
        found = [(name, parameter.shape(None)) for name, parameter in PARAMETERS.items()]
        return {
            "EngineDefaults": {
                "CacheParameterGroupFamily": request["CacheParameterGroupFamily"],
                **page(found, request, "Parameters"),
            }
        }

    @operation("ModifyCacheParameterGroup", acts="CacheParameterGroupName ParameterNameValues")
    async def modify_cache_parameter_group(self, call: Call, request: Request) -> Response:
        record = self._own_parameter_group(call.scope, request["CacheParameterGroupName"])
        changes = {
            item.get("ParameterName", ""): item.get("ParameterValue", "") for item in request["ParameterNameValues"]
        }
        check_parameters(changes)
        return self._apply(call.scope, {**record, "values": {**record["values"], **changes}})

    @operation("ResetCacheParameterGroup", acts="CacheParameterGroupName ResetAllParameters ParameterNameValues")
    async def reset_cache_parameter_group(self, call: Call, request: Request) -> Response:
        record = self._own_parameter_group(call.scope, request["CacheParameterGroupName"])
        names = {item.get("ParameterName", "") for item in request.get("ParameterNameValues", [])}
        if bool(names) == bool(request.get("ResetAllParameters")):
            raise AwsError(
                "InvalidParameterCombinationException",
                "Either ResetAllParameters or ParameterNameValues must be given.",
            )
        if unknown := sorted(names - set(PARAMETERS)):
            raise AwsError("InvalidParameterValueException", f"{', '.join(unknown)} is not a parameter of Redis.")
        values = {name: value for name, value in record["values"].items() if names and name not in names}
        return self._apply(call.scope, {**record, "values": values})

    @operation("DeleteCacheParameterGroup", acts="CacheParameterGroupName")
    async def delete_cache_parameter_group(self, call: Call, request: Request) -> Response:
        record = self._own_parameter_group(call.scope, request["CacheParameterGroupName"])
        users = [
            group.identifier
            for (scope, _), group in self.groups.items()
            if scope == call.scope and group.record["parameter_group"] == record["name"]
        ]
        if users:
            raise AwsError(
                "InvalidCacheParameterGroupStateFault",
                f"Cache parameter group {record['name']} is used by {', '.join(sorted(users))}.",
            )
        self.parameter_groups.delete(call.scope, record["name"])
        return {}

    def parameter_group(self, scope: Scope, name: str) -> Record:
        """A parameter group's record, the default ones included. Raises CacheParameterGroupNotFoundFault."""
        name = name.lower()
        for record in (self.parameter_groups.get(scope, name), *_defaults()):
            if record is not None and record["name"] == name:
                return record
        raise AwsError("CacheParameterGroupNotFoundFault", f"CacheParameterGroup {name} not found.", 404)

    def parameter_group_for(self, scope: Scope, server: Server, name: str | None) -> str:
        """The name of the parameter group that a group of this engine uses. Raises InvalidParameterCombination."""
        if name is None:
            return f"default.{family(server)}"
        if name.lower().endswith(".cluster.on"):
            raise AwsError(
                "InvalidParameterValueException", f"{name} is for cluster mode, which the dock doesn't have."
            )
        record = self.parameter_group(scope, name)
        if record["family"] != family(server):
            raise AwsError(
                "InvalidParameterCombinationException",
                f"{name} is of the family {record['family']}, the engine's family is {family(server)}.",
            )
        return str(record["name"])

    def _own_parameter_group(self, scope: Scope, name: str) -> Record:
        if name.lower().startswith("default."):
            raise AwsError("InvalidParameterValueException", f"{name} is a default group: it can't be changed.")
        return self.parameter_group(scope, name)

    def _apply(self, scope: Scope, record: Record) -> Response:
        """Keep the group's values; the nodes that use them take them within a second (`Replication.converge`)."""
        self.parameter_groups.put(scope, record["name"], record)
        for (where, _), group in self.groups.items():
            if where == scope and group.record["parameter_group"] == record["name"]:
                group.replication.wake()
        return {"CacheParameterGroupName": record["name"]}


def _check_family(name: str) -> None:
    families = [family(server) for server in installed()]
    if name not in families:
        raise AwsError(
            "InvalidParameterValueException",
            f"The dock has no engine of the family {name}: it has {', '.join(families) or 'none installed'}.",
        )


def _defaults() -> list[Record]:
    return [
        {
            "name": f"default.{family(server)}",
            "family": family(server),
            "description": f"Default parameter group for {family(server)}",
            "values": {},
            "tags": {},
        }
        for server in installed()
    ]


def _shape(scope: Scope, record: Record) -> dict[str, Any]:
    return {
        "CacheParameterGroupName": record["name"],
        "CacheParameterGroupFamily": record["family"],
        "Description": record["description"],
        "IsGlobal": False,
        "ARN": arn(scope, "parametergroup", record["name"]),
    }
