"""What users see of the edge: a real process, Cloudflare's official client, an origin that can be sick."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import ssl
import threading
from typing import Any

import dnslib
import dnslib.server
import httpx
import pytest
from aiohttp import ClientSession, TCPConnector, WSMsgType

from tests.dock.edge.conftest import ACCOUNT, eventually

pytestmark = [pytest.mark.dock, pytest.mark.asyncio(loop_scope="module")]
CUSTOM, RATE, CACHE = "http_request_firewall_custom", "http_ratelimit", "http_request_cache_settings"


async def solve(browser: httpx.AsyncClient, page: httpx.Response) -> httpx.Response:
    """What a browser does with a challenge's script."""
    action = re.search(r'action="([^"]+)"', page.text)[1]
    first, second, modulus = (
        int(re.search(rf'data-{n}="(\d+)"', page.text)[1]) for n in ("first", "second", "modulus")
    )
    token = re.search(r'name="token" value="([^"]+)"', page.text)[1]
    where = f"{page.request.url.scheme}://{page.request.url.netloc.decode()}{action}"
    return await browser.post(where, data={"token": token, "answer": str(first * second % modulus)})


async def test_a_request_reaches_the_origin_with_who_asked(world):
    zone = await world.zone()
    async with world.origin() as origin:
        await zone.lead_to(origin)
        answer = await zone.get("/a%20b?c=%2F", "POST", content=b"x" * 300_000, headers={"X-Forwarded-For": "1.2.3.4"})
        (asked,) = origin.requests
    assert (answer.status_code, len(answer.content)) == (200, 300_000)
    assert answer.headers["server"] == "cloudflare"
    assert answer.headers["cf-cache-status"] == "DYNAMIC"
    assert asked.raw_path == "/a%20b?c=%2F"
    assert asked.headers["Host"] == zone.name
    assert asked.headers["CF-Connecting-IP"] == zone.user
    assert asked.headers["X-Forwarded-For"] == f"1.2.3.4, {zone.user}"
    assert asked.headers["X-Forwarded-Proto"] == "http"
    assert asked.headers["CF-Ray"] == answer.headers["cf-ray"]


async def test_a_long_answer_is_passed_on_as_it_comes(world):
    zone = await world.zone()
    async with world.origin() as origin:
        await zone.lead_to(origin)
        answer = await zone.get("/stream")
    assert answer.content == b"0" * 50_000 + b"1" * 50_000 + b"2" * 50_000


async def test_a_websocket_goes_through_with_its_protocol_and_outlives_a_change(world):
    zone = await world.zone()
    async with world.origin() as origin:
        await zone.lead_to(origin)
        url = f"http://{world.edge}:8080/ws"
        connector = TCPConnector(local_addr=(zone.user, 0))
        async with (
            ClientSession(connector=connector) as session,
            session.ws_connect(url, headers={"Host": zone.name}, protocols=("chat",)) as live,
        ):
            assert live.protocol == "chat"
            await live.send_str("one")
            assert await live.receive_str() == "you said one"
            await zone.set("security_level", "under_attack")
            await live.send_str("two")
            assert await live.receive_str() == "you said two"
            await live.close(code=4000)
        async with ClientSession(connector=TCPConnector(local_addr=(zone.user, 0))) as session:
            with pytest.raises(Exception, match="403"):
                await session.ws_connect(url, headers={"Host": zone.name})


async def test_a_visitor_under_attack_solves_the_challenge_once(world):
    zone = await world.zone()
    async with world.origin() as origin:
        await zone.lead_to(origin)
        await zone.set("security_level", "under_attack")
        async with zone.browser() as browser:
            url = f"http://{world.edge}:8080/chat?room=1"
            page = await browser.get(url)
            assert (page.status_code, page.headers["cf-mitigated"]) == (403, "challenge")
            assert origin.requests == []
            solved = await solve(browser, page)
            assert (solved.status_code, solved.headers["location"]) == (303, "/chat?room=1")
            clearance = solved.headers["set-cookie"].partition(";")[0]
            assert (await browser.get(url, headers={"Cookie": clearance})).status_code == 200
        # It is of use to nobody else.
        stolen = await zone.get("/", address=f"127.{world.octet}.201.1", headers={"Cookie": clearance})
        assert stolen.status_code == 403
        await zone.set("security_level", "medium")
        assert (await zone.get("/")).status_code == 200


