"""Cloudflare's API: its official client sees what it expects, and what the dock can't do is refused."""

from __future__ import annotations

import httpx
import pytest
from cloudflare import APIStatusError, AsyncCloudflare, NotFoundError, PermissionDeniedError, RateLimitError

from dock.addresses import Addresses
from dock.certificates import CertificateAuthority
from dock.cloudflare import Cloudflare
from dock.cloudflare.purge import Bucket
from dock.cloudflare.settings import SETTINGS
from dock.engines.supervisor import Supervisor
from dock.store import Store
from tests.dock.edge.conftest import ACCOUNT

pytestmark = [pytest.mark.dock, pytest.mark.asyncio(loop_scope="module")]
RATE = {"characteristics": ["ip.src", "cf.colo.id"], "period": 60, "requests_per_period": 5, "mitigation_timeout": 60}


def code(refusal: pytest.ExceptionInfo[APIStatusError]) -> int:
    return int(refusal.value.body["errors"][0]["code"])


async def test_a_zone_waits_for_its_delegation_and_is_then_active(world):
    made = await world.client.zones.create(name="Wait.Example", account={"id": ACCOUNT}, type="full")
    assert (made.name, made.status, len(made.name_servers)) == ("wait.example", "pending", 2)
    await world.client.zones.activation_check.trigger(zone_id=made.id)
    assert (await world.client.zones.get(zone_id=made.id)).status == "active"
    with pytest.raises(APIStatusError) as refusal:
        await world.client.zones.create(name="wait.example", account={"id": ACCOUNT}, type="full")
    assert code(refusal) == 1061
    with pytest.raises(PermissionDeniedError):
        await world.client.zones.create(name="other.example", account={"id": "f" * 32}, type="full")
    await world.client.zones.delete(zone_id=made.id)
    with pytest.raises(NotFoundError):
        await world.client.zones.get(zone_id=made.id)


@pytest.mark.parametrize(
    ("record", "wanted"),
    [
        ({"type": "A", "name": "a", "content": "not an address"}, 9005),
        ({"type": "AAAA", "name": "a", "content": "127.0.0.1"}, 9005),
        ({"type": "CNAME", "name": "a", "content": "127.0.0.1"}, 9007),
        ({"type": "CNAME", "name": "a", "content": "no spaces.example"}, 9007),
        ({"type": "TXT", "name": "a", "content": "x", "proxied": True}, 9004),
        ({"type": "A", "name": "a..b", "content": "127.0.0.1"}, 9000),
        ({"type": "A", "name": "a", "content": "127.0.0.1", "ttl": 30}, 9021),
        ({"type": "LOC", "name": "a", "content": "x"}, 9004),
        ({"type": "A", "name": "a"}, 9009),
    ],
)
async def test_a_record_that_can_not_be_is_refused_with_cloudflares_code(world, record, wanted):
    zone = await world.zone()
    with pytest.raises(APIStatusError) as refusal:
        await world.client.dns.records.create(zone_id=zone.id, **{"ttl": 1, **record})
    assert code(refusal) == wanted


async def test_records_are_found_changed_and_don_t_contradict_each_other(world):
    zone = await world.zone()
    records = world.client.dns.records
    made = await records.create(zone_id=zone.id, type="A", name="www", content="127.0.0.1", ttl=300, comment="one")
    assert (made.name, made.ttl, made.proxiable) == (f"www.{zone.name}", 300, True)
    for refused, wanted in (
        ({"type": "A", "content": "127.0.0.1"}, 81058),
        ({"type": "CNAME", "content": "b.example"}, 81053),
    ):
        with pytest.raises(APIStatusError) as refusal:
            await records.create(zone_id=zone.id, name="www", ttl=1, **refused)
        assert code(refusal) == wanted
    edited = await records.edit(made.id, zone_id=zone.id, proxied=True, type="A", name="www", ttl=1)
    assert (edited.proxied, edited.ttl, edited.comment) == (True, 1, "one")
    for number in range(5):
        await records.create(zone_id=zone.id, type="TXT", name=f"t{number}", content="x", ttl=1)
    # The client asks for one page after the other.
    found = [record.name async for record in records.list(zone_id=zone.id, type="TXT", per_page=2)]
    assert found == [f"t{number}.{zone.name}" for number in range(5)]
    exact = {"exact": f"www.{zone.name}"}
    assert [record.id async for record in records.list(zone_id=zone.id, name=exact)] == [made.id]
    await records.delete(made.id, zone_id=zone.id)
    with pytest.raises(NotFoundError) as refusal:
        await records.get(made.id, zone_id=zone.id)
    assert code(refusal) == 81044


