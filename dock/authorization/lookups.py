"""What must be asked of the services themselves: a resource's policy, its owner, and what a name stands for.

All of it is kept until a call that may change it; every such call comes by the front door.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from dock.access.documents import Document, PolicyError, parse
from dock.authorization.reference import ServiceReference

if TYPE_CHECKING:
    from dock.cloud import Cloud

Ask = Callable[[Any], str | None]


class Lookups:
    def __init__(self, cloud: Cloud, accounts: tuple[str, ...]) -> None:
        self._cloud = cloud
        self._accounts = accounts
        self._clients: dict[tuple[str, str, str], Any] = {}
        self._known: dict[str, dict[tuple[str, ...], str | None]] = {}

    def forget(self, reference: ServiceReference, operation: str) -> None:
        """Call after each operation."""
        if operation in reference.policy_writes:
            self._known.pop(reference.prefix, None)

    async def policy(self, prefix: str, arn: str) -> Document | None:
        """The resource-based policy of what an ARN names; None where it has none."""
        ask = _POLICIES.get(prefix)
        if ask is None:
            return None
        text = await ask(self, arn)
        if text is None:
            return None
        try:
            return parse(text, "resource", "resource policy")
        except PolicyError:
            # A service took it, so that it must mean something: to be sure, nothing.
            return None

    async def owner(self, prefix: str, arn: str, default: str) -> str:
        """The account of what an ARN names."""
        fields = arn.split(":", 5)
        if prefix != "s3" or len(fields) < 6:
            named = fields[4] if len(fields) > 4 else ""
            return named if named.isdigit() else default
        bucket = fields[5].partition("/")[0]
        for account in (default, *(each for each in self._accounts if each != default)):
            if await self._ask("s3", account, "us-east-1", f"owner:{bucket}", lambda client: _has(client, bucket)):
                return account
        return default

    async def key_arn(self, account: str, region: str, key: str) -> str:
        """The ARN of a KMS key from an id, an alias or either's ARN; what isn't found stays as it is."""
        if ":key/" in key:
            return key
        if key.startswith("arn:"):
            region, account = key.split(":")[3:5]
        found = await self._ask(
            "kms",
            account,
            region,
            f"key:{key}",
            lambda client: str(client.describe_key(KeyId=key)["KeyMetadata"]["Arn"]),
        )
        return found or f"arn:aws:kms:{region}:{account}:key/{key}"

    async def secret_arn(self, account: str, region: str, name: str) -> str | None:
        """A secret's whole ARN, from its name or an ARN without the last letters."""
        return await self._ask(
            "secretsmanager",
            account,
            region,
            f"arn:{name}",
            lambda client: str(client.describe_secret(SecretId=name)["ARN"]),
        )

    async def secret_key(self, arn: str) -> str | None:
        """The KMS key that a secret was said to be encrypted with; None for Secrets Manager's own."""
        region, account = arn.split(":")[3:5]
        return await self._ask(
            "secretsmanager",
            account,
            region,
            f"key:{arn}",
            lambda client: client.describe_secret(SecretId=arn).get("KmsKeyId"),
        )

    async def parameter_key(self, account: str, region: str, name: str) -> str | None:
        """The KMS key of a SecureString; None for Parameter Store's own key, or for a parameter that is none."""

        def ask(client: Any) -> str | None:
            filters = [{"Key": "Name", "Option": "Equals", "Values": [name]}]
            found = client.describe_parameters(ParameterFilters=filters)["Parameters"]
            key = found[0].get("KeyId") if found and found[0]["Type"] == "SecureString" else None
            return None if key in (None, "alias/aws/ssm") else str(key)

        return await self._call("ssm", account, region, ask)

    async def _ask(self, prefix: str, account: str, region: str, what: str, ask: Ask) -> str | None:
        known = self._known.setdefault(prefix, {})
        key = (account, region, what)
        if key not in known:
            known[key] = await self._call(prefix, account, region, ask)
        return known[key]

    async def _call(self, service: str, account: str, region: str, ask: Ask) -> str | None:
        def call() -> str | None:
            place = (service, account, region)
            if place not in self._clients:
                self._clients[place] = self._cloud.client(*place)
            try:
                return ask(self._clients[place])
            except (ClientError, BotoCoreError):
                return None

        return await asyncio.to_thread(call)

    # policies, by service

    async def bucket_policy(self, arn: str) -> str | None:
        bucket = arn.split(":", 5)[5].partition("/")[0]
        account = await self.owner("s3", arn, self._accounts[0])
        return await self._ask(
            "s3",
            account,
            "us-east-1",
            f"policy:{bucket}",
            lambda client: str(client.get_bucket_policy(Bucket=bucket)["Policy"]),
        )

    async def key_policy(self, arn: str) -> str | None:
        region, account = arn.split(":")[3:5]
        return await self._ask(
            "kms",
            account,
            region,
            f"policy:{arn}",
            lambda client: str(client.get_key_policy(KeyId=arn, PolicyName="default")["Policy"]),
        )

    async def queue_policy(self, arn: str) -> str | None:
        _, _, _, region, account, name = arn.split(":", 5)

        def ask(client: Any) -> str | None:
            url = client.get_queue_url(QueueName=name)["QueueUrl"]
            return _text(client.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]).get("Attributes", {}))

        return await self._ask("sqs", account, region, f"policy:{name}", ask)

    async def topic_policy(self, arn: str) -> str | None:
        region, account = arn.split(":")[3:5]
        return await self._ask(
            "sns",
            account,
            region,
            f"policy:{arn}",
            lambda client: _text(client.get_topic_attributes(TopicArn=arn)["Attributes"]),
        )

    async def secret_policy(self, arn: str) -> str | None:
        region, account = arn.split(":")[3:5]
        return await self._ask(
            "secretsmanager",
            account,
            region,
            f"policy:{arn}",
            lambda client: client.get_resource_policy(SecretId=arn).get("ResourcePolicy"),
        )

    async def repository_policy(self, arn: str) -> str | None:
        _, _, _, region, account, resource = arn.split(":", 5)
        name = resource.removeprefix("repository/")
        return await self._ask(
            "ecr",
            account,
            region,
            f"policy:{name}",
            lambda client: str(client.get_repository_policy(repositoryName=name)["policyText"]),
        )


_POLICIES = {
    "s3": Lookups.bucket_policy,
    "kms": Lookups.key_policy,
    "sqs": Lookups.queue_policy,
    "sns": Lookups.topic_policy,
    "secretsmanager": Lookups.secret_policy,
    "ecr": Lookups.repository_policy,
}


def _has(client: Any, bucket: str) -> str | None:
    client.head_bucket(Bucket=bucket)
    return bucket


def _text(attributes: dict[str, str]) -> str | None:
    return attributes.get("Policy") or None
