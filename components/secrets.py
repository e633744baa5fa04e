"""The credentials of an environment, generated once and kept in Secrets Manager."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

# Letters and digits alone: every client, URL and shell takes them unquoted, and RDS and ElastiCache each refuse other
# punctuation. 40 of them are 238 bits.
LENGTH = 40


@dataclass(frozen=True, kw_only=True)
class SecretsArgs:
    """`recovery_days`: how long a deleted secret can be restored, 7 to 30, or 0 for not at all. `master_secret_arn`: of
    a database that is there already."""

    key_arn: pulumi.Input[str]
    master_username: pulumi.Input[str]
    application_role: pulumi.Input[str]
    recovery_days: pulumi.Input[int]
    protect: bool
    master_secret_arn: str | None = None


class Secrets(pulumi.ComponentResource):
    """Each value is a JSON object: a database's `username` and `password`, the cache's `auth_token`.

    The value is ours only at the beginning: whoever rotates it afterwards owns it, and a later `up` leaves it alone.
    """

    master_arn: pulumi.Output[str]
    master_password: pulumi.Output[str]
    application_arn: pulumi.Output[str]
    cache_arn: pulumi.Output[str]
    cache_token: pulumi.Output[str]

    def __init__(self, name: str, args: SecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:Secrets", name, None, opts)
        self._name = name
        self._args = args
        if args.master_secret_arn is None:
            self.master_arn, self.master_password = self._secret(
                "database-master", "Master of the database", "password", {"username": args.master_username}
            )
        else:
            # Nobody needs the password of a database that isn't made.
            self.master_arn, self.master_password = (
                pulumi.Output.from_input(args.master_secret_arn),
                _secret(pulumi.Output.from_input("")),
            )
        self.application_arn, _ = self._secret(
            "database-application",
            "The application's own role in the database",
            "password",
            {"username": args.application_role},
        )
        self.cache_arn, self.cache_token = self._secret("cache", "Token that the cache asks for", "auth_token", {})
        self.register_outputs(
            {"master_arn": self.master_arn, "application_arn": self.application_arn, "cache_arn": self.cache_arn}
        )

    def _secret(
        self, noun: str, description: str, generated: str, rest: Mapping[str, pulumi.Input[str]]
    ) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        """The secret's ARN, and what was generated for it, known once it is stored."""
        secret = aws.secretsmanager.Secret(
            f"{self._name}-{noun}",
            name=f"{self._name}-{noun}",
            description=description,
            kms_key_id=self._args.key_arn,
            recovery_window_in_days=self._args.recovery_days,
            opts=pulumi.ResourceOptions(parent=self, protect=self._args.protect),
        )
        random = aws.secretsmanager.get_random_password_output(
            password_length=LENGTH, exclude_punctuation=True, opts=pulumi.InvokeOptions(parent=self)
        )
        version = aws.secretsmanager.SecretVersion(
            f"{self._name}-{noun}",
            secret_id=secret.id,
            secret_string=_secret(
                pulumi.Output.json_dumps({**rest, generated: random.random_password}, sort_keys=True)
            ),
            # Each run draws another one; the first stays.
            opts=pulumi.ResourceOptions(parent=self, protect=self._args.protect, ignore_changes=["secretString"]),
        )
        # From the stored version, not from the draw: the one that stays is what the database was given.
        stored = _secret(version.secret_string.apply(lambda value: str(json.loads(value or "{}")[generated])))
        return secret.arn, stored


def _secret(value: pulumi.Output[str]) -> pulumi.Output[str]:
    return pulumi.Output.secret(value)
