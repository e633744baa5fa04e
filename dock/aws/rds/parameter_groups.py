"""DB parameter groups: only what PostgreSQL has, only values that it takes."""

from __future__ import annotations

from typing import Any

from dock.aws.rds import checks, classes, description
from dock.aws.rds.fleet import FORCE_TLS, FORCE_TLS_DEFAULT
from dock.aws.rds.part import Part
from dock.aws.rds.records import page, tag_list
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.engines.postgres import Parameter
from dock.engines.postgres.configuration import is_reserved
from dock.store import Record

_MOST_AT_ONCE = 20
# Libraries that PostgreSQL comes with and that open nothing of the host's.
_LIBRARIES = frozenset({"auto_explain", "pg_stat_statements", "pg_prewarm"})
_LIBRARY_PARAMETERS = frozenset({"shared_preload_libraries", "session_preload_libraries", "local_preload_libraries"})
_FORCE_TLS = Parameter(FORCE_TLS, "sighup", "bool", None, None, None, None, "1", "Force SSL connections.")


class ParameterGroups(Part):
    """CreateDBParameterGroup and its like."""

    @operation("CreateDBParameterGroup", acts="DBParameterGroupName DBParameterGroupFamily Description Tags")
    async def create_db_parameter_group(self, call: Call, request: Request) -> Response:
        name = checks.identifier(request["DBParameterGroupName"], "DBParameterGroupName", 255)
        family = request["DBParameterGroupFamily"]
        if family != self.family():
            raise checks.invalid(
                f"ParameterGroupFamily {family} is not a valid parameter group family; the dock has {self.family()}"
            )
        if self.records.parameter_groups.get(call.scope, name) is not None:
            raise AwsError("DBParameterGroupAlreadyExistsFault", f"Parameter group {name} already exists")
        record = {
            "name": name,
            "family": family,
            "description": request["Description"],
            "values": {},
            "tags": tag_list(request.get("Tags")),
        }
        self.records.parameter_groups.put(call.scope, name, record)
        return {"DBParameterGroup": self._describe(call, record)}

    @operation("DescribeDBParameterGroups", acts="DBParameterGroupName Filters MaxRecords Marker")
    async def describe_db_parameter_groups(self, call: Call, request: Request) -> Response:
        if "DBParameterGroupName" in request:
            found = [self.parameter_group(call, request["DBParameterGroupName"])]
        else:
            found = [self._default(), *self.records.parameter_groups.list(call.scope)]
        shown, more = page([self._describe(call, record) for record in found], request)
        return {"DBParameterGroups": shown, **more}

    @operation("DescribeDBParameters", acts="DBParameterGroupName Source Filters MaxRecords Marker")
    async def describe_db_parameters(self, call: Call, request: Request) -> Response:
        record = self.parameter_group(call, request["DBParameterGroupName"])
        catalogue = await self.fleet.catalogue()
        parameters = [_FORCE_TLS, *catalogue.parameters.values()]
        parameters.sort(key=lambda parameter: parameter.name)
        described = [self._parameter(parameter, record["values"]) for parameter in parameters]
        if source := request.get("Source"):
            described = [parameter for parameter in described if parameter["Source"] == source]
        for wanted in request.get("Filters", []):
            if wanted["Name"] != "parameter-name":
                raise checks.invalid(f"Unrecognized filter name: {wanted['Name']}")
            described = [parameter for parameter in described if parameter["ParameterName"] in wanted["Values"]]
        shown, more = page(described, request)
        return {"Parameters": shown, **more}

    @operation("ModifyDBParameterGroup", acts="DBParameterGroupName Parameters")
    async def modify_db_parameter_group(self, call: Call, request: Request) -> Response:
        self._may_change(call, request["DBParameterGroupName"])
        parameters = request["Parameters"]
        if len(parameters) > _MOST_AT_ONCE:
            raise checks.invalid(f"At most {_MOST_AT_ONCE} parameters can be modified at once, not {len(parameters)}")
        catalogue = {**(await self.fleet.catalogue()).parameters, FORCE_TLS: _FORCE_TLS}
        changes = {}
        for wanted in parameters:
            name, value = wanted.get("ParameterName", ""), wanted.get("ParameterValue")
            if value is None:
                raise checks.invalid(f"The parameter ParameterValue of {name} must be provided.")
            parameter = self._modifiable(catalogue, name)
            method = _method(parameter, wanted.get("ApplyMethod"))
            changes[name] = {"value": _accept(parameter, value), "given": value, "method": method}
        # From here on nothing waits: the group is read, changed and written in one go.
        record = self._may_change(call, request["DBParameterGroupName"])
        record["values"].update(changes)
        self.records.parameter_groups.put(call.scope, record["name"], record)
        await self._apply(call, record["name"], {name: change["method"] for name, change in changes.items()})
        return {"DBParameterGroupName": record["name"]}

    @operation("ResetDBParameterGroup", acts="DBParameterGroupName ResetAllParameters Parameters")
    async def reset_db_parameter_group(self, call: Call, request: Request) -> Response:
        catalogue = {**(await self.fleet.catalogue()).parameters, FORCE_TLS: _FORCE_TLS}
        record = self._may_change(call, request["DBParameterGroupName"])
        if request.get("ResetAllParameters", False) and request.get("Parameters"):
            raise checks.combination("ResetAllParameters and a list of parameters can't be given together.")
        methods = {}
        if request.get("Parameters"):
            for wanted in request["Parameters"]:
                parameter = self._modifiable(catalogue, wanted.get("ParameterName", ""))
                methods[parameter.name] = _method(parameter, wanted.get("ApplyMethod"))
        else:
            methods = dict.fromkeys(record["values"], "immediate")
        for name in methods:
            record["values"].pop(name, None)
        self.records.parameter_groups.put(call.scope, record["name"], record)
        await self._apply(call, record["name"], methods)
        return {"DBParameterGroupName": record["name"]}

    @operation("DeleteDBParameterGroup", acts="DBParameterGroupName")
    async def delete_db_parameter_group(self, call: Call, request: Request) -> Response:
        record = self._may_change(call, request["DBParameterGroupName"])
        for instance in self.records.instances.list(call.scope):
            if instance["parameter_group"] == record["name"]:
                raise AwsError(
                    "InvalidDBParameterGroupStateFault",
                    f"One or more database instances are still members of this parameter group {record['name']},"
                    " so the group cannot be deleted",
                )
        self.records.parameter_groups.delete(call.scope, record["name"])
        return {}

    # shared

    def family(self) -> str:
        """The one family that there is: `postgres15`."""
        return f"postgres{self.fleet.binaries().major}"

    def parameter_group(self, call: Call, name: str) -> Record:
        """A group's record; the default group has one that is nowhere kept. Raises AwsError."""
        name = name.rpartition(":pg:")[2] if name.startswith("arn:") else name
        if name.lower() == f"default.{self.family()}":
            return self._default()
        record = self.records.parameter_groups.get(call.scope, name.lower())
        if record is None:
            raise AwsError("DBParameterGroupNotFoundFault", f"DBParameterGroup not found: {name}")
        return record

    def _default(self) -> Record:
        family = self.family()
        return {
            "name": f"default.{family}",
            "family": family,
            "description": f"Default parameter group for {family}",
            "values": {},
            "tags": [],
        }

    def _describe(self, call: Call, record: Record) -> dict[str, Any]:
        return {
            "DBParameterGroupName": record["name"],
            "DBParameterGroupFamily": record["family"],
            "Description": record["description"],
            "DBParameterGroupArn": description.arn(call.scope, "pg", record["name"]),
        }

    def _parameter(self, parameter: Parameter, values: dict[str, dict[str, str]]) -> dict[str, Any]:
        described = {
            "ParameterName": parameter.name,
            "Description": parameter.description,
            "ApplyType": "static" if parameter.static else "dynamic",
            "DataType": {"bool": "boolean", "integer": "integer", "real": "float"}.get(parameter.type, "string"),
            "AllowedValues": parameter.allowed,
            "IsModifiable": not _fixed(parameter),
            "ApplyMethod": "pending-reboot",
            "Source": "engine-default",
        }
        if parameter.name in values:
            entry = values[parameter.name]
            described |= {"ParameterValue": entry["given"], "Source": "user", "ApplyMethod": entry["method"]}
        elif parameter.name == "max_connections":
            described |= {"ParameterValue": classes.MAX_CONNECTIONS_FORMULA, "Source": "system"}
        elif parameter.name == FORCE_TLS:
            described |= {"ParameterValue": FORCE_TLS_DEFAULT, "Source": "system"}
        elif _fixed(parameter):
            described["Source"] = "system"
        return described

    def _modifiable(self, catalogue: dict[str, Parameter], name: str) -> Parameter:
        if name not in catalogue:
            raise checks.invalid(f"Could not find parameter with name: {name}")
        if _fixed(catalogue[name]):
            raise checks.invalid(f"The parameter {name} cannot be modified.")
        return catalogue[name]

    def _may_change(self, call: Call, name: str) -> Record:
        record = self.parameter_group(call, name)
        if record["name"].startswith("default."):
            raise checks.invalid(f"Default parameter group {record['name']} cannot be modified or deleted")
        return record

    async def _apply(self, call: Call, name: str, methods: dict[str, str]) -> None:
        await self.fleet.apply_group(call.scope, name, methods)
        self.records.add_event(
            call.scope,
            "db-parameter-group",
            name,
            description.arn(call.scope, "pg", name),
            f"Updated parameters {', '.join(sorted(methods))}",
            ["configuration change"],
        )


def _fixed(parameter: Parameter) -> bool:
    return parameter.context == "internal" or is_reserved(parameter.name)


def _method(parameter: Parameter, wanted: str | None) -> str:
    if wanted == "immediate" and parameter.static:
        raise checks.combination(f"cannot use immediate apply method for static parameter {parameter.name}")
    return wanted or ("pending-reboot" if parameter.static else "immediate")


def _accept(parameter: Parameter, value: str) -> str:
    """The value as the server has it; a formula stays one, once it was tried. Raises AwsError."""
    try:
        if parameter.name == FORCE_TLS:
            return "1" if parameter.accept(value) == "on" else "0"
        if parameter.type == "integer" and classes.is_formula(value):
            for size in classes.all_classes():
                parameter.accept(classes.evaluate(value, size, 20, 5432))
            return value
        if parameter.name in _LIBRARY_PARAMETERS:
            libraries = {library.strip() for library in value.split(",") if library.strip()}
            if libraries - _LIBRARIES:
                raise ValueError(f"{value} for: {parameter.name} allowed values are: {','.join(sorted(_LIBRARIES))}")
        return parameter.accept(value)
    except ValueError as problem:
        raise checks.invalid(f"Invalid parameter value: {problem}") from None
