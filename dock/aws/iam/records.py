"""How IAM's records are kept: durable, by account, with a count of changes that makes caches of them stale."""

from __future__ import annotations

import json
import re
import secrets
import string
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from dock.access.documents import Kind, PolicyError, parse
from dock.aws.service import AwsError, Request
from dock.store import Record, Scope, Store

_NAME = re.compile(r"[\w+=,.@-]+")
_PATH = re.compile(r"/|/[\x21-\x7e]+/")
_ALPHABET = string.ascii_uppercase + "234567"
_PAGE = 100


class Shelf:
    """The records of one kind, in every account; IAM has no regions."""

    def __init__(self, store: Store, kind: str, changed: Callable[[], None]) -> None:
        self._table = store.table(f"iam/{kind}")
        self._changed = changed

    def get(self, account: str, name: str) -> Record | None:
        return self._table.get(Scope(account, ""), name)

    def put(self, account: str, name: str, record: Record) -> None:
        self._table.put(Scope(account, ""), name, record)
        self._changed()

    def delete(self, account: str, name: str) -> None:
        self._table.delete(Scope(account, ""), name)
        self._changed()

    def list(self, account: str) -> list[Record]:
        return self._table.list(Scope(account, ""))

    def find(self, name: str) -> tuple[str, Record] | None:
        """The account and the record of a name that no other account has, an access key's id for example."""
        return next(((scope.account, record) for scope, key, record in self._table.all() if key == name), None)


def missing(what: str, name: str) -> AwsError:
    return AwsError("NoSuchEntityException", f"The {what} with name {name} cannot be found.", 404)


def taken(what: str, name: str) -> AwsError:
    return AwsError("EntityAlreadyExistsException", f"{what} with name {name} already exists.", 409)


def in_use(what: str) -> AwsError:
    return AwsError("DeleteConflictException", f"Cannot delete entity, {what}.", 409)


def check_name(what: str, name: str) -> str:
    """Raises AwsError for a name that IAM doesn't take."""
    if not _NAME.fullmatch(name):
        raise AwsError(
            "ValidationError",
            f"The specified value for {what} is invalid. It must contain only alphanumeric characters and/or the"
            " following: +=,.@_-",
        )
    return name


def check_path(request: Request) -> str:
    path = str(request.get("Path", "/"))
    if not _PATH.fullmatch(path):
        raise AwsError(
            "ValidationError",
            "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric"
            " characters and/or / characters.",
        )
    return path


def check_policy(text: str, kind: Kind) -> str:
    """Raises AwsError for a document that is no policy of this kind."""
    try:
        parse(text, kind)
    except PolicyError as problem:
        raise AwsError("MalformedPolicyDocumentException", str(problem)) from None
    return text


def check_size(text: str, limit: int, what: str) -> None:
    """IAM counts a policy's characters without white space."""
    if len(re.sub(r"\s", "", text)) > limit:
        raise AwsError("LimitExceededException", f"Maximum policy size of {limit} bytes exceeded for {what}", 409)


def unique_id(prefix: str) -> str:
    """For example `AROA` and 17 letters and digits."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(17))


def arn(account: str, kind: str, path: str, name: str) -> str:
    return f"arn:aws:iam::{account}:{kind}{path}{name}"


def encoded(document: str) -> str:
    """A policy document as IAM answers it."""
    return quote(document, safe="")


def page(request: Request, name: str, items: Iterable[Any]) -> dict[str, Any]:
    """One page of a list, `Marker` to `Marker`."""
    found = list(items)
    try:
        start = int(request.get("Marker", "0"))
    except ValueError:
        raise AwsError("ValidationError", "Invalid Marker.") from None
    end = start + int(request.get("MaxItems", _PAGE))
    truncated = end < len(found)
    return {name: found[start:end], "IsTruncated": truncated, "Marker": str(end) if truncated else None}


def under(request: Request, records: Iterable[Record]) -> list[Record]:
    """Those whose path starts with the request's PathPrefix."""
    prefix = request.get("PathPrefix", "/")
    return [record for record in records if record["path"].startswith(prefix)]


def tags_of(request: Request) -> dict[str, str]:
    found: dict[str, str] = {}
    for tag in request.get("Tags", []):
        if tag["Key"].lower() in {key.lower() for key in found}:
            raise AwsError(
                "InvalidInputException", "Duplicate tag keys found. Please note that Tag keys are case insensitive."
            )
        found[tag["Key"]] = tag["Value"]
    return found


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def as_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
