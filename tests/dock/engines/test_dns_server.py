"""Packets in, packets out: whatever comes in, the server answers or keeps quiet, and goes on."""

from __future__ import annotations

import pytest
from dnslib import EDNS0, QTYPE, RCODE, DNSHeader, DNSQuestion, DNSRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from dock.engines.dns import names, rdata
from dock.engines.dns.server import MAX_UDP, PLAIN_UDP, Server
from tests.dock.engines.test_dns_resolver import record, resolver

LONG = [record("big.a.test.", "TXT", *(f'"{number}{"x" * 200}"' for number in range(9)))]


def server() -> Server:
    answers = resolver(record("www.a.test.", "A", "127.0.0.1"), *LONG)
    return Server(lambda: answers)


def answer(question: DNSRecord, limit: int | None = PLAIN_UDP) -> DNSRecord:
    packet = server().reply(bytes(question.pack()), limit)
    assert packet is not None
    return DNSRecord.parse(packet)


def test_an_answer_is_authoritative_and_offers_no_recursion():
    found = answer(DNSRecord.question("www.a.test"))
    assert (found.header.aa, found.header.ra, found.header.rd, found.header.rcode) == (1, 0, 1, RCODE.NOERROR)
    assert str(found.a.rdata) == "127.0.0.1"


def test_what_does_not_fit_udp_is_truncated_and_comes_whole_over_tcp():
    question = DNSRecord.question("big.a.test", "TXT")
    short = answer(question)
    assert (short.header.tc, short.rr) == (1, [])
    assert len(answer(question, None).rr) == 9


def test_a_client_that_takes_more_gets_more_but_never_more_than_the_server_sends():
    question = DNSRecord.question("big.a.test", "TXT")
    question.add_ar(EDNS0(udp_len=65000))
    packet = server().reply(bytes(question.pack()), PLAIN_UDP)
    assert packet is not None
    assert len(packet) <= MAX_UDP
    found = DNSRecord.parse(packet)
    assert found.header.tc == 1
    assert [each.edns_len for each in found.ar] == [MAX_UDP]


def test_an_unknown_version_of_edns_is_refused():
    question = DNSRecord.question("www.a.test")
    question.add_ar(EDNS0(version=1))
    found = answer(question)
    assert found.rr == []
    assert found.ar[0].edns_rcode == 1


@pytest.mark.parametrize(
    ("question", "code"),
    [
        (DNSRecord(DNSHeader(opcode=4), q=DNSQuestion("www.a.test")), RCODE.NOTIMP),
        (DNSRecord(DNSHeader()), RCODE.FORMERR),
        (DNSRecord(q=DNSQuestion("www.a.test", qclass=3)), RCODE.REFUSED),
        (DNSRecord(q=DNSQuestion("a.test", QTYPE.AXFR)), RCODE.REFUSED),
        (DNSRecord(q=DNSQuestion("www.b.test")), RCODE.REFUSED),
    ],
)
def test_what_it_does_not_do_it_refuses(question, code):
    assert answer(question).header.rcode == code


def test_an_answer_is_not_answered():
    assert server().reply(bytes(DNSRecord(DNSHeader(qr=1), q=DNSQuestion("www.a.test")).pack()), PLAIN_UDP) is None


@given(st.binary(max_size=120))
@settings(max_examples=300, deadline=None)
def test_nonsense_does_not_end_it(packet):
    found = server().reply(packet, PLAIN_UDP)
    assert found is None or found[:2] == packet[:2]


@given(st.lists(st.tuples(st.integers(0, 27), st.integers(0, 255)), max_size=6))
@settings(max_examples=300, deadline=None)
def test_a_damaged_question_does_not_end_it(damage):
    packet = bytearray(DNSRecord.question("www.a.test").pack())
    for place, octet in damage:
        packet[place % len(packet)] = octet
    server().reply(bytes(packet), PLAIN_UDP)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("A", "127.0.0.1"),
        ("AAAA", "::1"),
        ("CNAME", "www.a.test."),
        ("MX", "10 mail.a.test."),
        ("SRV", "1 2 443 www.a.test."),
        ("CAA", '0 issue "letsencrypt.org"'),
        ("TXT", '"one \\"two\\"" "three"'),
        ("NS", "ns.a.test."),
        ("PTR", "www.a.test."),
    ],
)
def test_a_value_comes_back_as_it_was_written(kind, text):
    from dnslib import RR

    packed = DNSRecord(rr=[RR("x", getattr(QTYPE, kind), rdata=rdata.parse(kind, text))]).pack()
    assert rdata.text(kind, DNSRecord.parse(bytes(packed)).rr[0].rdata) == text


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("A", "1.2.3"),
        ("AAAA", "1.2.3.4"),
        ("MX", "mail"),
        ("MX", "70000 mail."),
        ("SRV", "1 2 x y"),
        ("TXT", "bare"),
        ("TXT", f'"{"x" * 256}"'),
        ("CNAME", "a..b"),
        ("CAA", "0 issue"),
        ("HTTPS", "1 ."),
    ],
)
def test_a_wrong_value_is_refused(kind, text):
    with pytest.raises(ValueError):
        rdata.parse(kind, text)


def test_names_are_compared_without_their_case_and_with_octets_in_octal():
    assert names.parse("\\052.A.test.") == (b"*", b"a", b"test")
    assert names.text((b"*", b"a b", b"test")) == "\\052.a\\040b.test."
    for wrong in ("a..b", f"{'x' * 64}.test", "ä.test", "\\9.test", ".".join(["x" * 60] * 5)):
        with pytest.raises(ValueError):
            names.parse(wrong)
