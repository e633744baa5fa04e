"""Reading a request's parameters in each of AWS's protocols, without checking them: what can't be read is left out."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import botocore.parsers
from botocore.model import ListShape, MapShape, Shape, StructureShape

from dock.aws.form import parse_query
from dock.aws.service import AwsError


def from_json(body: bytes) -> dict[str, Any]:
    """A JSON object as it is; {} when it isn't one."""
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def from_cbor(body: bytes) -> dict[str, Any]:
    """A CBOR map as it is; {} when it isn't one."""
    if not body:
        return {}
    try:
        stream = io.BufferedReader(io.BytesIO(body))
        document = botocore.parsers.BaseCBORParser().parse_data_item(stream)
    except Exception:  # whatever nonsense makes of the parser
        return {}
    return document if isinstance(document, dict) else {}


def from_query(form: Mapping[str, str], shape: StructureShape) -> dict[str, Any]:
    """A form of the protocol `query`; {} when it has a value of a wrong type."""
    try:
        return parse_query(dict(form), shape)
    except AwsError:
        return {}


def from_rest(
    shape: StructureShape,
    labels: Mapping[str, str],
    query: Mapping[str, str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    xml: bool,
) -> dict[str, Any]:
    """Labels of the path, the query, headers, and the body, which is JSON or XML."""
    lowered = {name.lower(): value for name, value in headers.items()}
    found: dict[str, Any] = {}
    in_body: dict[str, Shape] = {}
    for name, member in shape.members.items():
        wired = member.serialization.get("name", name)
        match member.serialization.get("location"):
            case "uri":
                if name in labels:
                    found[name] = labels[name]
            case "querystring":
                if wired in query:
                    found[name] = _scalar(query[wired], member)
                elif isinstance(member, MapShape):
                    continue
            case "header":
                if wired.lower() in lowered:
                    found[name] = _scalar(lowered[wired.lower()], member)
            case "headers":
                rest = {key[len(wired) :]: value for key, value in lowered.items() if key.startswith(wired.lower())}
                if rest:
                    found[name] = rest
            case None:
                in_body[name] = member
            case _:
                continue
    payload = shape.serialization.get("payload")
    if payload is not None and not isinstance(shape.members[payload], StructureShape):
        return found
    if not body or not in_body:
        return found
    holder = shape.members[payload] if payload is not None else shape
    assert isinstance(holder, StructureShape)
    content = _body_of_xml(body, holder) if xml else _body_of_json(body, holder)
    if payload is not None:
        found[payload] = content
    else:
        found |= {name: value for name, value in content.items() if name in in_body}
    return found


def _body_of_json(body: bytes, shape: StructureShape) -> dict[str, Any]:
    document = from_json(body)
    names = {member.serialization.get("name", name): name for name, member in shape.members.items()}
    return {names[key]: value for key, value in document.items() if key in names}


def _body_of_xml(body: bytes, shape: StructureShape) -> dict[str, Any]:
    try:
        root = ElementTree.fromstring(body)  # noqa: S314  (expat refuses entity bombs since 2.4.1)
    except ElementTree.ParseError:
        return {}
    return _xml_structure(root, shape)


def _xml_structure(element: ElementTree.Element, shape: StructureShape) -> dict[str, Any]:
    children: dict[str, list[ElementTree.Element]] = {}
    for child in element:
        children.setdefault(child.tag.rpartition("}")[2], []).append(child)
    found: dict[str, Any] = {}
    for name, member in shape.members.items():
        wired = member.serialization.get("name", name)
        if isinstance(member, ListShape) and member.serialization.get("flattened"):
            wired = member.serialization.get("name") or member.member.serialization.get("name", name)
            if wired in children:
                found[name] = [_xml_value(child, member.member) for child in children[wired]]
        elif wired in children:
            found[name] = _xml_value(children[wired][0], member)
    return found


def _xml_value(element: ElementTree.Element, shape: Shape) -> Any:
    if isinstance(shape, StructureShape):
        return _xml_structure(element, shape)
    if isinstance(shape, ListShape):
        return [_xml_value(child, shape.member) for child in element]
    return _scalar(element.text or "", shape)


def _scalar(text: str, shape: Shape) -> Any:
    try:
        match shape.type_name:
            case "integer" | "long":
                return int(text)
            case "float" | "double":
                return float(text)
            case "boolean":
                return text.lower() == "true"
    except ValueError:
        pass
    return text
