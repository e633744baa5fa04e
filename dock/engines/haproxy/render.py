"""A load balancer's configuration file, from what it should do: pure text, the same for the same wish."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from dock.engines.haproxy.model import (
    Balancer,
    FixedResponse,
    ForwardedFor,
    Group,
    Listener,
    Redirect,
    Rule,
)
from dock.engines.haproxy.patterns import expression, quoted, redirect_location
from dock.engines.haproxy.weights import ROUND

# A group whose targets are all unhealthy is served by its twin, which has the same targets and asks for no health:
# better a target that may fail than an answer that surely does.
OPEN = ".open"
NOBODY = "nobody"
NEXT = ".next"
TIMES = "times"
# Without these a server that was added at run time would open a connection for each request.
SERVER_OPTIONS = "weight 100 pool-max-conn -1 pool-purge-delay 5s"
CONNECT_SECONDS = 10
CHECK_AGENT = "ELB-HealthChecker/2.0"
SERVER = "awselb/2.0"

_ERRORS = {
    400: "400 Bad Request",
    408: "408 Request Time-out",
    500: "500 Internal Server Error",
    502: "502 Bad Gateway",
    503: "503 Service Temporarily Unavailable",
    504: "504 Gateway Time-out",
}


def structure(balancer: Balancer) -> str:
    """A fingerprint of all that only a reload can change: all but the targets and the weights."""
    groups = tuple(replace(group, targets=frozenset()) for group in balancer.groups)
    text = render(replace(balancer, groups=groups), Path("weights"), Path("sockets"), None)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def render(balancer: Balancer, weights: Path, sockets: Path, owner: tuple[int, int] | None) -> str:
    """The configuration after its `global` part.

    `weights` is the file of the map from rules to groups. `sockets` is a folder for sockets, which only `owner`, the
    (uid, gid) that HAProxy's workers run as (None: as the master), may connect to.
    """
    blocks = [_defaults(balancer), *_tables(balancer)]
    for listener in balancer.listeners:
        socket = sockets / f"{listener.name}{NEXT}"
        blocks += [_frontend(balancer, listener, weights, socket, owner), _next_worker(listener, socket)]
    for group in balancer.groups:
        blocks += [_backend(group, open=False), _backend(group, open=True)]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def server_options(group: Group) -> str:
    """What follows the address of a server of this group, besides SERVER_OPTIONS, when its health is checked."""
    check = group.check
    options = f"check inter {check.interval}s rise {check.rise} fall {check.fall}"
    if check.port is not None:
        options += f" port {check.port}"
    if group.slow_start:
        options += f" slowstart {group.slow_start}s"
    return options


def _defaults(balancer: Balancer) -> list[str]:
    idle = balancer.idle_timeout
    return [
        "defaults",
        "    mode http",
        f"    timeout connect {CONNECT_SECONDS}s",
        f"    timeout client {idle}s",
        f"    timeout server {idle}s",
        f"    timeout tunnel {idle}s",
        f"    timeout http-keep-alive {idle}s",
        "    timeout http-request 60s",
        "    timeout client-fin 30s",
        # As with the real one, a target that refuses a connection is the client's error, not a reason to try another.
        "    retries 0",
        "    option http-keep-alive",
        # A client that is about to use a connection again when a reload comes finds it open, and is told then.
        "    option idle-close-on-response",
        "    option dontlognull",
        # Only what no target answered is logged, by its status.
        "    log global",
        '    log-format "%ST"',
        "    load-server-state-from-file global",
        *(
            f"    http-error status {status} content-type text/html string {quoted(_page(title))}"
            for status, title in _ERRORS.items()
        ),
    ]


def _page(title: str) -> str:
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n"
        f"<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )


def _tables(balancer: Balancer) -> list[list[str]]:
    rules = sum(len(listener.rules) for listener in balancer.listeners)
    return [
        [
            # Who has no target, is answered here; it also counts each rule's requests, which take their turns by it.
            f"backend {NOBODY}",
            f"    stick-table type string len 64 size {max(128, 2 * rules)} store gpc0",
        ],
        [
            f"backend {TIMES}",
            f"    stick-table type string len 80 size {1000 * max(1, len(balancer.groups))} store gpc0",
        ],
    ]


def _next_worker(listener: Listener, socket: Path) -> list[str]:
    return [
        f"backend {listener.name}{NEXT}",
        "    http-response set-var(txn.answered) bool(true)",
        "    http-response set-log-level silent",
        f"    server next unix@{socket} send-proxy-v2",
    ]


def _frontend(
    balancer: Balancer, listener: Listener, weights: Path, socket: Path, owner: tuple[int, int] | None
) -> list[str]:
    rights = f"uid {owner[0]} gid {owner[1]} mode 600" if owner else "mode 600"
    lines = [
        f"frontend {listener.name}",
        f"    bind {listener.address}:{listener.port}{_tls(listener)}",
        f"    bind unix@{socket} accept-proxy {rights}",
        # What still comes to a worker that was replaced, on a connection that was open then, goes on to its successor:
        # that one knows the targets and the weights of now.
        "    http-request allow if { stopping }",
    ]
    lines += [f"    {line}" for line in _requests(balancer, listener)]
    for rule in listener.rules:
        conditions = "".join(f" {{ {expression(condition)} }}" for condition in rule.conditions)
        lines.append(
            f"    http-request set-var(txn.rule) str({rule.name}) if !{{ var(txn.rule) -m found }}{conditions}"
        )
    for rule in listener.rules:
        if isinstance(rule.action, FixedResponse | Redirect):
            lines.append(f"    http-request {_answer(rule)} if {{ var(txn.rule) -m str {rule.name} }}")
    lines += [
        f"    http-request track-sc0 var(txn.rule) table {NOBODY}",
        f"    http-request set-var(txn.turn) sc_inc_gpc0(0),mod({ROUND})",
        # The second finds nothing, and leaves the first as it is, for a rule with one group.
        f"    http-request set-var(txn.group) var(txn.rule),map_str({weights})",
        f"    http-request set-var(txn.group) var(txn.rule),concat(/,txn.turn),map_str({weights})",
        f"    http-request set-var-fmt(txn.group) %[var(txn.group)]{OPEN} "
        "if { var(txn.group) -m found } !{ var(txn.group),nbsrv gt 0 }",
        f"    use_backend {listener.name}{NEXT} if {{ stopping }}",
        "    use_backend %[var(txn.group)] if { var(txn.group) -m found } { var(txn.group),nbsrv gt 0 }",
        f"    default_backend {NOBODY}",
        # What no target answered, the load balancer did.
        f"    http-after-response set-header Server {SERVER} if !{{ var(txn.answered) -m bool }}",
    ]
    return lines


def _tls(listener: Listener) -> str:
    if listener.tls is None:
        return ""
    tls = listener.tls
    protocols = "h2,http/1.1" if tls.http2 else "http/1.1"
    return f" ssl crt {tls.certificate} alpn {protocols} ssl-min-ver {tls.minimum} ssl-max-ver {tls.maximum}"


def _requests(balancer: Balancer, listener: Listener) -> list[str]:
    """What every request goes through before its rule is found."""
    protocol = "https" if listener.tls else "http"
    client = "%[src]:%[src_port]" if balancer.forwarded_port else "%[src]"
    chain = "{ req.fhdr(x-forwarded-for) -m found }"
    lines = ["http-request set-var(txn.began) date(0,ms)", f"http-request set-var(txn.protocol) str({protocol})"]
    if any(isinstance(rule.action, Redirect) for rule in listener.rules):
        lines.append("http-request set-var-fmt(txn.query) ?%[query] if { query -m len gt 0 }")
    if balancer.drop_invalid_headers:
        lines.append("http-request del-header '[^A-Za-z0-9-]' -m reg")
    if balancer.forwarded_for is ForwardedFor.APPEND:
        lines += [
            f'http-request set-header X-Forwarded-For "%[req.fhdr(x-forwarded-for)], {client}" if {chain}',
            f"http-request set-header X-Forwarded-For {client} if !{chain}",
        ]
    elif balancer.forwarded_for is ForwardedFor.REMOVE:
        lines.append("http-request del-header X-Forwarded-For")
    lines += [
        f"http-request set-header X-Forwarded-Proto {protocol}",
        f"http-request set-header X-Forwarded-Port {listener.port}",
    ]
    if not balancer.preserve_host and listener.port not in (80, 443):
        lines.append(
            f"http-request set-header Host %[req.hdr(host)]:{listener.port} "
            "if { req.hdr(host) -m found } !{ req.hdr(host) -m reg ':[0-9]+$' }"
        )
    if balancer.tls_headers and listener.tls:
        lines += [
            "http-request set-header X-Amzn-Tls-Version %[ssl_fc_protocol]",
            "http-request set-header X-Amzn-Tls-Cipher-Suite %[ssl_fc_cipher]",
        ]
    trace = "1-%[var(txn.time),lower]-%[uuid,regsub(-,,g),bytes(0,24)]"
    rooted = "{ req.fhdr(x-amzn-trace-id) -m sub Root= }"
    return [
        *lines,
        "http-request set-var-fmt(txn.time) %{+X}Ts",
        f"http-request set-header X-Amzn-Trace-Id Self={trace};%[req.fhdr(x-amzn-trace-id)] if {rooted}",
        f"http-request set-header X-Amzn-Trace-Id Root={trace} if !{rooted}",
    ]


def _answer(rule: Rule) -> str:
    action = rule.action
    if isinstance(action, FixedResponse):
        # HAProxy takes no empty body.
        body = f" content-type {action.content_type} string {quoted(action.body)}" if action.body else ""
        return f"return status {action.status}{body}"
    assert isinstance(action, Redirect)
    location = redirect_location(
        action.protocol.lower() if "#" not in action.protocol else action.protocol,
        action.host,
        action.port,
        action.path,
        action.query,
    )
    return f"redirect location {location} code {action.status}"


def _backend(group: Group, *, open: bool) -> list[str]:
    lines = [
        f"backend {group.name}{OPEN if open else ''}",
        f"    balance {group.algorithm}",
        *(f"    {line}" for line in _stickiness(group)),
        # From here on 503 can only mean that the target could not be reached.
        f"    http-error status 503 content-type text/html string {quoted(_page(_ERRORS[502]))}",
        "    http-response set-var(txn.answered) bool(true)",
        "    http-response set-log-level silent",
        *(f"    {line}" for line in _timing(group)),
        "    http-after-response set-var(txn.took) date(0,ms),sub(txn.began)",
        "    http-after-response set-status 504 if !{ var(txn.answered) -m bool } { status 503 } "
        f"{{ var(txn.took) -m int ge {CONNECT_SECONDS * 1000} }}",
        "    http-after-response set-status 502 if !{ var(txn.answered) -m bool } { status 503 }",
    ]
    if not open:
        lines += [f"    {line}" for line in _health_check(group)]
    options = f"{SERVER_OPTIONS}{'' if open else f' {server_options(group)}'}"
    lines.append(f"    default-server {options}")
    return lines + [f"    server {target.name} {target.name}" for target in sorted(group.targets)]


def _health_check(group: Group) -> list[str]:
    check = group.check
    host = "%[srv_name]" if check.port is None else f"%[srv_name,field(1,:)]:{check.port}"
    return [
        "option httpchk",
        f"timeout check {check.timeout}s",
        f"http-check send meth GET uri {quoted(check.path)} ver HTTP/1.1 hdr Host {host} hdr User-Agent {CHECK_AGENT}",
        f"http-check expect status {check.matcher}",
    ]


def _stickiness(group: Group) -> list[str]:
    if group.stickiness is None:
        return []
    # The cookie is made from the target's address, so that it means the same in the group and in its twin.
    return [
        f"cookie AWSALB insert indirect nocache maxidle {group.stickiness}s dynamic",
        f"dynamic-cookie-key {group.name}",
    ]


def _timing(group: Group) -> list[str]:
    """Count answers by how long the target took: exact to 1 ms below 100 ms, to a tenth of the time above."""
    return [
        "http-response set-var(txn.took) date(0,ms),sub(txn.began)",
        "http-response set-var(txn.took) var(txn.took),div(10),mul(10) if { var(txn.took) -m int ge 100 }",
        "http-response set-var(txn.took) var(txn.took),div(100),mul(100) if { var(txn.took) -m int ge 1000 }",
        f"http-response set-var-fmt(txn.took) {group.name}/%[var(txn.took)]",
        f"http-response track-sc1 var(txn.took) table {TIMES}",
        "http-response sc-inc-gpc0(1)",
    ]
