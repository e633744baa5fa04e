"""What an operation says when it can't go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class OperationError(Exception):
    """Says what failed, why, and the next command (or action) for the person who reads it."""

    def __init__(self, what: str, why: str, next: str) -> None:
        super().__init__(what, why, next)
        self.what = what
        self.why = why
        self.next = next

    def __str__(self) -> str:
        return f"{self.what}: {self.why}\n  next: {self.next}"


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn what boto3 raises inside into an OperationError on `what`."""
    from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

    from operations.redaction import redact

    try:
        yield
    except (ConnectionError, HTTPClientError) as error:
        raise OperationError(what, redact(str(error)), reach(str(error.kwargs.get("endpoint_url", "")))) from error
    except ClientError as error:
        call = f"aws … {error.operation_name}"
        raise OperationError(what, redact(str(error)), f"read what AWS says of {call}, then do it again") from error
    except BotoCoreError as error:
        raise OperationError(what, redact(str(error)), ATTACH) from error


ATTACH = 'attach this shell to an account; for the dock: `eval "$(drydock env)"`'


def reach(endpoint: str) -> str:
    """What to do when nothing answers at an AWS endpoint."""
    if endpoint.startswith(("http://127.", "https://127.", "http://localhost", "https://localhost")):
        return "is the dock running? `drydock up`"
    return "check the network and AWS_ENDPOINT_URL"
