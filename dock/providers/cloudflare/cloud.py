"""Cloudflare's API in the dock as the plugin calls it: a declaration's calls are `METHOD /path/{name}`."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from dock.providers.cloud import CallError, is_loopback
from dock.providers.cloudflare.configuration import Configuration
from dock.providers.errors import ProviderError

# Seconds. A change acts at the edge before it is answered, and an edge may have to start first.
TIMEOUT = 60
ATTEMPTS = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_PLACE = re.compile(r"\{(\w+)\}")
NOT_FOUND = "404"
# Where a parameter is the whole body: a list, or a single value.
BODY = "body"

# "Unauthorized to access requested resource": also what the dock says of an account that it hasn't.
_FOREIGN_ACCOUNT = "9109"


class Cloud:
    """Calls of one provider instance. Each opens a connection of its own: many threads may call at once."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration

    def identity(self) -> dict[str, str]:
        return {}

    def call(self, service: str, region: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The envelope (`result`, `result_info`). What the path doesn't name goes into the body, or the query of a GET.

        Raises CallError with Cloudflare's code ("404" for whatever isn't there), ProviderError when the API can't be
        reached.
        """
        method, template = operation.split(" ", 1)
        given = dict(parameters)
        path = _PLACE.sub(lambda match: quote(str(_taken(given, match[1], operation)), safe=""), template)
        body = None
        if method == "GET":
            path += f"?{urlencode(given)}" if given else ""
        elif given:
            body = json.dumps(given[BODY] if set(given) == {BODY} else given).encode()
        repeated, pause = False, _FIRST_PAUSE
        for attempt in range(ATTEMPTS):
            last = attempt + 1 == ATTEMPTS
            try:
                status, headers, answer = self._send(method, path, body)
            except (TimeoutError, http.client.HTTPException, ConnectionResetError, BrokenPipeError) as problem:
                # A creation too: what it answers the second time says that the first one was done.
                if last:
                    raise ProviderError(f"{operation}: no answer came: {problem!r}") from problem
                repeated = True
            else:
                if status == 429 and not last:
                    pause = float(headers.get("Retry-After", pause))
                elif status < 500 or last:
                    return _read(operation, status, answer, repeated)
                repeated = repeated or status >= 500
            time.sleep(min(pause, _LONGEST_PAUSE))
            pause *= 2
        raise AssertionError("unreachable")

    def _send(self, method: str, path: str, body: bytes | None) -> tuple[int, Mapping[str, str], bytes]:
        url = urlsplit(self._base())
        if not self.configuration.token:
            raise ProviderError('there is no API token: run `eval "$(drydock env)"`, which sets CLOUDFLARE_API_TOKEN')
        connection = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=TIMEOUT)
        headers = {"Authorization": f"Bearer {self.configuration.token}", "Content-Type": "application/json"}
        try:
            connection.request(method, url.path.rstrip("/") + path, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()
        except (ConnectionRefusedError, socket.gaierror) as error:
            raise ProviderError(
                f"the dock is not running (nothing answers at {url.netloc}): run `drydock up`"
            ) from error
        finally:
            connection.close()

    def _base(self) -> str:
        """Where calls go. Raises ProviderError unless that is on this machine."""
        url = self.configuration.base_url
        if not url:
            raise ProviderError(
                "this shell is attached to the dock only half: CLOUDFLARE_BASE_URL is not set, and without it the "
                'calls would go to Cloudflare. Run `eval "$(drydock env)"`, or unset PULUMI_HOME to use the vendor\'s '
                "plugin"
            )
        if not is_loopback(urlsplit(url).hostname):
            raise ProviderError(
                f"the dock's plugin only talks to a dock on this machine, and the API's address is {url}: "
                'run `eval "$(drydock env)"`, or unset PULUMI_HOME to use the vendor\'s plugin'
            )
        return url


def _taken(given: dict[str, Any], name: str, operation: str) -> Any:
    if name not in given:
        raise ProviderError(f"{operation}: {name} is not known")
    return given.pop(name)


def _read(operation: str, status: int, answer: bytes, repeated: bool) -> dict[str, Any]:
    if status == 204:
        return {"result": None}
    try:
        envelope: dict[str, Any] = json.loads(answer)
    except ValueError:
        raise ProviderError(f"{operation}: {status}, and no JSON in the answer") from None
    if status < 400 and envelope.get("success"):
        return envelope
    errors = envelope.get("errors") or [{"code": status, "message": "no reason is given"}]
    code = NOT_FOUND if status == 404 else str(errors[0]["code"])
    said = "; ".join(f"{error['message']} ({error['code']})" for error in errors)
    if code == _FOREIGN_ACCOUNT and "the dock has no account" in said:
        # The program names an account of the real Cloudflare: its settings say that it doesn't live in a dock.
        raise ProviderError(
            f"this shell is attached to the dock, and {said.removesuffix('.')}, so nothing was changed. "
            "To apply it to Cloudflare use a shell without `drydock env`."
        )
    raise CallError(operation, code, said, repeated)
