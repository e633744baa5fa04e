"""Values that a task's environment takes from Secrets Manager and Parameter Store. They are kept nowhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from dock.aws.sts.sessions import Issued
    from dock.cloud import Cloud

_ATTEMPTS = 3


class SecretError(Exception):
    """A secret can't be had. The message has names only; it is what ECS puts into a task's stopped reason."""


class SecretReader:
    """Reads secrets as the task's execution role. Its calls block."""

    def __init__(self, cloud: Cloud, account: str, region: str, role: Issued | None) -> None:
        self._cloud = cloud
        self._account = account
        self._region = region
        self._role = role

    def environment(self, secrets: list[dict[str, str]]) -> dict[str, str]:
        """Values by variable name, from `[{"name": …, "valueFrom": …}]`. Raises SecretError."""
        return {entry["name"]: self.value(entry["valueFrom"]) for entry in secrets}

    def value(self, reference: str) -> str:
        """The value of `arn:…:secretsmanager:…[:json-key:version-stage:version-id]`, of a parameter's ARN, or of a
        parameter's name in the task's own region."""
        if reference.startswith("arn:aws:secretsmanager:"):
            return self._secret(reference)
        return self._parameter(reference)

    def _secret(self, reference: str) -> str:
        parts = reference.split(":")
        if len(parts) not in (7, 10):
            raise SecretError(
                _asm(f"unexpected ARN format with parameters when trying to retrieve ASM secret {reference}")
            )
        arn = ":".join(parts[:7])
        key, stage, version = parts[7:] or ("", "", "")
        wanted = {"SecretId": arn}
        if stage:
            wanted["VersionStage"] = stage
        if version:
            wanted["VersionId"] = version
        try:
            answer = self._call("secretsmanager", parts[3], "get_secret_value", **wanted)
        except (ClientError, BotoCoreError) as problem:
            raise SecretError(_asm(f"failed to fetch secret {arn} from secrets manager: {_why(problem)}")) from None
        text = answer.get("SecretString")
        if text is None:
            raise SecretError(_asm(f"secret {arn} has a binary value, which can't be an environment variable"))
        if not key:
            return str(text)
        try:
            document = json.loads(text)
            found = document[key]
        except (ValueError, TypeError):
            raise SecretError(_asm(f"secret {arn} is not a JSON object, and the key {key!r} of it is wanted")) from None
        except KeyError:
            raise SecretError(_asm(f"retrieved secret from Secrets Manager did not contain json key {key}")) from None
        return found if isinstance(found, str) else json.dumps(found)

    def _parameter(self, reference: str) -> str:
        region, name = self._region, reference
        if reference.startswith("arn:aws:ssm:"):
            parts = reference.split(":", 5)
            region, name = parts[3], parts[5].removeprefix("parameter")
            # `parameter/name` is the ARN of both `name` and `/name`.
            candidates = [name, name.removeprefix("/")] if name.count("/") == 1 else [name]
        else:
            candidates = [name]
        for candidate in candidates:
            try:
                answer = self._call("ssm", region, "get_parameter", Name=candidate, WithDecryption=True)
                return str(answer["Parameter"]["Value"])
            except (ClientError, BotoCoreError) as problem:
                missing = isinstance(problem, ClientError) and problem.response["Error"]["Code"] == "ParameterNotFound"
                if not missing:
                    raise SecretError(_ssm(_why(problem))) from None
        raise SecretError(_ssm(f"invalid ssm parameters: {candidates[0]}"))

    def _call(self, service: str, region: str, method: str, **parameters: Any) -> dict[str, Any]:
        client = self._cloud.client(service, self._account, region, self._role)
        try:
            return dict(getattr(client, method)(**parameters))
        finally:
            client.close()


def _why(problem: Exception) -> str:
    if isinstance(problem, ClientError):
        error = problem.response["Error"]
        return f"{error['Code']}: {error.get('Message', '')}"
    return str(problem)


def _asm(what: str) -> str:
    return (
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed:"
        f" unable to retrieve secret from asm: service call has been retried {_ATTEMPTS} time(s): {what}"
    )


def _ssm(what: str) -> str:
    return (
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed:"
        f" unable to retrieve secrets from ssm: service call has been retried {_ATTEMPTS} time(s): {what}"
    )
