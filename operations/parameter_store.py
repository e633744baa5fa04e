"""JSON documents in SSM Parameter Store, read from the first region that has them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from operations import aws
from operations.errors import ATTACH, OperationError, reach

DEFAULT_REGIONS = ("us-east-1", "us-west-2")

Document = TypeVar("Document", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a region did not give the document. `absent`: it answered, and has none."""

    region: str
    why: str
    next: str
    absent: bool = False


class Unread(OperationError):
    """No region gave the document; `absent` when all of them answered, and none has it."""

    def __init__(self, what: str, refusals: list[Refusal]) -> None:
        # Where all fail, the first region's remedy is the one to try first.
        super().__init__(what, "; ".join(f"{each.region}: {each.why}" for each in refusals), refusals[0].next)
        self.absent = all(each.absent for each in refusals)


def regions(first: str | None = None, second: str | None = None) -> tuple[str, ...]:
    """Where to look, in order: `first` (else AWS_REGION, else us-east-1), then `second` (else the other default)."""
    one = first or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGIONS[0]
    two = second or next(name for name in DEFAULT_REGIONS if name != one)
    return tuple(dict.fromkeys((one, two)))


def read(name: str, candidates: tuple[str, ...], *, what: str, create: str) -> tuple[str, str]:
    """The parameter's value, and the region that gave it. Raises Unread; `create` is the remedy where it is absent."""
    refusals = []
    for region in candidates:
        found = _read(name, region, create)
        if isinstance(found, str):
            return found, region
        refusals.append(found)
    raise Unread(what, refusals)


def parse(document: str, model: type[Document], name: str, remedy: str) -> Document:
    """The document as its model; OperationError names each wrong key, never a value."""
    try:
        return model.model_validate_json(document)
    except ValidationError as error:
        faults = [
            f"{'.'.join(str(part) for part in fault['loc']) or 'document'}: {fault['msg']}"
            for fault in error.errors(include_input=False, include_url=False)
        ]
        raise OperationError(f"the manifest {name} is malformed", "; ".join(faults), remedy) from None


def _read(name: str, region: str, create: str) -> str | Refusal:
    from botocore.config import Config
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectionError,
        HTTPClientError,
        NoCredentialsError,
    )

    # Shorter than a target's: a dead primary region must not hold up its own failover.
    config = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})
    endpoint = ""
    try:
        client = aws.client("ssm", region, config)
        endpoint = client.meta.endpoint_url
        return str(client.get_parameter(Name=name)["Parameter"].get("Value", ""))
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code == "ParameterNotFound":
            return Refusal(region, f"there is no parameter {name}", create, absent=True)
        return Refusal(region, str(error), ATTACH)
    except NoCredentialsError:
        return Refusal(region, "this shell has no AWS credentials", ATTACH)
    except (ConnectionError, HTTPClientError):
        return Refusal(region, f"nothing answers at {endpoint}", reach(endpoint))
    except (BotoCoreError, ValueError) as error:
        return Refusal(region, str(error), ATTACH)
