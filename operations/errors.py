"""What an operation says when it can't go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class OperationError(Exception):
    """Says what failed, why, and the next command (or action) for the person who reads it.

    `ended` on a step's error: its effect is over, and was not what it should be. To try again is to act anew.
    """

    def __init__(self, what: str, why: str, next: str, *, ended: bool = False) -> None:
        super().__init__(what, why, next)
        self.what = what
        self.why = why
        self.next = next
        self.ended = ended

    def __str__(self) -> str:
        return f"{self.what}: {self.why}\n  next: {self.next}"

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: this is for the person who operates, not for who wrote the code."""
        return [type(self).__name__, *str(self).splitlines()]


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn what boto3 raises inside into an OperationError on `what`."""
    try:
        yield
    except Exception as error:
        problem = explain(what, error)
        if problem is None or problem is error:
            raise
        raise problem from error


def explain(what: str, error: BaseException) -> OperationError | None:
    """What boto3 raised, as an OperationError on `what`; an OperationError as it is; None for anything else."""
    from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

    from operations.redaction import redact

    if isinstance(error, OperationError):
        return error
    if isinstance(error, ConnectionError | HTTPClientError):
        return OperationError(what, redact(str(error)), reach(str(error.kwargs.get("endpoint_url", ""))))
    if isinstance(error, ClientError):
        call = f"aws … {error.operation_name}"
        return OperationError(what, redact(str(error)), f"read what AWS says of {call}, then do it again")
    if isinstance(error, BotoCoreError):
        return OperationError(what, redact(str(error)), ATTACH)
    return None


def may_have_acted(error: BaseException) -> bool:
    """Whether the call that raised this may have had its effect: its answer was lost, or said that AWS failed."""
    from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

    if isinstance(error, ClientError):
        return int(error.response["ResponseMetadata"].get("HTTPStatusCode", 0)) >= 500
    return isinstance(error, ConnectionError | HTTPClientError)


def throttled(error: BaseException) -> bool:
    """Whether AWS refused the call only for now."""
    from botocore.exceptions import ClientError

    return isinstance(error, ClientError) and error.response["Error"]["Code"] in _THROTTLED


# What AWS's services answer instead of acting, under load.
_THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "TooManyRequestsException",
        "SlowDown",
        "LimitExceededException",
    }
)

ATTACH = 'attach this shell to an account; for the dock: `eval "$(drydock env)"`'


def reach(endpoint: str) -> str:
    """What to do when nothing answers at an AWS endpoint."""
    if endpoint.startswith(("http://127.", "https://127.", "http://localhost", "https://localhost")):
        return "is the dock running? `drydock up`"
    return "check the network and AWS_ENDPOINT_URL"
