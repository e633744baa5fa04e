"""The rules language: what expressions say of a request, and which are refused when they are written."""

from __future__ import annotations

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from dock.engines.edge.language import AddressList, ExpressionError, Facts, parse

HEADERS = {"User-Agent": "curl/8", "X-Tag": "one", "Cookie": "sid=7", "Referer": "https://elsewhere.example/"}


def facts(**changes: object) -> Facts:
    request = {
        "method": "GET",
        "host": "chat.example",
        "path": "/api/messages",
        "query": "a=1&b=x%20y",
        "headers": CIMultiDict(HEADERS),
        "address": ipaddress.ip_address("127.9.200.3"),
        "secure": True,
        "lists": {"blocked": AddressList(["127.9.200.0/24", "2001:db8::/32"])},
    }
    return Facts(**{**request, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "ip.src eq 127.9.200.3",
        "ip.src in $blocked",
        "ip.src in {10.0.0.0/8 127.9.200.1..127.9.200.9}",
        'starts_with(http.request.uri.path, "/api/") and http.request.method in {"GET" "POST"}',
        'lower(http.referer) contains "elsewhere"',
        'any(http.request.headers["x-tag"][*] eq "one")',
        'any(lower(http.request.headers["x-tag"][*]) eq "one")',
        'http.request.headers["x-tag"][0] == "one"',
        'http.request.headers["x-none"][0] ne "one"',
        'http.request.cookies["sid"][0] eq "7"',
        'http.request.uri.args["b"][0] eq "x y"',
        'http.request.uri.path wildcard "/API/*"',
        'http.request.uri.path matches "^/api/.*s$"',
        'http.request.full_uri eq "https://chat.example/api/messages?a=1&b=x%20y"',
        'ssl and not http.host eq "other.example"',
        '!ssl || http.host == "chat.example" && true',
        "len(http.host) in {1..20}",
        'concat(http.request.method, " ", http.host) eq "GET chat.example"',
        r'http.request.uri.path ne "a \"quoted\" one"',
        'ssl xor http.host eq "other.example"',
    ],
)
def test_an_expression_holds(text):
    assert parse(text, ["blocked"])(facts())


@pytest.mark.parametrize(
    "text",
    [
        "ip.src eq 127.9.200.4",
        'http.request.uri.path strict wildcard "/API/*"',
        'http.request.headers["x-none"][0] eq "one"',
        'not (ssl or http.host eq "other.example")',
        'http.request.method in {"PUT"}',
        'all(http.request.headers["x-tag"][*] eq "two")',
        # `and` binds closer than `or`.
        'http.host eq "other.example" and ssl or false',
    ],
)
def test_an_expression_does_not_hold(text):
    assert not parse(text, ["blocked"])(facts())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('ip.geoip.country eq "CN"', "can't know ip.geoip.country"),
        ("cf.threat_score gt 5", "can't know cf.threat_score"),
        ("http.host eq 5", "`eq` needs a string"),
        ("ip.src in $none", r"no list \$none"),
        ("ip.src in $cf.anonymizer", "list that Cloudflare keeps"),
        ('colour eq "red"', "no field colour"),
        ("http.host", "gives a string"),
        ('http.host eq "x" and', "ends too early"),
        ("(ssl", "ends too early"),
        ("ssl ssl", "after its end"),
        ("", "empty"),
        ("ip.src eq 10.0.0.0/8", "in {…}"),
        ("ip.src in {300.1.1.1}", "300.1.1.1"),
        ("ip.src in {}", "empty"),
        ('http.host matches "("', "pattern is wrong"),
        ("http.host in $blocked", r"ip.src in \$name"),
        ('http.request.headers["x"] eq "y"', "can't be compared"),
        ('http.request.headers["x"][*] eq "y"', "a boolean"),
        ("http.response.code eq 200", "before the origin has answered"),
        ('frobnicate(http.host) eq "x"', "no function frobnicate"),
        ('lower(ip.src) eq "x"', "takes string"),
        ("(" * 100 + "ssl" + ")" * 100, "deeper"),
        ("ssl or " * 1000 + "ssl", "characters"),
        ("http.host ; 1", "not part of the language"),
    ],
)
def test_what_would_not_do_what_it_says_is_refused_when_it_is_written(text, reason):
    with pytest.raises(ExpressionError, match=reason):
        parse(text, ["blocked"])


def test_patterns_are_a_matter_of_the_plan():
    with pytest.raises(ExpressionError, match="not in this plan"):
        parse('http.host matches "x"', patterns=False)


def test_what_the_origin_answered_is_known_to_counting_expressions():
    asked = facts()
    asked.status = 401
    assert parse("http.response.code in {400..499}", response=True)(asked)


@given(st.text(max_size=60))
def test_no_text_breaks_the_parser(text):
    with contextlib.suppress(ExpressionError):
        parse(text)


@given(st.sets(st.ip_addresses(v=4), max_size=20), st.ip_addresses(v=4), st.integers(min_value=8, max_value=32))
def test_a_list_holds_exactly_what_is_in_it(addresses, asked, prefix):
    entries = [str(ipaddress.ip_network((int(address), prefix), strict=False)) for address in addresses]
    expected = any(asked in ipaddress.ip_network(entry) for entry in entries)
    assert (asked in AddressList(entries)) is expected
