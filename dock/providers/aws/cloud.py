"""The dock's AWS API as the plugin calls it: never another one, and never before something must really be done."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from dock.providers.aws.configuration import Configuration
from dock.providers.cloud import CallError, is_loopback
from dock.providers.errors import ProviderError
from dock.providers.expressions import plain

PARTITION = "aws"
CONNECT_TIMEOUT = 5
# Some calls of the dock wait for an engine to start.
READ_TIMEOUT = 120


class Cloud:
    """Clients of one provider instance, made when first needed. Safe to be used by many threads."""

    def __init__(self, configuration: Configuration, stack: str = "") -> None:
        self.configuration = configuration
        # For messages: what the person is applying.
        self.stack = stack
        self._lock = threading.RLock()
        self._clients: dict[tuple[str, str], Any] = {}
        self._session: Any = None
        self._account: str | None = None
        self._refused = False
        self._credentials: dict[str, str | None] | None = None

    @property
    def account(self) -> str:
        """The account behind the credentials. Raises ProviderError when the stack doesn't belong in it."""
        with self._lock:
            if self._account is None:
                account = self._call("sts", self.configuration.region, "GetCallerIdentity", {})["Account"]
                self._refuse_foreign(account)
                self._account = account
            return self._account

    def identity(self) -> dict[str, str]:
        return {"account": self.account, "partition": PARTITION}

    def call(self, service: str, region: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The answer as plain JSON.

        Raises CallError when the API refuses, ProviderError when it can't be reached or may not be used.
        """
        _ = self.account
        return self._call(service, region, operation, parameters)

    def _call(self, service: str, region: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        from botocore import xform_name
        from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, ParamValidationError

        try:
            # Making a client raises too, for example without credentials.
            answer = getattr(self._client(service, region), xform_name(operation))(**parameters)
        except ClientError as error:
            facts = error.response.get("Error", {})
            repeated = error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) > 0
            raise CallError(
                operation, facts.get("Code", "Unknown"), facts.get("Message", str(error)), repeated
            ) from error
        except EndpointConnectionError as error:
            raise ProviderError(
                f"the dock is not running (nothing answers at {self._endpoint(service)}): run `drydock up`"
            ) from error
        except ParamValidationError as error:
            raise ProviderError(f"{operation}: {error}") from error
        except BotoCoreError as error:
            raise ProviderError(f"{operation}: {error}") from error
        answer.pop("ResponseMetadata", None)
        result: dict[str, Any] = plain(answer)
        return result

    def _client(self, service: str, region: str) -> Any:
        with self._lock:
            if (service, region) not in self._clients:
                credentials = self._assumed() if service != "sts" else self._own()
                self._clients[service, region] = self._new_client(service, region, credentials)
            return self._clients[service, region]

    def _new_client(self, service: str, region: str, credentials: Mapping[str, str | None]) -> Any:
        from botocore.config import Config
        from botocore.session import Session

        if self._session is None:
            self._session = Session(profile=self.configuration.profile)
        return self._session.create_client(
            service,
            region_name=region,
            endpoint_url=self._endpoint(service),
            aws_access_key_id=credentials["accessKey"],
            aws_secret_access_key=credentials["secretKey"],
            aws_session_token=credentials["token"],
            config=Config(
                connect_timeout=CONNECT_TIMEOUT,
                read_timeout=READ_TIMEOUT,
                retries={"mode": "standard", "total_max_attempts": self.configuration.max_retries + 1},
                s3={"addressing_style": "path"},
                max_pool_connections=32,
            ),
        )

    def _own(self) -> dict[str, str | None]:
        configuration = self.configuration
        return {
            "accessKey": configuration.access_key,
            "secretKey": configuration.secret_key,
            "token": configuration.token,
        }

    def _assumed(self) -> dict[str, str | None]:
        """The credentials of the role that the provider assumes; its own when it assumes none."""
        if not self.configuration.role:
            return self._own()
        if self._credentials is None:
            given = self._call(
                "sts",
                self.configuration.region,
                "AssumeRole",
                {"RoleArn": self.configuration.role, "RoleSessionName": "pulumi"},
            )["Credentials"]
            self._credentials = {
                "accessKey": given["AccessKeyId"],
                "secretKey": given["SecretAccessKey"],
                "token": given["SessionToken"],
            }
        return self._credentials

    def _endpoint(self, service: str) -> str:
        """Where this service's calls go. Raises ProviderError unless that is on this machine."""
        url = self.configuration.endpoints.get(service) or os.environ.get("AWS_ENDPOINT_URL", "")
        if not url:
            raise ProviderError(
                "this shell is attached to the dock only half: AWS_ENDPOINT_URL is not set, and without it the calls "
                'would go to AWS. Run `eval "$(drydock env)"`, or unset PULUMI_HOME to use the vendor\'s plugin'
            )
        if not is_loopback(urlsplit(url).hostname):
            raise ProviderError(
                f"the dock's plugin only talks to a dock on this machine, and AWS_ENDPOINT_URL is {url}: "
                'run `eval "$(drydock env)"`, or unset PULUMI_HOME to use the vendor\'s plugin'
            )
        return url

    def _refuse_foreign(self, account: str) -> None:
        configuration = self.configuration
        stack = f"stack {self.stack}" if self.stack else "this stack"
        if configuration.allowed_accounts and account not in configuration.allowed_accounts:
            verdict = f"{stack} allows only {', '.join(configuration.allowed_accounts)}"
        elif account in configuration.forbidden_accounts:
            verdict = f"{stack} forbids it"
        else:
            return
        # Every resource is refused: the first says why.
        repeated, self._refused = self._refused, True
        raise ProviderError(
            f"not made: the dock's account is {account}; {verdict}"
            if repeated
            else f"this shell is attached to the dock, whose account is {account}; {verdict}, so nothing was changed. "
            "To apply it to AWS use a shell without `drydock env`."
        )