async def test_settings_take_their_own_values_alone(world):
    zone = await world.zone()
    settings = world.client.zones.settings
    for name, setting in SETTINGS.items():
        assert (await settings.get(name, zone_id=zone.id)).value == setting.default
    for name, value, wanted in (("ssl", "loose", 1007), ("ssl", "origin_pull", 7003), ("colour", "red", 1006),
                                ("challenge_ttl", 5, 1007), ("always_use_https", True, 1007)):  # fmt: skip
        with pytest.raises(APIStatusError) as refusal:
            await settings.edit(name, zone_id=zone.id, value=value)
        assert code(refusal) == wanted
    developing = await settings.edit("development_mode", zone_id=zone.id, value="on")
    assert 10_700 < developing.time_remaining <= 10_800


async def test_every_change_of_a_ruleset_is_a_version_and_a_rule_keeps_its_id(world):
    zone = await world.zone()
    rulesets = world.client.rulesets
    rules = [{"ref": ref, "action": "block", "expression": "ssl"} for ref in ("one", "two")]
    made = await rulesets.phases.update("http_request_firewall_custom", zone_id=zone.id, rules=rules)
    first = made.rules[0].id if hasattr(made, "rules") else made["rules"][0]["id"]
    identifier = made.id if hasattr(made, "id") else made["id"]
    with pytest.raises(APIStatusError) as refusal:
        await rulesets.create(zone_id=zone.id, kind="zone", name="x", phase="http_request_firewall_custom", rules=[])
    assert code(refusal) == 20217
    await rulesets.rules.create(identifier, zone_id=zone.id, action="block", expression="not ssl", ref="three",
                                position={"before": first})  # fmt: skip
    await rulesets.rules.edit(first, ruleset_id=identifier, zone_id=zone.id, action="block", enabled=False, ref="one",
                              expression="ssl")  # fmt: skip
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {world.cloudflare.tokens.root}"}) as plain:
        url = f"{world.cloudflare.url}/zones/{zone.id}/rulesets/{identifier}"
        now = (await plain.get(url)).json()["result"]
        versions = (await plain.get(f"{url}/versions")).json()["result"]
        earlier = (await plain.get(f"{url}/versions/1")).json()["result"]
    assert [rule["ref"] for rule in now["rules"]] == ["three", "one", "two"]
    assert (now["rules"][1]["id"], now["rules"][1]["version"], now["rules"][1]["enabled"]) == (first, "2", False)
    assert [each["version"] for each in versions] == ["3", "2", "1"]
    assert [rule["ref"] for rule in earlier["rules"]] == ["one", "two"]


