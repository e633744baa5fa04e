"""What a request at the front door asks for: service, operation, caller, region and parameters, in any of AWS's
protocols, also of services that the emulator answers. Everything comes from botocore's models."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl

import botocore.exceptions
from botocore.model import OperationModel, ServiceModel

from dock.aws import form, parameters, routes
from dock.aws.models import service_model

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
_CBOR_PATH = re.compile(r"/service/([^/]+)/operation/([^/]+)")
_VIRTUAL_HOST = re.compile(r"(.+)\.s3[.-]")

# Signing names that are not botocore's names, or that several services sign with: the likeliest first.
_SERVICES: dict[str, tuple[str, ...]] = {
    "cloudwatch": (),
    "dynamodb": ("dynamodb", "dynamodbstreams"),
    "elasticfilesystem": ("efs",),
    "elasticloadbalancing": ("elbv2", "elb"),
    "email": ("ses", "sesv2"),
    "monitoring": ("cloudwatch",),
    "ses": ("ses", "sesv2"),
    "s3": ("s3", "s3control"),
    "states": ("stepfunctions",),
    "tagging": ("resourcegroupstaggingapi",),
}
_ANONYMOUS = "s3"


class Protocol(StrEnum):
    """How a request is written, and so how its answer is. A service may speak several."""

    JSON = "json"
    QUERY = "query"
    EC2 = "ec2"
    REST_JSON = "rest-json"
    REST_XML = "rest-xml"
    CBOR = "smithy-rpc-v2-cbor"


@dataclass(frozen=True)
class Identified:
    """One request. `service` is botocore's name, or the signing name when botocore has no such service.

    `operation` is None when the service has no such operation: `asked` is then what the request called it.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    access_key: str | None
    region: str
    signing_name: str
    service: str
    protocol: Protocol
    operation: str | None
    asked: str
    labels: Mapping[str, str]

    @property
    def model(self) -> ServiceModel | None:
        """The service's model; None when botocore has none."""
        return _model(self.service)

    @property
    def operation_model(self) -> OperationModel | None:
        model = self.model
        return model.operation_model(self.operation) if model is not None and self.operation is not None else None

    @functools.cached_property
    def parameters(self) -> dict[str, Any]:
        """The parameters under the model's names, as far as they can be read; unchecked, and parsed at the first use.

        Bodies that are a stream (an S3 object) are left out.
        """
        operation = self.operation_model
        if operation is None or operation.input_shape is None:
            return {}
        _, query = routes.split_target(self.target)
        match self.protocol:
            case Protocol.JSON:
                return parameters.from_json(self.body)
            case Protocol.CBOR:
                return parameters.from_cbor(self.body)
            case Protocol.QUERY:
                return parameters.from_query(self._form(), operation.input_shape)
            case Protocol.EC2:
                return form.parse_ec2(self._form(), operation.input_shape)
            case Protocol.REST_JSON | Protocol.REST_XML:
                xml = self.protocol is Protocol.REST_XML
                return parameters.from_rest(operation.input_shape, self.labels, query, self.headers, self.body, xml=xml)

    @property
    def session_token(self) -> str | None:
        """The token of temporary credentials, from the header or a presigned URL."""
        _, query = routes.split_target(self.target)
        return self.headers.get("X-Amz-Security-Token") or query.get("X-Amz-Security-Token")

    def _form(self) -> dict[str, str]:
        _, query = routes.split_target(self.target)
        return {**query, **_form(self.headers, self.body)}


def identify(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Identified:
    """What a request is. `target` is the path with its query as it came; `headers` ignore case.

    Never fails: what can't be told has no operation. A request without a signature is S3's, as on AWS (a public
    object), unless it names its action (STS takes web identities unsigned).
    """
    path, query = routes.split_target(target)
    credential = _CREDENTIAL.search(headers.get("Authorization", "")) or _CREDENTIAL.search(
        f"Credential={query.get('X-Amz-Credential', '')}"
    )
    access_key: str | None = None
    region, signing_name = "us-east-1", _ANONYMOUS
    if credential is not None:
        access_key, region, signing_name = credential.groups()
    elif "AWSAccessKeyId" in query:
        access_key = query["AWSAccessKeyId"]
    elif _is_form(headers) and method == "POST":
        signing_name = "sts"
    candidates = [name for name in _SERVICES.get(signing_name, (signing_name,)) if _model(name) is not None]

    def found(
        service: str, protocol: Protocol, operation: str | None, asked: str, labels: Mapping[str, str] | None = None
    ) -> Identified:
        return Identified(
            method, target, headers, body, access_key, region, signing_name, service, protocol, operation, asked,
            labels or {},
        )  # fmt: skip

    if (rpc := _CBOR_PATH.fullmatch(path)) and headers.get("smithy-protocol") == "rpc-v2-cbor":
        service = _by(candidates, "targetPrefix", rpc[1])
        return found(service or signing_name, Protocol.CBOR, _known(service, rpc[2]), rpc[2])
    if named := headers.get("X-Amz-Target"):
        prefix, _, asked = named.rpartition(".")
        service = _by(candidates, "targetPrefix", prefix)
        return found(service or signing_name, Protocol.JSON, _known(service, asked), asked)
    if any(_protocol(name) in (Protocol.REST_JSON, Protocol.REST_XML) for name in candidates):
        return _rest(candidates, method, path, query, headers, found)
    asked_by_form = {**query, **_form(headers, body)}
    if asked := asked_by_form.get("Action", ""):
        service = _by(candidates, "apiVersion", asked_by_form.get("Version", "")) or (
            candidates[0] if candidates else None
        )
        protocol = Protocol.EC2 if service is not None and _protocol(service) is Protocol.EC2 else Protocol.QUERY
        return found(service or signing_name, protocol, _known(service, asked), asked)
    service = candidates[0] if candidates else None
    return found(service or signing_name, _protocol(service) if service else Protocol.JSON, None, f"{method} {path}")


def _rest(
    candidates: list[str], method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], found: Any
) -> Identified:
    lowered = {name.lower(): value for name, value in headers.items()}
    for service in reversed(candidates) if path.startswith("/v20180820/") else candidates:
        model = service_model(service)
        virtual = _VIRTUAL_HOST.match(headers.get("Host", "")) if service == "s3" else None
        route = routes.match(model, method, f"/{virtual[1]}{path}" if virtual else path, query, lowered)
        if route is not None:
            identified: Identified = found(service, _protocol(service), route.operation, route.operation, route.labels)
            return identified
    missing: Identified = found(candidates[0], _protocol(candidates[0]), None, f"{method} {path}")
    return missing


@functools.cache
def _model(service: str) -> ServiceModel | None:
    try:
        return service_model(service)
    except botocore.exceptions.UnknownServiceError:
        return None


@functools.cache
def _protocol(service: str) -> Protocol:
    return Protocol(service_model(service).metadata["protocol"])


@functools.cache
def _operations(service: str) -> frozenset[str]:
    return frozenset(service_model(service).operation_names)


def _known(service: str | None, operation: str) -> str | None:
    return operation if service is not None and operation in _operations(service) else None


def _by(candidates: list[str], key: str, value: str) -> str | None:
    return next((name for name in candidates if service_model(name).metadata.get(key) == value), None)


def _is_form(headers: Mapping[str, str]) -> bool:
    return headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded")


def _form(headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)) if _is_form(headers) else {}
