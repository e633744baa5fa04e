"""The edge's parts, without a network: counting, clearances, what is cached and for how long."""

from __future__ import annotations

import ipaddress

import pytest
from multidict import CIMultiDict

from dock.engines.edge import cache
from dock.engines.edge.challenge import Challenger
from dock.engines.edge.model import rate_limit
from dock.engines.edge.rates import Counters
from tests.dock.edge.test_language import facts

SECRET = b"secret"
VISITOR, OTHER = ipaddress.ip_address("127.9.200.3"), ipaddress.ip_address("127.9.200.4")


class Clock:
    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def limit(**changes):
    settings = {
        "characteristics": ["ip.src", "cf.colo.id"],
        "period": 10,
        "requests_per_period": 3,
        "mitigation_timeout": 60,
        **changes,
    }
    return rate_limit({"id": "r", "action": "block", "expression": "ssl", "ratelimit": settings})


class TestRates:
    def test_one_request_too_many_is_acted_on_until_the_time_out_is_over(self):
        clock, limits = Clock(), (limit(),)
        counters = Counters(clock)
        assert [counters.ask(limits, facts()) is not None for _ in range(5)] == [False, False, False, True, True]
        clock.now += 59
        assert counters.ask(limits, facts()) is not None
        clock.now += 2
        assert counters.ask(limits, facts()) is None

    def test_users_are_counted_apart(self):
        counters, limits = Counters(Clock()), (limit(),)
        for _ in range(4):
            counters.ask(limits, facts())
        assert counters.ask(limits, facts(address=OTHER)) is None

    def test_the_rate_slides_over_the_edge_of_two_periods(self):
        clock, limits = Clock(), (limit(),)
        counters = Counters(clock)
        clock.now += 9
        for _ in range(3):
            assert counters.ask(limits, facts()) is None
        # A second later another period runs, and most of the last one still lies within ten seconds.
        clock.now += 2
        assert counters.ask(limits, facts()) is not None

    def test_without_a_time_out_only_what_is_over_the_limit_is_acted_on(self):
        clock, limits = Clock(), (limit(mitigation_timeout=0),)
        counters = Counters(clock)
        assert [counters.ask(limits, facts()) is not None for _ in range(4)] == [False, False, False, True]
        clock.now += 20
        assert counters.ask(limits, facts()) is None

    def test_failed_logins_are_counted_by_their_answer(self):
        limits = (limit(counting_expression="http.response.code eq 401", requests_per_period=2),)
        counters = Counters(Clock())
        for status in (200, 401, 401, 401):
            asked = facts()
            assert counters.ask(limits, asked) is None
            asked.status = status
            counters.answered(limits, asked, by_origin=True)
        assert counters.ask(limits, facts()) is not None


class TestChallenge:
    def solved(self, page: str) -> tuple[str, str]:
        token = page.split('name="token" value="')[1].split('"')[0]
        first, second, _, _ = token.split(".")
        return token, str(int(first) * int(second) % 999_983)

    def test_who_solves_it_gets_a_clearance_that_is_theirs_alone(self):
        clock = Clock()
        challenger = Challenger(clock)
        token, answer = self.solved(challenger.page(SECRET, VISITOR, "chat.example", "/", "ray"))
        assert challenger.solved(SECRET, VISITOR, "chat.example", token, answer)
        cookie = challenger.clearance(SECRET, VISITOR, "browser", "chat.example", 300)
        assert challenger.cleared(SECRET, VISITOR, "browser", "chat.example", cookie)
        assert not challenger.cleared(SECRET, OTHER, "browser", "chat.example", cookie)
        assert not challenger.cleared(SECRET, VISITOR, "another", "chat.example", cookie)
        assert not challenger.cleared(SECRET, VISITOR, "browser", "other.example", cookie)
        clock.now += 301
        assert not challenger.cleared(SECRET, VISITOR, "browser", "chat.example", cookie)

    @pytest.mark.parametrize("cookie", ["", "x", "9999999999.", "9999999999.00", ".", "-1.x", "٣.x"])
    def test_nonsense_is_no_clearance(self, cookie):
        assert not Challenger(Clock()).cleared(SECRET, VISITOR, "browser", "chat.example", cookie)

    def test_wrong_late_or_another_ones_answers_are_refused(self):
        clock = Clock()
        challenger = Challenger(clock)
        token, answer = self.solved(challenger.page(SECRET, VISITOR, "chat.example", "/", "ray"))
        assert not challenger.solved(SECRET, VISITOR, "chat.example", token, str(int(answer) + 1))
        assert not challenger.solved(SECRET, OTHER, "chat.example", token, answer)
        forged = "1.1." + token.split(".", 2)[2]
        assert not challenger.solved(SECRET, VISITOR, "chat.example", forged, "1")
        for nonsense in ("", "a.b.c.d", "1.2.3", token + ".x"):
            assert not challenger.solved(SECRET, VISITOR, "chat.example", nonsense, answer)
        clock.now += 301
        assert not challenger.solved(SECRET, VISITOR, "chat.example", token, answer)


