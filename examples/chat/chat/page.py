"""The page: one file, whose own style and script are the only ones that a browser may run on it."""

import hashlib
import re
from base64 import b64encode
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

_HTML = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")


def _hash(element: str) -> str:
    match = re.search(rf"<{element}>(.*?)</{element}>", _HTML, re.DOTALL)
    assert match, f"page.html has no <{element}>"
    return f"'sha256-{b64encode(hashlib.sha256(match[1].encode()).digest()).decode()}'"


_HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; style-src {_hash('style')}; script-src {_hash('script')}; connect-src 'self';"
        " img-src data:; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


async def show(_: Request) -> Response:
    return HTMLResponse(_HTML, headers=_HEADERS)


ROUTES: list[BaseRoute] = [Route("/", show)]
