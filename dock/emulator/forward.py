"""Passing a request on to the emulator, unchanged."""

from __future__ import annotations

import logging
import re

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from yarl import URL

from dock.aws import errors
from dock.aws.request import Identified
from dock.aws.service import AwsError
from dock.emulator import WRITE_HEADER, is_write
from dock.http import Answer

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 60
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "content-length"})
_TOKEN = "x-amz-security-token"  # noqa: S105  (a header's name)
# What makes a presigned URL.
_IN_QUERY = frozenset(
    {
        _TOKEN,
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-expires",
        "x-amz-signedheaders",
        "x-amz-signature",
        "awsaccesskeyid",
        "signature",
        "expires",
    }
)
# The code in an error's body, in any of AWS's protocols; only for the dock's own record of calls.
_CODE = re.compile(rb"<Code>([^<]+)</Code>|\"__type\"\s*:\s*\"(?:[^\"#]*#)?([^\"]+)\"")


class Forwarder:
    """Connections to the emulator."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: ClientSession | None = None

    async def start(self) -> None:
        """Call on the event loop, before the first request."""
        self._session = ClientSession(
            auto_decompress=False, connector=TCPConnector(limit=64), timeout=ClientTimeout(total=TIMEOUT_SECONDS)
        )

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def answer(self, identified: Identified, account: str, request_id: str) -> Answer:
        """What the emulator answers to an account; an error in the service's own protocol when it doesn't."""
        headers = {
            name: value
            for name, value in identified.headers.items()
            if name.lower() not in _HOP_BY_HOP and name.lower() != WRITE_HEADER
        }
        target = identified.target
        if identified.access_key != account:
            headers, target = _as_root(identified, headers, account)
        service = identified.signing_name
        query = target.partition("?")[2]
        if is_write(service, identified.method, headers.get("X-Amz-Target", ""), query, identified.body):
            headers[WRITE_HEADER] = service
        if self._session is None:
            raise RuntimeError("the front door is closed")
        try:
            async with self._session.request(
                identified.method,
                URL(self._url + target, encoded=True),
                headers=headers,
                data=identified.body,
                allow_redirects=False,
            ) as answer:
                content = await answer.read()
                passed = [(name, value) for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP]
                if identified.method == "HEAD" and "Content-Length" in answer.headers:
                    passed.append(("Content-Length", answer.headers["Content-Length"]))
                code = None if answer.status < 400 else _code(content) or str(answer.status)
                return Answer(answer.status, passed, content, request_id, code)
        except (ClientError, TimeoutError) as problem:
            log.warning("the emulator did not answer %s: %r", service, problem)
            refusal = AwsError(
                "ServiceUnavailable",
                f"the dock's emulator does not answer for {service}: {type(problem).__name__}",
                503,
            )
            return Answer(*errors.render(identified, refusal, request_id), request_id, refusal.code)


def _as_root(identified: Identified, headers: dict[str, str], account: str) -> tuple[dict[str, str], str]:
    """Headers and target as the account's root would send them: the emulator knows accounts by their keys alone, and
    who may do what was decided before."""
    kept = {name: value for name, value in headers.items() if name.lower() not in ("authorization", _TOKEN)}
    scope = f"20000101/{identified.region}/{identified.signing_name}/aws4_request"
    kept["Authorization"] = f"AWS4-HMAC-SHA256 Credential={account}/{scope}, SignedHeaders=host, Signature=0"
    path, mark, query = identified.target.partition("?")
    rest = [part for part in query.split("&") if part.partition("=")[0].lower() not in _IN_QUERY]
    return kept, f"{path}{mark if query and rest else ''}{'&'.join(rest)}"


def _code(content: bytes) -> str | None:
    found = _CODE.search(content[:4000])
    return (found[1] or found[2]).decode("latin-1") if found else None