async def test_a_challenge_leads_nowhere_else_than_back(world):
    zone = await world.zone()
    await zone.set("security_level", "under_attack")
    async with zone.browser() as browser:
        page = await browser.get(f"http://{world.edge}:8080//evil.example/")
        solved = await solve(browser, page)
    assert solved.headers["location"] == "/"


async def test_an_address_on_a_list_is_refused_and_let_in_again(world):
    zone = await world.zone()
    async with world.origin() as origin:
        await zone.lead_to(origin)
        listed = await zone.block(f"attackers_{world.octet}", zone.user)
        await zone.rules(CUSTOM, {"action": "block", "expression": f"ip.src in $attackers_{world.octet}"})
        refused = await zone.get("/")
        assert (refused.status_code, "1020" in refused.text) == (403, True)
        assert (await zone.get("/", address=f"127.{world.octet}.201.2")).status_code == 200
        (item,) = (await zone.client.rules.lists.items.list(listed, account_id=ACCOUNT)).result
        operation = await zone.client.rules.lists.items.delete(listed, account_id=ACCOUNT, items=[{"id": item.id}])
        assert await zone.done(operation.operation_id) == "completed"
        assert (await zone.get("/")).status_code == 200


async def test_an_access_rule_blocks_an_address_and_another_lets_one_through_everything(world):
    zone = await world.zone()
    async with world.origin() as origin:
        await zone.lead_to(origin)
        await zone.set("security_level", "under_attack")
        access = zone.client.firewall.access_rules
        await access.create(zone_id=zone.id, mode="whitelist", configuration={"target": "ip", "value": zone.user})
        other = f"127.{world.octet}.201.3"
        await access.create(zone_id=zone.id, mode="block", configuration={"target": "ip", "value": other})
        assert (await zone.get("/")).status_code == 200
        blocked = await zone.get("/", address=other)
        assert (blocked.status_code, "1006" in blocked.text) == (403, True)


async def test_rules_act_in_order_and_skip_what_they_say(world):
    zone = await world.zone()
    async with world.origin() as origin:
        await zone.lead_to(origin)
        await zone.set("security_level", "under_attack")
        response = {"status_code": 410, "content": '{"gone": true}', "content_type": "application/json"}
        await zone.rules(
            CUSTOM,
            {"action": "log", "expression": "http.request.uri.path eq \"/hook\""},
            {"action": "skip", "expression": 'http.request.uri.path eq "/hook"',
             "action_parameters": {"products": ["securityLevel"]}},
            {"action": "block", "expression": 'starts_with(http.request.uri.path, "/old/")',
             "action_parameters": {"response": response}},
            {"action": "block", "expression": "ssl or not ssl", "enabled": False},
        )  # fmt: skip
        assert (await zone.get("/hook")).status_code == 200
        assert (await zone.get("/")).status_code == 403
        old = await zone.get("/old/page")
        assert (old.status_code, old.json(), old.headers["content-type"]) == (410, {"gone": True}, "application/json")


async def test_more_requests_than_the_limit_are_refused_for_one_user_alone(world):
    zone = await world.zone()
    async with world.origin() as origin:
        await zone.lead_to(origin)
        settings = {"characteristics": ["ip.src", "cf.colo.id"], "period": 10, "requests_per_period": 5,
                    "mitigation_timeout": 60}  # fmt: skip
        await zone.rules(
            RATE,
            {"action": "block", "expression": 'starts_with(http.request.uri.path, "/api/")', "ratelimit": settings},
        )
        statuses = [(await zone.get("/api/x")).status_code for _ in range(8)]
        # Two periods may meet in between: never more than five in ten seconds, and then none.
        assert statuses == [200] * 5 + [429] * 3
        refused = await zone.get("/api/x")
        assert ("1015" in refused.text, refused.headers["retry-after"]) == (True, "60")
        assert (await zone.get("/")).status_code == 200
        assert (await zone.get("/api/x", address=f"127.{world.octet}.201.4")).status_code == 200


async def test_files_are_cached_until_they_are_purged(world):
    zone = await world.zone()
    async with world.origin() as origin:
        await zone.lead_to(origin)
        assert [(await zone.get("/app.js")).headers["cf-cache-status"] for _ in range(2)] == ["MISS", "HIT"]
        assert len(origin.requests) == 1
        origin.body = b"new"
        assert (await zone.get("/app.js")).content == b"hello"
        await zone.client.cache.purge(zone_id=zone.id, files=[f"http://{zone.name}/app.js"])
        assert (await zone.get("/app.js")).content == b"new"
        await zone.set("development_mode", "on")
        assert (await zone.get("/app.js")).headers["cf-cache-status"] == "BYPASS"


