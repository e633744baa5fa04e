"""What an engine that was killed had begun to make: found again by its name, so that it isn't made twice.

Pulumi writes down what it is about to create and forgets nothing of it, but it can't tell whether it came to that. The
resources of a control stack all have names of their own, except keys, which are known by description and tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from drydock.account import Account

# The id of each type, from its inputs. A test holds this against what the program makes.
IDS = {
    "aws:budgets/budget:Budget": "{account}:{name}",
    "aws:cloudtrail/trail:Trail": "arn:aws:cloudtrail:{region}:{account}:trail/{name}",
    "aws:cloudwatch/logGroup:LogGroup": "{name}",
    "aws:dynamodb/table:Table": "{name}",
    "aws:iam/role:Role": "{name}",
    "aws:iam/rolePolicy:RolePolicy": "{role}:{name}",
    "aws:kms/alias:Alias": "{name}",
    "aws:s3/bucket:Bucket": "{bucket}",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": "{bucket}",
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": "{bucket}",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": "{bucket}",
    "aws:s3/bucketPolicy:BucketPolicy": "{bucket}",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "{bucket}",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": "{bucket}",
    "aws:s3/bucketVersioning:BucketVersioning": "{bucket}",
    "aws:ssm/parameter:Parameter": "{name}",
}
KEY = "aws:kms/key:Key"


def creations(exported: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The resources that a state says were being created."""
    operations = (exported.get("deployment") or {}).get("pending_operations") or []
    return [each["resource"] for each in operations if each["type"] == "creating"]


def identifiers(resources: Iterable[Mapping[str, Any]], account: Account) -> dict[str, str]:
    """The ids under which they would be there, by URN. What was never made has none, or one that nobody has."""
    found = {}
    for resource in resources:
        inputs = {"region": account.settings.region, "account": account.settings.account, **resource["inputs"]}
        if resource["type"] == KEY:
            key = account.find_key(inputs["description"], inputs["region"], inputs.get("tagsAll") or {})
            if key is not None:
                found[resource["urn"]] = key
        elif resource["type"] in IDS:
            found[resource["urn"]] = IDS[resource["type"]].format_map(inputs)
    return found
