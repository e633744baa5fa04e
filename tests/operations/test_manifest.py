from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from operations import manifest as manifests
from operations.errors import OperationError

Regions = dict[str, Callable[[], tuple[int, dict[str, Any]]]]


@pytest.fixture
def parameter_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Regions]:
    """SSM's protocol on a port of this machine; the test says what each region answers."""
    regions: Regions = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            region = self.headers["authorization"].split("/")[2]
            status, body = regions[region]()
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/x-amz-json-1.1")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(server.serve_forever, 0.05)
        yield regions
        server.shutdown()
    server.server_close()


def holds(document: dict[str, Any]) -> Callable[[], tuple[int, dict[str, Any]]]:
    return lambda: (200, {"Parameter": {"Name": "x", "Type": "String", "Value": json.dumps(document)}})


def refuses(code: str, status: int = 400) -> Callable[[], tuple[int, dict[str, Any]]]:
    return lambda: (status, {"__type": code, "message": "refused by the test"})


def test_the_primary_region_answers_first(parameter_store: Regions, document: dict[str, Any]) -> None:
    parameter_store["us-east-1"] = parameter_store["us-west-2"] = holds(document)
    found = manifests.load("chatvrm", "local")
    assert found.read_from == "us-east-1"
    assert found.service("web").family == "chatvrm-local-web"
    assert found.calendar.freezes[0].start == "12-23"


@pytest.mark.parametrize(
    "primary", [refuses("InternalServerError", 500), refuses("AccessDeniedException"), refuses("ParameterNotFound")]
)
def test_the_recovery_region_answers_when_the_primary_does_not(
    parameter_store: Regions, document: dict[str, Any], primary: Callable[[], tuple[int, dict[str, Any]]]
) -> None:
    parameter_store["us-east-1"] = primary
    parameter_store["us-west-2"] = holds(document)
    assert manifests.load("chatvrm", "local").read_from == "us-west-2"


def test_the_shell_s_region_is_asked_first(
    parameter_store: Regions, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    parameter_store["us-west-2"] = holds(document)
    assert manifests.load("chatvrm", "local").read_from == "us-west-2"


def test_a_manifest_that_is_nowhere_names_the_command_that_creates_it(parameter_store: Regions) -> None:
    parameter_store["us-east-1"] = parameter_store["us-west-2"] = refuses("ParameterNotFound")
    with pytest.raises(OperationError) as error:
        manifests.load("chatvrm", "local")
    assert "us-east-1: there is no parameter /drydock/chatvrm/local/manifest" in error.value.why
    assert "us-west-2" in error.value.why
    assert error.value.next == "create it with `pulumi up --stack local`"


def test_a_dock_that_is_down_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:  # bound, but nobody listens
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(OperationError) as error:
            manifests.load("chatvrm", "local")
    assert "nothing answers at http://127.0.0.1" in error.value.why
    assert error.value.next == "is the dock running? `drydock up`"


def test_a_shell_without_credentials_is_told_how_to_attach(
    parameter_store: Regions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(OperationError) as error:
        manifests.load("chatvrm", "local")
    assert "no AWS credentials" in error.value.why
    assert "drydock env" in error.value.next


def test_a_malformed_manifest_is_not_passed_over_for_another_region_s(
    parameter_store: Regions, document: dict[str, Any]
) -> None:
    parameter_store["us-west-2"] = holds(document)
    parameter_store["us-east-1"] = holds({**document, "region": 5})
    with pytest.raises(OperationError, match="region: Input should be a valid string"):
        manifests.load("chatvrm", "local")


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (("surprise",), 1, "surprise: Extra inputs are not permitted"),
        (("schema_version",), 2, "schema_version: Input should be 1"),
        (("services", "web", "template"), "chatvrm", "services.web.template: String should match pattern"),
        (("services", "web", "port"), "8080", "services.web.port: Input should be a valid integer"),
        (("database", "multi_az"), "false", "database.multi_az: Input should be a valid boolean"),
        (("thresholds", "p95_seconds"), 0, "thresholds.p95_seconds: Input should be greater than 0"),
        (("calendar", "windows", 0, "start"), "25:00", "calendar.windows.0.start: String should match pattern"),
        (("environment",), "staging", "it describes chatvrm staging"),
    ],
)
def test_a_malformed_manifest_names_the_key(
    document: dict[str, Any], path: tuple[Any, ...], value: object, fault: str
) -> None:
    part: Any = document
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    with pytest.raises(OperationError) as error:
        manifests.parse(json.dumps(document), "chatvrm", "local")
    assert fault in error.value.why
    assert "pulumi up --stack local" in error.value.next


def test_a_missing_key_is_named_and_so_are_all_others(document: dict[str, Any]) -> None:
    del document["cache"]["tls"]
    del document["services"]["web"]["migration_template"]
    with pytest.raises(OperationError) as error:
        manifests.parse(json.dumps(document), "chatvrm", "local")
    assert "cache.tls: Field required" in error.value.why
    assert "services.web.migration_template: Field required" in error.value.why


def test_a_value_that_is_wrong_is_not_repeated(document: dict[str, Any]) -> None:
    document["database"]["password"] = "canary-5up3r"
    with pytest.raises(OperationError) as error:
        manifests.parse(json.dumps(document), "chatvrm", "local")
    assert "database.password" in str(error.value)
    assert "canary" not in str(error.value)


def test_what_is_no_json_is_malformed_too() -> None:
    with pytest.raises(OperationError, match="document: Invalid JSON"):
        manifests.parse("not json", "chatvrm", "local")


def test_an_unknown_service_is_refused_with_the_names_there_are(document: dict[str, Any]) -> None:
    found = manifests.parse(json.dumps(document), "chatvrm", "local")
    with pytest.raises(OperationError, match="its manifest names web"):
        found.service("api")
