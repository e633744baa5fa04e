"""What HAProxy says of itself, read."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from dock.engines.haproxy.first_checks import matches
from dock.engines.haproxy.measure import Health, Meter, health_of, percentile, sessions_of
from dock.engines.haproxy.model import Target
from dock.engines.haproxy.process import AddressTaken, HAProxyError, affordable_connections, binary, try_address
from dock.engines.haproxy.runtime import (
    Runtime,
    Worker,
    parse_processes,
    parse_servers_state,
    parse_sessions,
    parse_statistics,
)

PROCESSES = """#<PID>          <type>          <reloads>       <uptime>        <version>
19428           master          2 [failed: 1]   0d00h00m05s     2.6.12-1+deb12u4
# workers
19562           worker          1               0d00h00m04s     2.6.12-1+deb12u4
# old workers
19432           worker          2               0d00h00m05s     2.6.12-1+deb12u4
# programs

"""
COLUMNS = "# pxname,svname,scur,stot,status,check_status,check_code,hrsp_2xx,hrsp_5xx,req_tot,\n"


def statistics(*rows: str) -> list[dict[str, str]]:
    return parse_statistics(COLUMNS + "\n".join(rows) + "\n\n")


def test_the_master_tells_current_and_former_workers_and_failed_reloads() -> None:
    found = parse_processes(PROCESSES)
    assert found.workers == (Worker(19562, current=True), Worker(19432, current=False))
    assert (found.current, found.former, found.failed_reloads) == (19562, [19432], 1)


def test_sessions_are_told_by_the_server_they_go_to() -> None:
    text = (
        "0x55d: proto=tcpv4 src=127.0.0.1:39376 fe=e1 be=e1 srv=target ts=00 rq[f=808000h,i=0] exp=3s\n"
        "0x55e: proto=sockpair src=unix:2 fe=GLOBAL be=<NONE> srv=<none> ts=00\n"
    )
    assert parse_sessions(text) == [("0x55d", "e1/target")]


def test_server_states_are_told_by_column() -> None:
    rows = parse_servers_state("1\n# be_id be_name srv_id srv_name srv_admin_state\n2 app 1 127.0.0.1:80 1\n\n")
    assert rows == [{"be_id": "2", "be_name": "app", "srv_id": "1", "srv_name": "127.0.0.1:80", "srv_admin_state": "1"}]
    assert parse_servers_state("\n") == []


def test_health_is_that_of_checked_servers_that_are_not_retired() -> None:
    rows = statistics(
        "app,127.0.0.1:80,0,5,UP 1/2,L7OK,200,5,0,,",
        "app,127.0.0.2:80,0,5,DOWN,* L7STS,500,5,0,,",
        "app,127.0.0.3:80,0,5,MAINT,L7OK,200,5,0,,",
        "app.open,127.0.0.1:80,2,5,no check,,,5,0,,",
        "app,BACKEND,0,5,UP,,,5,0,,",
    )
    assert health_of(rows) == {
        ("app", Target("127.0.0.1", 80)): Health(up=True, check="L7OK", status=200),
        ("app", Target("127.0.0.2", 80)): Health(up=False, check="L7STS", status=500),
    }
    assert sessions_of(rows, "app", Target("127.0.0.1", 80)) == 2


def test_counters_go_on_over_workers_and_count_a_passed_request_once() -> None:
    meter = Meter()
    meter.read_statistics(1, statistics("web,FRONTEND,0,9,OPEN,,,8,2,10,", "app,127.0.0.1:80,0,10,UP,L7OK,200,8,1,,"))
    meter.read_statistics(1, statistics("web,FRONTEND,0,9,OPEN,,,9,2,11,", "app,127.0.0.1:80,0,11,UP,L7OK,200,9,1,,"))
    # A reload: the new worker counts from 0, the former one passes its last request on.
    meter.read_statistics(2, statistics("web,FRONTEND,0,9,OPEN,,,3,0,3,", "app,127.0.0.1:80,0,3,UP,L7OK,200,3,0,,"))
    meter.read_statistics(
        1,
        statistics(
            "web,FRONTEND,0,9,OPEN,,,10,2,12,",
            "web.next,next,0,1,no check,,,1,0,,",
            "app,127.0.0.1:80,0,11,UP,L7OK,200,9,1,,",
        ),
    )
    assert (meter.group("app").requests, meter.group("app").ok_2xx) == (14, 12)
    assert (meter.balancer().requests, meter.balancer().ok_2xx) == (14, 12)
    assert meter.own().failed_5xx == 1


def test_times_add_up_and_give_percentiles() -> None:
    meter = Meter()
    meter.read_times(1, "0x1: key=app/1 use=0 exp=0 gpc0=90\n0x2: key=app/200 use=0 exp=0 gpc0=4\n")
    meter.read_times(1, "0x1: key=app/1 use=0 exp=0 gpc0=94\n0x2: key=app/200 use=0 exp=0 gpc0=6\n")
    times = meter.group("app").times
    assert times == {1: 94, 200: 6}
    assert (percentile(times, 50), percentile(times, 95), percentile({}, 95)) == (0.001, 0.2, None)


@pytest.mark.parametrize(("matcher", "good", "bad"), [("200", [200], [201]), ("200-299,404", [204, 404], [403, 500])])
def test_a_matcher_takes_codes_and_ranges(matcher: str, good: list[int], bad: list[int]) -> None:
    assert all(matches(matcher, status) for status in good)
    assert not any(matches(matcher, status) for status in bad)


async def test_a_long_payload_is_fed_in_commands_that_fit_and_a_refusal_is_an_error(tmp_path: Path) -> None:
    heard: list[str] = []
    answers = ["\n", "\n", "\n", "Unknown map identifier.\n"]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.read()).decode())
        writer.write(answers[min(len(heard) - 1, 3)].encode())
        writer.close()

    server = await asyncio.start_unix_server(answer, tmp_path / "worker", limit=2**20)
    runtime = Runtime(tmp_path / "master", tmp_path / "worker")
    lines = [f"rule/{number} group-{number}" for number in range(1000)]
    await runtime.feed("add map @1 weights", lines)
    assert [line for command in heard for line in command.splitlines()[1:] if line] == lines
    assert 1 < len(heard) <= 3
    assert all(command.startswith("add map @1 weights <<\n") and command.endswith("\n\n") for command in heard)
    heard[:] = [""] * 3
    with pytest.raises(OSError, match="Unknown map identifier"):
        await runtime.feed("add map @1 weights", ["a b"])
    server.close()


async def test_a_haproxy_that_is_not_there_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        await Runtime(tmp_path / "master", tmp_path / "worker").ask("show info")


def test_a_missing_program_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRYDOCK_HAPROXY", "/nonexistent/haproxy")
    with pytest.raises(HAProxyError, match="/nonexistent/haproxy: DRYDOCK_HAPROXY"):
        binary()
    monkeypatch.delenv("DRYDOCK_HAPROXY")
    monkeypatch.setattr("dock.engines.haproxy.process.shutil.which", lambda _: "/nonexistent/haproxy")
    with pytest.raises(HAProxyError, match="apt install haproxy"):
        binary()


def test_a_taken_address_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressTaken, match=rf"127\.0\.0\.1:{port}: Address already in use"):
            try_address("127.0.0.1", port)


def test_connections_fit_into_the_limit_on_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dock.engines.haproxy.process.resource.getrlimit", lambda _: (1024, 4096))
    assert affordable_connections(8192) == 1898
    assert affordable_connections(100) == 100
