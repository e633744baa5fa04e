"""What a client of a load balancer gets."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from aiohttp import ClientSession, CookieJar

from tests.dock.conftest import call
from tests.dock.elbv2.conftest import Dock, eventually, forward, get

pytestmark = [pytest.mark.dock, pytest.mark.asyncio(loop_scope="module")]


async def names(session: ClientSession, url: str, count: int) -> Counter[str]:
    return Counter([(await get(session, url))[1] for _ in range(count)])


async def test_weights_are_exact_and_change_without_a_reload(dock: Dock, session: ClientSession) -> None:
    async with dock.application("old") as old, dock.application("new") as new:
        balancer = await dock.load_balancer()
        groups = [await dock.target_group(old), await dock.target_group(new)]
        listener = await dock.listener(balancer, 8080, (groups[0], 90), (groups[1], 10))
        url = f"http://{balancer.address}:8080/"
        assert await names(session, url, 1000) == {"old": 900, "new": 100}
        engine = dock.service.fleet.engine(balancer.arn)
        before = await engine._haproxy.runtime.processes()
        for weights, expected in (((0, 100), {"new": 100}), ((1, 1), {"old": 50, "new": 50}), ((1, 0), {"old": 100})):
            actions = [forward(*zip(groups, weights, strict=True))]
            await call(dock.elb.modify_listener, ListenerArn=listener, DefaultActions=actions)
            assert await names(session, url, 100) == expected
        assert await engine._haproxy.runtime.processes() == before
        shown = (await call(dock.elb.describe_listeners, ListenerArns=[listener]))["Listeners"][0]
        weights_shown = [group["Weight"] for group in shown["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]]
        assert weights_shown == [1, 0]


async def test_a_group_without_weight_or_target_gets_503_rather_than_another_groups_target(
    dock: Dock, session: ClientSession
) -> None:
    async with dock.application("one") as one:
        balancer = await dock.load_balancer()
        full, empty = await dock.target_group(one), await dock.target_group()
        listener = await dock.listener(balancer, 8080, (full, 50), (empty, 50))
        url = f"http://{balancer.address}:8080/"
        statuses = Counter([(await get(session, url))[0] for _ in range(100)])
        assert statuses == {200: 50, 503: 50}
        await call(dock.elb.modify_listener, ListenerArn=listener, DefaultActions=[forward((full, 0))])
        async with session.get(url) as answer:
            assert (answer.status, answer.headers["Server"]) == (503, "awselb/2.0")


async def test_rules_are_matched_by_priority_and_their_conditions(dock: Dock, session: ClientSession) -> None:
    async with dock.application("app") as application:
        balancer = await dock.load_balancer()
        listener = await dock.listener(balancer, 8080, await dock.target_group(application))
        conditions: list[list[dict[str, Any]]] = [
            [{"Field": "path-pattern", "Values": ["/img/*.p?g"]}],
            [{"Field": "host-header", "HostHeaderConfig": {"Values": ["*.Example.com"]}}],
            [{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Kind", "Values": ["beta*"]}}],
            [{"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["DELETE", "PUT"]}}],
            [
                {
                    "Field": "query-string",
                    "QueryStringConfig": {"Values": [{"Key": "version", "Value": "v2"}, {"Value": "*'\"x$ %*"}]},
                }
            ],
            [
                {"Field": "source-ip", "SourceIpConfig": {"Values": ["127.0.0.0/8"]}},
                {"Field": "path-pattern", "Values": ["/local"]},
            ],
            [{"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}}],
        ]
        for number, condition in enumerate(conditions, 1):
            action = {
                "Type": "fixed-response",
                "FixedResponseConfig": {"StatusCode": "200", "MessageBody": f"rule {number}"},
            }
            await call(
                dock.elb.create_rule, ListenerArn=listener, Priority=number * 10, Conditions=condition, Actions=[action]
            )
        url = f"http://{balancer.address}:8080"
        assert await get(session, f"{url}/img/a/b.png") == (200, "rule 1")
        assert await get(session, f"{url}/IMG/a.png") == (200, "app")
        assert await get(session, f"{url}/", headers={"Host": "www.EXAMPLE.com:8080"}) == (200, "rule 2")
        assert await get(session, f"{url}/", headers={"Host": "example.com"}) == (200, "app")
        assert await get(session, f"{url}/", headers={"x-kind": "BETA 7"}) == (200, "rule 3")
        async with session.put(f"{url}/") as answer:
            assert await answer.text() == "rule 4"
        assert await get(session, f"{url}/?a=b&version=v2&c") == (200, "rule 5")
        assert await get(session, f"{url}/?version=v21") == (200, "app")
        assert await get(session, f"{url}/local") == (200, "rule 6")
        assert await get(session, f"{url}/other") == (200, "app")
        described = (await call(dock.elb.describe_rules, ListenerArn=listener))["Rules"]
        assert [rule["Priority"] for rule in described] == [*map(str, range(10, 80, 10)), "default"]
        await call(dock.elb.set_rule_priorities, RulePriorities=[{"RuleArn": described[5]["RuleArn"], "Priority": 5}])
        await call(dock.elb.delete_rule, RuleArn=described[0]["RuleArn"])
        assert await get(session, f"{url}/img/a/b.png") == (200, "app")
        assert await get(session, f"{url}/local", headers={"Host": "a.example.com"}) == (200, "rule 6")


async def test_redirects_and_fixed_responses_say_what_was_asked(dock: Dock, session: ClientSession) -> None:
    balancer = await dock.load_balancer()
    redirect = {"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}
    listener = await dock.listener(balancer, 80, DefaultActions=[redirect])
    url = f"http://{balancer.address}"
    async with session.get(f"{url}/a/b?c=d%20e", allow_redirects=False) as answer:
        assert answer.status == 301
        assert answer.headers["Location"] == f"https://{balancer.address}:443/a/b?c=d%20e"
    async with session.get(f"{url}/", allow_redirects=False) as answer:
        assert answer.headers["Location"] == f"https://{balancer.address}:443/"
    moved = {
        "Type": "redirect",
        "RedirectConfig": {
            "Host": "new.#{host}",
            "Path": "/v2/#{path}",
            "Query": "from=old&#{query}",
            "StatusCode": "HTTP_302",
        },
    }
    await call(dock.elb.modify_listener, ListenerArn=listener, DefaultActions=[moved])
    async with session.get(f"{url}/a?b=c", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (
            302,
            f"http://new.{balancer.address}:80/v2/a?from=old&b=c",
        )
    body = '{"error": "it\'s 100 % $HOME\\n"}\n#ü'
    fixed = {
        "Type": "fixed-response",
        "FixedResponseConfig": {"StatusCode": "503", "ContentType": "application/json", "MessageBody": body},
    }
    await call(dock.elb.modify_listener, ListenerArn=listener, DefaultActions=[fixed])
    async with session.get(url) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (503, "application/json")
        assert await answer.text("utf-8") == body


async def test_targets_learn_who_asked_and_clients_get_the_gateways_errors(dock: Dock, session: ClientSession) -> None:
    async with dock.application("app") as application:
        balancer = await dock.load_balancer()
        group = await dock.target_group(application)
        await dock.listener(balancer, 8080, group)
        await call(
            dock.elb.modify_load_balancer_attributes,
            LoadBalancerArn=balancer.arn,
            Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": "2"}],
        )
        url = f"http://{balancer.address}:8080"
        async with session.get(f"{url}/headers", headers={"X-Forwarded-For": "1.2.3.4", "X_under": "score"}) as answer:
            headers = {name.lower(): value for name, value in (await answer.json()).items()}
        assert headers["x-forwarded-for"] == "1.2.3.4, 127.0.0.1"
        assert (headers["x-forwarded-proto"], headers["x-forwarded-port"]) == ("http", "8080")
        assert headers["host"] == f"{balancer.address}:8080"
        assert headers["x_under"] == "score"
        assert headers["x-amzn-trace-id"].startswith("Root=1-")
        assert (await get(session, f"{url}/status/503")) == (503, "app")
        async with session.get(f"{url}/rubbish") as answer:
            assert (answer.status, answer.headers["Server"]) == (502, "awselb/2.0")
        async with session.get(f"{url}/slow?seconds=4") as answer:
            assert (answer.status, answer.headers["Server"]) == (504, "awselb/2.0")
        for key, value in (
            ("routing.http.drop_invalid_header_fields.enabled", "true"),
            ("routing.http.xff_header_processing.mode", "remove"),
        ):
            await call(
                dock.elb.modify_load_balancer_attributes,
                LoadBalancerArn=balancer.arn,
                Attributes=[{"Key": key, "Value": value}],
            )
        async with session.get(f"{url}/headers", headers={"X-Forwarded-For": "1.2.3.4", "X_under": "score"}) as answer:
            names_seen = {name.lower() for name in await answer.json()}
        assert not {"x_under", "x-forwarded-for"} & names_seen
    async with session.get(url) as answer:
        assert (answer.status, answer.headers["Server"]) == (502, "awselb/2.0")
        assert "502 Bad Gateway" in await answer.text()


async def test_websockets_go_through_and_end_when_they_are_idle(dock: Dock, session: ClientSession) -> None:
    async with dock.application("app") as application:
        balancer = await dock.load_balancer()
        await dock.listener(balancer, 8080, await dock.target_group(application))
        await call(
            dock.elb.modify_load_balancer_attributes,
            LoadBalancerArn=balancer.arn,
            Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": "1"}],
        )
        async with session.ws_connect(f"http://{balancer.address}:8080/ws") as socket:
            for number in range(4):
                await asyncio.sleep(0.4)
                await socket.send_str(str(number))
                assert await socket.receive_str(timeout=2) == f"app {number}"
            async with asyncio.timeout(5):
                assert (await socket.receive()).data is None or socket.closed


async def test_the_target_with_the_fewest_outstanding_requests_is_chosen_when_asked_for(
    dock: Dock, session: ClientSession
) -> None:
    async with dock.application("one") as one, dock.application("two") as two:
        balancer = await dock.load_balancer()
        group = await dock.target_group(one, two)
        await dock.listener(balancer, 8080, group)
        await call(
            dock.elb.modify_target_group_attributes,
            TargetGroupArn=group,
            Attributes=[{"Key": "load_balancing.algorithm.type", "Value": "least_outstanding_requests"}],
        )
        url = f"http://{balancer.address}:8080"
        waiting = asyncio.create_task(get(session, f"{url}/slow?seconds=2"))
        while not one.waiting + two.waiting:
            await asyncio.sleep(0.02)
        busy, idle = ("one", "two") if one.waiting else ("two", "one")
        assert await names(session, f"{url}/", 20) == {idle: 20}
        assert await waiting == (200, busy)


async def test_stickiness_keeps_a_client_with_its_target(dock: Dock) -> None:
    async with dock.application("one") as one, dock.application("two") as two:
        balancer = await dock.load_balancer()
        group = await dock.target_group(one, two)
        await call(
            dock.elb.modify_target_group_attributes,
            TargetGroupArn=group,
            Attributes=[{"Key": "stickiness.enabled", "Value": "true"}],
        )
        await dock.listener(balancer, 8080, group)
        url = f"http://{balancer.address}:8080/"
        await eventually(lambda: dock.states(group), {one.address: "healthy", two.address: "healthy"})
        clients = []
        for _ in range(4):
            # Cookies of IP addresses are kept only when told so.
            async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as client:
                seen = await names(client, url, 10)
                assert len(seen) == 1
                clients.append(next(iter(seen)))
        assert set(clients) == {"one", "two"}
