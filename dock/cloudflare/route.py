"""What a call of the API is: a handler that says which permission it takes and which parameters it acts on."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dock.cloudflare.errors import ApiError
from dock.cloudflare.tokens import Token

if TYPE_CHECKING:
    from dock.cloudflare.cloudflare import Cloudflare

# What clients send with every list.
PAGING = frozenset({"page", "per_page", "cursor", "order", "direction", "match"})
DEFAULT_PAGE, LARGEST_PAGE = 20, 1000


@dataclass(frozen=True, slots=True)
class Call:
    """`body` is the JSON of the request ({} without one), `query` its parameters, `path` those in the address."""

    token: Token
    path: dict[str, str]
    query: dict[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, with what a client needs to ask for the next."""

    result: list[Any]
    info: dict[str, Any]


Handler = Callable[[Any, Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """`permission` without "Read" or "Write": the method says which. Parameters in neither set are refused."""

    method: str
    template: str
    permission: str
    acts: frozenset[str]
    records: frozenset[str]
    pattern: re.Pattern[str]
    handler: Handler = field(compare=False)


def route(
    method: str, template: str, permission: str, *, acts: str = "", records: str = ""
) -> Callable[[Handler], Handler]:
    """Mark a handler, as `dock.aws.service.operation` marks AWS's."""

    def mark(handler: Handler) -> Handler:
        pattern = re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(template)))
        declared = Route(
            method, template, permission, frozenset(acts.split()), frozenset(records.split()), pattern, handler
        )
        handler.__drydock_route__ = declared  # type: ignore[attr-defined]
        return handler

    return mark


class Part:
    """A group of calls over the same records."""

    def __init__(self, cloudflare: Cloudflare) -> None:
        self.cloudflare = cloudflare

    @classmethod
    def routes(cls) -> list[Route]:
        members = (member for _, member in inspect.getmembers(cls, inspect.isfunction))
        return [member.__drydock_route__ for member in members if hasattr(member, "__drydock_route__")]


def paged(items: list[Any], query: dict[str, str], largest: int = LARGEST_PAGE) -> Page:
    """The page that `page` and `per_page` ask for. Raises ApiError for nonsense."""
    try:
        page, size = int(query.get("page", 1)), int(query.get("per_page", DEFAULT_PAGE))
    except ValueError:
        raise ApiError(1004, "page and per_page must be whole numbers") from None
    if page < 1 or not 1 <= size <= largest:
        raise ApiError(1004, f"page must be at least 1, per_page between 1 and {largest}")
    chosen = items[(page - 1) * size : page * size]
    pages = -(-len(items) // size)
    return Page(
        chosen,
        {"page": page, "per_page": size, "count": len(chosen), "total_count": len(items), "total_pages": pages},
    )


def text(body: dict[str, Any], name: str, *, required: bool = False, longest: int = 1024) -> str | None:
    """A string of the body. Raises ApiError when it is none."""
    value = body.get(name)
    if value is None:
        if required:
            raise ApiError(1004, f"{name} is missing")
        return None
    if not isinstance(value, str) or len(value) > longest:
        raise ApiError(1004, f"{name} must be a string of at most {longest} characters")
    return value


def flag(body: dict[str, Any], name: str, default: bool) -> bool:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise ApiError(1004, f"{name} must be true or false")
    return value


def whole(value: Any, name: str, lowest: int, highest: int) -> int:
    """Clients send whole numbers as 60 and as 60.0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise ApiError(1004, f"{name} must be a whole number between {lowest} and {highest}")
    return value
