"""What Pulumi needs before it can keep any state: a bucket, and a key for the secrets in it. Made without Pulumi."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from components.state_store import DESCRIPTION, key_policy
from drydock.errors import DrydockError
from stacks.settings import Control

# An orphan of a race between two bootstraps goes as soon as KMS lets it.
_ORPHAN_DAYS = 7


@dataclass(frozen=True)
class Found:
    """What is there already. `key` is the key's id; `alias` says whether its name leads to it."""

    bucket: bool
    key: str | None
    alias: bool


class Account:
    """The account behind the credentials of `environment`, as the settings want it."""

    def __init__(self, settings: Control, environment: Mapping[str, str]) -> None:
        self.settings = settings
        self._session: Any = boto3.session.Session(
            aws_access_key_id=environment.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=environment.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=environment.get("AWS_SESSION_TOKEN"),
            profile_name=environment.get("AWS_PROFILE"),
            region_name=settings.region,
        )
        self._endpoint = environment.get("AWS_ENDPOINT_URL") or None

    def client(self, service: str, region: str | None = None) -> Any:
        return self._session.client(
            service,
            region_name=region,
            endpoint_url=self._endpoint,
            config=Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 5}),
        )

    def refuse_another(self) -> None:
        """Raises DrydockError unless the credentials are of the account that the settings name."""
        wanted = self.settings.account
        try:
            identity = self.client("sts").get_caller_identity()
        except (ClientError, BotoCoreError) as problem:
            raise DrydockError(f"who is asking can't be told: {problem}", "aws sts get-caller-identity") from None
        if identity["Account"] != wanted:
            raise DrydockError(
                f"the credentials are of account {identity['Account']} ({identity['Arn']}), and stack "
                f"{self.settings.name} is of account {wanted}: nothing was changed",
                "aws sts get-caller-identity",
            )

    def look(self) -> Found:
        """What there is. Raises DrydockError when the bucket's name is somebody else's."""
        key = self._aliased_key()
        return Found(self._has_bucket(), key or self._unnamed_key(), key is not None)

    def make_bucket(self) -> None:
        """The bucket, private and versioned. Everything else about it is the control stack's."""
        s3, name, settings = self.client("s3"), self.settings.state_bucket, self.settings
        if not self._has_bucket():
            # The oldest region is the one that may not be named.
            place = {} if settings.region == "us-east-1" else {"LocationConstraint": settings.region}
            s3.create_bucket(Bucket=name, **({"CreateBucketConfiguration": place} if place else {}))
        s3.put_public_access_block(
            Bucket=name,
            PublicAccessBlockConfiguration={
                "BlockPublicAcls": True,
                "BlockPublicPolicy": True,
                "IgnorePublicAcls": True,
                "RestrictPublicBuckets": True,
            },
        )
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        # As the provider tags it: what is adopted has to be what the program describes.
        s3.put_bucket_tagging(
            Bucket=name, Tagging={"TagSet": [{"Key": key, "Value": value} for key, value in settings.tags.items()]}
        )

    def make_key(self) -> str:
        """The key, known by its description and tags until it has its alias. Returns its id."""
        found = self._aliased_key() or self._unnamed_key()
        if found is not None:
            return found
        kms = self.client("kms")
        made = kms.create_key(
            Description=DESCRIPTION,
            Policy=key_policy(self.settings.account),
            Tags=[{"TagKey": key, "TagValue": value} for key, value in self.settings.tags.items()],
        )
        return str(made["KeyMetadata"]["KeyId"])

    def name_key(self, key: str) -> str:
        """Rotation and alias. Returns the id of the key that has the alias: another's, if that was quicker."""
        kms = self.client("kms")
        kms.enable_key_rotation(KeyId=key)
        if self._aliased_key() is None:
            try:
                kms.create_alias(AliasName=self.settings.state_key_alias, TargetKeyId=key)
            except kms.exceptions.AlreadyExistsException:
                kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=_ORPHAN_DAYS)
        named = self._aliased_key()
        assert named is not None
        return named

    def _has_bucket(self) -> bool:
        try:
            self.client("s3").head_bucket(Bucket=self.settings.state_bucket, ExpectedBucketOwner=self.settings.account)
        except ClientError as problem:
            status = problem.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == 404:
                return False
            if status == 403:
                raise DrydockError(
                    f"bucket {self.settings.state_bucket} is another account's, or these credentials may not see it",
                    f"aws s3api head-bucket --bucket {self.settings.state_bucket}",
                ) from None
            raise
        return True

    def _aliased_key(self) -> str | None:
        kms = self.client("kms")
        try:
            key = kms.describe_key(KeyId=self.settings.state_key_alias)["KeyMetadata"]
        except kms.exceptions.NotFoundException:
            return None
        if key["KeyState"] != "Enabled":
            raise DrydockError(
                f"key {key['KeyId']} behind {self.settings.state_key_alias} is {key['KeyState']}: without it no state "
                "can be read",
                f"aws kms cancel-key-deletion --key-id {key['KeyId']}; aws kms enable-key --key-id {key['KeyId']}",
            )
        return str(key["KeyId"])

    def _unnamed_key(self) -> str | None:
        """A key that was made by a bootstrap that was killed before it could name it."""
        return self.find_key(DESCRIPTION, self.settings.region, self.settings.tags)

    def find_key(self, description: str, region: str, wanted: Mapping[str, str]) -> str | None:
        """A key that can be used and has just these tags and this description."""
        kms = self.client("kms", region)
        for page in kms.get_paginator("list_keys").paginate():
            for entry in page["Keys"]:
                key = kms.describe_key(KeyId=entry["KeyId"])["KeyMetadata"]
                if key.get("Description") != description or key["KeyState"] != "Enabled":
                    continue
                tags = kms.list_resource_tags(KeyId=entry["KeyId"]).get("Tags", [])
                if {tag["TagKey"]: tag["TagValue"] for tag in tags} == dict(wanted):
                    return str(entry["KeyId"])
        return None
