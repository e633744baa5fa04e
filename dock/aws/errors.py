"""Error answers in the protocol of the request they answer, for the dock's own services and for the emulator's."""

from __future__ import annotations

import json
from xml.etree import ElementTree

from botocore.model import ServiceModel

from dock.aws import cbor
from dock.aws.request import Identified, Protocol
from dock.aws.service import AwsError

# What each service calls it when it is called too often, where that isn't its protocol's usual word.
_THROTTLED = {
    "ec2": ("RequestLimitExceeded", 503),
    "lambda": ("TooManyRequestsException", 429),
    "s3": ("SlowDown", 503),
    "s3control": ("SlowDown", 503),
    "sns": ("Throttled", 429),
    "sqs": ("RequestThrottled", 400),
}


def throttled(identified: Identified) -> AwsError:
    """The service's own answer to too many calls; every SDK retries it."""
    usual = "Throttling" if identified.protocol in (Protocol.QUERY, Protocol.REST_XML) else "ThrottlingException"
    code, status = _THROTTLED.get(identified.service, (usual, 400))
    return AwsError(code, "Rate exceeded", status)


def declared_status(model: ServiceModel | None, code: str) -> tuple[str, int] | None:
    """The code on the wire and the status of an error that the service declares, by botocore's name or by the code."""
    if model is None:
        return None
    for shape in model.error_shapes:
        declared = shape.metadata.get("error", {})
        if code in (shape.name, declared.get("code")):
            return declared.get("code", shape.name), declared.get("httpStatusCode", 400)
    return None


def render(identified: Identified, error: AwsError, request_id: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body."""
    code, status = error.code, error.status
    if (declared := declared_status(identified.model, code)) is not None:
        code, status = declared
    headers = {"x-amzn-RequestId": request_id}
    match identified.protocol:
        case Protocol.JSON:
            version = identified.model.metadata.get("jsonVersion", "1.1") if identified.model is not None else "1.1"
            headers["Content-Type"] = f"application/x-amz-json-{version}"
            body = json.dumps({"__type": code, "message": error.message, "Message": error.message}).encode()
        case Protocol.REST_JSON:
            headers |= {"Content-Type": "application/json", "x-amzn-ErrorType": code}
            body = json.dumps({"message": error.message, "Message": error.message}).encode()
        case Protocol.CBOR:
            headers |= {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
            body = cbor.encode({"__type": code, "message": error.message})
        case Protocol.EC2:
            headers["Content-Type"] = "text/xml"
            root = ElementTree.Element("Response")
            _add(ElementTree.SubElement(ElementTree.SubElement(root, "Errors"), "Error"), code, error.message)
            ElementTree.SubElement(root, "RequestID").text = request_id
            body = _document(root)
        case Protocol.REST_XML if identified.service == "s3":
            headers |= {"Content-Type": "application/xml", "x-amz-request-id": request_id}
            root = ElementTree.Element("Error")
            _add(root, code, error.message)
            ElementTree.SubElement(root, "RequestId").text = request_id
            body = _document(root)
        case Protocol.QUERY | Protocol.REST_XML:
            headers["Content-Type"] = "text/xml"
            namespace = identified.model.metadata.get("xmlNamespace", "") if identified.model is not None else ""
            root = ElementTree.Element("ErrorResponse", xmlns=namespace if isinstance(namespace, str) else "")
            holder = ElementTree.SubElement(root, "Error")
            ElementTree.SubElement(holder, "Type").text = "Sender" if status < 500 else "Receiver"
            _add(holder, code, error.message)
            ElementTree.SubElement(root, "RequestId").text = request_id
            body = _document(root)
    return status, headers, b"" if identified.method == "HEAD" else body


def _add(holder: ElementTree.Element, code: str, message: str) -> None:
    ElementTree.SubElement(holder, "Code").text = code
    ElementTree.SubElement(holder, "Message").text = message


def _document(root: ElementTree.Element) -> bytes:
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document