async def test_a_kept_file_that_grew_old_is_asked_for_again(world):
    zone = await world.zone()
    async with world.origin() as origin:
        origin.headers = {"Cache-Control": "max-age=1", "ETag": '"one"'}
        await zone.lead_to(origin)
        assert (await zone.get("/a.css")).headers["cf-cache-status"] == "MISS"

        async def old() -> bool:
            return (await zone.get("/a.css")).headers["cf-cache-status"] == "REVALIDATED"

        await eventually(old)
        origin.headers = {"Cache-Control": "max-age=1", "ETag": '"two"'}

        async def changed() -> bool:
            return (await zone.get("/a.css")).headers["cf-cache-status"] == "EXPIRED"

        await eventually(changed)


async def test_a_cache_rule_keeps_a_page_and_another_never_keeps_an_api(world):
    zone = await world.zone()
    async with world.origin() as origin:
        await zone.lead_to(origin)
        await zone.rules(
            CACHE,
            {"action": "set_cache_settings", "expression": 'http.request.uri.path eq "/page"',
             "action_parameters": {"cache": True, "edge_ttl": {"mode": "override_origin", "default": 60}}},
            {"action": "set_cache_settings", "expression": 'starts_with(http.request.uri.path, "/api/")',
             "action_parameters": {"cache": False}},
        )  # fmt: skip
        assert [(await zone.get("/page")).headers["cf-cache-status"] for _ in range(2)] == ["MISS", "HIT"]
        assert [(await zone.get("/api/x.js")).headers["cf-cache-status"] for _ in range(2)] == ["BYPASS", "BYPASS"]


async def test_what_is_wrong_with_an_origin_has_its_own_code(world):
    zone = await world.zone()
    async with world.origin() as origin:
        await zone.lead_to(origin)
        assert (await zone.get("/slow?seconds=3")).status_code == 524
        await origin.stop()
        assert (await zone.get("/")).status_code == 521
        with socket.create_server((origin.address, 8080)) as rude:

            def hang_up() -> None:
                for _ in range(2):
                    connection, _ = rude.accept()
                    connection.recv(1000)
                    connection.close()

            threading.Thread(target=hang_up, daemon=True).start()
            assert (await zone.get("/", "POST", content=b"x")).status_code == 520
    await zone.client.dns.records.create(
        zone_id=zone.id, type="CNAME", name=f"lost.{zone.name}", content="nowhere.invalid", proxied=True, ttl=1
    )
    lost = await zone.get("/", headers={"Host": f"lost.{zone.name}"})
    assert (lost.status_code, "1016" in lost.text) == (530, True)
    unknown = await zone.get("/", headers={"Host": "unknown.invalid"})
    assert (unknown.status_code, "1001" in unknown.text) == (409, True)


async def test_an_origin_that_is_a_name_is_followed_wherever_it_leads(world):
    """As Route 53 fails over: the answer changes, and the edge goes there as soon as the old one has expired."""
    zone = await world.zone()
    leads: dict[str, str] = {}

    class Names(dnslib.server.BaseResolver):
        def resolve(self, request: Any, handler: Any) -> Any:
            answer = request.reply()
            answer.add_answer(dnslib.RR("origin.example", dnslib.QTYPE.A, rdata=dnslib.A(leads["to"]), ttl=1))
            return answer

    server = dnslib.server.DNSServer(Names(), f"127.{world.octet}.5.99", 5353)
    server.start_thread()
    before, world.cloudflare.name_server = world.cloudflare.name_server, (f"127.{world.octet}.5.99", 5353)
    try:
        async with world.origin() as first, world.origin() as second:
            second.body = b"recovery"
            leads["to"] = first.address
            await zone.client.dns.records.create(
                zone_id=zone.id, type="CNAME", name=zone.name, content="origin.example", proxied=True, ttl=1
            )
            assert (await zone.get("/")).content == b"hello"
            leads["to"] = second.address

            async def failed_over() -> bool:
                return (await zone.get("/")).content == b"recovery"

            await eventually(failed_over, 3)
    finally:
        world.cloudflare.name_server = before
        server.stop()
        server.server.server_close()


