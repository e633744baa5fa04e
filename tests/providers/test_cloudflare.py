"""The declarations of Cloudflare's types, and the calls that they make, without an engine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from dock.cloudflare import routes
from dock.providers import sdk
from dock.providers.cloud import CallError
from dock.providers.cloudflare.cloud import Cloud
from dock.providers.cloudflare.configuration import Configuration
from dock.providers.cloudflare.provider import CloudflareProvider
from dock.providers.declaration import Declaration, declaration, schema_file, tokens
from dock.providers.diff import differences
from dock.providers.errors import ProviderError
from dock.providers.lifecycle import Lifecycle
from dock.providers.plugin import Resource

# What can't be changed in place, and what can.
PROGRAM: dict[str, tuple[str, str]] = {
    "accessRule": ("zoneId accountId configuration", "mode notes"),
    "dnsRecord": ("zoneId type", "name content ttl proxied priority comment tags data settings"),
    "list": ("accountId name kind", "description"),
    "listItem": ("accountId listId ip comment", ""),
    "ruleset": ("zoneId kind phase", "name description rules"),
    "zone": ("account name type", "paused"),
    "zoneSetting": ("zoneId settingId", "value"),
}
every_type = pytest.mark.parametrize("name", PROGRAM)


def known(name: str) -> Declaration:
    found = declaration(f"cloudflare:index/{name}:{name[0].upper()}{name[1:]}")
    assert found is not None
    return found


def test_there_is_a_table_entry_for_every_declaration() -> None:
    assert {token.rpartition("/")[2].partition(":")[0] for token in tokens("cloudflare")} == set(PROGRAM)


def test_the_schema_file_is_what_the_installed_sdk_says() -> None:
    assert schema_file("cloudflare").read_text() == sdk.generate("cloudflare"), (
        "run python -m dock.providers.cloudflare.sdk"
    )


@every_type
def test_what_forces_a_replacement_is_declared(name: str) -> None:
    declared = known(name)
    replace, place = (set(names.split()) for names in PROGRAM[name])
    assert {
        key for key in declared.schema.inputs.keys() & declared.properties.keys() if declared.properties[key].replace
    } == replace
    for key in place:
        assert not declared.properties[key].replace


@every_type
def test_every_call_is_one_of_the_docks_api(name: str) -> None:
    declared = known(name)
    calls = [step.call for step in (*declared.create, *declared.created, *declared.update, *declared.delete)]
    calls += [read.call for read in (declared.read, declared.lookup) if read is not None]
    served = [(route.method, route.pattern) for route in routes()]
    for call in calls:
        method, template = call.split(" ")
        path = template.replace("{place}", "zones")
        assert any(method == known_method and pattern.fullmatch(path) for known_method, pattern in served), call


@every_type
def test_an_input_that_isnt_declared_is_refused_by_name(name: str) -> None:
    declared = known(name)
    missing = sorted(set(declared.schema.inputs) - set(declared.properties))
    provider = CloudflareProvider()
    resource = Resource("urn", "it", declared.token, lambda line: None)
    for key in missing:
        _, failures = provider.check(resource, {key: "x"}, {}, b"seed")
        assert key in {failure.path for failure in failures}


def test_a_misspelt_name_inside_a_rule_is_told() -> None:
    rules = [{"action": "block", "expresion": "ssl"}]
    inputs = {"zoneId": "z", "kind": "zone", "name": "n", "phase": "http_ratelimit", "rules": rules}
    resource = Resource("urn", "it", known("ruleset").token, lambda line: None)
    _, failures = CloudflareProvider().check(resource, inputs, {}, b"seed")
    assert any("did you mean 'expression'?" in failure.reason for failure in failures)


def test_what_cloudflare_adds_to_a_rule_is_no_difference() -> None:
    wanted = {"rules": [{"ref": "one", "action": "block", "expression": "ssl"}]}
    state = {"rules": [{**wanted["rules"][0], "id": "x", "version": "3", "enabled": True, "lastUpdated": "now"}]}
    assert differences(known("ruleset"), state, wanted, wanted) == []


class Script(BaseHTTPRequestHandler):
    """Answers in turn; None hangs up instead."""

    answers: ClassVar[list[tuple[int, Any] | None]] = []
    asked: ClassVar[list[tuple[str, str, Any]]] = []

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.asked.append((self.command, self.path, json.loads(self.rfile.read(length)) if length else None))
        answer = self.answers.pop(0)
        if answer is None:
            self.connection.close()
            return
        status, body = answer
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = _answer

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.setattr("dock.providers.cloudflare.cloud._FIRST_PAUSE", 0.01)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Script)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Script.answers, Script.asked = [], []
    yield Cloud(Configuration(f"http://127.0.0.1:{server.server_port}/client/v4", "token"))
    server.shutdown()
    server.server_close()


def ok(result: Any) -> tuple[int, Any]:
    return 200, {"success": True, "errors": [], "result": result}


def refused(code: int, status: int = 400) -> tuple[int, Any]:
    return status, {"success": False, "errors": [{"code": code, "message": "no"}], "result": None}


class TestCalls:
    def test_names_in_the_path_go_there_and_the_rest_into_body_or_query(self, cloud: Cloud) -> None:
        Script.answers = [ok({}), ok([])]
        cloud.call("", "", "PUT /zones/{zone}/x", {"zone": "a/b", "name": "n"})
        cloud.call("", "", "GET /zones/{zone}/x", {"zone": "z", "name": "n m"})
        assert Script.asked == [
            ("PUT", "/client/v4/zones/a%2Fb/x", {"name": "n"}),
            ("GET", "/client/v4/zones/z/x?name=n+m", None),
        ]

    def test_a_refusal_has_cloudflares_code_and_whatever_is_missing_has_404(self, cloud: Cloud) -> None:
        Script.answers = [refused(9005), refused(81044, 404)]
        for code in ("9005", "404"):
            with pytest.raises(CallError) as error:
                cloud.call("", "", "GET /zones", {})
            assert error.value.code == code

    def test_a_lost_answer_is_asked_for_again(self, cloud: Cloud) -> None:
        Script.answers = [None, (502, {}), (429, {}), ok({"id": "x"})]
        assert cloud.call("", "", "POST /zones", {"name": "n"})["result"] == {"id": "x"}

    def test_nothing_goes_anywhere_but_to_this_machine(self) -> None:
        for url in ("https://api.example.com/client/v4", None):
            with pytest.raises(ProviderError, match="unset PULUMI_HOME"):
                Cloud(Configuration(url, "token")).call("", "", "GET /zones", {})

    def test_a_dock_that_is_down_is_named(self) -> None:
        with pytest.raises(ProviderError, match="run `drydock up`"):
            Cloud(Configuration("http://127.0.0.1:9/client/v4", "token")).call("", "", "GET /zones", {})


def test_a_record_whose_creation_was_done_but_not_heard_of_is_found_again(cloud: Cloud) -> None:
    record = {"id": "r1", "name": "www.chat.example", "type": "A", "content": "127.0.0.1", "ttl": 1, "proxied": True}
    Script.answers = [None, refused(81058), ok([record]), ok(record)]
    inputs = {
        "zoneId": "z1",
        "name": "www.chat.example",
        "type": "A",
        "content": "127.0.0.1",
        "ttl": 1,
        "proxied": True,
    }
    id, outputs = Lifecycle(known("dnsRecord"), cloud, lambda line: None, threading.Event()).create(inputs)
    assert (id, outputs["content"]) == ("r1", "127.0.0.1")


def test_a_record_that_somebody_else_made_is_not_taken_over(cloud: Cloud) -> None:
    Script.answers = [refused(81058)]
    inputs = {"zoneId": "z1", "name": "www.chat.example", "type": "A", "content": "127.0.0.1", "ttl": 1}
    with pytest.raises(CallError):
        Lifecycle(known("dnsRecord"), cloud, lambda line: None, threading.Event()).create(inputs)
