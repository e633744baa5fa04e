"""Node types, and how much memory a node of each has on the dock."""

from __future__ import annotations

from dock.aws.service import AwsError

# `maxmemory` in bytes, as AWS sets it (Amazon ElastiCache User Guide, node-type-specific parameters).
_BURSTABLE = {"micro": 536_870_912, "small": 1_471_026_299, "medium": 3_317_862_236}
_GENERAL = {
    "large": 6_854_542_746,
    "xlarge": 13_891_921_715,
    "2xlarge": 27_966_669_210,
    "4xlarge": 56_116_178_125,
    "8xlarge": 111_325_552_312,
    "12xlarge": 168_715_971_994,
    "16xlarge": 225_000_375_228,
}
_MEMORY = {
    "large": 14_037_181_030,
    "xlarge": 28_261_849_702,
    "2xlarge": 56_711_183_565,
    "4xlarge": 113_609_865_216,
    "8xlarge": 225_000_375_228,
    "12xlarge": 341_206_346_547,
    "16xlarge": 450_000_750_456,
}
NODE_TYPES = {
    f"cache.{family}.{size}": memory
    for families, sizes in (
        (("t3", "t4g"), _BURSTABLE),
        (("m5", "m6g", "m7g"), _GENERAL),
        (("r5", "r6g", "r7g"), _MEMORY),
    )
    for family in families
    for size, memory in sizes.items()
}

# The dock's scale: a sixteenth of AWS's memory, so that sizes keep their proportions, and never more than 1 GiB.
SCALE = 16
LARGEST_BYTES = 1 << 30


def check_node_type(node_type: str) -> str:
    """The node type itself. Raises InvalidParameterValue when the dock doesn't know it."""
    if node_type not in NODE_TYPES:
        raise AwsError(
            "InvalidParameterValueException",
            f"The dock has no node type {node_type!r}; it knows {', '.join(sorted(NODE_TYPES))}.",
        )
    return node_type


def maxmemory(node_type: str, reserved_percent: int) -> int:
    """`maxmemory` of a node on the dock in bytes, less what `reserved-memory-percent` keeps for other than data."""
    scaled = min(NODE_TYPES[node_type] // SCALE, LARGEST_BYTES)
    # Zero would mean no limit to Redis.
    return max(1, scaled * (100 - reserved_percent) // 100)


def cpus(node_type: str) -> int:
    """The virtual CPUs of a node type, from AWS's list of supported node types: 2 up to `large`, 4 for an `xlarge`."""
    size = node_type.rpartition(".")[2]
    if size == "xlarge":
        return 4
    return 4 * int(size.removesuffix("xlarge")) if size.endswith("xlarge") else 2
