"""Reloads, kills and taken ports: what clients notice, and what is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import ssl
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession, TCPConnector
from botocore.exceptions import ClientError as AwsClientError

from dock.aws.elbv2 import Elbv2
from dock.cloud import ACCOUNTS, REGIONS, Cloud
from dock.home import Home
from tests.dock.conftest import call, running_cloud
from tests.dock.elbv2.conftest import Balanced, Dock, eventually, forward, get

pytestmark = [pytest.mark.dock, pytest.mark.asyncio(loop_scope="module")]


async def test_twenty_reloads_lose_no_request_and_no_websocket(dock: Dock, session: ClientSession) -> None:
    async with dock.application("one") as one:
        balancer = await dock.load_balancer()
        group = await dock.target_group(one)
        await dock.listener(balancer, 8080, group)
        url = f"http://{balancer.address}:8080"
        socket = await session.ws_connect(f"{url}/ws")
        statuses: Counter[int] = Counter()
        errors: list[str] = []
        stop = asyncio.Event()

        async def load(keep_alive: bool) -> None:
            async with ClientSession(connector=TCPConnector(force_close=not keep_alive)) as client:
                while not stop.is_set():
                    try:
                        statuses[(await get(client, url))[0]] += 1
                    except ClientError as problem:
                        errors.append(repr(problem))

        clients = [asyncio.create_task(load(number % 2 == 0)) for number in range(6)]
        engine = dock.service.fleet.engine(balancer.arn)
        master, workers, added = engine.pid, set(), ""
        for number in range(20):
            if number % 2:
                await call(dock.elb.delete_listener, ListenerArn=added)
            else:
                added = await dock.listener(balancer, 9000 + number, group)
            workers.add((await engine._haproxy.runtime.processes()).current)
            await socket.send_str(str(number))
            assert await socket.receive_str(timeout=2) == f"one {number}"
        stop.set()
        await asyncio.gather(*clients)
        assert errors == []
        assert set(statuses) == {200}
        assert sum(statuses.values()) > 200
        assert engine.pid == master
        assert len(workers) == 20
        await socket.close()


async def test_a_killed_haproxy_is_back_within_a_second_with_weights_drains_and_health(
    dock: Dock, session: ClientSession
) -> None:
    async with dock.application("old") as old, dock.application("new") as new, dock.application("gone") as gone:
        balancer = await dock.load_balancer()
        groups = [await dock.target_group(old, gone), await dock.target_group(new)]
        listener = await dock.listener(balancer, 8080, (groups[0], 1), (groups[1], 0))
        await call(
            dock.elb.modify_listener, ListenerArn=listener, DefaultActions=[forward((groups[0], 3), (groups[1], 1))]
        )
        url = f"http://{balancer.address}:8080/"
        await eventually(lambda: dock.state(groups[0], old), "healthy", 12)
        await eventually(lambda: dock.state(groups[0], gone), "healthy", 12)
        gone.status = 500
        await eventually(lambda: dock.state(groups[0], gone), "unhealthy Target.ResponseCodeMismatch", 14)
        await asyncio.sleep(1.2)
        engine = dock.service.fleet.engine(balancer.arn)
        assert engine.pid is not None
        for kind in ("master", "worker"):
            await asyncio.sleep(2.1)
            victim = engine.pid if kind == "master" else (await engine._haproxy.runtime.processes()).current
            assert victim is not None
            os.kill(victim, signal.SIGKILL)
            began = time.monotonic()
            while True:
                with contextlib.suppress(ClientError, OSError):
                    await get(session, url)
                    break
                await asyncio.sleep(0.01)
            assert time.monotonic() - began < 1
            seen = Counter([(await get(session, url))[1] for _ in range(100)])
            assert seen == {"old": 75, "new": 25}, "an unhealthy target stays out, and the weights are kept"


async def test_a_taken_port_fails_the_listener_and_leaves_nothing(dock: Dock, session: ClientSession) -> None:
    async with dock.application("one") as one:
        balancer = await dock.load_balancer()
        group = await dock.target_group(one)
        other = await asyncio.start_server(lambda *_: None, balancer.address, 9100)
        for attempt in range(2):
            with pytest.raises(AwsClientError, match=rf"{balancer.address}:9100: Address already in use"):
                await dock.listener(balancer, 9100, group)
            found = await call(dock.elb.describe_listeners, LoadBalancerArn=balancer.arn)
            assert len(found["Listeners"]) == attempt
            if not attempt:
                assert not dock.service.fleet.engine(balancer.arn).alive
                await dock.listener(balancer, 8080, group)
        assert (await get(session, f"http://{balancer.address}:8080/"))[0] == 200
        other.close()
        await other.wait_closed()
        await dock.listener(balancer, 9100, group)
        assert (await get(session, f"http://{balancer.address}:9100/"))[0] == 200


def pem(dock: Dock, folder: str, *names: str) -> dict[str, bytes]:
    """A certificate of the dock's authority for these names, with its key."""
    made = dock.cloud.certificates.issue(dock.cloud.home.root / folder, names[0], [], names=names)
    return {"Certificate": made.certificate.read_bytes(), "PrivateKey": made.key.read_bytes()}


