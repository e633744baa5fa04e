"""The upper limits that the service's model declares; botocore's validator checks the lower ones alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.model import ListShape, Shape, StructureShape

from dock.aws.cloudwatch.problems import validation
from dock.aws.models import service_model
from dock.aws.service import Call, Request

_LENGTH = "Member must have length less than or equal to"


def check(call: Call, request: Request) -> None:
    """Raises AwsError ValidationError for what is too long, too many or too great."""
    shape = service_model(call.service).operation_model(call.operation).input_shape
    problem = next(_beyond(request, shape, ""), None) if shape is not None else None
    if problem is not None:
        raise validation(f"1 validation error detected: {problem}")


def _beyond(value: Any, shape: Shape, path: str) -> Iterator[str]:
    most = shape.metadata.get("max")
    if isinstance(shape, StructureShape):
        for name, item in value.items():
            if name in shape.members:
                yield from _beyond(item, shape.members[name], f"{path}.{name}".lstrip("."))
    elif isinstance(shape, ListShape):
        if most is not None and len(value) > most:
            yield f"Value at '{path}' failed to satisfy constraint: {_LENGTH} {most}"
        for index, item in enumerate(value):
            yield from _beyond(item, shape.member, f"{path}.{index + 1}.member")
    elif most is not None and isinstance(value, str) and len(value) > most:
        yield f"Value at '{path}' failed to satisfy constraint: Member must have length less than or equal to {most}"
    elif most is not None and isinstance(value, (int, float)) and value > most:
        yield f"Value '{value}' at '{path}' failed to satisfy constraint: Member must be at most {most}"
