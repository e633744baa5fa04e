"""What HAProxy is told: pure text, held against a reviewed copy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from dock.engines.haproxy.model import (
    Algorithm,
    Balancer,
    Condition,
    FixedResponse,
    Forward,
    ForwardedFor,
    Group,
    HealthCheck,
    Listener,
    Redirect,
    Rule,
    Subject,
    Target,
    Tls,
)
from dock.engines.haproxy.patterns import expression, quoted, redirect_location, wildcard
from dock.engines.haproxy.render import render, structure
from dock.engines.haproxy.state import state_file
from dock.engines.haproxy.weights import weight_map

GOLDEN = Path(__file__).parent / "golden" / "balancer.cfg"

PLAIN = Balancer(
    listeners=(Listener("web", "127.65.1.1", 8080, (Rule("web-default", Forward({"app": 1})),)),),
    groups=(Group("app", targets=frozenset({Target("127.65.8.1", 8080)})),),
)
FULL = Balancer(
    listeners=(
        Listener(
            "web",
            "127.65.1.1",
            80,
            (Rule("web-default", Redirect(301, protocol="HTTPS", port="443")),),
        ),
        Listener(
            "secure",
            "127.65.1.1",
            443,
            (
                Rule(
                    "beta",
                    Forward({"app": 90, "beta": 10}),
                    (
                        Condition(Subject.HEADER, ("yes", "on*"), "X-Beta"),
                        Condition(Subject.SOURCE, ("127.0.0.0/8", "10.0.0.0/8")),
                    ),
                ),
                Rule(
                    "maintenance",
                    FixedResponse(503, "text/html", '<p>Back soon: 5 o\'clock, "sharp"</p>\n'),
                    (Condition(Subject.PATH, ("/admin/*",)), Condition(Subject.METHOD, ("POST", "PUT"))),
                ),
                Rule("secure-default", Forward({"app": 1})),
            ),
            Tls(Path("/var/lib/drydock/elb/1/server.pem")),
        ),
    ),
    groups=(
        Group(
            "app",
            HealthCheck("/api/health?deep=1", interval=10, timeout=3, rise=2, fall=3, matcher="200-299,404"),
            slow_start=30,
            targets=frozenset({Target("127.65.8.2", 8080), Target("127.65.8.1", 8080)}),
        ),
        Group("beta", HealthCheck(port=9000), Algorithm.LEAST_OUTSTANDING, stickiness=60),
    ),
    idle_timeout=120,
    drop_invalid_headers=True,
    forwarded_port=True,
    tls_headers=True,
)


def text(balancer: Balancer) -> str:
    return render(balancer, Path("/weights.map"), Path("/sockets"), (103, 106))


def test_a_full_load_balancer_is_rendered_as_reviewed() -> None:
    """Set REVIEW=1 to write the reviewed copy anew, and read its difference."""
    if os.environ.get("REVIEW"):
        GOLDEN.write_text(text(FULL))
    assert text(FULL) == GOLDEN.read_text()


def test_targets_and_weights_leave_the_structure_as_it_is_and_all_else_changes_it() -> None:
    app, beta = FULL.groups
    moved = replace(FULL, groups=(replace(app, targets=frozenset()), beta))
    assert structure(moved) == structure(FULL)
    secure = FULL.listeners[1]
    shifted = replace(
        secure, rules=(replace(secure.rules[0], action=Forward({"app": 0, "beta": 1})), *secure.rules[1:])
    )
    assert structure(replace(FULL, listeners=(FULL.listeners[0], shifted))) == structure(FULL)
    others = [
        replace(FULL, idle_timeout=61),
        replace(FULL, forwarded_for=ForwardedFor.PRESERVE),
        replace(FULL, listeners=FULL.listeners[:1]),
        replace(FULL, groups=(replace(app, slow_start=0), beta)),
        replace(FULL, groups=(replace(app, check=replace(app.check, path="/")), beta)),
        replace(FULL, groups=(app, replace(beta, algorithm=Algorithm.ROUND_ROBIN))),
        replace(FULL, listeners=(FULL.listeners[0], replace(secure, rules=secure.rules[1:]))),
    ]
    assert len({structure(FULL), *map(structure, others)}) == len(others) + 1


def test_a_forwarded_client_is_appended_left_alone_or_taken_out() -> None:
    def headers(mode: ForwardedFor) -> list[str]:
        return [line for line in text(replace(PLAIN, forwarded_for=mode)).splitlines() if "X-Forwarded-For" in line]

    assert len(headers(ForwardedFor.APPEND)) == 2
    assert headers(ForwardedFor.PRESERVE) == []
    assert headers(ForwardedFor.REMOVE) == ["    http-request del-header X-Forwarded-For"]


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("/img/*.p?g", ["/img/a.png", "/img/a/b.jpg.pxg"], ["/img/a.jpeg", "/imgs/a.png"]),
        ("/a.b+c$", ["/a.b+c$"], ["/aXb+c$", "/a.bbc$"]),
        ("it's", ["it's"], ["its"]),
    ],
)
def test_a_wildcard_matches_what_aws_says(pattern: str, matching: list[str], other: list[str]) -> None:
    regex = re.compile(f"^{wildcard(pattern, '.')}$")
    assert all(regex.match(each) for each in matching)
    assert not any(regex.match(each) for each in other)
    assert "'" not in wildcard(pattern, ".")


@pytest.mark.parametrize(
    ("value", "matching", "other"),
    [
        ("version=v1", ["version=v1", "a=b&version=v1&c"], ["version=v12", "xversion=v1"]),
        ("version=v*", ["version=v1", "version=v"], ["version=w", "a=version"]),
        ("=beta", ["kind=beta", "a&beta", "beta"], ["kind=betas", "beta=kind"]),
    ],
)
def test_a_query_condition_matches_one_part_of_the_query(value: str, matching: list[str], other: list[str]) -> None:
    found = re.search(r"'(.*)'", expression(Condition(Subject.QUERY, (value,))))
    assert found is not None
    regex = re.compile(found[1])
    assert all(regex.search(each) for each in matching)
    assert not any(regex.search(each) for each in other)


def test_texts_are_escaped_for_haproxys_own_language() -> None:
    assert quoted('a "b" $HOME \\ \n') == '"a \\x22b\\x22 \\x24HOME \\x5c \\x0a"'
    assert redirect_location("https", "#{host}", "443", "/100%/#{path}", "") == (
        '"https://%[req.hdr(host),field(1,:)]:443/100%%/%[path,regsub(^/,)]"'
    )


def test_a_target_that_is_not_known_to_be_healthy_starts_as_down() -> None:
    one, two = Target("127.65.8.1", 80), Target("127.65.8.2", 80)
    group = Group("app", HealthCheck(rise=2, fall=3), targets=frozenset({one, two}))
    lines = state_file([group], {"app": [one]}).splitlines()[2:]
    assert [[*line.split()[3:6], line.split()[12]] for line in lines] == [
        ["127.65.8.1:80", "127.65.8.1", "2", "4"],
        ["127.65.8.2:80", "127.65.8.2", "0", "0"],
    ]
    assert all(len(line.split()) == 25 for line in lines)


@pytest.mark.dock
def test_haproxy_accepts_what_is_rendered(tmp_path: Path) -> None:
    weights = tmp_path / "weights.map"
    weights.write_text("".join(f"{key} {value}\n" for key, value in weight_map(FULL).items()))
    (tmp_path / "servers.state").write_text(state_file(FULL.groups, {"app": FULL.groups[0].targets}))
    key = tmp_path / "server.pem"
    subprocess.run(
        [shutil.which("openssl") or "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", "/CN=test", "-keyout", f"{key}.key", "-out", str(key)],
        check=True, capture_output=True, timeout=20,
    )  # fmt: skip
    secure = replace(FULL.listeners[1], tls=Tls(key))
    balancer = replace(FULL, listeners=(FULL.listeners[0], secure))
    configuration = tmp_path / "haproxy.cfg"
    configuration.write_text(
        f"global\n    server-state-file {tmp_path}/servers.state\n    log {tmp_path}/answers format raw local0 info\n"
        + render(balancer, weights, tmp_path, None)
    )
    found = subprocess.run(
        [shutil.which("haproxy") or "/usr/sbin/haproxy", "-c", "-f", str(configuration)],
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert "WARNING" not in found.stderr, found.stderr
