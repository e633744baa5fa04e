"""Successful answers in the protocol of the request they answer."""

from __future__ import annotations

import base64
import datetime as dt
import email.utils
import json
from typing import Any
from xml.etree import ElementTree

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from dock.aws import cbor
from dock.aws.request import Identified, Protocol


def render(
    identified: Identified, operation: OperationModel, response: dict[str, Any], request_id: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of what a handler returned. Members that the model doesn't have are left out."""
    shape = operation.output_shape
    headers = {"x-amzn-RequestId": request_id}
    status = int(operation.http.get("responseCode", 200))
    match identified.protocol:
        case Protocol.JSON:
            version = operation.service_model.metadata.get("jsonVersion", "1.1")
            headers["Content-Type"] = f"application/x-amz-json-{version}"
            body = json.dumps(_to_json(response, shape) if shape else {}).encode()
        case Protocol.CBOR:
            headers |= {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
            body = cbor.encode(_to_cbor(response, shape) if shape else {})
        case Protocol.QUERY:
            headers["Content-Type"] = "text/xml"
            body = _query(operation, response, request_id)
        case Protocol.REST_JSON | Protocol.REST_XML:
            headers |= _headers(response, shape)
            code = next((response[name] for name in _at(shape, "statusCode") if name in response), None)
            status = status if code is None else int(code)
            kind, body = _rest_body(identified.protocol, operation, response)
            if body:
                headers["Content-Type"] = kind
        case Protocol.EC2:
            raise NotImplementedError("no service of the dock's own speaks EC2's protocol")
    return status, headers, body


def _query(operation: OperationModel, response: dict[str, Any], request_id: str) -> bytes:
    namespace = operation.service_model.metadata.get("xmlNamespace", "")
    root = ElementTree.Element(f"{operation.name}Response", xmlns=namespace)
    if operation.output_shape is not None:
        wrapper = operation.output_shape.serialization.get("resultWrapper")
        holder = ElementTree.SubElement(root, wrapper) if wrapper else root
        _members_to_xml(holder, response, operation.output_shape)
    metadata = ElementTree.SubElement(root, "ResponseMetadata")
    ElementTree.SubElement(metadata, "RequestId").text = request_id
    return _document(root)


def _rest_body(protocol: Protocol, operation: OperationModel, response: dict[str, Any]) -> tuple[str, bytes]:
    shape = operation.output_shape
    if shape is None:
        return "", b""
    payload = shape.serialization.get("payload")
    holder: Shape = shape.members[payload] if payload is not None else shape
    content: Any = response.get(payload) if payload is not None else response
    if not isinstance(holder, StructureShape):
        raw = content.encode() if isinstance(content, str) else content or b""
        return "application/octet-stream", raw
    inside = {
        name: value
        for name, value in (content or {}).items()
        if name in holder.members and "location" not in holder.members[name].serialization
    }
    if protocol is Protocol.REST_JSON:
        return "application/json", json.dumps(_to_json(inside, holder)).encode()
    name = holder.serialization.get("name", holder.name) if payload is None else _wire_name(shape, payload)
    root = ElementTree.Element(name, xmlns=_namespace(operation))
    _members_to_xml(root, inside, holder)
    return "application/xml" if payload is not None else "text/xml", _document(root)


def _wire_name(shape: StructureShape, member: str) -> str:
    return str(shape.members[member].serialization.get("name", member))


def _namespace(operation: OperationModel) -> str:
    """A REST service's namespace stands at the inputs that have a body, the same at all of them."""
    model = operation.service_model
    for name in model.operation_names:
        given = model.operation_model(name).input_shape
        if given is not None and "xmlNamespace" in given.serialization:
            return str(given.serialization["xmlNamespace"]["uri"])
    return str(model.metadata.get("xmlNamespace", ""))


def _at(shape: StructureShape | None, location: str) -> list[str]:
    if shape is None:
        return []
    return [name for name, member in shape.members.items() if member.serialization.get("location") == location]


def _headers(response: dict[str, Any], shape: StructureShape | None) -> dict[str, str]:
    found = {}
    for name in _at(shape, "header"):
        value = response.get(name)
        if value is not None:
            assert shape is not None
            if isinstance(value, dt.datetime):
                value = email.utils.format_datetime(value.astimezone(dt.UTC), usegmt=True)
            found[_wire_name(shape, name)] = str(value).lower() if isinstance(value, bool) else str(value)
    return found


def _to_json(value: Any, shape: Shape) -> Any:
    if isinstance(shape, StructureShape):
        members = shape.members
        return {
            members[name].serialization.get("name", name): _to_json(item, members[name])
            for name, item in value.items()
            if item is not None and name in members
        }
    if isinstance(shape, ListShape):
        return [_to_json(item, shape.member) for item in value]
    if isinstance(shape, MapShape):
        return {key: _to_json(item, shape.value) for key, item in value.items()}
    if shape.type_name == "timestamp":
        if shape.serialization.get("timestampFormat") == "iso8601" and isinstance(value, dt.datetime):
            return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return value.timestamp() if isinstance(value, dt.datetime) else value
    if shape.type_name == "blob":
        return base64.b64encode(value).decode()
    return value


def _to_cbor(value: Any, shape: Shape) -> Any:
    if isinstance(shape, StructureShape):
        return {
            name: _to_cbor(item, shape.members[name])
            for name, item in value.items()
            if item is not None and name in shape.members
        }
    if isinstance(shape, ListShape):
        return [_to_cbor(item, shape.member) for item in value]
    if isinstance(shape, MapShape):
        return {key: _to_cbor(item, shape.value) for key, item in value.items()}
    if shape.type_name == "timestamp" and isinstance(value, (int, float)):
        return dt.datetime.fromtimestamp(value, dt.UTC)
    return float(value) if shape.type_name in ("float", "double") else value


def _members_to_xml(parent: ElementTree.Element, value: dict[str, Any], shape: StructureShape) -> None:
    for name, item in value.items():
        if item is not None and name in shape.members:
            member = shape.members[name]
            _to_xml(parent, member.serialization.get("name", name), item, member)


def _to_xml(parent: ElementTree.Element, name: str, value: Any, shape: Shape) -> None:
    if isinstance(shape, ListShape):
        flattened = shape.serialization.get("flattened")
        holder = parent if flattened else ElementTree.SubElement(parent, name)
        member_name = name if flattened else shape.member.serialization.get("name", "member")
        for item in value:
            _to_xml(holder, member_name, item, shape.member)
        return
    element = ElementTree.SubElement(parent, name)
    if isinstance(shape, StructureShape):
        _members_to_xml(element, value, shape)
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            entry = ElementTree.SubElement(element, "entry")
            ElementTree.SubElement(entry, shape.key.serialization.get("name", "key")).text = key
            _to_xml(entry, shape.value.serialization.get("name", "value"), item, shape.value)
    elif shape.type_name == "boolean":
        element.text = "true" if value else "false"
    elif shape.type_name == "timestamp":
        moment = value if isinstance(value, dt.datetime) else dt.datetime.fromtimestamp(value, dt.UTC)
        element.text = moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    elif shape.type_name == "blob":
        element.text = base64.b64encode(value).decode()
    else:
        element.text = str(value)


def _document(root: ElementTree.Element) -> bytes:
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document
