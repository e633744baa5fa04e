"""What a fault may be: nonsense is refused with a reason, and what is on is kept, counted and ended."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from dock.aws.request import Identified, identify
from dock.faults.api import ApiFaults
from dock.faults.book import Book
from dock.faults.model import FaultError, Kind, Wish
from dock.store import Store


def request(operation: str = "ListClusters", region: str = "us-east-1", key: str = "000000000001") -> Identified:
    return identify(
        "POST",
        "/",
        {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={key}/20261101/{region}/ecs/aws4_request, x",
            "X-Amz-Target": f"AmazonEC2ContainerServiceV20141113.{operation}",
        },
        b"{}",
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "dock.sqlite")


def wish(kind: str, **fields: Any) -> Wish:
    return Wish.read({"kind": kind, **fields})


def hits(faults: ApiFaults, count: int, **how: Any) -> list[bool]:
    return [bool(faults.encounter(request(**how), "000000000001").faults) for _ in range(count)]


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ([], "a fault is a JSON object"),
        ({}, "kind is one of api-throttled"),
        ({"kind": "api-eaten"}, "kind is one of api-throttled"),
        ({"kind": "api-slow"}, "api-slow needs latency"),
        ({"kind": "api-slow", "latency": -1}, "latency is a number from 0.001 to 300, not -1"),
        ({"kind": "api-lost", "share": 1.5}, "share is a number from 0 to 1, not 1.5"),
        ({"kind": "api-lost", "share": True}, "share is a number"),
        ({"kind": "api-lost", "calls": 0}, "calls is a number from 1"),
        ({"kind": "api-lost", "latency": 1}, "api-lost takes no latency"),
        ({"kind": "api-lost", "colour": "red"}, "a fault has no colour"),
        ({"kind": "engine-down"}, "engine-down needs target"),
        ({"kind": "engine-down", "target": ""}, "target is a text that isn't empty"),
        ({"kind": "zone-down", "zone": "us-east-1a", "seconds": 1e9}, "seconds is a number from 0.1 to 43200"),
        ({"kind": "zone-down", "zone": "us-east-1a", "seconds": "long"}, "seconds is a number"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_with_the_reason(document: Any, complaint: str) -> None:
    with pytest.raises(FaultError) as refused:
        Wish.read(document)
    assert complaint in str(refused.value)


def test_the_same_seed_hits_the_same_calls(store: Store) -> None:
    book = Book(store)
    drawn = []
    for seed in (7, 7, 8):
        fault = book.add(wish("api-throttled", share=0.3, seed=seed))
        drawn.append(hits(ApiFaults(book), 500))
        book.remove(fault.id)
    assert drawn[0] == drawn[1] != drawn[2]
    assert 100 < sum(drawn[0]) < 200


def test_a_fault_of_the_next_calls_hits_so_many_and_no_more_also_with_another_daemon(store: Store) -> None:
    book = Book(store)
    book.add(wish("api-failing", operation="List*", calls=3))
    assert hits(ApiFaults(book), 2) == [True, True]
    again = Book(store)
    assert hits(ApiFaults(again), 3) == [True, False, False]
    assert [fault.calls for fault in again.expired()] == [0]


def test_a_fault_hits_only_whom_it_selects(store: Store) -> None:
    book = Book(store)
    book.add(wish("api-failing", service="ecs", operation="List*", region="us-west-2", principal="000000000002"))
    faults = ApiFaults(book)
    assert hits(faults, 1, region="us-west-2", key="000000000002") == [True]
    assert hits(faults, 1, region="us-east-1", key="000000000002") == [False]
    assert hits(faults, 1, region="us-west-2", key="000000000001") == [False]
    assert hits(faults, 1, region="us-west-2", key="000000000002", operation="CreateCluster") == [False]


def test_a_rate_lets_so_many_calls_through_and_throttles_the_rest(store: Store) -> None:
    book = Book(store)
    book.add(wish("api-throttled", rate=5))
    assert hits(ApiFaults(book), 50).count(False) in (5, 6)
    book = Book(Store(Path(store._connection.execute("PRAGMA database_list").fetchone()[2]).with_name("other.sqlite")))
    book.add(wish("api-throttled", rate=0))
    assert all(hits(ApiFaults(book), 5))


def test_a_fault_whose_time_is_up_hits_nobody_and_is_due_to_end(store: Store) -> None:
    book = Book(store)
    fault = book.add(wish("api-failing", seconds=0.1))
    time.sleep(0.11)  # its time is what is tested
    assert hits(ApiFaults(book), 1) == [False]
    assert [each.id for each in Book(store).expired()] == [fault.id]


def test_every_kind_says_in_a_line_whom_it_hits(store: Store) -> None:
    book = Book(store)
    needed = {"target": "database/x", "latency": 0.2, "zone": "us-east-1a", "region": "us-east-1", "account": "1" * 12}
    for kind in Kind:
        fields: dict[str, Any] = {}
        while True:
            try:
                fault = book.add(wish(kind, **fields))
                break
            except FaultError as missing:
                name = str(missing).partition("needs ")[2].split(" and ")[0]
                fields[name] = needed[name]
        about = fault.about()
        assert about
        assert all(str(value) in about or name == "latency" for name, value in fields.items())
    assert len(book) == len(Kind)
