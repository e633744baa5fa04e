"""Errors in Cloudflare's words: a code of its own beside HTTP's."""

from __future__ import annotations


class ApiError(Exception):
    """`code` is Cloudflare's, as its API and its clients know it; `headers` go out with the answer."""

    def __init__(self, code: int, message: str, status: int = 400, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.headers = headers or {}


def not_done(what: str) -> ApiError:
    """The dock has no such thing."""
    return ApiError(7003, f"the dock does not do {what}; see docs/differences-from-aws.md", 400)