@pytest.mark.parametrize(
    ("phase", "rule", "wanted"),
    [
        ("http_request_firewall_custom", {"action": "block", "expression": 'ip.geoip.country eq "X"'}, 20127),
        ("http_request_firewall_custom", {"action": "block", "expression": "ip.src in $missing"}, 20127),
        ("http_request_firewall_custom", {"action": "block", "expression": 'http.host matches "x"'}, 20127),
        ("http_request_firewall_custom", {"action": "rewrite", "expression": "ssl"}, 20016),
        ("http_request_firewall_custom", {"action": "skip", "expression": "ssl"}, 20124),
        ("http_request_firewall_custom",
         {"action": "skip", "expression": "ssl", "action_parameters": {"products": ["waf"]}}, 7003),
        ("http_ratelimit", {"action": "block", "expression": "ssl"}, 20119),
        ("http_ratelimit", {"action": "block", "expression": "ssl", "ratelimit": {**RATE, "period": 600}}, 20154),
        ("http_ratelimit",
         {"action": "block", "expression": "ssl", "ratelimit": {**RATE, "characteristics": ["ip.src"]}}, 20151),
        ("http_ratelimit",
         {"action": "block", "expression": "ssl", "ratelimit": {**RATE, "counting_expression": "ssl"}}, 20153),
        ("http_request_cache_settings",
         {"action": "set_cache_settings", "expression": "ssl", "action_parameters": {"cache_reserve": {}}}, 7003),
        ("http_request_transform", {"action": "rewrite", "expression": "ssl"}, 7003),
    ],
)  # fmt: skip
async def test_a_rule_that_would_not_act_is_refused_when_it_is_written(world, phase, rule, wanted):
    zone = await world.zone()
    with pytest.raises(APIStatusError) as refusal:
        await zone.rules(phase, rule)
    assert code(refusal) == wanted


async def test_another_plan_allows_more(world):
    zone = await world.zone("business")
    counting = {**RATE, "counting_expression": "http.response.code eq 401", "period": 600}
    await zone.rules("http_ratelimit", {"action": "block", "expression": "ssl", "ratelimit": counting})
    await zone.rules("http_request_firewall_custom", {"action": "block", "expression": 'http.host matches "^x"'})


async def test_a_list_in_use_stays_and_its_items_are_whatever_was_asked_last(world):
    zone = await world.zone()
    lists = world.client.rules.lists
    listed = await zone.block("in_use", "192.0.2.1", "198.51.100.0/24")
    await zone.rules("http_request_firewall_custom", {"action": "block", "expression": "ip.src in $in_use"})
    with pytest.raises(APIStatusError) as refusal:
        await lists.delete(listed, account_id=ACCOUNT)
    assert code(refusal) == 10038
    with pytest.raises(APIStatusError):
        await lists.items.create(listed, account_id=ACCOUNT, body=[{"ip": "300.0.0.1"}])
    begun = await lists.items.update(listed, account_id=ACCOUNT, body=[{"ip": "192.0.2.9", "comment": "only"}])
    assert await zone.done(begun.operation_id) == "completed"
    assert [item.ip async for item in lists.items.list(listed, account_id=ACCOUNT)] == ["192.0.2.9"]
    described = await lists.get(listed, account_id=ACCOUNT)
    assert (described.num_items, described.num_referencing_filters) == (1, 1)
    await zone.rules("http_request_firewall_custom")
    await lists.delete(listed, account_id=ACCOUNT)


async def test_a_token_may_do_what_its_policies_say_and_nothing_else(world):
    mine, other = await world.zone(), await world.zone()
    groups = {group.name: group.id async for group in world.client.user.tokens.permission_groups.list()}
    made = await world.client.user.tokens.create(
        name="purger",
        policies=[
            {
                "effect": "allow",
                "resources": {f"com.cloudflare.api.account.zone.{mine.id}": "*"},
                "permission_groups": [{"id": groups["Cache Purge Write"]}, {"id": groups["Zone Read"]}],
            }
        ],
    )
    limited = world.login(made.value)
    assert (await limited.user.tokens.verify()).id == made.id
    assert [zone.id async for zone in limited.zones.list()] == [mine.id]
    await limited.cache.purge(zone_id=mine.id, purge_everything=True)
    for attempt in (
        limited.cache.purge(zone_id=other.id, purge_everything=True),
        limited.zones.settings.edit("ssl", zone_id=mine.id, value="full"),
        limited.zones.delete(zone_id=mine.id),
        limited.zones.create(name="more.example", account={"id": ACCOUNT}, type="full"),
        limited.user.tokens.create(name="more", policies=[]),
    ):
        with pytest.raises(PermissionDeniedError) as refusal:
            await attempt
        assert code(refusal) == 10000
    await world.client.user.tokens.delete(made.id)
    with pytest.raises(PermissionDeniedError):
        await limited.zones.get(zone_id=mine.id)


