"""The pages that the edge answers with itself: Cloudflare's codes, in words of our own."""

from __future__ import annotations

from html import escape

from aiohttp import web

# HTTP status and title by Cloudflare's error code.
TITLES: dict[int, tuple[int, str]] = {
    520: (520, "The origin returned something that is not an answer"),
    521: (521, "The origin is down: it refuses connections"),
    522: (522, "The origin does not accept the connection in time"),
    523: (523, "The origin can't be reached"),
    524: (524, "The origin took too long to answer"),
    525: (525, "The TLS handshake with the origin failed"),
    526: (526, "The origin's certificate is not valid"),
    1000: (403, "This name leads back to the edge itself"),
    1001: (409, "This name is not served here"),
    1006: (403, "Your address has been banned"),
    1015: (429, "You are being rate limited"),
    1016: (530, "The origin's name can't be resolved"),
    1020: (403, "Access denied"),
}


def error(code: int, host: str, ray: str, headers: dict[str, str] | None = None) -> web.Response:
    status, title = TITLES[code]
    body = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{host and escape(host)} | {code}</title>'
        f"</head><body><h1>Error {code}</h1><p>{escape(title)}.</p>"
        f"<p>{escape(host)} · Ray ID: {ray}</p></body></html>\n"
    )
    return web.Response(
        status=status,
        text=body,
        content_type="text/html",
        headers={"Cache-Control": "private, no-store", **(headers or {})},
    )
