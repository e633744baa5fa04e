"""An answer on its way to a client, before it becomes aiohttp's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Answer:
    """`error` is AWS's code of a refusal, as far as the dock knows it; None for a success."""

    status: int
    headers: Mapping[str, str] | Iterable[tuple[str, str]]
    body: bytes
    request_id: str
    error: str | None = None

    @property
    def succeeded(self) -> bool:
        return self.status < 400

    def response(self) -> web.Response:
        response = web.Response(status=self.status, body=self.body or None)
        response.headers.clear()
        pairs = self.headers.items() if isinstance(self.headers, Mapping) else self.headers
        for name, value in pairs:
            response.headers.add(name, value)
        return response