async def test_who_has_no_valid_token_is_told_so(world):
    with pytest.raises(PermissionDeniedError) as refusal:
        await world.login("x" * 40).zones.get(zone_id="a" * 32)
    assert code(refusal) == 10000
    async with httpx.AsyncClient() as plain:
        answer = await plain.get(f"{world.cloudflare.url}/zones")
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, 9106)
        answer = await plain.get(f"{world.cloudflare.url}/zones", headers={"Authorization": "Basic x"})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, 6003)
        verify = f"{world.cloudflare.url}/user/tokens/verify"
        answer = await plain.get(verify, headers={"Authorization": f"Bearer {'y' * 40}"})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, 1000)


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("GET", "/nowhere", b"", 404),
        ("PUT", "/zones", b"", 405),
        ("POST", "/zones", b"{", 400),
        ("POST", "/zones", b'{"name": "x.example", "colour": "red"}', 400),
        ("POST", "/zones", b'["x"]', 400),
        ("GET", "/zones?page=0", b"", 400),
    ],
)
async def test_nonsense_is_refused_in_the_envelope(world, method, path, content, status):
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {world.cloudflare.tokens.root}"}) as plain:
        answer = await plain.request(method, world.cloudflare.url + path, content=content)
    assert answer.status_code == status
    document = answer.json()
    assert (document["success"], document["result"], document["messages"]) == (False, None, [])
    assert document["errors"][0]["message"]


async def test_too_many_purges_are_refused_until_there_are_tokens_again(world):
    zone = await world.zone()

    async def purge_often() -> None:
        for _ in range(60):
            await world.client.cache.purge(zone_id=zone.id, tags=["x"])

    with pytest.raises(RateLimitError) as refusal:
        await purge_often()
    assert int(refusal.value.response.headers["retry-after"]) >= 1
    with pytest.raises(APIStatusError) as foreign:
        await world.client.cache.purge(zone_id=zone.id, files=["http://other.example/a.js"])
    assert code(foreign) == 1107


async def test_a_bucket_refills_as_time_goes_by():
    bucket = Bucket(size=2, rate=0.5, tokens=2, at=100.0)
    assert [bucket.take(1, 100.0) for _ in range(3)] == [0.0, 0.0, 2.0]
    assert bucket.take(1, 102.0) == 0.0


async def test_more_calls_than_the_api_takes_in_five_minutes_are_refused(world, monkeypatch):
    monkeypatch.setattr("dock.cloudflare.api.API_REQUESTS", 3)
    world.cloudflare.api._windows.clear()

    async def ask_often() -> None:
        for _ in range(5):
            await world.client.zones.list()

    try:
        with pytest.raises(RateLimitError) as refusal:
            await ask_often()
        assert "r=0" in refusal.value.response.headers["ratelimit"]
    finally:
        world.cloudflare.api._windows.clear()


async def test_everything_is_there_again_after_the_daemon_was_lost(world):
    """The store alone makes the next daemon's edge do what the last one's did."""
    zone = await world.zone()
    async with world.origin() as origin:
        await zone.lead_to(origin)
        await zone.rules("http_request_firewall_custom", {"action": "block", "expression": "not ssl"})
        before = world.cloudflare
        pid = before.edge.pid
        await before.leave()
        store = Store(world.home.database)
        addresses = Addresses(store)
        supervisor = Supervisor(store, world.home.root)
        after = Cloudflare(store, world.home, addresses, CertificateAuthority(world.home), supervisor)
        await after.start()
        try:
            assert after.edge.pid == pid
            assert (await zone.get("/")).status_code == 403
            client = AsyncCloudflare(api_token=before.tokens.root, base_url=after.url, max_retries=0)
            assert (await client.zones.get(zone_id=zone.id)).name == zone.name
        finally:
            world.cloudflare = after
