"""Answers of the DNS server, against a bare UDP echo on the same machine; and the time from a dead endpoint to a
changed answer."""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
from dnslib import DNSRecord

from benchmarks.figure import Figure

QUESTIONS = 3000
INTERVAL, THRESHOLD = 10, 1
REGIONS = ["us-east-1", "eu-west-1", "sa-east-1"]
ELSEWHERE = "127.0.0.2"


def measure(endpoint_url: str, server: str, account: str, record: str) -> list[Figure]:
    """`server` is `address:port`, `record` a name that it serves."""
    address, _, port = server.rpartition(":")
    return [_answers((address, int(port)), record), _failover(endpoint_url, (address, int(port)), account)]


def _answers(server: tuple[str, int], record: str) -> Figure:
    question = bytes(DNSRecord.question(record).pack())
    with _echo(server[0]) as floor:
        asked = {"dns": _asker(server, question), "echo": _asker(floor, question)}
        times: dict[str, list[float]] = {name: [] for name in asked}
        # In turn, so that the machine's drift meets both.
        for number in range(QUESTIONS + 100):
            for name, ask in asked.items():
                took = ask()
                if number >= 100:
                    times[name].append(took)
    ours, echo = (
        {"p50": statistics.median(each), "p99": sorted(each)[len(each) * 99 // 100]} for each in times.values()
    )
    return Figure(
        "answer of the DNS server over UDP",
        f"p50 {ours['p50'] * 1000:.2f} ms, p99 {ours['p99'] * 1000:.2f} ms",
        f"a UDP echo: p50 {echo['p50'] * 1000:.2f} ms, p99 {echo['p99'] * 1000:.2f} ms",
        ours["p50"] / echo["p50"],
        "p50 ≤ 2 ms",
        ours["p50"] <= 0.002,
    )


def _asker(server: tuple[str, int], question: bytes) -> Callable[[], float]:
    client = socket.socket(type=socket.SOCK_DGRAM)
    client.settimeout(2)
    client.connect(server)

    def ask() -> float:
        began = time.perf_counter()
        client.send(question)
        client.recv(4096)
        return time.perf_counter() - began

    return ask


@contextlib.contextmanager
def _echo(address: str) -> Iterator[tuple[str, int]]:
    """A process that sends back what it gets: what a question costs without any answer to be found."""
    there, here = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_serve_echo, args=(address, there), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        process.terminate()
        process.join(5)


def _serve_echo(address: str, told: Any) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind((address, 0))
        told.send(server.getsockname())
        while True:
            packet, client = server.recvfrom(4096)
            server.sendto(packet, client)


class _Well(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing to be said."""


def _failover(endpoint_url: str, server: tuple[str, int], account: str) -> Figure:
    """A zone and an endpoint of its own, which dies; both are removed afterwards."""
    route53 = boto3.client(
        "route53",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=account,
        aws_secret_access_key="dock",
    )
    endpoint = ThreadingHTTPServer((server[0], 0), _Well)
    threading.Thread(target=endpoint.serve_forever, daemon=True).start()
    name = f"benchmark-{uuid.uuid4().hex[:8]}.test"
    zone = route53.create_hosted_zone(Name=name, CallerReference=name)["HostedZone"]["Id"]
    check = route53.create_health_check(
        CallerReference=name,
        HealthCheckConfig={"Type": "HTTP", "IPAddress": server[0], "Port": endpoint.server_port,
                           "RequestInterval": INTERVAL, "FailureThreshold": THRESHOLD, "Regions": REGIONS},
    )["HealthCheck"]["Id"]  # fmt: skip
    common = {"Name": name, "Type": "A", "TTL": 5}
    primary = {"SetIdentifier": "p", "Failover": "PRIMARY", "HealthCheckId": check}
    pair = [
        {**common, **primary, "ResourceRecords": [{"Value": server[0]}]},
        {**common, "SetIdentifier": "s", "Failover": "SECONDARY", "ResourceRecords": [{"Value": ELSEWHERE}]},
    ]
    try:
        _change(route53, zone, "CREATE", pair)
        _until(lambda: _answer(server, name) == server[0], INTERVAL)
        _until(lambda: all("200" in status for status in _statuses(route53, check)), 2 * INTERVAL)
        endpoint.shutdown()
        endpoint.server_close()
        _until(lambda: _answer(server, name) == ELSEWHERE, 3 * INTERVAL)
        changed = time.time()
        failures = route53.get_health_check_last_failure_reason(HealthCheckId=check)["HealthCheckObservations"]
        took = changed - min(entry["StatusReport"]["CheckedTime"].timestamp() for entry in failures)
    finally:
        with contextlib.suppress(route53.exceptions.InvalidChangeBatch):
            _change(route53, zone, "DELETE", pair)
        route53.delete_health_check(HealthCheckId=check)
        route53.delete_hosted_zone(Id=zone)
    bound = INTERVAL * THRESHOLD + 1
    return Figure(
        "from the first failed health check to the changed answer",
        f"{took:.2f} s",
        f"interval {INTERVAL} s, threshold {THRESHOLD}, {len(REGIONS)} regions",
        took / bound,
        f"≤ interval × threshold + 1 s = {bound} s",
        took <= bound,
    )


def _change(route53: Any, zone: str, action: str, records: list[dict[str, Any]]) -> None:
    changes = [{"Action": action, "ResourceRecordSet": record} for record in records]
    change = route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})["ChangeInfo"]
    _until(lambda: route53.get_change(Id=change["Id"])["ChangeInfo"]["Status"] == "INSYNC", 10)


def _statuses(route53: Any, check: str) -> list[str]:
    observed = route53.get_health_check_status(HealthCheckId=check)["HealthCheckObservations"]
    return [entry["StatusReport"]["Status"] for entry in observed]


def _answer(server: tuple[str, int], name: str) -> str:
    found = DNSRecord.parse(DNSRecord.question(name).send(*server, timeout=2))
    return str(found.rr[0].rdata) if found.rr else ""


def _until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(0.02)
