"""DB instance classes, and what follows from their size."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from dock.aws.service import AwsError

_GIB = 1024**3
# RDS keeps part of a class's memory for itself; its documentation says so without a figure, so the dock takes none.
_BURSTABLE = {
    "micro": (2, 1),
    "small": (2, 2),
    "medium": (2, 4),
    "large": (2, 8),
    "xlarge": (4, 16),
    "2xlarge": (8, 32),
}
_SIZES = {
    "large": 1,
    "xlarge": 2,
    "2xlarge": 4,
    "4xlarge": 8,
    "8xlarge": 16,
    "12xlarge": 24,
    "16xlarge": 32,
    "24xlarge": 48,
}
_BURSTABLE_FAMILIES = ("t3", "t4g")
_MEMORY_PER_LARGE = {
    **dict.fromkeys(("m5", "m6g", "m6gd", "m6i", "m6id", "m7g", "m7i", "m8g"), 8),
    **dict.fromkeys(("r5", "r6g", "r6gd", "r6i", "r6id", "r7g", "r7i", "r8g"), 16),
}
MAX_CONNECTIONS_FORMULA = "LEAST({DBInstanceClassMemory/9531392},5000)"


@dataclass(frozen=True, slots=True)
class InstanceClass:
    """`memory` in bytes, as AWS publishes it for the class."""

    name: str
    cpus: int
    memory: int

    @property
    def shared_buffers(self) -> str:
        """The dock's own scale, not AWS's quarter of the memory: 8 MB for each GiB, between 16 and 128 MB."""
        return f"{min(128, max(16, 8 * self.memory // _GIB))}MB"


def instance_class(name: str) -> InstanceClass:
    """The class of a name such as `db.t4g.micro`. Raises AwsError when the dock knows none."""
    for known in all_classes():
        if known.name == name:
            return known
    raise AwsError("InvalidParameterValue", f"Invalid DB Instance class: {name}")


def all_classes() -> list[InstanceClass]:
    """Every class that the dock accepts."""
    classes = [
        InstanceClass(f"db.{family}.{size}", cpus, gib * _GIB)
        for family in _BURSTABLE_FAMILIES
        for size, (cpus, gib) in _BURSTABLE.items()
    ]
    classes += [
        InstanceClass(f"db.{family}.{size}", 2 * factor, per_large * factor * _GIB)
        for family, per_large in _MEMORY_PER_LARGE.items()
        for size, factor in _SIZES.items()
    ]
    return classes


_FUNCTIONS: dict[str, Callable[..., float]] = {"LEAST": min, "GREATEST": max, "SUM": lambda *parts: sum(parts)}
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def is_formula(value: str) -> bool:
    """Whether a parameter's value is computed from the instance's size."""
    return "{" in value or bool(re.match(r"\s*(LEAST|GREATEST|SUM)\s*\(", value))


def evaluate(formula: str, size: InstanceClass, storage_gib: int, port: int) -> str:
    """The whole number that a formula such as `LEAST({DBInstanceClassMemory/9531392},5000)` gives.

    Raises ValueError for what isn't a formula of RDS's.
    """
    variables = {
        "DBInstanceClassMemory": size.memory,
        "DBInstanceVCPU": size.cpus,
        "AllocatedStorage": storage_gib * _GIB,
        "EndPointPort": port,
    }

    def value(node: ast.expr) -> float:
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return number
            case ast.Name(id=name) if name in variables:
                return variables[name]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](value(left), value(right))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS and args:
                return _FUNCTIONS[name](*map(value, args))
        raise ValueError(f"{formula} is not a formula that RDS knows")

    if len(formula) > 500:
        raise ValueError("a formula has at most 500 characters")
    try:
        # Braces mark an expression; inside and outside of them the arithmetic is the same.
        tree = ast.parse(formula.replace("{", "(").replace("}", ")").strip(), mode="eval")
        return str(int(value(tree.body)))
    except (SyntaxError, ZeroDivisionError, OverflowError, RecursionError, MemoryError):
        raise ValueError(f"{formula} is not a formula that RDS knows") from None
