"""An AWS that answers from a table, for real boto3 clients: in this process, or over HTTP for a notebook's kernel.

What is sent and what is answered is checked against the service's model, so that a misspelt parameter or a response
that AWS would never give fails the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import Any, cast

import boto3
from botocore.config import Config
from botocore.validate import validate_parameters

from dock.aws import answers, errors, wire
from dock.aws.request import identify
from dock.aws.service import AwsError

Request = dict[str, Any]
Response = dict[str, Any]
Answer = Response | Exception | Callable[[Request], Response]


class AwsRefusal(Exception):
    """An error that AWS answers with, by its code."""

    def __init__(self, code: str, message: str = "refused by the test") -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Cloud:
    """`answers` are by operation, for example `answers["DescribeServices"]`; `calls` what was sent, in order."""

    answers: dict[str, Answer] = field(default_factory=dict)
    calls: list[tuple[str, Request]] = field(default_factory=list)

    def client(self, service: str, region: str) -> Any:
        client: Any = boto3.client(
            service,  # type: ignore[call-overload]
            region_name=region,
            aws_access_key_id="000000000001",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )
        client.meta.events.register("before-parameter-build", self._remember)
        client.meta.events.register("before-call", self._reply)
        return client

    def sent(self, operation: str) -> list[Request]:
        return [request for name, request in self.calls if name == operation]

    @contextmanager
    def serve(self) -> Iterator[str]:
        """The same answers over HTTP; gives the URL for AWS_ENDPOINT_URL."""
        cloud = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["content-length"]))
                headers = cast(Mapping[str, str], self.headers)  # its `get` ignores case
                identified = identify("POST", self.path, headers, content)
                try:
                    operation, request = wire.parse(identified)
                    cloud.calls.append((operation.name, request))
                    status, told, body = answers.render(
                        identified, operation, cloud._answer(operation, request), "test"
                    )
                except AwsRefusal as refusal:
                    status, told, body = errors.render(identified, AwsError(refusal.code, str(refusal)), "test")
                self.send_response(status)
                for name, value in told.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(5)
            server.server_close()

    def _remember(self, params: Request, model: Any, **_: Any) -> None:
        self.calls.append((model.name, dict(params)))

    def _reply(self, model: Any, **_: Any) -> tuple[Any, Response]:
        try:
            body = self._answer(model, self.sent(model.name)[-1])
        except AwsRefusal as refusal:
            error = {"Code": refusal.code, "Message": str(refusal)}
            return SimpleNamespace(status_code=400), {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 400}}
        return SimpleNamespace(status_code=200), {**body, "ResponseMetadata": {"HTTPStatusCode": 200}}

    def _answer(self, model: Any, request: Request) -> Response:
        if model.name not in self.answers:
            raise AssertionError(f"the test has no answer to {model.name}")
        answer = self.answers[model.name]
        if isinstance(answer, Exception):
            raise answer
        body = answer(request) if callable(answer) else answer
        if model.output_shape is not None:
            validate_parameters(body, model.output_shape)
        return body