async def test_https_is_served_with_the_zones_certificate_and_the_oldest_tls_it_allows(world):
    zone = await world.zone()
    trusted = ssl.create_default_context(cafile=str(world.home.certificate_authority))
    old = ssl.create_default_context(cafile=str(world.home.certificate_authority))
    old.maximum_version = ssl.TLSVersion.TLSv1_2

    async def ask(context: ssl.SSLContext, name: str) -> tuple[int, bytes]:
        async with ClientSession(connector=TCPConnector(local_addr=(zone.user, 0))) as session:
            url = f"https://{world.edge}:8443/"
            async with session.get(url, ssl=context, server_hostname=name, headers={"Host": name}) as answer:
                return answer.status, await answer.read()

    async with world.origin() as origin:
        await zone.lead_to(origin)
        await zone.set("ssl", "flexible")
        # Cloudflare comes to the origin on the visitor's own port.
        await zone.rules(
            "http_request_origin",
            {"action": "route", "expression": "ssl", "action_parameters": {"origin": {"port": 8080}}},
        )
        assert await ask(trusted, zone.name) == (200, b"hello")
        assert origin.requests[-1].headers["X-Forwarded-Proto"] == "https"
        assert await ask(old, zone.name) == (200, b"hello")
        await zone.set("min_tls_version", "1.3")
        with pytest.raises(Exception, match=r"(?i)disconnected|reset|closed"):
            await ask(old, zone.name)
        assert await ask(trusted, zone.name) == (200, b"hello")
        with pytest.raises(Exception, match=r"(?i)ssl"):
            await ask(trusted, "unknown.invalid")
        await zone.set("always_use_https", "on")
        redirected = await zone.get("/chat")
        assert (redirected.status_code, redirected.headers["location"]) == (301, f"https://{zone.name}/chat")


async def test_a_killed_edge_comes_back_and_knows_everything(world):
    zone = await world.zone()
    async with world.origin() as origin:
        await zone.lead_to(origin)
        await zone.rules(CUSTOM, {"action": "block", "expression": 'http.request.uri.path eq "/secret"'})
        before = world.cloudflare.edge.pid
        os.kill(before, signal.SIGKILL)

        async def back() -> bool:
            try:
                return (await zone.get("/")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(back)
        assert world.cloudflare.edge.pid != before
        assert (await zone.get("/secret")).status_code == 403


async def test_a_change_loses_no_request_and_acts_at_once(world):
    zone = await world.zone()
    async with world.origin() as origin:
        await zone.lead_to(origin)
        statuses: set[int] = set()
        ended = asyncio.Event()

        async def user() -> None:
            async with zone.browser() as browser:
                while not ended.is_set():
                    statuses.add((await browser.get(f"http://{world.edge}:8080/")).status_code)

        users = [asyncio.create_task(user()) for _ in range(4)]
        for number in range(10):
            path = f"/secret{number}"
            await zone.rules(CUSTOM, {"action": "block", "expression": f'http.request.uri.path eq "{path}"'})
            # What the call answered, acts.
            assert (await zone.get(path)).status_code == 403
        ended.set()
        await asyncio.gather(*users)
        assert statuses == {200}


async def test_a_proxy_that_leads_to_itself_is_stopped(world):
    zone = await world.zone()
    await zone.client.dns.records.create(
        zone_id=zone.id, type="A", name=zone.name, content=world.edge, proxied=True, ttl=1
    )
    looped = await zone.get("/")
    assert (looped.status_code, "1000" in looped.text) == (403, True)


async def test_a_paused_zone_is_not_proxied(world):
    zone = await world.zone()
    async with world.origin() as origin:
        await zone.lead_to(origin)
        await zone.client.zones.edit(zone_id=zone.id, paused=True)
        assert (await zone.get("/")).status_code == 409


async def test_messages_of_a_websocket_may_be_binary(world):
    zone = await world.zone()
    async with world.origin() as origin:
        await zone.lead_to(origin)
        async with (
            ClientSession(connector=TCPConnector(local_addr=(zone.user, 0))) as session,
            session.ws_connect(f"http://{world.edge}:8080/ws", headers={"Host": zone.name}) as live,
        ):
            await live.send_bytes(b"one")
            message = await live.receive()
            assert (message.type, message.data) == (WSMsgType.TEXT, "you said b'one'")


async def test_with_its_last_zone_the_edge_ends_and_with_the_next_it_is_back(world):
    await world.zone()
    assert world.cloudflare.edge.pid is not None
    for zone in [zone async for zone in world.client.zones.list()]:
        await world.client.zones.delete(zone_id=zone.id)
    assert world.cloudflare.edge.pid is None
    zone = await world.zone()
    async with world.origin() as origin:
        await zone.lead_to(origin)
        assert (await zone.get("/")).status_code == 200
