"""Which operation of a REST service a request is, from its method, path, query and headers, as the model declares."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from botocore.model import OperationModel, ServiceModel

_LABEL = re.compile(r"\{([^}+]+)(\+?)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """One operation's way in."""

    operation: str
    path: re.Pattern[str]
    labels: tuple[str, ...]
    literals: tuple[tuple[str, str], ...]
    required_query: frozenset[str]
    required_headers: frozenset[str]
    literal_length: int
    deprecated: bool

    def rank(self) -> tuple[int, int, int, bool, int]:
        """Of several routes that match, the greatest is meant: AWS tells them apart by what is there besides."""
        required = len(self.required_query) + len(self.required_headers)
        return len(self.literals), required, self.literal_length, not self.deprecated, -len(self.operation)


@dataclass(frozen=True, slots=True)
class Match:
    """The operation's name, and what stands at the path's labels, decoded."""

    operation: str
    labels: Mapping[str, str]


def match(
    model: ServiceModel, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]
) -> Match | None:
    """The operation that a request is for; None when the service has none for it. `path` is as it came, encoded."""
    for route in _routes(model.service_name, model).get(method, ()):
        found = route.path.fullmatch(path)
        if (
            found is not None
            and all(name in query and (not value or query[name] == value) for name, value in route.literals)
            and all(name in query for name in route.required_query)
            and all(name in headers for name in route.required_headers)
        ):
            return Match(
                route.operation,
                {label: unquote(text) for label, text in zip(route.labels, found.groups(), strict=True)},
            )
    return None


_known: dict[str, dict[str, list[Route]]] = {}


def _routes(name: str, model: ServiceModel) -> dict[str, list[Route]]:
    if name not in _known:
        routes: dict[str, list[Route]] = {}
        for operation in model.operation_names:
            one = model.operation_model(operation)
            routes.setdefault(one.http.get("method", "POST"), []).append(_route(one))
        for several in routes.values():
            several.sort(key=Route.rank, reverse=True)
        _known[name] = routes
    return _known[name]


def _route(operation: OperationModel) -> Route:
    path, _, query = operation.http["requestUri"].partition("?")
    members = operation.input_shape.members if operation.input_shape is not None else {}
    required = operation.input_shape.required_members if operation.input_shape is not None else []
    labels = {
        member.serialization.get("name", name): name
        for name, member in members.items()
        if member.serialization.get("location") == "uri"
    }

    def needed(location: str) -> frozenset[str]:
        return frozenset(
            members[name].serialization["name"]
            for name in required
            if members[name].serialization.get("location") == location
        )

    pattern, position = "", 0
    for label in _LABEL.finditer(path):
        pattern += re.escape(path[position : label.start()]) + ("(.+)" if label[2] else "([^/]+)")
        position = label.end()
    rest = path[position:]
    pattern += re.escape(rest.rstrip("/")) + ("" if path.endswith("+}") else "/?")
    return Route(
        operation.name,
        re.compile(pattern),
        tuple(labels.get(label[1], label[1]) for label in _LABEL.finditer(path)),
        tuple(parse_qsl(query, keep_blank_values=True)),
        needed("querystring"),
        frozenset(name.lower() for name in needed("header")),
        len(_LABEL.sub("", path)),
        operation.deprecated,
    )


@functools.lru_cache(maxsize=4096)
def split_target(target: str) -> tuple[str, dict[str, str]]:
    """The path and the decoded query of a request's target; of a name that comes twice, the last value."""
    path, _, query = target.partition("?")
    return path, dict(parse_qsl(query, keep_blank_values=True))