class TestCache:
    @pytest.mark.parametrize(
        ("path", "method", "looked_up"),
        [
            ("/app.js", "GET", True),
            ("/app.JS", "HEAD", True),
            ("/app.js", "POST", False),
            ("/", "GET", False),
            ("/api/messages", "GET", False),
            ("/data.json", "GET", False),
        ],
    )
    def test_by_default_files_are_cached_and_pages_are_not(self, path, method, looked_up):
        assert cache.Policy().looks_up(facts(path=path, method=method)) is looked_up

    @pytest.mark.parametrize(
        ("headers", "status", "seconds"),
        [
            ({}, 200, 7200),
            ({}, 302, 1200),
            ({}, 404, 180),
            ({}, 500, None),
            ({"Cache-Control": "max-age=60"}, 200, 60),
            ({"Cache-Control": "max-age=60, s-maxage=5"}, 200, 5),
            ({"Cache-Control": "private, max-age=60"}, 200, None),
            ({"Cache-Control": "no-store"}, 200, None),
            ({"Cache-Control": "max-age=0"}, 200, None),
            ({"Cache-Control": "max-age=soon"}, 200, None),
            ({"Set-Cookie": "a=b"}, 200, None),
            ({"Expires": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200, None),
            ({"Expires": "never"}, 200, None),
        ],
    )
    def test_the_origin_says_how_long_it_is_kept(self, headers, status, seconds):
        found = cache.lifetime(cache.Policy(), facts(), status, CIMultiDict(headers), 1_000_000)
        assert found == seconds

    def test_an_answer_to_somebody_who_is_logged_in_is_not_kept(self):
        asked = facts(headers=CIMultiDict({"Authorization": "Bearer x"}))
        assert cache.lifetime(cache.Policy(), asked, 200, CIMultiDict(), 0) is None
        public = CIMultiDict({"Cache-Control": "public, max-age=9"})
        assert cache.lifetime(cache.Policy(), asked, 200, public, 0) == 9

    def test_a_rule_can_overrule_the_origin(self):
        policy = cache.Policy(eligible=True, edge={"mode": "override_origin", "default": 30})
        assert policy.looks_up(facts(path="/page"))
        assert cache.lifetime(policy, facts(), 200, CIMultiDict({"Cache-Control": "no-store"}), 0) == 30

    def test_levels_differ_by_what_they_do_with_a_query(self):
        asked = facts(path="/a.js", query="b=2&a=1")
        assert cache.Policy().key(asked) == "https://chat.example/a.js?b=2&a=1"
        assert cache.Policy(level="simplified").key(asked) == "https://chat.example/a.js"
        assert cache.Policy(sorted_query=True).key(asked) == "https://chat.example/a.js?a=1&b=2"
        assert not cache.Policy(level="basic").looks_up(asked)

    def entry(self, url: str, zone: str = "chat.example", body: bytes = b"x", tags: str = "") -> cache.Entry:
        host = url.partition("://")[2].partition("/")[0]
        labels = cache.tags(CIMultiDict({"Cache-Tag": tags}))
        return cache.Entry(zone, host, url, 200, CIMultiDict(), body, 0, 10, labels)

    @pytest.mark.parametrize(
        ("what", "left"),
        [
            ({"everything": True}, {"https://other.example/a.js"}),
            ({"files": ["https://chat.example/a.js"]}, {"https://chat.example/b.js", "https://other.example/a.js"}),
            ({"prefixes": ["chat.example/a"]}, {"https://chat.example/b.js", "https://other.example/a.js"}),
            ({"hosts": ["CHAT.example"]}, {"https://other.example/a.js"}),
            ({"tags": ["Fresh"]}, {"https://chat.example/a.js", "https://other.example/a.js"}),
        ],
    )
    def test_a_purge_takes_away_what_it_names_of_its_own_zone(self, what, left):
        kept = cache.Cache(Clock())
        for url, zone, tags in (
            ("https://chat.example/a.js", "chat.example", ""),
            ("https://chat.example/b.js", "chat.example", "fresh, new"),
            ("https://other.example/a.js", "other.example", "fresh"),
        ):
            kept.put(self.entry(url, zone, tags=tags), "")
        kept.purge("chat.example", **what)
        urls = ("https://chat.example/a.js", "https://chat.example/b.js", "https://other.example/a.js")
        assert {url for url in urls if kept.get(url.partition("://")[2].partition("/")[0], url, "")} == left

    def test_the_cache_does_not_grow_for_ever(self, monkeypatch):
        monkeypatch.setattr(cache, "MAX_BYTES", 25)
        kept = cache.Cache(Clock())
        for number in range(5):
            kept.put(self.entry(f"https://chat.example/{number}", body=b"0123456789"), "")
        assert kept.size == (2, 20)
        assert kept.get("chat.example", "https://chat.example/4", "") is not None
