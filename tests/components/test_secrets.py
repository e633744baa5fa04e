import json

import pulumi

from components.secrets import Secrets, SecretsArgs
from tests.components.build import build
from tests.components.samples import arguments
from tests.stacks.recording import PASSWORD, record


def values(run):
    return {each.name: json.loads(each.inputs["secretString"]) for each in run.of("SecretVersion")}


def test_each_value_is_a_json_object():
    assert values(build("secrets", "Secrets")) == {
        "thing-database-master": {"username": "drydock", "password": PASSWORD},
        "thing-database-application": {"username": "chat_app", "password": PASSWORD},
        "thing-cache": {"auth_token": PASSWORD},
    }


def test_values_are_kept_as_secrets_and_never_change_by_themselves():
    for version in build("secrets", "Secrets").of("SecretVersion"):
        assert version.secret == {"secretString"}
        assert version.ignore_changes == ("secretString",)


def test_the_password_that_the_database_gets_is_the_stored_one_and_secret():
    async def seen(output):
        return await output.future(), await output.is_secret()

    made = {}

    def program():
        secrets = Secrets("thing", arguments(SecretsArgs))
        made["password"], made["token"] = seen(secrets.master_password), seen(secrets.cache_token)
        return secrets

    run = record(program, outputs=lambda _: pulumi.Output.all(made["password"], made["token"]))
    assert run.made == [(PASSWORD, True), (PASSWORD, True)]


def test_secrets_are_encrypted_and_can_be_restored():
    for secret in build("secrets", "Secrets", recovery_days=9).of("Secret"):
        assert secret.inputs["recoveryWindowInDays"] == 9
        assert secret.inputs["kmsKeyId"].startswith("arn:aws:kms:")
        assert secret.inputs["description"]
