"""CloudWatch's refusals, and its page tokens."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from dock.aws.service import AwsError


def invalid(message: str) -> AwsError:
    """A parameter's value is wrong."""
    return AwsError("InvalidParameterValue", message)


def combination(message: str) -> AwsError:
    """Parameters that don't go together."""
    return AwsError("InvalidParameterCombination", message)


def missing(message: str) -> AwsError:
    """A parameter that is needed."""
    return AwsError("MissingParameter", message)


def validation(message: str) -> AwsError:
    """What the alarm calls and GetMetricData say of a wrong request."""
    return AwsError("ValidationError", message)


def token(place: Any) -> str:
    """A page token that holds a place (JSON)."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def place(given: str, code: str = "InvalidNextToken") -> Any:
    """What `token` was made of. Raises AwsError for any other text."""
    try:
        return json.loads(base64.urlsafe_b64decode(given.encode("ascii", "replace")))
    except (ValueError, binascii.Error):
        raise AwsError(code, "The specified NextToken is invalid.") from None
