"""The copy of a stack in a dock: what is mapped, what stays, and that every stack of the project can be copied."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import dnslib
import dnslib.server
import pytest
import yaml

from dock.cloud import ACCOUNTS
from drydock import names, program
from drydock.durations import seconds
from drydock.errors import DrydockError
from drydock.rehearse import mapping
from drydock.rehearse.copy import PLACE, lives_in_a_dock
from drydock.shell import PROJECT
from stacks.settings import parse

ELSEWHERE = [stack for stack in program.stacks() if not lives_in_a_dock(stack)]


def settings_of(stack: str) -> dict[str, Any]:
    document = yaml.safe_load((PROJECT / f"Pulumi.{stack}.yaml").read_text())
    found: dict[str, Any] = document["config"]["drydock:settings"]
    return found


def copy_of(stack: str) -> dict[str, Any]:
    before = settings_of(stack)
    arns = {
        each.path: f"arn:aws:acm:{each.region}:{PLACE.account}:certificate/00000000-0000-4000-8000-00000000000{number}"
        for number, each in enumerate(mapping.certificates(before))
    }
    return mapping.copied(before, PLACE, arns)


def test_production_and_staging_live_elsewhere_and_local_in_the_dock() -> None:
    assert {"production", "staging"} <= set(ELSEWHERE)
    assert lives_in_a_dock("local")


@pytest.mark.parametrize("stack", ELSEWHERE)
def test_the_copy_is_a_valid_stack_that_names_nothing_of_the_real_account(stack: str) -> None:
    before, after = settings_of(stack), copy_of(stack)
    parse(json.dumps(after), stack)
    assert before["account"] not in json.dumps(after)
    assert after["account"] == ACCOUNTS[1]
    # What is rehearsed is what was written: only accounts, certificates and authorities differ.
    changed = {line.partition(":")[0] for line in mapping.differences(before, after)}
    assert changed <= {
        "account",
        "access.accounts",
        "database.root_certificate",
        "dns.recovery_site.certificate_arn",
        "edge.account_id",
        "edge.authenticated_origin_pulls",
        "listener.certificate_arn",
    }
    assert after["protection"] == before["protection"]
    assert (after["environment"], after["database"]["instance_class"]) == (
        stack,
        before["database"]["instance_class"],
    )


@pytest.mark.parametrize("stack", ELSEWHERE)
def test_a_copy_can_be_unprotected_only_with_the_acknowledgement(stack: str) -> None:
    after = mapping.unprotected(copy_of(stack))
    parse(json.dumps(after), stack)
    assert after["protection"]["data"] is False
    assert after["protection"]["acknowledgement"] == f"{after['platform']} {stack} may lose its data"


def test_ids_of_what_exists_in_the_real_cloud_are_left_out() -> None:
    settings = settings_of("staging")
    settings["dns"]["zone_id"] = "Z0123456789ABCDEFGHIJ"
    copied = mapping.copied(settings, PLACE, {})
    assert "zone_id" not in copied["dns"]
    assert settings["dns"]["zone_id"], "the stack's own settings stay as they are"


def test_a_certificate_is_wanted_for_each_region_that_serves_the_name() -> None:
    wanted = mapping.certificates(settings_of("production"))
    assert [(each.region, each.path[-1]) for each in wanted] == [
        ("us-east-1", "certificate_arn"),
        ("us-west-2", "certificate_arn"),
    ]
    assert mapping.certificates(settings_of("local")) == []


class Zone(dnslib.server.BaseResolver):  # type: ignore[misc]
    """Knows one name."""

    def resolve(self, request: Any, handler: Any) -> Any:
        reply = request.reply()
        if str(request.q.qname) == "chat.test.":
            reply.add_answer(dnslib.RR("chat.test", rdata=dnslib.A("127.0.0.9"), ttl=1))
        return reply


def test_names_are_looked_up_at_the_dock_first_and_then_as_ever() -> None:
    server = dnslib.server.DNSServer(Zone(), address="127.0.0.1", port=0)
    server.start_thread()
    try:
        port = server.server.server_address[1]
        with names.answered_by(f"127.0.0.1:{port}"):
            assert socket.getaddrinfo("chat.test", 443, type=socket.SOCK_STREAM)[0][4] == ("127.0.0.9", 443)
            assert socket.getaddrinfo("127.0.0.5", 80, type=socket.SOCK_STREAM)[0][4] == ("127.0.0.5", 80)
            assert socket.getaddrinfo("localhost", 80)
        with pytest.raises(socket.gaierror):
            socket.getaddrinfo("chat.test", 443)
    finally:
        server.stop()
        server.server.server_close()


@pytest.mark.parametrize(("text", "length"), [("90s", 90), ("1.5m", 90), ("200ms", 0.2), ("2h", 7200), ("7", 7)])
def test_lengths_of_time_are_read_as_people_write_them(text: str, length: float) -> None:
    assert seconds(text) == pytest.approx(length)


@pytest.mark.parametrize("text", ["", "soon", "-3s", "1d", "3 s s"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(DrydockError):
        seconds(text)


def test_the_projects_own_stack_files_are_not_touched(tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in PROJECT.glob("Pulumi*.yaml")}
    for stack in ELSEWHERE:
        copy_of(stack)
    assert {path: path.read_bytes() for path in PROJECT.glob("Pulumi*.yaml")} == before