async def served_names(dock: Dock, balancer: Balanced, name: str) -> set[str]:
    """The names in the certificate that a client gets who trusts the dock's authority and asks for `name`."""
    context = ssl.create_default_context(cafile=str(dock.cloud.home.certificate_authority))
    async with asyncio.timeout(5):
        _, writer = await asyncio.open_connection(balancer.address, 443, ssl=context, server_hostname=name)
    certificate = writer.get_extra_info("peercert")
    writer.close()
    return {value for kind, value in certificate["subjectAltName"] if kind == "DNS"} - {"localhost"}


async def test_https_listeners_serve_the_certificate_of_acm_and_http2(dock: Dock) -> None:
    acm = dock.cloud.client("acm", ACCOUNTS[0], REGIONS[0])
    async with dock.application("one") as one:
        balancer = await dock.load_balancer()
        group = await dock.target_group(one)
        arn = (await call(acm.import_certificate, **pem(dock, "first", "chat.test")))["CertificateArn"]
        listener = await dock.listener(
            balancer,
            443,
            group,
            Protocol="HTTPS",
            Certificates=[{"CertificateArn": arn}],
            SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06",
        )
        assert await served_names(dock, balancer, "chat.test") == {"chat.test"}
        with pytest.raises(ssl.SSLCertVerificationError):
            await served_names(dock, balancer, "other.test")
        curl = await asyncio.create_subprocess_exec(
            "curl", "-s", "--http2", "--cacert", str(dock.cloud.home.certificate_authority),
            "--resolve", f"chat.test:443:{balancer.address}", "-w", " %{http_version} %{response_code}",
            "https://chat.test/headers",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(10):
            output, _ = await curl.communicate()
        assert output.endswith(b" 2 200")
        assert b'"X-Forwarded-Proto": "https"' in output
        old = ssl.create_default_context(cafile=str(dock.cloud.home.certificate_authority))
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(ssl.SSLError):
            await asyncio.open_connection(balancer.address, 443, ssl=old)
        shown = (await call(dock.elb.describe_listeners, ListenerArns=[listener]))["Listeners"][0]
        assert shown["Certificates"] == [{"CertificateArn": arn}]

        # What is imported anew under the same ARN is served at once; one that is in use can't be deleted.
        await call(acm.import_certificate, CertificateArn=arn, **pem(dock, "next", "chat.test", "www.chat.test"))
        assert await served_names(dock, balancer, "www.chat.test") == {"chat.test", "www.chat.test"}
        described = (await call(acm.describe_certificate, CertificateArn=arn))["Certificate"]
        assert described["InUseBy"] == [balancer.arn]
        with pytest.raises(acm.exceptions.ResourceInUseException):
            await call(acm.delete_certificate, CertificateArn=arn)
        await call(dock.elb.delete_listener, ListenerArn=listener)
        await call(acm.delete_certificate, CertificateArn=arn)
        with pytest.raises(AwsClientError, match="CertificateNotFound"):
            await dock.listener(
                balancer, 443, group, Protocol="HTTPS", Certificates=[{"CertificateArn": arn}],
            )  # fmt: skip


async def test_the_next_daemon_adopts_what_runs_and_does_what_the_last_one_left_half_way() -> None:
    root = Path(tempfile.mkdtemp(prefix="drydock-"))
    root.chmod(0o711)
    home = Home(root / "home")
    first = Cloud(home, [Elbv2])
    await asyncio.wait_for(first.start(), 60)
    try:
        dock = Dock(first)
        await dock.make_network()
        async with dock.application("one") as one, dock.application("two") as two, ClientSession() as session:
            balancer = await dock.load_balancer()
            groups = [await dock.target_group(one), await dock.target_group(two)]
            await dock.listener(balancer, 8080, (groups[0], 1), (groups[1], 1))
            url = f"http://{balancer.address}:8080"
            slow = asyncio.create_task(get(session, f"{url}/slow?seconds=6"))
            while not one.waiting + two.waiting:
                await asyncio.sleep(0.02)
            draining, other = (one, two) if one.waiting else (two, one)
            group = groups[0] if draining is one else groups[1]
            await dock.deregister(group, draining)
            pid = first.service(Elbv2).fleet.engine(balancer.arn).pid
            await first.leave()
            assert (await get(session, url))[0] in (200, 503), "it serves without a daemon"
            async with running_cloud(home, [Elbv2]) as second:
                again = Dock(second)
                engine = second.service(Elbv2).fleet.engine(balancer.arn)
                assert engine.pid == pid
                assert await again.state(group, draining) == "draining Target.DeregistrationInProgress"
                statuses = Counter([await get(session, url) for _ in range(10)])
                assert statuses[200, other.name] == 5
                # What HAProxy was told and no record knows is taken back; what a record says and HAProxy lost is done.
                await engine._haproxy.runtime.ask(f"clear map {engine._weights}")
                await second.service(Elbv2).fleet.start()
                assert Counter([await get(session, url) for _ in range(10)])[200, other.name] == 5
                assert (await slow)[0] == 200
            with pytest.raises(ClientError):
                await get(session, url)
    finally:
        shutil.rmtree(root, ignore_errors=True)


async def test_a_port_that_is_taken_at_the_start_is_reported_and_served_once_it_is_free(home: Home) -> None:
    first = Cloud(home, [Elbv2])
    await asyncio.wait_for(first.start(), 60)
    dock = Dock(first)
    await dock.make_network()
    async with dock.application("one") as one, ClientSession() as session:
        balancer = await dock.load_balancer()
        await dock.listener(balancer, 9200, await dock.target_group(one))
        await first.stop()
        squatter = await asyncio.start_server(lambda *_: None, balancer.address, 9200)
        async with running_cloud(home, [Elbv2]) as second:
            again = Dock(second)
            shown = (await call(again.elb.describe_load_balancers))["LoadBalancers"][0]
            assert shown["State"]["Code"] == "failed"
            assert f"{balancer.address}:9200" in shown["State"]["Reason"]
            assert [entry["state"] for entry in second.service(Elbv2).status()] == ["failed"]
            squatter.close()
            await squatter.wait_closed()

            async def state() -> str:
                answer = await call(again.elb.describe_load_balancers)
                return str(answer["LoadBalancers"][0]["State"]["Code"])

            await eventually(state, "active", 10)
            assert await get(session, f"http://{balancer.address}:9200/") == (200, "one")
