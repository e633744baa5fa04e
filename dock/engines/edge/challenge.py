"""The challenge: a page that a browser solves by itself, and the cookie that then lets it through.

It proves that the visitor runs the page's script and keeps cookies, nothing more: no telling of people from programs.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from urllib.parse import quote

from dock.engines.edge.language.addresses import Address

PATH = "/cdn-cgi/challenge-platform/solve"
COOKIE = "cf_clearance"
SOLVE_SECONDS = 300
MODULUS = 999_983


class Challenger:
    """Makes challenges and judges answers. Nothing is kept: what counts is signed."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def page(self, secret: bytes, address: Address, host: str, back: str, ray: str) -> str:
        """HTML with a form whose answer its script computes: `(first × second) mod 999983`."""
        first, second = secrets.randbelow(MODULUS), secrets.randbelow(MODULUS)
        expires = int(self._clock()) + SOLVE_SECONDS
        terms = f"{first}.{second}.{expires}"
        token = f"{terms}.{_sign(secret, 'challenge', terms, str(address), host)}"
        return _PAGE.format(host=_escape(host), path=PATH, token=token, back=quote(back, safe=""), first=first,
                            second=second, modulus=MODULUS, ray=ray)  # fmt: skip

    def solved(self, secret: bytes, address: Address, host: str, token: str, answer: str) -> bool:
        """Whether the answer is right, in time, and from the one who was asked."""
        parts = token.split(".")
        if len(parts) != 4 or not all(part.isascii() and part.isdigit() for part in parts[:3]):
            return False
        first, second, expires = map(int, parts[:3])
        signed = hmac.compare_digest(parts[3], _sign(secret, "challenge", ".".join(parts[:3]), str(address), host))
        return signed and expires >= self._clock() and answer == str(first * second % MODULUS)

    def clearance(self, secret: bytes, address: Address, agent: str, zone: str, seconds: int) -> str:
        """The cookie's value."""
        expires = str(int(self._clock()) + seconds)
        return f"{expires}.{_sign(secret, 'clearance', expires, str(address), agent, zone)}"

    def cleared(self, secret: bytes, address: Address, agent: str, zone: str, cookie: str) -> bool:
        """Whether this visitor (address and browser) has a clearance of this zone that still holds."""
        expires, _, signature = cookie.partition(".")
        if not (expires.isascii() and expires.isdigit()) or int(expires) < self._clock():
            return False
        return hmac.compare_digest(signature, _sign(secret, "clearance", expires, str(address), agent, zone))


def _sign(secret: bytes, *parts: str) -> str:
    return hmac.new(secret, "\x00".join(parts).encode(), hashlib.sha256).hexdigest()


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Just a moment...</title><meta name="robots" content="noindex"></head>
<body><h1>{host}</h1>
<p>Checking your browser before you continue. This takes a moment and needs JavaScript and cookies.</p>
<form id="challenge" method="post" action="{path}?back={back}"
      data-first="{first}" data-second="{second}" data-modulus="{modulus}">
<input type="hidden" name="token" value="{token}"><input type="hidden" name="answer" value=""></form>
<script>
const form = document.getElementById("challenge"), terms = form.dataset;
form.elements.answer.value = (BigInt(terms.first) * BigInt(terms.second) % BigInt(terms.modulus)).toString();
form.submit();
</script>
<noscript>JavaScript is off in this browser.</noscript>
<p>Ray ID: {ray}</p></body></html>
"""
