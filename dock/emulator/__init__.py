"""The emulator: MiniStack, unmodified, in an environment of its own, for the services whose records are enough.

`launch.py` is the only file here that runs inside that environment.
"""

from __future__ import annotations

from urllib.parse import parse_qs

# Signing names that the front door passes on. What is in neither this list nor the dock's own services is refused.
EMULATED_SERVICES = frozenset({"budgets", "dynamodb", "ec2", "kms", "s3", "secretsmanager", "sns", "sqs", "ssm"})

# Set by the front door on a request that changes something, with the service's name: the emulator then answers only
# when that service's state is on disk.
WRITE_HEADER = "x-drydock-write"

_READS = ("Describe", "Get", "List", "Batch_Get", "BatchGet", "Query", "Scan", "Lookup", "Search", "Simulate", "Select")
# Cryptography changes no record.
_READS_OF_KMS = (
    "Decrypt",
    "Encrypt",
    "ReEncrypt",
    "GenerateDataKey",
    "GenerateRandom",
    "Sign",
    "Verify",
    "GenerateMac",
)


def is_write(service: str, method: str, target: str, query: str, body: bytes) -> bool:
    """Whether a request may change the emulator's state: from its operation's name, for S3 from its method."""
    if service == "s3":
        return method not in ("GET", "HEAD", "OPTIONS")
    operation = target.rpartition(".")[2]
    if not operation:
        form = parse_qs(body[:2000].decode("latin-1")) or parse_qs(query)
        operation = form.get("Action", [""])[0]
    if service == "kms" and operation.startswith(_READS_OF_KMS):
        return False
    return not operation.startswith(_READS)
